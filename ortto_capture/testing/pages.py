"""Whether a page reports what it should: its scripts, held against the definitions.

The law of this file: a page's code is read and not run. What cannot be known without running it is
let pass, and said where the page fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from ..client import assets, script_text
from ..errors import InvalidAttributes
from ..model import Definition
from ..schema import compile_check
from ..wire import is_event_id
from . import clients, report
from .scripts import UNKNOWN, Call, Literal, broken_at, calls, plain, sketch

if TYPE_CHECKING:
    from .capture import TestCapture

#: What ``ap3c.activity`` takes.
_MEMBERS = ("activity_id", "attributes", "event_id")
#: Types of scripts that browsers run.
_runs = re.compile(
    r"|module|(?:text|application)/(?:x-)?(?:java|ecma)script|text/(?:javascript1\.[0-5]|jscript"
    r"|livescript)",
    re.IGNORECASE,
).fullmatch
#: Attributes that are code for htmx, Alpine, Vue and Angular.
_is_directive = re.compile(r"[@(:]|(?:data-)?hx-|x-|v-|ng-").match
#: Attributes whose address may be code.
_ADDRESSES = ("href", "xlink:href", "action", "formaction")
#: Elements whose scripts do not run.
_INERT = ("template", "noscript", "textarea", "title")


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
        self._inert: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.whole |= decl.lower().startswith("doctype html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.getpos()[0]
        given = {name: value or "" for name, value in attrs}
        self.whole |= tag in ("html", "head", "body")
        if tag in _INERT:
            self._inert.append(tag)
        if self._inert:
            return
        for name, value in given.items():
            if name.startswith("on"):
                self.scripts.append(Script("", line, value))
            elif _is_directive(name):
                # Alpine's data are an object, and not a block.
                code = f"({value})" if value.lstrip().startswith("{") else value
                self.scripts.append(Script("", line, code))
            elif name in _ADDRESSES and value.strip().lower().startswith("javascript:"):
                self.scripts.append(Script("", line, unquote(value.partition(":")[2])))
        if tag == "script" and "nomodule" not in given and _runs(given.get("type", "").strip()):
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
        elif self._inert and tag == self._inert[-1]:
            self._inert.pop()


def page_problems(
    capture: TestCapture, response: object, activity_ids: Iterable[str], client: object
) -> str:
    """What is wrong with a page's reports, a line each; empty when nothing is.

    :param activity_ids: what the page has to report.
    :param client: fetches the scripts of the page's own host.
    """
    page = _Page()
    page.feed(clients.text_of(response))
    page.close()
    base = clients.url_of(response)
    scripts, problems, unread = _read(capture, page, base, client)
    made = [(script, call) for script in scripts for call in calls(script.text)]
    for script, call in made:
        faults = _faults(capture, call)
        problems += [f"{script.at(call.line)}: {fault}" for fault in faults]
    for script in dict.fromkeys(script for script, _ in made):
        if (broken := broken_at(script.text)) is not None:
            problems.append(f"{script.at(broken)}: not JavaScript, so browsers run none of it")
    given = [call.members.get("activity_id") for _, call in made if call.members is not None]
    missing = [each for each in activity_ids if each not in given]
    problems = [*(f"{each} is not reported" for each in missing), *problems]
    if not problems:
        return ""
    if client is None:
        why = "client= reads those of the page's own host"
    elif urlsplit(base).netloc:
        why = "they are not of the page's own host"
    else:
        why = "give the response and not its text, which does not tell the page's own host"
    return "\n".join(
        ["the page's reports are wrong:", *_indented(problems), *_seen(made, unread, why)]
    )


def _read(
    capture: TestCapture, page: _Page, base: str, client: object
) -> tuple[list[Script], list[str], list[str]]:
    """The scripts of a page at ``base``, what is wrong with them, and those that were not read."""
    scripts, problems, unread, loaded = list(page.scripts), [], [], False
    for source, line in page.sources:
        try:
            url = urlsplit(urljoin(base, source))
        except ValueError:
            problems.append(f"line {line}: the script {source} has no sound address")
            continue
        loaded |= unquote(url.path).endswith(f"{capture.mounted_at}/app.js")
        own = url.scheme in ("", "http", "https") and url.netloc in ("", urlsplit(base).netloc)
        if client is None or not own:
            unread.append(source)
            continue
        status, code = clients.get(client, url._replace(scheme="", netloc="").geturl())
        if status != 200:
            problems.append(f"line {line}: the script {source} was answered {status}")
        elif code.startswith(_client_begins()):
            loaded = True
        else:
            scripts.append(Script(source, 1, code))
    if page.whole and not loaded and not any(_loads_it(capture, each.text) for each in scripts):
        problems.append("the page does not load the client: its snippet is missing in the head")
    return scripts, problems, unread


def _loads_it(capture: TestCapture, script: str) -> bool:
    """Whether a script is the inline part of the snippet, or one that does the same."""
    return script_text("snippet.js").strip() in script or f"{capture.mounted_at}/app.js" in script


def _client_begins() -> str:
    """How the browser client begins: its own code is no page's."""
    return assets()["app.js"].body[:200].decode()


def _seen(made: list[tuple[Script, Call]], unread: list[str], why: str) -> Iterator[str]:
    """What was read, and what was not."""
    yield "calls on the page:" if made else "there is no call of ap3c.activity on the page"
    for script, call in made:
        members = call.members or {}
        named = members.get("activity_id", UNKNOWN)
        words = named if isinstance(named, str) else sketch(named)
        if named is UNKNOWN:
            words = "an id that is worked out when the script runs"
        attributes = sketch(members["attributes"]) if "attributes" in members else ""
        yield f"  {script.at(call.line)}: {words} {attributes}".rstrip()
    if unread:
        yield f"scripts that were not read: {', '.join(unread)}; {why}"


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
    yield from _event_id_faults(call.members.get("event_id"))
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


def _event_id_faults(event_id: Any) -> Iterator[str]:
    if event_id is None or event_id is UNKNOWN or event_id == "":
        return
    if not (isinstance(event_id, str) and is_event_id(event_id)):
        yield f"event_id is {sketch(event_id)}; expected 1 to 64 of the characters A-Z a-z 0-9 _ -"


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
