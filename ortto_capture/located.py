"""JSON and TOML that people wrote, read together with the lines that everything stands on.

The law of this file: it knows text and nothing of what the text is about. A line is right or it is
not given. What no parser can read is refused with its line, its column, and what a person can do.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, NamedTuple, TypeAlias

#: Where a value is: the members and numbers that lead to it, as in ``("activities", 0, "name")``.
Place: TypeAlias = tuple[str | int, ...]


class Located(NamedTuple):
    """Plain data, the lines (from 1) of its places, and the members written twice."""

    plain: Any
    lines: dict[Place, int]
    twice: list[tuple[Place, int]]


class Unreadable(ValueError):
    """The text is not in its language; ``where`` is ``:line:column``, ``:line`` or empty."""

    def __init__(self, where: str, words: str) -> None:
        self.where = where
        self.words = words
        super().__init__(f"{where}: {words}")


def read_json(text: str) -> Located:
    """Read one JSON value.

    :raises Unreadable: when there is none.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise _json_fault(text, error) from None
    except (ValueError, RecursionError) as error:
        raise _too_much(error) from None
    return Located(plain, *_json_lines(text))


def read_toml(text: str) -> Located:
    """Read one TOML document; names in quotes have no lines.

    :raises Unreadable: when it is none.
    """
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _toml_fault(text, error) from None
    return Located(plain, _toml_lines(text), [])


_JSON_PIECE = re.compile(r'("(?:[^"\\]|\\.)*+")(\s*:)?|[\[\]{},]|[^\s\[\]{},:"]+')


def _json_lines(text: str) -> tuple[dict[Place, int], list[tuple[Place, int]]]:
    """The line of each value in valid JSON, its name's where it has one; and the names repeated.

    ``json`` drops repeated names silently and knows no lines, hence this second look.
    """
    lines: dict[Place, int] = {}
    twice = []
    path: list[str | int] = []
    line, seen = 1, 0
    for match in _JSON_PIECE.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        piece, colon = match[0], match[2]
        if colon:
            path[-1] = json.loads(match[1])
            if tuple(path) in lines:
                twice.append((tuple(path), line))
            lines[tuple(path)] = line
        elif piece == ",":
            if isinstance(number := path[-1], int):
                path[-1] = number + 1
        elif piece in "]}":
            path.pop()
        else:
            lines.setdefault(tuple(path), line)
            if piece in "[{":
                path.append(0 if piece == "[" else "")
    return lines, twice


_TOML_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?"""' + r"|'''.*?'''" + r'|"(?:[^"\\\n]|\\.)*+"' + r"|'[^'\n]*'|#[^\n]*",
    re.DOTALL,
)
_TOML_HEADER = re.compile(r"\s*(\[\[?)([^]]*)\]")
_TOML_MEMBER = re.compile(r"\s*([\w\s.-]+?)\s*=")


def _toml_lines(text: str) -> dict[Place, int]:
    """The lines of tables and members in valid TOML, as far as their names are not quoted."""
    lines: dict[Place, int] = {}
    last: dict[Place, int] = {}
    table: Place = ()
    depth = 0
    # Without comments and text, what looks like a header is one.
    bare = _TOML_TEXT.sub(lambda found: '"' + "\n" * found[0].count("\n"), text)
    for line, content in enumerate(bare.split("\n"), 1):
        if depth == 0 and (header := _TOML_HEADER.match(content)):
            brackets, names = header.groups()
            if '"' in names:
                return {}
            *outer, own = (part.strip() for part in names.split("."))
            table = ()
            for part in outer:
                table = (*table, part)
                table += (last[table],) if table in last else ()
            table = (*table, own)
            if brackets == "[[":
                last[table] = last.get(table, -1) + 1
                table = (*table, last[table])
            lines[table] = line
            continue
        if depth == 0 and (member := _TOML_MEMBER.match(content)):
            lines[(*table, *(part.strip() for part in member[1].split(".")))] = line
        depth += sum(map(content.count, "[{")) - sum(map(content.count, "]}"))
    return lines


#: What a parser says, by its beginning, and what a person can do about it.
_ADVICE = {
    # json
    "Expecting ','": "a comma is missing in front of this",
    "Expecting ':'": "a colon is missing in front of this",
    "Expecting property name": "write the member's name, in double quotes",
    "Expecting value": 'no value can be read here; write "text", true, false, [...] or {...}',
    "Extra data": "the file's one value ends before this; remove what follows",
    "Invalid \\": "write a backslash twice",
    "Invalid control": "close the text with a double quote before the end of the line",
    # tomllib
    "Invalid value": 'no value can be read here; write "text", true, false or [...]',
    "Cannot overwrite a value": "written twice in one table; remove one",
    "Cannot declare": "this table is opened twice; begin each item of a list with [[its name]]",
    "Expected newline": "write one member a line, and text in double quotes",
    "Illegal character": "close the text with a quote before the end of the line",
    # both
    "Unterminated string": "close this text with a quote",
}
#: The same, by what stands where ``json`` gave up.
_STUMBLED = [
    (re.compile(r"//|/\*|#"), "JSON has no comments; remove it, or write a TOML file instead"),
    (re.compile("'"), "write text in double quotes"),
    (re.compile(r"(?i:true|false|yes|no|on|off)\b"), "write true or false, in small letters"),
    (re.compile(r"\s*\Z"), "the file ends before everything that was opened is closed"),
]
_TRAILING_COMMA = re.compile(r",\s*[\]}]")
_TOML_ERROR = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def _json_fault(text: str, error: json.JSONDecodeError) -> Unreadable:
    if not text.strip():
        return Unreadable("", "the file is empty")
    at = error.pos
    # Python 3.13 points at the comma, the ones before it at the bracket.
    comma = text.rfind(",", 0, at + 1)
    if (trailing := _TRAILING_COMMA.match(text, comma)) and trailing.end() > at:
        at, words = comma, "remove this comma, nothing follows it"
    else:
        found = (words for stumbled, words in _STUMBLED if stumbled.match(text, at))
        words = next(found, None) or _advice(error.msg)
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return Unreadable(f":{line}:{column}", words)


def _toml_fault(text: str, error: Exception) -> Unreadable:
    parts = _TOML_ERROR.fullmatch(str(error))
    if parts is None:
        return _too_much(error)
    message, line, column = parts.groups()
    where = f"{line}:{column}" if line else text.rstrip().count("\n") + 1
    return Unreadable(f":{where}", _advice(message))


def _advice(message: str) -> str:
    return next((_ADVICE[known] for known in _ADVICE if message.startswith(known)), message)


def _too_much(error: Exception) -> Unreadable:
    nested = isinstance(error, RecursionError)
    return Unreadable("", "it is nested too deeply" if nested else "it holds too long a number")
