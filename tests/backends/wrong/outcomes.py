"""Mistakes of ``outcomes``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from ortto_capture.model import Outcome

from ..dicts import DictOutcomes
from . import LOOSELY, common, lets_others_in, unlocked, wrong


def shares_counts(self: DictOutcomes) -> Counter[str]:
    return self.seen


def notes_refused(self: DictOutcomes, outcome: Outcome) -> None:
    if outcome.reason:
        DictOutcomes.note(self, outcome)


def resets(self: DictOutcomes) -> dict[str, int]:
    seen = dict(self.seen)
    self.seen.clear()
    return seen


def keeps(*codes: str) -> Callable[[DictOutcomes, Outcome], bool]:
    return lambda self, outcome: bool(outcome.reason) or outcome.code in codes


def numbers_apart(self: DictOutcomes, outcome: Outcome, number: int) -> Outcome:
    kept = [each for each in self.rows.values() if bool(each.reason) is bool(outcome.reason)]
    return outcome._replace(number=max((each.number for each in kept), default=0) + 1)


def lends_its_tally(self: DictOutcomes, since: float) -> dict[tuple[float, str, str], int]:
    return self.tallies


mistake = partial(wrong, DictOutcomes)

MISTAKES = [
    mistake("keeps everything", "bounded", bound=lambda self: None),
    mistake("keeps a hundred", "bounded", CAPACITY=100),
    mistake(
        "keeps the first",
        "bounded",
        bound=lambda self: len(self.rows) > 300 and self.rows.popitem(),
    ),
    mistake(
        "counts what it keeps",
        "bounded",
        counts=lambda self: Counter(each.code for each in self.rows.values()),
    ),
    mistake(
        "takes notes for codes", "note_counts", names=lambda self, each: [each.code, *each.notes]
    ),
    mistake(
        "counts a note once",
        "note_counts",
        names=lambda self, each: [each.code, *{f"note:{note}" for note in each.notes}],
    ),
    mistake(
        "counts the first note",
        "note_counts",
        names=lambda self, each: [each.code, *[f"note:{note}" for note in each.notes[:1]]],
    ),
    mistake("counts no notes", "note_counts", names=lambda self, each: [each.code]),
    mistake(
        "counts reasons",
        "note_counts",
        names=lambda self, each: [
            each.reason or each.code,
            *(f"note:{note}" for note in each.notes),
        ],
    ),
    mistake(
        "counts only refused",
        "note_counts",
        note=notes_refused,
    ),
    mistake(
        "ignores case in codes",
        "codes_are_compared",
        names=lambda self, each: [name.lower() for name in DictOutcomes.names(self, each)],
    ),
    mistake(
        "cuts codes at 255",
        "codes_are_compared",
        names=lambda self, each: [name[:255] for name in DictOutcomes.names(self, each)],
    ),
    mistake("lends its counts", "counts_returns", counts=shares_counts),
    mistake("starts over when read", "counts_returns", counts=resets),
    mistake("keeps the accepted", "kept_among_the_passed", kept=lambda self, each: True),
    mistake(
        "keeps what names a person",
        "is_not_empty_is_kept",
        kept=lambda self, each: bool(each.reason and each.person_id),
    ),
    *[
        mistake(
            f"loses the {member}",
            "is_not_empty_is_kept",
            stored=lambda self, each, number, member=member, value=value: each._replace(
                **{"number": number, member: value}
            ),
        )
        for member, value in (
            ("notes", ()),
            ("field", None),
            ("expected", None),
            ("route", ""),
            ("reason", "refused"),
            ("activity_id", None),
        )
    ],
    mistake(
        "keeps whole seconds",
        "is_not_empty_is_kept",
        stored=lambda self, each, number: each._replace(number=number, at=float(int(each.at))),
    ),
    mistake(
        "keeps the number it was given",
        "are_numbered",
        stored=lambda self, each, number: each._replace(number=each.number or number),
    ),
    mistake(
        "numbers from 0",
        "are_numbered",
        stored=lambda self, each, number: each._replace(number=number - 1),
    ),
    mistake(
        "orders by time",
        "are_numbered",
        refused=lambda self, after=0, limit=100: sorted(
            DictOutcomes.refused(self, after, limit), key=lambda each: each.at
        ),
    ),
    mistake(
        "reads the newest first",
        "in_order",
        refused=lambda self, after=0, limit=100: DictOutcomes.refused(self, after, limit)[::-1],
    ),
    mistake(
        "repeats the last",
        "numbered_above",
        refused=lambda self, after=0, limit=100: DictOutcomes.refused(self, after - 1, limit),
    ),
    mistake(
        "ignores the number",
        "numbered_above",
        refused=lambda self, after=0, limit=100: DictOutcomes.refused(self, 0, limit),
    ),
    mistake(
        "returns the oldest",
        "at_most_the_limit",
        refused=lambda self, after=0, limit=100: DictOutcomes.refused(self, after, 10**6)[:limit],
    ),
    mistake(
        "ignores the limit",
        "at_most_the_limit",
        refused=lambda self, after=0, limit=100: DictOutcomes.refused(self, after, 10**6),
    ),
    mistake(
        "returns everything for 0",
        "at_most_the_limit",
        refused=lambda self, after=0, limit=100: DictOutcomes.refused(self, after, limit or 10**6),
    ),
    mistake(
        "looks through the latest hundred",
        "of_returns_what_is_kept",
        of=lambda self, id_: [each for each in self.refused() if each.person_id == id_],
    ),
    mistake(
        "shows what is not theirs", "of_returns_what_is_kept", whose=lambda self, each, id_: True
    ),
    mistake(
        "shows those that name none",
        "of_returns_what_is_kept",
        whose=lambda self, each, id_: each.person_id in (id_, None),
    ),
    *[
        mistake(
            f"tells people apart {how}",
            "tells_people_apart",
            whose=lambda self, each, id_, loose=loose: loose(each.person_id or "") == loose(id_),
        )
        for how, loose in LOOSELY.items()
        if how in ("without case", "composed", "trimmed")
    ],
    mistake("erases nothing", "erase_takes", erased=lambda self, each: each),
    mistake(
        "erases the row",
        "erase_takes",
        erase=lambda self, id_: len([self.rows.pop(each.number) for each in self.of(id_)]),
    ),
    mistake(
        "erases more than the id",
        "erase_takes",
        erased=lambda self, each: each._replace(person_id=None, field=None),
    ),
    mistake(
        "erases the newest", "erase_takes", of=lambda self, id_: DictOutcomes.of(self, id_)[-1:]
    ),
    mistake(
        "erases and starts over",
        "erase_takes",
        erase=lambda self, id_: (DictOutcomes.erase(self, id_), self.seen.clear())[0],
    ),
    mistake(
        "erases without counting",
        "erase_takes",
        erase=lambda self, id_: min(1, DictOutcomes.erase(self, id_)),
    ),
    mistake(
        "keeps refused and passed in one place",
        "push_out_no_refusal",
        bound=lambda self: len(self.rows) > 600 and self.rows.pop(min(self.rows)),
    ),
    mistake("keeps no repetitions", "kept_among_the_passed", kept=keeps("identified")),
    mistake("keeps no identifications", "kept_among_the_passed", kept=keeps("duplicate")),
    mistake(
        "takes the passed for refused",
        "kept_among_the_passed",
        refused=lambda self, after=0, limit=100: self.latest([*self.rows.values()], after, limit),
    ),
    mistake(
        "reads the newest passed first",
        "passed_returns_the_latest",
        passed=lambda self, after=0, limit=100: DictOutcomes.passed(self, after, limit)[::-1],
    ),
    mistake(
        "returns the oldest passed",
        "passed_returns_the_latest",
        passed=lambda self, after=0, limit=100: DictOutcomes.passed(self, after, 10**6)[:limit],
    ),
    mistake("numbers them apart", "numbered_together", stored=numbers_apart),
    mistake(
        "tallies by the day",
        "by_hour_activity_and_reason",
        tallied=lambda self, each: (each.at // 86_400 * 86_400, *each.refusal[1:]),
    ),
    mistake(
        "tallies by the code",
        "by_hour_activity_and_reason",
        tallied=lambda self, each: (*each.refusal[:2], each.code),
    ),
    mistake(
        "tallies all activities as one",
        "by_hour_activity_and_reason",
        tallied=lambda self, each: (each.refusal[0], "", each.reason),
    ),
    mistake("lends its tally", "by_hour_activity_and_reason", tally=lends_its_tally),
    mistake(
        "tallies by any name",
        "definition_was_found",
        tallied=lambda self, each: (each.refusal[0], each.activity_id or "", each.reason),
    ),
    mistake(
        "misses the hour that holds the time",
        "hours_that_end_after",
        later=lambda self, hour, since: hour >= since,
    ),
    mistake(
        "tells the hour that ended then",
        "hours_that_end_after",
        later=lambda self, hour, since: hour + 3600 >= since,
    ),
    mistake(
        "tells of the refused alone",
        "of_returns_what_is_kept",
        whose=lambda self, each, id_: each.person_id == id_ and bool(each.reason),
    ),
    mistake("has no lock", "several_threads", use=unlocked, pause=lets_others_in),
    *common(DictOutcomes, "counts", "refused", "passed", "tally", "of", "erase"),
]
