"""What a failed assertion says: what was wanted, what came instead, and the nearest mistake.

The law of this file: it makes text and decides nothing. A test's data are no secrets, so values
are shown, which no other part of the package does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InvalidAttributes, RateLimited, Refused
from ..wire import ActivityRequest
from .watched import is_value

if TYPE_CHECKING:
    from .capture import TestCapture
    from .watched import Came

#: Rows of the table at most: the latest.
ROWS = 40
#: Characters of the attributes in a row.
WIDTH = 100

_REASONS = {
    "archived": "the definition is archived",
    "disabled": "websites may not send it: its client_side is off",
    "no-session": "no person is identified: capture.identify(client, email), or ap3c.track first",
    "person-gone": "the person was erased",
    "identity-required": "the settings ask for a person whom the host vouches for",
    "needs-verified": "the definition asks for a person whom the host vouches for",
    "system-id": "ids that begin with act:: cannot be defined",
    "unknown-key": "the capture key is none of the sources in the settings",
}


class Wanted(NamedTuple):
    """What an assertion asks for; None for whatever it is."""

    activity_id: str | None
    attributes: Mapping[str, Any] | None
    email: str | None
    ei: str | int | None

    def __str__(self) -> str:
        words = [self.activity_id or "an activity"]
        if self.attributes:
            words.append(f"with {shown(self.attributes)}")
        if self.email is not None or self.ei is not None:
            words.append(f"by {self.email if self.email is not None else self.ei}")
        return " ".join(words)


def recorded_otherwise(capture: TestCapture, wanted: Wanted, found: int, times: int | None) -> str:
    """What to say when the activity was recorded ``found`` times, and not as often as wanted."""
    was = f"was recorded {_times(found)}" if found else "was not recorded"
    expected = "" if times is None else f", expected {_times(times)}"
    wrong = misspelled(capture, str(wanted.activity_id), wanted.attributes or ())
    who = wanted.email if wanted.email is not None else wanted.ei
    if not wrong and who is not None and capture.person(wanted.email, ei=wanted.ei) is None:
        wrong = f"no person {who!r} has come"
    return f"{wanted} {was}{expected}{wrong and f': {wrong}'}{table(capture, wanted)}"


def misspelled(capture: TestCapture, activity_id: str, keys: Iterable[str]) -> str:
    """Why no activity can ever have this id and these attributes; empty when one can."""
    definition = capture.backends.definitions.get(activity_id)
    if definition is None:
        return f"{activity_id} is not defined{_or_is_it(capture, activity_id)}"
    declared = [attribute.key for attribute in definition.attributes]
    for key in keys:
        if key not in declared:
            meant = did_you_mean(key, declared)
            return f"{activity_id} declares no attribute {key}{meant or there_are(declared)}"
    return ""


def table(capture: TestCapture, wanted: Wanted | None = None) -> str:
    """What came, a row each, and below it why it was refused or is not what is wanted."""
    if not capture.came:
        return (
            "\n\nNothing came. A test client runs no scripts: report by capture.activity(client, …)"
            ", read the page's calls with assert_page_reports, or use a browser and live_capture."
        )
    rows = [_row(capture, came) for came in capture.came]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["", "", "What came, the oldest first:"]
    if len(rows) > ROWS:
        lines.append(f"  … {len(rows) - ROWS} before these")
    for number, (row, came) in list(enumerate(zip(rows, capture.came, strict=True), 1))[-ROWS:]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(f"{number:>3}  {'  '.join([*cells, *row[3:]])}".rstrip())
        if why := _why(capture, came, wanted):
            lines.append(f"       {why}")
    return "\n".join(lines)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` when one that is known looks like it, else nothing."""
    close = get_close_matches(given, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def shown(value: Any) -> str:
    """A value as people write it in a script, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _row(capture: TestCapture, came: Came) -> tuple[str, str, str, str]:
    what = came.activity_id or came.route
    if came.error is not None:
        status = getattr(came.error, "status", 500)
        became = f"refused, {status}"
    else:
        code = came.outcome.code if came.outcome is not None else ""
        became = {"accepted": "recorded"}.get(code, code)
    attributes = came.request.attributes if isinstance(came.request, ActivityRequest) else None
    return what, became, _person(capture, came), shown(attributes) if attributes else ""


def _person(capture: TestCapture, came: Came) -> str:
    if isinstance(came.error, Refused):
        person_id = came.error.person_id
    else:
        person_id = came.outcome.person_id if came.outcome is not None else None
    person = capture.backends.people.get(person_id) if person_id else None
    if person is None:
        return "-"
    return person.identifiers[-1].value if person.identifiers else person.id


def _why(capture: TestCapture, came: Came, wanted: Wanted | None) -> str:
    """Why it was refused, or what makes it another one than is wanted."""
    error = came.error
    if error is None:
        return _difference(came, wanted) if wanted is not None else ""
    if not isinstance(error, Refused):
        return f"{type(error).__name__}: {error}"
    if error.reason == "unknown-activity":
        return f"no activity has this id{_or_is_it(capture, came.activity_id or '')}"
    if isinstance(error, RateLimited):
        return _limit(error)
    if isinstance(error, InvalidAttributes) and isinstance(came.request, ActivityRequest):
        return _attribute(capture, came.request, error)
    return _REASONS.get(error.reason, str(error))


def _limit(error: RateLimited) -> str:
    amount, seconds = error.quota
    window = {60: "minute", 3_600: "hour", 86_400: "day"}.get(seconds, f"{seconds} seconds")
    whose = "person" if error.reason == "person-limit" else "IP address"
    return (
        f"{error.reason}: {amount} per {whose} and {window}; there is room again after "
        f"capture.clock.advance({error.retry_after})"
    )


def _attribute(capture: TestCapture, request: ActivityRequest, error: InvalidAttributes) -> str:
    key, given = error.field or "", request.attributes
    if error.reason == "unknown-attribute":
        wrong = misspelled(capture, request.activity_id, given)
        return wrong.removeprefix(f"{request.activity_id} ") or str(error)
    if error.reason == "missing-attribute":
        return f"{key} is required"
    sent = f"; sent {shown(given[key])}" if key in given else ""
    return f"{f'{key}: ' if key else ''}expected {error.expected}{sent}"


def _difference(came: Came, wanted: Wanted) -> str:
    """How one that was recorded differs from what is wanted."""
    if came.activity_id != wanted.activity_id or not isinstance(came.request, ActivityRequest):
        return ""
    sent = came.request.attributes
    differ = [
        f"{key} is {shown(sent.get(key))}, not {shown(value)}"
        for key, value in (wanted.attributes or {}).items()
        if not is_value(sent.get(key), value)
    ]
    return "; ".join(differ)


def _or_is_it(capture: TestCapture, activity_id: str) -> str:
    ids = [definition.id for definition in capture.backends.definitions.all()]
    if not ids:
        return (
            "; nothing is: set ortto_capture_definitions in pytest's configuration, or call "
            "capture.use(app) or capture.define(…)"
        )
    return did_you_mean(activity_id, ids) or there_are(ids)


def there_are(names: Iterable[str]) -> str:
    """``; there are …``, for a name that is none of these."""
    return f"; there are {', '.join(names) or 'none'}"


def _times(number: int) -> str:
    return {0: "never", 1: "once"}.get(number, f"{number} times")
