"""What would become of an activity: the pipeline's checks one by one, and nothing changes.

The law of this file: it asks the same parts as ``Attempt.record``, in the same order, and neither
stores, counts nor notes anything. It goes on after a refusal, so that an operator learns at once of
everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from .errors import NeedsVerified, RateLimited, Refused
from .identity import Identity
from .intake import Room
from .model import Activity, Person
from .pipeline import Pipeline
from .recognition import Visitor
from .wire import ActivityRequest

T = TypeVar("T")


class Step(NamedTuple):
    """One check: its row in the contract (§4), what it looks at, and why it would refuse."""

    row: int
    check: str
    refused: Refused | None

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types."""
        refused = self.refused
        return {
            "row": self.row,
            "check": self.check,
            "ok": refused is None,
            "code": refused.code if refused else None,
            "reason": refused.reason if refused else None,
            "field": refused.field if refused else None,
            "expected": refused.expected if refused else None,
        }


class Explanation(NamedTuple):
    """What would become of an activity.

    :param steps: the checks in their order. One that cannot be made is left out: without a
        definition there is nothing to compare attributes with.
    :param limits: what is left of each limit that it would be counted against.
    :param person: whom it is about; None when it is not known, or would be created.
    :param duplicate: whether it repeats an event, so that it is answered with 200 and not stored.
    """

    steps: tuple[Step, ...]
    limits: tuple[Room, ...]
    person: Person | None
    duplicate: bool

    @property
    def refused(self) -> Refused | None:
        """What would be raised; None when the activity would be accepted."""
        return next((step.refused for step in self.steps if step.refused is not None), None)


def explain(
    pipeline: Pipeline,
    request: ActivityRequest,
    login: Identity | None,
    ip: str | None,
    origin: str | None,
) -> Explanation:
    """Look at an activity as :class:`~.pipeline.Attempt` would.

    :param login: who is signed in at the host.
    :raises BackendError: something could not be read.
    """
    steps: list[Step] = []

    def look(row: int, check: str, part: Callable[[], T]) -> T | None:
        """Make one check."""
        try:
            found, refused = part(), None
        except Refused as error:
            found, refused = None, error
        steps.append(Step(row, check, refused))
        return found

    now = pipeline.clock() * 1000 // 1 / 1000  # whole milliseconds
    look(7, "capture key and origin", lambda: pipeline.source(request.key, origin))
    prepared = look(8, "definition", lambda: pipeline.definition(request.activity_id))
    if prepared is None:
        # One that is switched off can still be compared with.
        with suppress(Refused):
            prepared = pipeline.definition(request.activity_id, by_host=True)
    proof = prepared is not None and prepared.definition.needs == "verified"
    recognise = partial(pipeline.recognition.visitor, request, now, lambda: login, proof=proof)
    visitor = look(9, "person", recognise)
    if prepared is None:
        return Explanation(tuple(steps), (), visitor and visitor.person, False)
    definition, duplicate = prepared, False
    rooms: list[Room] = []
    if visitor is not None and proof and visitor.assurance != "verified":
        steps[-1] = steps[-1]._replace(refused=NeedsVerified())
    look(10, "attributes", lambda: pipeline.attributes(definition, request))
    if visitor is not None:
        activity = _activity(request, visitor, now)
        # A person who is not stored yet has repeated nothing.
        duplicate = bool(
            request.event_id and visitor.person and pipeline.backends.journal.find(activity)
        )
        steps.append(Step(11, "repetition", None))
        rooms = pipeline.intake.rooms(activity, definition, ip)
        steps.append(Step(12, "limits", None if duplicate else _full(rooms)))
    return Explanation(tuple(steps), tuple(rooms), visitor and visitor.person, duplicate)


def _activity(request: ActivityRequest, visitor: Visitor, now: float) -> Activity:
    """As much of the activity as its event and its counters are known by."""
    person, assurance, _ = visitor
    person_id = person.id if person is not None else ""
    event_id, activity_id = request.event_id or "", request.activity_id
    return Activity(event_id, activity_id, person_id, {}, "", assurance, now, now, False)


def _full(rooms: Sequence[Room]) -> Refused | None:
    """The refusal for what has no room left: it names the longest wait, as a limiter does."""
    full = [each for each in rooms if not each.left]
    if not full:
        return None
    worst = max(full, key=lambda each: each.ends_in)
    return RateLimited(
        worst.name,
        quota=worst.quota,
        retry_after=worst.ends_in,
        public_retry_after=min(each.ends_in for each in rooms),
    )
