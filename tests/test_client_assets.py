"""The client's files as they are served."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import pytest
from werkzeug.test import Client

from ortto_capture import Capture, CaptureApp, Settings, open_backends
from ortto_capture.assets import without_comments
from ortto_capture.client import assets, script_text

from .services import ROOT, missing

SETTINGS = Settings(secret_keys=["an example secret of more than 32 bytes"])
#: Bytes of app.js, gzipped (contract §8: 6.35 KB).
MAX_GZIPPED = 6_500
SOURCES = ROOT / "ortto_capture" / "client"
SCRIPTS = sorted(path.name for path in SOURCES.glob("*.js"))


def test_the_client_is_small_as_served() -> None:
    size = len(assets()["app.js"].gzip)
    assert size <= MAX_GZIPPED


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_served_can_be_read_and_holds_no_more_than_the_code(name: str) -> None:
    """Lines of code as they were written, without indentation and without comments of their own."""
    lines = script_text(name).removeprefix("//# allFunctionsCalledOnLoad\n").splitlines()
    written = {line.strip() for line in (SOURCES / name).read_text("utf-8").splitlines()}

    assert set(lines) <= written
    assert [line for line in lines if not line or line[0] == " " or line[:2] in ("//", "/*")] == []
    assert max(map(len, lines)) <= 100


#: Prints the syntax tree of each text, without places and comments.
_TREES = """
const acorn = require("acorn");
const {texts, sourceType} = JSON.parse(require("fs").readFileSync(0, "utf8"));
const options = {ecmaVersion: 2020, sourceType, allowReturnOutsideFunction: true};
const kept = (name, value) =>
  name === "start" || name === "end" ? undefined : typeof value === "bigint" ? `${value}n` : value;
const tree = (text) => {
  try {
    return acorn.parse(text, options);
  } catch (error) {
    return `${error}`;
  }
};
console.log(JSON.stringify(texts.map(tree), kept));
"""

SourceType: TypeAlias = Literal["script", "module"]


def parsed(texts: Sequence[str], source_type: SourceType) -> Sequence[Any]:
    """The syntax trees of scripts; text where one is no program."""
    if shutil.which("node") is None:
        missing("node, which comes with Debian's eslint,")
    ran = subprocess.run(
        ["node", "-e", _TREES],
        input=json.dumps({"texts": texts, "sourceType": source_type}),
        capture_output=True,
        text=True,
        # Where Debian keeps acorn; a Node that is not Debian's would not look there.
        env={**os.environ, "NODE_PATH": "/usr/share/nodejs"},
        check=False,
    )
    if "Cannot find module 'acorn'" in ran.stderr:
        missing("acorn, which comes with Debian's eslint,")
    assert ran.returncode == 0, ran.stderr
    found: Sequence[Any] = json.loads(ran.stdout)
    return found


def trees(*texts: str, source_type: SourceType = "script") -> Sequence[tuple[str, str]]:
    """The syntax trees of scripts, each as it is and as it would be served."""
    both = [each for text in texts for each in (text, without_comments(text))]
    found = [
        json.dumps(each, separators=(",", ":")) if isinstance(each, dict) else each
        for each in parsed(both, source_type)
    ]
    return list(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_served_is_the_program_that_was_written(name: str) -> None:
    text = (SOURCES / name).read_text("utf-8")
    [(written, served)] = trees(text, source_type="module" if name == "debug.js" else "script")

    assert written.startswith('{"type":"Program","body":[{')
    assert written == served


#: Whatever looks like a comment and is none, and whatever stands around comments that are.
LINES = [
    "f('// no comment');",
    'f("/* no comment */");',
    "f('a'); // behind code",
    "f(\n  // alone\n  1 // behind\n);",
    "f(/* a */\n  /* b */\n  1);",
    "/* a */ f(); /* b */\ng();",
    "/* a *//* b */\nf();",
    "/* a */ /* b */ // c\nf();",
    "/* one\n   two */\nf();\n/* three */",
    "/*\n// */\nf();",
    "/* // */\nf();",
    "// /*\nf();\n// */\ng();",
    "/**/\nf();\n/***/\ng();\n/****\n * a\n ****/\nh();",
    "/* a * / b */\nf();\n/* c */",
    "/* a\n*/ f();\n/* b */",
    "  \t// a\t\n\t/* b */ \t\n\n \t\nf();  \n",
    "// a \\\nf();",
    "//a\n//# directive\nf();",
    "f(/\\/\\/.*/);",
    "f(a\n  / b /\n  // a\n  c);",
    "f(/[/]/, '//'.length);\n// a",
    "a = b\n// a\n++c",
    "a = b\n/* a\n   b */\n(c)",
    "return\n// a\n1",
    "if (a) // a\n  f(); // b\nelse\n  // c\n  g();",
    "a:\n// a\nfor (;;) {\n  /* b */\n  break a;\n}",
    "f(`// ${ `/* ${1 /* a */} */` }`);\n// a",
    "f(a /* b\n  c */ + d);",
    "f('\u2028 // a');\n// b",
    "f('\\\n');\n// a",
    "f(1n);\n// a",
    "/** @type {a} */ (f)();\nf(/** @param {a} b */ (b) => /** @type {c} */ (b));",
    "/* only */",
    "// only",
    "",
]


def test_the_code_around_comments_stays_the_same_program() -> None:
    for text, (written, served) in zip(LINES, trees(*(f"{text}\n" for text in LINES)), strict=True):
        assert written.startswith("{"), f"{text}: {written}"
        assert written == served, text


def test_comments_on_lines_of_their_own_go_and_everything_else_stays() -> None:
    assert without_comments("//# directive\n// a\n  f(); // b\n\n/* c\n d */\n\tg(/* e */);\n") == (
        "//# directive\nf(); // b\ng(/* e */);\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "f(`a\n  b`);",
        "f(`\n// a\n`);",
        "f('a\\\n  b');",
        "f(); /* a\n// b */ g();\n",
        "// a\u2028f();\n",
        "f('/** @type {a} */');\n",
    ],
)
def test_lines_that_our_files_must_not_hold_would_be_noticed(text: str) -> None:
    [(written, served)] = trees(text)

    assert written.startswith("{"), written
    assert written != served


def test_the_client_asks_to_be_compiled_beside_its_download() -> None:
    # Chromium looks for it above all code only.
    assert assets()["app.js"].body.startswith(b"//# allFunctionsCalledOnLoad\n")


def test_assets_are_the_files_plain_and_packed() -> None:
    for asset in assets().values():
        assert gzip.decompress(asset.gzip) == asset.body
        assert asset.gzip[4:8] == bytes(4), "no time in it: the same for every process"
        assert re.fullmatch("[0-9a-f]{16}", asset.etag)


def test_nothing_in_the_client_evaluates_text_or_writes_html() -> None:
    for asset in assets().values():
        assert not re.search(rb"eval|new Function|innerHTML|document\.write|outerHTML", asset.body)


@pytest.mark.parametrize("current", [True, False])
def test_only_the_address_that_names_the_content_is_kept_for_good(current: bool) -> None:
    app = CaptureApp(Capture(backends=open_backends("memory:"), settings=SETTINGS))
    version = assets()["app.js"].etag if current else "0" * 16

    answer = Client(app).get(f"/app.js?v={version}")

    assert answer.status_code == 200
    assert ("immutable" in answer.headers["Cache-Control"]) is current
    assert current or "max-age=3600" in answer.headers["Cache-Control"]


def test_the_types_name_every_member_and_are_served() -> None:
    app = CaptureApp(Capture(backends=open_backends("memory:"), settings=SETTINGS))
    declared = Client(app).get("/app.d.ts").text

    script = assets()["app.js"].body.decode()
    members = set(re.findall(r"^ap3c\.(\w+) =", script, re.MULTILINE)) | {"cmd", "act", "lastVar"}
    client = declared.partition("interface Client {")[2].partition("\n  }")[0]
    assert members == set(re.findall(r"^    (\w+)\??[(:]", client, re.MULTILINE))


def test_the_reference_names_every_member() -> None:
    page = (ROOT / "docs" / "reference" / "javascript.md").read_text("utf-8")

    members = re.findall(rb"^ap3c\.(\w+) = (?!true)", assets()["app.js"].body, re.MULTILINE)
    assert len(members) > 6
    for member in members:
        assert f"`ap3c.{member.decode()}" in page
