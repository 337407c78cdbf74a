"""The contract of ``ports.Journal``, sentence by sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from ...model import EVENT_ID_SECONDS, Captured
from ...ports import Journal
from ...questions.answer import Wanted
from ...questions.query import Query
from .questions import QuestionsContract
from .samples import (
    DAY,
    MIDNIGHT,
    MILLISECOND,
    activity,
    changed,
    raises_backend_error,
    raises_storage_full,
    stored,
    together,
    unique,
)


def read_on(journal: Journal, cursor: str, limit: int) -> list[Captured]:
    """All that follows, read in pages of at most ``limit``."""
    found: list[Captured] = []
    while page := journal.after(cursor, limit):
        positions = [each.position for each in (*found[-1:], *page)]
        assert len(page) <= limit
        assert positions == sorted(set(positions))
        found += page
        cursor = page[-1].cursor
    return found


class JournalContract(QuestionsContract):
    """Override the fixture ``journal``."""

    # -- the class and find

    def test_find_returns_the_event_that_an_activity_repeats_or_none(
        self, journal: Journal
    ) -> None:
        """As it was stored, whatever else the repetition says."""
        [one] = stored(journal, attributes={"str:cm:a": "x"}, source="shop")
        stored(journal)
        again = one.activity._replace(
            attributes={}, source="", occurred_at=MIDNIGHT - 5, gpc=True, received_at=MIDNIGHT + 9
        )

        assert journal.find(one.activity) == one
        assert journal.find(again) == one
        assert journal.find(activity()) is None

    @pytest.mark.parametrize("member", ["event_id", "activity_id", "person_id"])
    def test_one_event_is_what_has_the_same_event_id_activity_id_and_person(
        self, journal: Journal, member: str
    ) -> None:
        """Browsers make the ids: two of them may make the same."""
        [one] = stored(journal)
        other = changed(one.activity, **{member: f"act:cm:{unique()}"})

        assert journal.find(other) is None
        appended = journal.append(other)
        assert appended is not None
        assert journal.find(other) == appended
        assert journal.find(one.activity) == one

    @pytest.mark.parametrize("member", ["event_id", "activity_id", "person_id"])
    def test_ids_of_events_are_compared_exactly(
        self, journal: Journal, member: str, two_strings: tuple[str, str]
    ) -> None:
        """Both are stored, side by side, and come back as they are."""
        one = activity(**{member: two_strings[0]})
        other = changed(one, **{member: two_strings[1]})
        first = journal.append(one)
        assert first is not None

        assert journal.find(other) is None
        second = journal.append(other)
        assert second is not None
        assert journal.find(one) == first
        assert journal.find(other) == second
        assert [each.activity for each in (first, second)] == [one, other]
        assert list(journal.latest(2)) == [first, second]

    @pytest.mark.parametrize("separator", ["", "-", "_"], ids=["nothing", "hyphen", "underscore"])
    @pytest.mark.parametrize(
        ("first", "second"),
        [("person_id", "event_id"), ("activity_id", "event_id"), ("activity_id", "person_id")],
    )
    def test_ids_of_events_do_not_run_into_each_other(
        self, journal: Journal, first: str, second: str, separator: str
    ) -> None:
        """Where one ends and the next begins is part of what an event is."""
        head, tail = f"act:cm:{unique()}", unique()
        one = activity(**{first: head, second: f"b{separator}{tail}"})
        other = changed(one, **{first: f"{head}{separator}b", second: tail})

        assert journal.append(one) is not None
        assert journal.find(other) is None
        assert journal.append(other) is not None

    @pytest.mark.parametrize("first", ["claimed", "verified"])
    def test_what_a_visitor_claimed_neither_hides_nor_reveals_what_the_host_vouched_for(
        self, journal: Journal, first: str
    ) -> None:
        """Assurance is part of what an event is."""
        one = activity(assurance=first)
        other = one._replace(assurance="verified" if first == "claimed" else "claimed")
        stored_one = journal.append(one)

        assert journal.find(other) is None
        stored_other = journal.append(other)
        assert stored_one is not None
        assert stored_other is not None
        assert journal.find(one) == stored_one
        assert journal.find(other) == stored_other
        assert journal.append(one) is None
        assert journal.append(other) is None

    @pytest.mark.parametrize("later", [0, MILLISECOND, 1, DAY, EVENT_ID_SECONDS])
    def test_an_event_received_within_7_days_before_is_found(
        self, journal: Journal, later: float
    ) -> None:
        """To the millisecond, the last one included."""
        [one] = stored(journal)
        again = one.activity._replace(received_at=MIDNIGHT + later)

        assert journal.find(again) == one
        assert journal.append(again) is None

    @pytest.mark.parametrize("later", [MILLISECOND, 1, DAY, 400 * DAY])
    def test_an_event_received_more_than_7_days_before_is_not_found(
        self, journal: Journal, later: float
    ) -> None:
        """It is stored as a new one, and only that is found from then on."""
        [one] = stored(journal)
        again = one.activity._replace(received_at=MIDNIGHT + EVENT_ID_SECONDS + later)

        assert journal.find(again) is None
        appended = journal.append(again)
        assert appended is not None
        assert appended.position > one.position
        assert journal.find(again) == appended
        assert journal.append(again) is None

    def test_an_event_is_remembered_by_when_it_was_received(self, journal: Journal) -> None:
        """Not by when it occurred, which a page says and which may be 7 days earlier."""
        [one] = stored(journal, occurred_at=MIDNIGHT - 7 * DAY)
        again = one.activity._replace(
            occurred_at=MIDNIGHT + 7 * DAY, received_at=MIDNIGHT + EVENT_ID_SECONDS
        )
        late = again._replace(occurred_at=MIDNIGHT, received_at=again.received_at + MILLISECOND)

        assert journal.find(again) == one
        assert journal.append(again) is None
        assert journal.find(late) is None

    def test_an_event_is_found_by_a_clock_that_is_a_little_behind(self, journal: Journal) -> None:
        """Two requests may be stored in another order than they were received in."""
        [one] = stored(journal)
        again = one.activity._replace(received_at=MIDNIGHT - 0.25)

        assert journal.find(again) == one
        assert journal.append(again) is None

    # -- append

    def test_append_stores_durably(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        """It is there when the medium is opened again, and its event is known."""
        [one] = stored(journal, attributes={"str:cm:a": "x"})
        again = reopen()

        assert list(again.latest(1)) == [one]
        assert list(again.of(one.person_id)) == [one]
        assert again.find(one.activity) == one
        assert again.append(one.activity) is None

    def test_append_returns_the_activity_with_its_position_and_cursor(
        self, journal: Journal
    ) -> None:
        """The same that readers get; not a duplicate."""
        given = activity(attributes={"str:cm:a": "x"}, source="shop", gpc=True)
        one = journal.append(given)

        assert one is not None
        assert one == Captured(one.position, one.cursor, given)
        assert isinstance(one.position, int)
        assert isinstance(one.cursor, str)
        assert one.cursor != ""
        assert not one.duplicate
        assert list(journal.latest(1)) == [one]

    def test_positions_are_at_least_1_rise_and_are_given_once(
        self, journal: Journal, reopen: Callable[[], Journal]
    ) -> None:
        """Also when the medium was opened again; cursors differ as well."""
        some = [*stored(journal, number=5), *stored(reopen(), number=5)]
        positions = [each.position for each in some]

        assert positions[0] >= 1
        assert positions == sorted(set(positions))
        assert len({each.cursor for each in some}) == 10

    def test_when_find_would_return_an_event_nothing_is_stored_and_none_is_returned(
        self, journal: Journal
    ) -> None:
        """The first one stays as it was."""
        [one] = stored(journal, attributes={"str:cm:a": "first"})
        again = one.activity._replace(
            attributes={"str:cm:a": "second"}, received_at=MIDNIGHT + EVENT_ID_SECONDS
        )

        for repetition in (again, one.activity, again):
            assert journal.append(repetition) is None
            assert list(journal.of(one.person_id)) == [one]
            assert list(journal.latest(1)) == [one]

    # -- values as stored

    def test_values_come_back_as_stored(
        self, journal: Journal, reopen: Callable[[], Journal]
    ) -> None:
        """Every JSON value and every member, from every reader."""
        attributes = {
            "str::email": "john@example.com",
            "txt:cm:text": "line\nline\r\n\t \N{PARTY POPPER} ' \" \\",
            "txt:cm:spelling": "é e\N{COMBINING ACUTE ACCENT}",
            "txt:cm:long": "é" * 4000,
            "str:cm:empty": "",
            "str:cm:Case": " spaces ",
            "str:cm:case": "1e400",
            "int:cm:zero": 0,
            "int:cm:one": 1,
            "int:cm:large": 2**53 - 1,
            "int:cm:small": -(2**53) + 1,
            "bol:cm:false": False,
            "bol:cm:true": True,
            "sst:cm:list": ["a", "", "a"],
            "stl:cm:none": [],
            "obj:cm:object": {"z": [1, 2.5, None, {"b": True}], "": {}, "a": 1.0, "1e-7": 1e-7},
        }
        one = activity(
            attributes=attributes,
            source="Shop é",
            assurance="verified",
            occurred_at=MIDNIGHT - 3600.123,
            received_at=MIDNIGHT + 0.987,
            gpc=True,
        )
        written = json.dumps(attributes)
        appended = journal.append(one)
        assert appended is not None
        again = reopen()

        for found in (
            appended,
            journal.find(one),
            *journal.latest(1),
            *journal.of(one.person_id),
            *again.of(one.person_id),
            *read_on(again, appended.cursor, 1),
        ):
            assert found == Captured(appended.position, appended.cursor, one)
            assert found is not None
            # Python takes True for 1 and 5.0 for 5; JSON does not.
            assert json.dumps(found.attributes) == written

    @pytest.mark.parametrize("milliseconds", [0, 1, 123, 125, 499, 500, 999])
    def test_times_come_back_to_the_millisecond(self, journal: Journal, milliseconds: int) -> None:
        """Both of them, beyond 2038 as well."""
        for seconds in (1_795_392_000, 4_102_444_800):
            occurred = (seconds * 1000 + milliseconds) / 1000
            received = (seconds * 1000 + 999 - milliseconds) / 1000
            [one] = stored(journal, occurred_at=occurred, received_at=received)
            [found] = journal.latest(1)

            assert (found.activity.occurred_at, found.activity.received_at) == (occurred, received)
            assert found == one

    def test_strings_come_back_as_they_were_stored(
        self, journal: Journal, two_strings: tuple[str, str]
    ) -> None:
        """Not normalised, not trimmed, not cut: the source, values and the names in objects."""
        first, second = two_strings
        attributes = {
            "str:cm:a": first,
            "txt:cm:b": second,
            "sst:cm:c": [first, second],
            "obj:cm:d": {first: second, second: first},
        }
        [one] = stored(journal, attributes=attributes, source=first)
        [found] = journal.latest(1)

        assert found.source == first
        assert found.attributes == attributes
        assert found == one

    def test_what_was_stored_does_not_change_with_what_was_given_or_read(
        self, journal: Journal
    ) -> None:
        """The caller and each reader may change what they hold."""
        attributes: dict[str, Any] = {"obj:cm:object": {"a": [1]}}
        expected: dict[str, Any] = {"obj:cm:object": {"a": [1]}}
        [one] = stored(journal, attributes=attributes)
        attributes["obj:cm:object"]["a"].append(2)
        readers: list[Callable[[], Sequence[Captured | None]]] = [
            lambda: journal.latest(1),
            lambda: journal.of(one.person_id),
            lambda: [journal.find(one.activity)],
        ]
        for reader in readers:
            for _ in range(2):
                [found] = reader()
                assert found is not None
                assert found.attributes == expected
                found.attributes["obj:cm:object"]["a"].append(3)

    # -- latest

    def test_latest_returns_the_newest_activities_the_oldest_of_them_first(
        self, journal: Journal
    ) -> None:
        """As many as the limit says, 100 when it says nothing."""
        some = stored(journal, number=105)

        assert list(journal.latest(3)) == some[-3:]
        assert list(journal.latest(1)) == some[-1:]
        assert list(journal.latest()) == some[-100:]
        assert list(journal.latest(104)) == some[-104:]
        assert list(journal.latest(0)) == []

    def test_the_newest_are_those_stored_last(self, journal: Journal) -> None:
        """Whatever their times say: clocks go back."""
        times = [MIDNIGHT, MIDNIGHT - DAY, MIDNIGHT + DAY, MIDNIGHT - 9 * DAY]
        some = [
            captured
            for each in times
            for captured in stored(journal, occurred_at=each, received_at=each)
        ]

        assert list(journal.latest(4)) == some
        assert list(journal.after(some[0].cursor)) == some[1:]

    # -- after

    def test_after_returns_what_follows_a_cursor_in_order(self, journal: Journal) -> None:
        """As many as the limit says, 100 when it says nothing."""
        some = stored(journal, number=105)

        assert list(journal.after(some[0].cursor, 2)) == some[1:3]
        assert list(journal.after(some[0].cursor)) == some[1:101]
        assert list(journal.after(some[2].cursor, 1000)) == some[3:]
        assert list(journal.after(some[-2].cursor)) == some[-1:]
        assert list(journal.after(some[-1].cursor)) == []
        assert list(journal.after(some[0].cursor, 0)) == []

    def test_an_empty_cursor_begins_with_the_oldest(self, journal: Journal) -> None:
        """A reader that begins anew gets everything, not the newest."""
        some = stored(journal, number=105)
        everything = read_on(journal, "", 1000)

        assert everything[-105:] == some
        assert list(journal.after("", 2)) == everything[:2]
        assert list(journal.after("")) == everything[:100]

    @pytest.mark.parametrize("limit", [1, 2, 7, 100])
    def test_a_reader_who_goes_on_from_the_last_cursor_misses_nothing_and_gets_nothing_twice(
        self, journal: Journal, reopen: Callable[[], Journal], limit: int
    ) -> None:
        """Past one digit and past two, while more is stored, and when it is opened again."""
        [first] = stored(journal)
        some = stored(journal, number=120)
        found = read_on(journal, first.cursor, limit)
        assert found == some

        more = stored(journal, number=3)
        assert read_on(reopen(), found[-1].cursor, limit) == more

    def test_a_reader_misses_nothing_that_other_threads_store_meanwhile(
        self, journal: Journal
    ) -> None:
        """What is stored while a page is read is on a later page, never before it."""
        [first] = stored(journal)
        threads, number = 6, 20
        written: list[list[Captured]] = []
        found = [first]

        def write() -> None:
            mine: list[Captured] = []
            try:
                for _ in range(number):
                    mine += stored(journal)
            finally:
                written.append(mine)

        def read() -> None:
            while len(found) <= threads * number + 1:
                last = len(written) == threads
                page = journal.after(found[-1].cursor, 7)
                found.extend(page)
                if last and not page:
                    break

        work = iter([read, *[write] * threads])

        def run() -> None:
            next(work)()

        together(threads + 1, run)

        every = [captured for mine in written for captured in mine]
        assert found[1:] == sorted(every, key=lambda one: one.position)

    # -- of

    def test_of_returns_a_persons_activities_that_follow_a_cursor_in_order(
        self, journal: Journal
    ) -> None:
        """And no other person's."""
        person_id = unique()
        theirs: list[Captured] = []
        for _ in range(5):
            stored(journal, number=2)
            theirs += stored(journal, person_id=person_id)
        [other] = stored(journal)

        assert list(journal.of(person_id)) == theirs
        assert list(journal.of(person_id, "")) == theirs
        assert list(journal.of(person_id, theirs[1].cursor)) == theirs[2:]
        assert list(journal.of(person_id, theirs[-1].cursor)) == []
        assert list(journal.of(other.person_id, theirs[0].cursor)) == [other]
        assert list(journal.of(unique())) == []

    def test_of_returns_at_most_the_limit(self, journal: Journal) -> None:
        """100 when it says nothing; the first of those that follow."""
        person_id = unique()
        theirs = stored(journal, number=105, person_id=person_id)

        assert list(journal.of(person_id, limit=2)) == theirs[:2]
        assert list(journal.of(person_id, theirs[1].cursor, 2)) == theirs[2:4]
        assert list(journal.of(person_id)) == theirs[:100]
        assert list(journal.of(person_id, limit=1000)) == theirs
        assert list(journal.of(person_id, limit=0)) == []

    def test_of_tells_people_apart_exactly(
        self, journal: Journal, two_strings: tuple[str, str]
    ) -> None:
        """Nothing of one is shown to, or erased with, another."""
        one, other = two_strings
        [theirs] = stored(journal, person_id=one)
        assert list(journal.of(other)) == []
        assert journal.erase(other) == 0
        [others] = stored(journal, person_id=other)

        assert list(journal.of(one)) == [theirs]
        assert list(journal.of(other)) == [others]
        assert journal.erase(one) == 1
        assert list(journal.of(other)) == [others]

    def test_of_returns_all_activity_ids_and_assurances(self, journal: Journal) -> None:
        """In the order they were stored in, whatever their times say."""
        person_id = unique()
        theirs = [
            captured
            for number in range(8)
            for captured in stored(
                journal,
                person_id=person_id,
                activity_id=f"act:cm:{'ba'[number % 2]}",
                assurance=("claimed", "verified")[number // 2 % 2],
                occurred_at=MIDNIGHT - number * DAY,
                received_at=MIDNIGHT - number,
            )
        ]

        assert list(journal.of(person_id)) == theirs
        assert list(journal.of(person_id, theirs[2].cursor, 3)) == theirs[3:6]

    # -- erase

    def test_erase_removes_everything_this_person_did_and_returns_how_many_that_were(
        self, journal: Journal, reopen: Callable[[], Journal]
    ) -> None:
        """Whatever the activity; other people keep theirs."""
        person_id = unique()
        theirs = [
            *stored(journal, number=2, person_id=person_id),
            *stored(journal, person_id=person_id, activity_id="act:cm:other"),
            *stored(journal, person_id=person_id, assurance="verified"),
        ]
        [kept] = stored(journal)

        assert journal.erase(person_id) == 4
        assert journal.erase(person_id) == 0
        assert journal.erase(unique()) == 0
        for each in (journal, reopen()):
            assert list(each.of(person_id)) == []
            assert list(each.of(kept.person_id)) == [kept]
            assert all(one.person_id != person_id for one in read_on(each, "", 1000))
            assert all(each.find(one.activity) is None for one in theirs)

    def test_erase_removes_more_than_a_page(self, journal: Journal) -> None:
        """However much it is."""
        person_id = unique()
        stored(journal, number=105, person_id=person_id)

        assert journal.erase(person_id) == 105
        assert list(journal.of(person_id)) == []

    def test_an_event_that_was_erased_can_be_stored_again(self, journal: Journal) -> None:
        """Nothing remembers it."""
        [one] = stored(journal)
        journal.erase(one.person_id)

        again = journal.append(one.activity)

        assert again is not None
        assert again.position > one.position
        assert list(journal.of(one.person_id)) == [again]

    def test_readers_skip_what_was_removed(self, journal: Journal) -> None:
        """Also those who go on from a cursor that was removed."""
        [one, *rest] = stored(journal, number=6)
        journal.erase(rest[0].person_id)
        journal.erase(rest[2].person_id)
        left = [rest[1], rest[3], rest[4]]

        assert list(journal.after(one.cursor)) == left
        assert list(journal.after(one.cursor, 2)) == left[:2]
        assert list(journal.after(rest[0].cursor)) == left
        assert list(journal.after(rest[2].cursor, 1)) == left[1:2]
        assert list(journal.latest(4)) == [one, *left]
        assert read_on(journal, one.cursor, 1) == left

    @pytest.mark.parametrize("number", [1, 3])
    def test_no_position_is_given_twice_even_when_the_newest_were_erased(
        self, journal: Journal, reopen: Callable[[], Journal], number: int
    ) -> None:
        """A reader who was behind the erased ones still gets what comes."""
        [one] = stored(journal)
        newest = stored(journal, number=number, person_id=unique())
        journal.erase(newest[0].person_id)
        assert list(journal.latest(1)) == [one]

        [later] = stored(reopen())

        assert later.position > newest[-1].position
        assert list(journal.after(newest[-1].cursor)) == [later]
        assert list(journal.after(one.cursor)) == [later]

    # -- common to all ports

    def test_methods_are_called_from_several_threads_at_once(self, journal: Journal) -> None:
        """None of their activities is lost or given another one's position."""
        [before] = stored(journal)
        some = together(8, lambda: stored(journal, number=5))
        written = sorted((one for each in some for one in each), key=lambda one: one.position)

        assert len({one.position for one in written}) == 40
        assert list(journal.after(before.cursor)) == written
        for each in some:
            assert each == sorted(each, key=lambda one: one.position)

    def test_threads_that_store_one_event_store_it_once(self, journal: Journal) -> None:
        """Exactly one gets a position."""
        for _round in range(10):
            one = activity()
            some = together(8, partial(journal.append, one))
            assert sum(each is not None for each in some) == 1
            assert len(journal.of(one.person_id)) == 1

    def test_threads_that_erase_take_only_what_is_theirs(self, journal: Journal) -> None:
        """While the others store and read."""

        def come_and_go() -> int:
            mine = stored(journal, number=3, person_id=unique())
            assert list(journal.of(mine[0].person_id)) == mine
            return journal.erase(mine[0].person_id)

        [kept] = stored(journal)
        assert together(8, come_and_go) == [3] * 8
        assert list(journal.latest(1)) == [kept]

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: Journal | None
    ) -> None:
        """By every method."""
        if broken is not None:
            raises_backend_error(
                lambda: broken.find(activity()),
                lambda: broken.append(activity()),
                broken.latest,
                lambda: broken.after(""),
                lambda: broken.of(unique()),
                lambda: broken.erase(unique()),
                lambda: broken.ask(Query("act:cm:login"), MIDNIGHT),
                lambda: broken.search(Wanted()),
                lambda: broken.first_and_last(["act:cm:login"]),
            )

    def test_a_bound_that_was_reached_is_raised_as_storage_full(self, full: Journal | None) -> None:
        """Nothing is stored, and reading goes on."""
        if full is not None:
            before = list(full.latest())
            raises_storage_full(lambda: full.append(activity()))
            assert list(full.latest()) == before
