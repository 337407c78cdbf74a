"""The console's own files as they are served: its page, one script, one style sheet.

The law of this file: what is served is what was read when the first console was made, found by
exact path; no path is made of a request. The files hold no data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from posixpath import dirname, join, normpath

from ..assets import SCRIPT, Asset, asset, without_comments

#: In their order: a rule of a later one holds.
_STYLES = ("console.css", "reports.css", "feed.css")
_IMPORT = re.compile(r'^import \{ (.+) \} from "(.+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async )?(?:const|function|class) (\w+)", re.MULTILINE)
_EXPORTED = re.compile(r"^export \{ (.+) \};\n", re.MULTILINE)


@cache
def read_files() -> Mapping[str, Asset]:
    """Read all of them, by path below the console: ``/``, ``/console.css``, ``/console.js``."""
    styles = "".join(_text(name) for name in _STYLES)
    return {
        "/": asset("text/html; charset=utf-8", _text("index.html")),
        "/console.css": asset("text/css; charset=utf-8", styles),
        "/console.js": asset(SCRIPT, joined("console.js")),
        "/icon.svg": asset("image/svg+xml", _text("icon.svg")),
    }


def joined(name: str) -> str:
    """A module and all that it imports as one script, each as a function that returns its exports.

    Fifty files packed apart weigh a quarter more than one, and each would be asked for again with
    every visit. What runs is the same, line by line, as long as the modules keep to a few forms:
    an import names what it takes and stands on one line; what is exported is a function, a class
    or a constant, or named in one line; no two modules import each other. That ours do is tested,
    by comparing the syntax trees.
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = _text(name)
        for _, source in _IMPORT.findall(text):
            add(_path(name, source))
        exports = [*_EXPORT.findall(text), *", ".join(_EXPORTED.findall(text)).split(", ")]

        def brought(match: re.Match[str]) -> str:
            names = match[1].replace(" as ", ": ")
            return f'const {{ {names} }} = modules["{_path(name, match[2])}"];'

        body = _IMPORT.sub(brought, _EXPORTED.sub("", text))
        body = re.sub("^export ", "", body, flags=re.MULTILINE)
        returned = f"return {{ {', '.join(filter(None, exports))} }};\n"
        parts[name] = f'modules["{name}"] = (() => {{\n{body}{returned}}})();\n'

    add(name)
    return "const modules = {};\n" + "".join(parts.values())


def _path(importer: str, source: str) -> str:
    return normpath(join(dirname(importer), source))


def _text(name: str) -> str:
    there = files(__package__ or "").joinpath("static", *name.split("/"))
    return without_comments(there.read_text("utf-8"))
