"""Whether a page reports what it should: its scripts, held against the definitions.

The law of this file: a page's code is read and not run. What cannot be known without running it is
let pass, and said where the page fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from ..client import assets
from ..errors import InvalidAttributes
from ..model import Definition
from ..schema import compile_check
from . import clients, report
from .scripts import UNKNOWN, Call, Literal, broken_at, calls, plain, sketch

if TYPE_CHECKING:
    from .capture import TestCapture

#: What ``ap3c.activity`` takes.
_MEMBERS = ("activity_id", "attributes", "event_id")
#: Types of scripts that browsers run.
_RUN = ("", "module", "text/javascript", "application/javascript")


class Script(NamedTuple):
    """Code of a page: ``place`` is its file, empty for the page's own; ``line`` its first one."""

    place: str
    line: int
    text: str

    def at(self, line: int) -> str:
        """How a line of the script, from 0, is called."""
        return f"{self.place + ', ' if self.place else ''}line {self.line + line}"


class _Page(HTMLParser):
    """Collects the scripts of a page, those in attributes included."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[Script] = []
        #: The address of each script that is elsewhere, and the line of its tag.
        self.sources: list[tuple[str, int]] = []
        #: Whether it is a page, and not a part of one.
        self.whole = False
        self._line: int | None = None
        self._text: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.whole |= decl.lower().startswith("doctype html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        given = {name: value or "" for name, value in attrs}
        self.whole |= tag in ("html", "head", "body")
        for name, value in given.items():
            if "ap3c" in value and name != "src":
                self.scripts.append(Script("", line, value))
        if tag == "script" and given.get("type", "").lower() in _RUN:
            if "src" in given:
                self.sources.append((given["src"], line))
            else:
                self._line = line + (self.get_starttag_text() or "").count("\n")

    def handle_data(self, data: str) -> None:
        if self._line is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._line is not None:
            self.scripts.append(Script("", self._line, "".join(self._text)))
            self._line, self._text = None, []


def page_problems(
    capture: TestCapture, response: object, activity_ids: Iterable[str], client: object
) -> str:
    """What is wrong with a page's reports, a line each; empty when nothing is.

    :param activity_ids: what the page has to report.
    :param client: fetches the scripts of the page's own origin.
    """
    page = _Page()
    page.feed(text := clients.text_of(response))
    page.close()
    scripts, problems, unread = list(page.scripts), [], []
    for source, line in page.sources:
        path = urljoin(clients.path_of(response), source)
        if urlsplit(path).netloc or client is None:
            unread.append(source)
            continue
        status, code = clients.get(client, path)
        if status != 200:
            problems.append(f"line {line}: the script {source} was answered {status}")
        elif not code.startswith(_client_begins()):
            scripts.append(Script(source, 1, code))
    if page.whole and "app.js" not in text and not any("app.js" in each.text for each in scripts):
        problems.append("the page does not load the client: its snippet is missing in the head")
    made = [(script, call) for script in scripts for call in calls(script.text)]
    for script, call in made:
        faults = _faults(capture, call)
        problems += [f"{script.at(call.line)}: {fault}" for fault in faults]
    reported = {call.members.get("activity_id") for _, call in made if call.members is not None}
    missing = [each for each in activity_ids if each not in reported]
    problems = [*(f"{each} is not reported" for each in missing), *problems]
    if not problems:
        return ""
    return "\n".join(["the page's reports are wrong:", *_indented(problems), *_seen(made, unread)])


def _client_begins() -> str:
    """How the browser client begins: its own code is no page's."""
    return assets()["app.js"].body[:200].decode()


def _seen(made: list[tuple[Script, Call]], unread: list[str]) -> Iterator[str]:
    """What was read, and what was not."""
    yield "calls on the page:" if made else "there is no call of ap3c.activity on the page"
    for script, call in made:
        members = call.members or {}
        named = members.get("activity_id", UNKNOWN)
        words = "an id that is worked out when the script runs" if named is UNKNOWN else named
        attributes = sketch(members["attributes"]) if "attributes" in members else ""
        yield f"  {script.at(call.line)}: {words} {attributes}".rstrip()
    for script in {script for script, _ in made}:
        if (line := broken_at(script.text)) is not None:
            yield f"  {script.at(line)}: not JavaScript, so browsers may run none of this script"
    if unread:
        yield f"scripts that were not read: {', '.join(unread)}; client= reads those of the origin"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _faults(capture: TestCapture, call: Call) -> Iterator[str]:
    """What the server would refuse of a call."""
    if call.members is None:
        return
    for name in call.members:
        if name not in _MEMBERS:
            meant = report.did_you_mean(name, _MEMBERS)
            yield f"{name} is no member of an activity{meant or report.there_are(_MEMBERS)}"
    activity_id = call.members.get("activity_id", UNKNOWN if call.open else None)
    if activity_id is UNKNOWN:
        return
    if not isinstance(activity_id, str):
        yield "the call has no activity_id"
        return
    if wrong := report.misspelled(capture, activity_id, ()):
        yield wrong
        return
    definition = capture.backends.definitions.get(activity_id)
    assert definition is not None
    if definition.archived:
        yield f"{activity_id} is archived"
    elif not definition.client_side:
        yield f"{activity_id} may not be sent by websites: its client_side is off"
    attributes = call.members.get("attributes", UNKNOWN if call.open else None)
    if attributes is None:
        attributes = Literal({}, open=False)
    if isinstance(attributes, Literal):
        most = capture.settings.max_attributes
        yield from _attribute_faults(definition, attributes, most)
    elif attributes is not UNKNOWN:
        yield f"{activity_id}: attributes is {sketch(attributes)}, and no object"


def _attribute_faults(definition: Definition, given: Literal, most: int) -> Iterator[str]:
    declared = {attribute.key: attribute for attribute in definition.attributes}
    for key, value in given.members.items():
        if key not in declared:
            if definition.unknown_attributes == "reject":
                meant = report.did_you_mean(key, declared) or report.there_are(declared)
                yield f"{definition.id} declares no attribute {key}{meant}"
        elif (known := plain(value)) is not UNKNOWN:
            yield from _value_faults(replace(definition, attributes=[declared[key]]), key, known)
    if len(given.members) > most:
        yield f"{definition.id}: {len(given.members)} attributes, and {most} are allowed"
    if not given.open:
        for key, attribute in declared.items():
            if attribute.required and key not in given.members:
                yield f"{definition.id}: {key} is required"


def _value_faults(definition: Definition, key: str, value: Any) -> Iterator[str]:
    try:
        compile_check(definition)({key: value})
    except InvalidAttributes as error:
        yield f"{definition.id}: {key} is {report.shown(value)}; expected {error.expected}"
