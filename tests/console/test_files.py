"""The console's files as they are served: small, and the program that was written."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from posixpath import dirname, join, normpath
from typing import Any

from ortto_capture.console.files import joined, read_files

from ..services import ROOT
from ..test_client_assets import parsed
from .site import Site

SOURCES = ROOT / "ortto_capture" / "console" / "static"
MODULES = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.js"))
#: Bytes of all files together, gzipped.
MAX_GZIPPED = 60 * 1024

Tree = Mapping[str, Any]


def test_the_whole_console_is_small_as_served() -> None:
    assert sum(len(file.gzip) for file in read_files().values()) <= MAX_GZIPPED


def test_each_file_is_the_same_plain_and_packed() -> None:
    for file in read_files().values():
        assert gzip.decompress(file.gzip) == file.body


def names(pairs: list[Tree], outer: str, inner: str) -> dict[str, str]:
    """How names are called in the one module and in the other."""
    return {each[outer]["name"]: each[inner]["name"] for each in pairs}


def written(path: str, statements: list[Tree]) -> tuple[list[Tree], Mapping[str, Any], set[str]]:
    """A module's own statements, what it imports from where, and what it exports."""
    own: list[Tree] = []
    imports: dict[str, dict[str, str]] = {}
    exports: set[str] = set()
    for each in statements:
        if each["type"] == "ImportDeclaration":
            source = normpath(join(dirname(path), each["source"]["value"]))
            imports[source] = names(each["specifiers"], "imported", "local")
        elif each["type"] == "ExportNamedDeclaration":
            exports |= {one["exported"]["name"] for one in each["specifiers"]}
            if each["declaration"] is not None:
                declared = each["declaration"]
                of = declared.get("declarations") or [declared]
                exports |= {one["id"]["name"] for one in of}
                own.append(declared)
        else:
            own.append(each)
    return own, imports, exports


def served(statement: Tree) -> tuple[str, list[Tree], Mapping[str, Any], set[str]]:
    """The same of ``modules["…"] = (() => { … })();``, after the module's path."""
    assignment = statement["expression"]
    imports: dict[str, dict[str, str]] = {}
    *body, returned = assignment["right"]["callee"]["body"]["body"]
    while body and taken(body[0]):
        declaration = body.pop(0)["declarations"][0]
        imports[taken_from(declaration)] = names(declaration["id"]["properties"], "key", "value")
    exports = {each["key"]["name"] for each in returned["argument"]["properties"]}
    return assignment["left"]["property"]["value"], body, imports, exports


def taken(statement: Tree) -> bool:
    """Whether it takes what another module exports."""
    first = statement.get("declarations", [{}])[0].get("init") or {}
    return str((first.get("object") or {}).get("name")) == "modules"


def taken_from(declaration: Tree) -> str:
    return str(declaration["init"]["property"]["value"])


def test_the_one_script_is_all_modules_as_they_were_written_each_after_those_that_it_imports() -> (
    None
):
    sources = [(SOURCES / path).read_text("utf-8") for path in MODULES]
    script, *trees = parsed([joined("console.js"), *sources], "module")
    modules = {path: written(path, tree["body"]) for path, tree in zip(MODULES, trees, strict=True)}

    seen: set[str] = set()
    for statement in script["body"][1:]:
        path, *there = served(statement)
        assert tuple(there) == modules[path], path
        assert set(modules[path][1]) <= seen, f"{path} is imported by what it imports"
        seen.add(path)
    assert seen == set(MODULES), "each module is there"


def test_each_name_that_a_module_imports_is_exported_there() -> None:
    trees = parsed([(SOURCES / path).read_text("utf-8") for path in MODULES], "module")
    modules = {path: written(path, tree["body"]) for path, tree in zip(MODULES, trees, strict=True)}

    for path, (_, imports, _) in modules.items():
        for source, taken_names in imports.items():
            assert set(taken_names) <= modules[source][2], f"{path} takes of {source}"


def test_every_style_sheet_is_served_without_a_word_that_only_people_need() -> None:
    style = read_files()["/console.css"].body.decode()
    sheets = [path.read_text("utf-8") for path in SOURCES.glob("*.css")]

    assert "/*" not in style
    rules = [
        line.strip()
        for sheet in sheets
        for line in re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL).splitlines()
    ]
    assert sorted(style.splitlines()) == sorted(filter(None, rules))


def test_the_page_names_no_file_that_is_not_served() -> None:
    page = read_files()["/"].body.decode()

    named = re.findall(r'(?:src|href)="([\w./]+)"', page)
    assert {f"/{name}" for name in named} | {"/"} == set(read_files())


def test_a_file_is_asked_about_without_its_content() -> None:
    site = Site()
    whole = site.get("/console.js")
    head = site.client.head("/capture/console/console.js")

    assert head.data == b""
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]
