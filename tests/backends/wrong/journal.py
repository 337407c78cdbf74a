"""Mistakes of ``journal``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ortto_capture.model import Activity, Captured

from ..dicts import DictJournal, Medium
from . import LOOSELY, common, forgets, lets_others_in, says_it_is_away, unlocked, wrong


def numbered_by_length(self: DictJournal) -> int:
    return len(self.rows) + 1


def numbered_by_the_newest(self: DictJournal) -> int:
    return max(self.rows, default=0) + 1


def as_json(self: DictJournal, activity: Activity) -> Activity:
    text = json.dumps(activity.attributes, sort_keys=True)
    return activity._replace(attributes=json.loads(text))


def with_attributes(change: Callable[[Any], Any]) -> Callable[[DictJournal, Activity], Activity]:
    """Keeps every single value, however deep, so."""

    def deep(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: deep(each) for key, each in value.items()}
        return [deep(each) for each in value] if isinstance(value, list) else change(value)

    return lambda self, activity: activity._replace(attributes=deep(dict(activity.attributes)))


def with_times(change: Callable[[float], float]) -> Callable[[DictJournal, Activity], Activity]:
    return lambda self, activity: activity._replace(
        occurred_at=change(activity.occurred_at), received_at=change(activity.received_at)
    )


def from_the_newest(self: DictJournal, cursor: str) -> list[Captured]:
    """An early cursor gets the newest page, as asking for position 0 once did."""
    found = DictJournal.following(self, cursor)
    return found if cursor else found[-100:]


def nothing_early(self: DictJournal, cursor: str) -> list[Captured]:
    return DictJournal.following(self, cursor) if cursor else []


def from_what_is_there(self: DictJournal, cursor: str) -> list[Captured]:
    """Looks the cursor's row up, and begins anew when it was erased."""
    if cursor and self.number(cursor) not in self.rows:
        return DictJournal.following(self, "")
    return DictJournal.following(self, cursor)


def nothing_behind_a_gap(self: DictJournal, cursor: str) -> list[Captured]:
    if cursor and self.number(cursor) not in self.rows:
        return []
    return DictJournal.following(self, cursor)


def stops_at_a_gap(self: DictJournal, cursor: str) -> list[Captured]:
    found: list[Captured] = []
    expected = self.number(cursor) + 1
    for each in DictJournal.following(self, cursor):
        if cursor and each.position != expected:
            break
        found.append(each)
        expected += 1
    return found


def as_strings(self: DictJournal, cursor: str) -> list[Captured]:
    return [self.rows[each] for each in sorted(self.rows) if self.cursor(each) > cursor]


def by_time(self: DictJournal, cursor: str) -> list[Captured]:
    found = DictJournal.following(self, cursor)
    return sorted(found, key=lambda each: each.activity.received_at)


def first_of_two(self: DictJournal, activity: Activity) -> Captured | None:
    rows: list[Captured] = [self.rows[each] for each in sorted(self.rows)]
    first = next((each for each in rows if self.event(each.activity) == self.event(activity)), None)
    return first if first and self.recent(first, activity) else None


def looks_then_appends(self: DictJournal, activity: Activity) -> Captured | None:
    if self.find(activity) is not None:
        return None
    time.sleep(0.0005)
    with self.use():
        position = self.medium.last = self.medium.last + 1
        captured = Captured(position, self.cursor(position), self.stored(activity))
        self.rows[position] = captured
        return captured


def numbers_then_stores(self: DictJournal, activity: Activity) -> Captured | None:
    """Takes a position first and stores later, as two transactions of a database may."""
    with self.use():
        if self.find(activity) is not None:
            return None
        position = self.medium.last = self.medium.last + 1
    time.sleep(position % 2 / 500)
    with self.use():
        captured = Captured(position, self.cursor(position), self.stored(activity))
        self.rows[position] = captured
        return captured


def replaces(self: DictJournal, activity: Activity) -> Captured | None:
    found = self.find(activity)
    if found is None:
        return DictJournal.append(self, activity)
    self.rows[found.position] = found._replace(activity=activity)
    return None


def returns_the_first(self: DictJournal, activity: Activity) -> Captured | None:
    return DictJournal.append(self, activity) or self.find(activity)


def forgets_events(self: DictJournal) -> DictJournal:
    again = type(self)(Medium(last=self.medium.last))
    for position, row in self.rows.items():
        event_id = f"{row.event_id} "
        again.rows[position] = row._replace(activity=row.activity._replace(event_id=event_id))
    return again


def starts_over(self: DictJournal) -> DictJournal:
    return type(self)(Medium(dict(self.rows), last=max(self.rows, default=0)))


def erases_a_page(self: DictJournal, person_id: str) -> int:
    theirs = self.of(person_id)
    for each in theirs:
        self.remove(each)
    return len(theirs)


def erases_one_activity_id(self: DictJournal, person_id: str) -> int:
    theirs = self.of(person_id, limit=1000)
    theirs = [each for each in theirs if each.activity_id == theirs[0].activity_id]
    for each in theirs:
        self.remove(each)
    return len(theirs)


def remembers_events(self: DictJournal, activity: Activity) -> Captured | None:
    known = self.own.setdefault("known", set())
    if self.event(activity) in known and not any(
        self.event(each.activity) == self.event(activity) for each in self.rows.values()
    ):
        return None
    known.add(self.event(activity))
    return DictJournal.append(self, activity)


def joined(activity: Activity) -> list[str]:
    return [activity.person_id, activity.activity_id, activity.event_id, activity.assurance]


EVENT = ("event_id", "activity_id", "person_id", "assurance")


mistake = partial(wrong, DictJournal)

MISTAKES = [
    *[
        mistake(
            f"compares the {member} {how}",
            "ids_of_events_are_compared",
            event=lambda self, activity, member=member, loose=loose: tuple(
                loose(each) if name == member else each
                for name, each in zip(EVENT, DictJournal.event(self, activity), strict=True)
            ),
        )
        for member in EVENT[:3]
        for how, loose in LOOSELY.items()
        if how in ("without case", "composed", "cut at 255 bytes", "trimmed")
    ],
    *[
        mistake(
            f"keeps strings {how}",
            "strings_come_back",
            stored=lambda self, activity, loose=loose: with_attributes(
                lambda value: loose(value) if isinstance(value, str) else value
            )(self, activity),
        )
        for how, loose in LOOSELY.items()
    ],
    *[
        mistake(
            f"tells people apart {how}",
            "tells_people_apart",
            whose=lambda self, each, id_, loose=loose: loose(each.person_id) == loose(id_),
        )
        for how, loose in LOOSELY.items()
        if how in ("without case", "by look")
    ],
    *[
        mistake(
            f"knows events without their {member}",
            caught_by,
            event=lambda self, activity, member=member: tuple(
                getattr(activity, each) for each in EVENT if each != member
            ),
        )
        for member, caught_by in zip(
            EVENT, [*["one_event_is_what_has"] * 3, "neither_hides_nor_reveals"], strict=True
        )
    ],
    mistake(
        "hides what is vouched for behind a claim",
        "neither_hides_nor_reveals",
        event=lambda self, activity: (*activity[:3], ""),
        recent=lambda self, captured, activity: (
            DictJournal.recent(self, captured, activity)
            and (captured.assurance == "claimed" or activity.assurance == "verified")
        ),
    ),
    mistake(
        "joins ids without a mark",
        "do_not_run_into",
        event=lambda self, activity: "".join((*activity[:3], activity.assurance)),
    ),
    mistake(
        "joins ids by hyphens",
        "do_not_run_into",
        event=lambda self, each: "-".join(joined(each)),
    ),
    mistake(
        "joins ids by underscores",
        "do_not_run_into",
        event=lambda self, each: "_".join(joined(each)),
    ),
    *[
        mistake(
            f"remembers {says}",
            caught_by,
            recent=lambda self, captured, activity, seconds=seconds: (
                captured.activity.received_at > activity.received_at - seconds
            ),
        )
        for says, seconds, caught_by in (
            ("an event less than 7 days", 7 * 86_400, "within_7_days"),
            ("an event a second less", 7 * 86_400 - 0.999, "within_7_days"),
            ("an event a second more", 7 * 86_400 + 1, "more_than_7_days"),
            ("an event a millisecond more", 7 * 86_400 + 0.0011, "more_than_7_days"),
            ("an event a day", 86_400, "within_7_days"),
            ("an event for ever", 1e12, "more_than_7_days"),
        )
    ],
    mistake(
        "remembers by the day",
        "more_than_7_days",
        recent=lambda self, captured, activity: (
            captured.activity.received_at // 86_400 >= activity.received_at // 86_400 - 7
        ),
    ),
    mistake(
        "remembers by when it occurred",
        "by_when_it_was_received",
        recent=lambda self, captured, activity: (
            captured.activity.occurred_at >= activity.received_at - 7 * 86_400
        ),
    ),
    mistake(
        "remembers by when the repetition occurred",
        "by_when_it_was_received",
        recent=lambda self, captured, activity: (
            captured.activity.received_at >= activity.occurred_at - 7 * 86_400
        ),
    ),
    mistake(
        "looks back alone",
        "a_little_behind",
        recent=lambda self, captured, activity: (
            DictJournal.recent(self, captured, activity)
            and captured.activity.received_at <= activity.received_at
        ),
    ),
    mistake("looks at the oldest alone", "more_than_7_days", find=first_of_two),
    mistake(
        "finds what was sent",
        "find_returns_the_event",
        find=lambda self, activity: (
            (found := DictJournal.find(self, activity)) and found._replace(activity=activity)
        ),
    ),
    mistake(
        "finds duplicates",
        "find_returns_the_event",
        find=lambda self, activity: (
            (found := DictJournal.find(self, activity)) and found._replace(duplicate=True)
        ),
    ),
    mistake("forgets", "append_stores_durably", reopened=forgets),
    mistake("forgets events", "append_stores_durably", reopened=forgets_events),
    mistake("starts its positions over", "no_position", reopened=starts_over),
    mistake(
        "counts from 0",
        "positions_are_at_least_1",
        position=lambda self: self.medium.last + 1,
        append=lambda self, activity: self.rows.setdefault(
            len(self.rows), Captured(len(self.rows), f"c{len(self.rows)}", activity)
        ),
    ),
    mistake("counts what it holds", "no_position", position=numbered_by_length),
    mistake("counts on from the newest", "no_position", position=numbered_by_the_newest),
    mistake(
        "has one cursor a ten", "cursor", cursor=lambda self, position: f"c{position // 10 * 10}"
    ),
    mistake(
        "has numbers for cursors",
        "with_its_position_and_cursor",
        cursor=lambda self, position: position,
        number=lambda self, cursor: int(cursor or 0),
    ),
    mistake("replaces the first", "nothing_is_stored", append=replaces),
    mistake("returns the first", "nothing_is_stored", append=returns_the_first),
    mistake("never repeats", "nothing_is_stored", find=lambda self, activity: None),
    mistake("sorts attributes", "values_come_back", stored=as_json),
    mistake(
        "keeps values as text",
        "values_come_back",
        stored=with_attributes(lambda value: value if value is None else str(value)),
    ),
    mistake(
        "has no booleans",
        "values_come_back",
        stored=with_attributes(lambda value: int(value) if isinstance(value, bool) else value),
    ),
    mistake(
        "has numbers with points alone",
        "values_come_back",
        stored=with_attributes(lambda value: float(value) if type(value) is int else value),
    ),
    mistake(
        "takes whole numbers for integers",
        "values_come_back",
        stored=with_attributes(
            lambda value: int(value) if isinstance(value, float) and value == int(value) else value
        ),
    ),
    mistake(
        "has integers of 32 bits",
        "values_come_back",
        stored=with_attributes(
            lambda value: max(-(2**31), min(2**31 - 1, value)) if type(value) is int else value
        ),
    ),
    mistake(
        "takes emptiness for nothing",
        "values_come_back",
        stored=with_attributes(lambda value: None if value == "" else value),
    ),
    mistake(
        "has one kind of line end",
        "values_come_back",
        stored=with_attributes(
            lambda value: value.replace("\r\n", "\n") if isinstance(value, str) else value
        ),
    ),
    mistake(
        "drops empty lists",
        "values_come_back",
        stored=lambda self, each: each._replace(
            attributes={key: value for key, value in each.attributes.items() if value != []}
        ),
    ),
    mistake(
        "cuts at 1,000 characters",
        "values_come_back",
        stored=with_attributes(lambda value: value[:1000] if isinstance(value, str) else value),
    ),
    mistake(
        "ignores case in attribute keys",
        "values_come_back",
        stored=lambda self, each: each._replace(
            attributes={key.lower(): value for key, value in each.attributes.items()}
        ),
    ),
    *[
        mistake(
            f"loses {member}",
            "values_come_back",
            stored=lambda self, each, lost=lost: each._replace(**lost),
        )
        for member, lost in (
            ("sources", {"source": ""}),
            ("assurance", {"assurance": "claimed"}),
            ("the privacy signal", {"gpc": False}),
        )
    ],
    mistake(
        "takes the time of storing for both",
        "values_come_back",
        stored=lambda self, each: each._replace(occurred_at=each.received_at),
    ),
    *[
        mistake(f"keeps times {how}", "to_the_millisecond", stored=with_times(cut))
        for how, cut in (
            ("to an eighth of a second", lambda at: math.floor(at * 8) / 8),
            ("to a hundredth", lambda at: round(at, 2)),
            ("in whole seconds", lambda at: float(math.floor(at))),
            ("cut to the millisecond below", lambda at: math.floor(at * 1000) / 1000 - 0.001),
            ("as 32 bits", lambda at: min(at, 2.0**31)),
        )
    ],
    mistake("keeps what it was given", "does_not_change", stored=lambda self, each: each),
    mistake("lends its rows", "does_not_change", page=lambda self, rows: list(rows)),
    mistake("lends what it finds", "does_not_change", read=lambda self, captured: captured),
    mistake(
        "reads the newest first",
        "latest_returns",
        latest=lambda self, limit=100: DictJournal.latest(self, limit)[::-1],
    ),
    mistake(
        "reads the oldest",
        "latest_returns",
        latest=lambda self, limit=100: self.page(self.following("")[:limit]),
    ),
    mistake(
        "reads 50 at most",
        "latest_returns",
        latest=lambda self, limit=100: DictJournal.latest(self, min(50, limit)),
    ),
    mistake(
        "reads everything for 0",
        "latest_returns",
        latest=lambda self, limit=100: DictJournal.latest(self, limit or 1000),
    ),
    mistake("reads by time", "those_stored_last", following=by_time),
    mistake(
        "takes the latest by time",
        "those_stored_last",
        newest=lambda self: iter(
            sorted(self.rows.values(), key=lambda each: each.activity.received_at, reverse=True)
        ),
    ),
    mistake("answers an early cursor with nothing", "empty_cursor", following=nothing_early),
    mistake("begins with the newest page", "empty_cursor", following=from_the_newest),
    mistake(
        "skips the first",
        "what_follows_a_cursor",
        following=lambda self, cursor: DictJournal.following(self, cursor)[1:],
    ),
    mistake(
        "repeats the last",
        "what_follows_a_cursor",
        number=lambda self, cursor: DictJournal.number(self, cursor) - 1,
    ),
    mistake(
        "returns the last of what follows",
        "what_follows_a_cursor",
        after=lambda self, cursor, limit=100: self.page(
            self.following(cursor)[-limit:] if limit else []
        ),
    ),
    mistake(
        "follows backwards",
        "what_follows_a_cursor",
        after=lambda self, cursor, limit=100: DictJournal.after(self, cursor, limit)[::-1],
    ),
    mistake("compares cursors as text", "goes_on_from_the_last_cursor", following=as_strings),
    mistake(
        "ends a page where no more is left",
        "what_follows_a_cursor",
        after=lambda self, cursor, limit=100: (
            DictJournal.after(self, cursor, limit) if len(self.following(cursor)) >= limit else []
        ),
    ),
    mistake(
        "gives cursors that hold while it is open",
        "goes_on_from_the_last_cursor",
        cursor=lambda self, position: f"c{position + id(self)}",
        number=lambda self, cursor: int(cursor[1:]) - id(self) if cursor else 0,
    ),
    mistake(
        "begins a page with the last one read",
        "other_threads_store",
        following=lambda self, cursor: DictJournal.following(
            self, cursor and self.cursor(self.number(cursor) - 1)
        ),
    ),
    mistake("numbers before it stores", "other_threads_store", append=numbers_then_stores),
    mistake(
        "of() ignores its limit",
        "of_returns_at_most",
        of=lambda self, id_, cursor="", limit=100: DictJournal.of(self, id_, cursor, 10**6),
    ),
    mistake(
        "of() ignores its cursor",
        "of_returns_a_persons",
        of=lambda self, id_, cursor="", limit=100: DictJournal.of(self, id_, "", limit),
    ),
    mistake(
        "of() counts others within its limit",
        "of_returns_a_persons",
        of=lambda self, id_, cursor="", limit=100: [
            each for each in self.after(cursor, limit // 10) if each.person_id == id_
        ],
    ),
    mistake(
        "of() returns the newest",
        "of_returns_at_most",
        of=lambda self, id_, cursor="", limit=100: (
            DictJournal.of(self, id_, cursor, 10**6)[-limit:] if limit else []
        ),
    ),
    mistake(
        "of() returns what is not theirs",
        "of_returns_a_persons",
        whose=lambda self, captured, id_: True,
    ),
    mistake(
        "of() shows claimed ones",
        "activity_ids_and_assurances",
        of=lambda self, id_, cursor="", limit=100: [
            each for each in DictJournal.of(self, id_, cursor, limit) if each.assurance == "claimed"
        ],
    ),
    mistake(
        "of() orders by activity",
        "activity_ids_and_assurances",
        of=lambda self, id_, cursor="", limit=100: sorted(
            DictJournal.of(self, id_, cursor, limit), key=lambda each: each.activity_id
        ),
    ),
    mistake("erases a page", "more_than_a_page", erase=erases_a_page),
    mistake("erases one activity id", "erase_removes", erase=erases_one_activity_id),
    mistake(
        "erases nothing", "erase_removes", erase=lambda self, id_: len(self.of(id_, limit=1000))
    ),
    mistake(
        "erases without counting",
        "erase_removes",
        erase=lambda self, id_: min(1, DictJournal.erase(self, id_)),
    ),
    mistake(
        "empties rows",
        "readers_skip",
        remove=lambda self, captured: self.rows.__setitem__(
            captured.position,
            captured._replace(activity=captured.activity._replace(person_id="", attributes={})),
        ),
    ),
    mistake("remembers events of the erased", "can_be_stored_again", append=remembers_events),
    mistake("begins anew at a gap", "readers_skip", following=from_what_is_there),
    mistake("is lost behind a gap", "readers_skip", following=nothing_behind_a_gap),
    mistake("stops at a gap", "readers_skip", following=stops_at_a_gap),
    mistake("looks, then appends", "store_one_event", append=looks_then_appends),
    mistake("has no lock", "several_threads", use=unlocked, pause=lets_others_in),
    mistake("says that it is away", "storage_full", make_room=says_it_is_away),
    mistake("drops when it is full", "storage_full", make_room=lambda self: None),
    *common(DictJournal, "find", "append", "latest", "after", "of", "erase"),
]
