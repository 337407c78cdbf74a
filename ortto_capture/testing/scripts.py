"""Reads the calls of ``ap3c`` in JavaScript, without running it.

The law of this file: what is written as a literal is known, and everything else is ``UNKNOWN``. A
parser does the reading, so that strings, comments and regular expressions are what they are in a
browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Node, Parser


class _Unknown:
    """A value that is worked out when the script runs."""

    def __repr__(self) -> str:
        return "…"


UNKNOWN: Final = _Unknown()
#: What JSON leaves out of an object.
_UNDEFINED: Final = _Unknown()


class Call(NamedTuple):
    """One call that reports an activity.

    :param line: where it is in its script, from 0.
    :param members: what it is given; None when that is no literal object.
    :param open: whether there may be more members than these.
    """

    line: int
    members: dict[str, Any] | None
    open: bool = False


class Literal(NamedTuple):
    """An object as it is written.

    :param members: the values by key, ``UNKNOWN`` where they are no literals.
    :param open: whether other keys may be added when the script runs.
    """

    members: dict[str, Any]
    open: bool


def calls(script: str) -> list[Call]:
    """The calls of ``ap3c.activity`` and ``ap3c.act.push`` in a script, in order.

    A call of another function counts when it is given an object whose ``activity_id`` is written
    down and begins with ``act:``: other interfaces have members of that name, too.

    :raises ImportError: when the extra ``testing`` is not installed.
    """
    # Most of what a page loads is about other things, and some of it is large.
    if "ap3c" not in script and "activity_id" not in script:
        return []
    root = _parser().parse(script.encode()).root_node
    return [call for node in _walk(root) if node.type == "call_expression" for call in _made(node)]


def broken_at(script: str) -> int | None:
    """The line, from 0, at which a script stops being JavaScript; None when it is sound."""
    root = _parser().parse(script.encode()).root_node
    if not root.has_error:
        return None
    return next(
        (node.start_point.row for node in _walk(root) if node.is_error or node.is_missing), 0
    )


@cache
def _parser() -> Parser:
    try:
        import tree_sitter_javascript
        from tree_sitter import Language, Parser
    except ImportError as error:
        raise ImportError(
            "reading the scripts of a page needs tree-sitter: pip install 'ortto-capture[testing]'"
        ) from error
    return Parser(Language(tree_sitter_javascript.language()))


def _walk(node: Node) -> Iterator[Node]:
    # A stack, because minified scripts are nested deeper than Python may recurse.
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


def _made(node: Node) -> Iterator[Call]:
    """The activities that a call reports."""
    called, given = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if called is None or given is None or given.type != "arguments":
        return
    # Without white space, and with "?." as ".".
    name = re.sub(r"\s|\?(?=\.)", "", _text(called))
    ours = re.search(r"\bap3c\.activity$", name) is not None
    pushes = re.search(r"\bap3c\.act\b.*\.push$", name) is not None
    for place, argument in enumerate(_parts(given)):
        try:
            value = _value(argument)
        except RecursionError:  # data, nested deeper than Python may recurse
            value = UNKNOWN
        line = node.start_point.row
        if isinstance(value, Literal) and (ours or pushes or _names_an_activity(value)):
            if not (ours and place):
                yield Call(line, value.members, value.open)
        elif pushes or (ours and not place):
            yield Call(line, None)


def _names_an_activity(given: Literal) -> bool:
    activity_id = given.members.get("activity_id")
    return isinstance(activity_id, str) and activity_id.startswith("act:")


def _parts(node: Node) -> list[Node]:
    """What a node is made of, without comments."""
    return [each for each in node.named_children if each.type != "comment"]


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _value(node: Node) -> Any:
    """What a node is, as far as it is a literal; objects are :class:`Literal`."""
    text, parts = _text(node), _parts(node)
    if node.type == "object":
        return _object(node)
    if node.type == "parenthesized_expression" and len(parts) == 1:
        return _value(parts[0])
    if node.type == "array":
        # A hole or a spread has no value of its own.
        return [_value(each) for each in parts]
    if node.type == "string":
        return _string(text[1:-1])
    if node.type == "template_string":
        return UNKNOWN if "${" in text else _string(text[1:-1])
    if node.type == "number":
        return _number(text)
    if node.type == "unary_expression" and text[0] in "+-" and len(parts) == 1:
        number = _value(parts[0])
        plain = isinstance(number, int | float) and not isinstance(number, bool)
        return (-number if text[0] == "-" else number) if plain else UNKNOWN
    constants = {"true": True, "false": False, "null": None, "undefined": _UNDEFINED}
    return constants.get(text, UNKNOWN)


def _object(node: Node) -> Literal:
    members: dict[str, Any] = {}
    open_ = False
    for each in _parts(node):
        key, value = each.child_by_field_name("key"), each.child_by_field_name("value")
        if each.type == "pair" and key is not None and value is not None:
            name = _value(key) if key.type == "string" else _text(key)
            if key.type == "computed_property_name":
                # `{["str:cm:plan"]: …}` is as good as without the brackets.
                name = _value(_parts(key)[0])
            if isinstance(name, str):
                members[name] = _value(value)
            else:
                open_ = True
        elif each.type == "shorthand_property_identifier":
            members[_text(each)] = UNKNOWN
        else:  # a spread, a method
            open_ = True
    return Literal({k: v for k, v in members.items() if v is not _UNDEFINED}, open_)


def plain(value: Any) -> Any:
    """A value as JSON has it; UNKNOWN when any part of it is."""
    if isinstance(value, Literal):
        value = UNKNOWN if value.open else value.members
    if isinstance(value, dict):
        made = {key: plain(each) for key, each in value.items()}
        return UNKNOWN if any(each is UNKNOWN for each in made.values()) else made
    if isinstance(value, list):
        parts = [plain(each) for each in value]
        return UNKNOWN if any(isinstance(each, _Unknown) for each in parts) else parts
    return value


def sketch(value: Any) -> str:
    """A value as it is written, with ``…`` for what is worked out when the script runs."""
    if isinstance(value, Literal):
        parts = [f"{json.dumps(key)}: {sketch(each)}" for key, each in value.members.items()]
        return f"{{{', '.join([*parts, '…'] if value.open else parts)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(sketch, value))}]"
    return repr(value) if value is UNKNOWN else json.dumps(value, ensure_ascii=False)


_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|.))", re.DOTALL
)
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_NAMED |= dict.fromkeys(["\n", "\r\n", "\r", "\u2028", "\u2029"], "")


def _string(inside: str) -> Any:
    """What stands between quotes, with its escapes resolved; UNKNOWN when one is no character."""

    def one(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2] or escape[3]
        return chr(int(code, 16)) if code else _NAMED.get(escape[4], escape[4])

    try:
        text = _ESCAPE.sub(one, inside)
    except (ValueError, OverflowError):
        return UNKNOWN
    # Two escapes may be the halves of one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(text: str) -> Any:
    text = text.replace("_", "").lower()
    try:
        if text[:2] in ("0x", "0o", "0b"):
            return int(text, 0)
        found: int | float = json.loads(re.sub(r"^\.", "0.", re.sub(r"\.(?=e|$)", "", text)))
    except ValueError:  # a BigInt
        return UNKNOWN
    return found
