"""Contract §5, the limiter: counting in this process, and what to do when a shared counter is away.

The law of this file: what is counted where, how often a counter that is away is asked, and what
bounds the memory. What every limiter must do is in its contract class.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from threading import Thread
from typing import Literal

import pytest

from ortto_capture import BackendError, StorageFull
from ortto_capture.limiting import FixedWindows, GuardedLimiter, seconds_left
from ortto_capture.model import Charge, Full, Quota

NOW = 1_795_392_000.0
ONE = Charge(b"k" * 16, Quota(1, 3600))
OTHER = Charge(b"o" * 16, Quota(1, 3600))


class Shared:
    """A limiter elsewhere, which can be away."""

    def __init__(self) -> None:
        self.counts = FixedWindows()
        self.asked = 0
        self.fault: Exception | None = None

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        self.asked += 1
        if self.fault:
            raise self.fault
        return self.counts.acquire(charges, now)

    def release(self, charges: Sequence[Charge], now: float) -> None:
        if self.fault:
            raise self.fault
        self.counts.release(charges, now)

    def taken(self, charge: Charge, now: float) -> int:
        if self.fault:
            raise self.fault
        return self.counts.taken(charge, now)

    def forget(self, keys: Collection[bytes]) -> None:
        if self.fault:
            raise self.fault
        self.counts.forget(keys)


@pytest.fixture
def shared() -> Shared:
    return Shared()


def test_while_it_answers_it_alone_counts(shared: Shared) -> None:
    guarded = GuardedLimiter(shared)

    assert guarded.acquire([ONE], NOW) is None
    assert guarded.acquire([ONE], NOW) is not None
    guarded.release([ONE], NOW)
    assert guarded.acquire([ONE], NOW) is None
    assert not guarded.away


@pytest.mark.parametrize(
    ("policy", "found"), [("local", [1, 0, 1]), ("open", [1, 0, 0]), ("closed", [1])]
)
def test_what_is_taken_is_told_where_it_is_counted(
    policy: Literal["local", "open", "closed"], found: list[int], shared: Shared
) -> None:
    """There; and here while it is away, where nothing is known of before."""
    guarded = GuardedLimiter(shared, policy)
    guarded.acquire([ONE], NOW)
    taken = [guarded.taken(ONE, NOW)]
    shared.fault = BackendError("away")
    with pytest.raises(BackendError):
        guarded.taken(ONE, NOW)
    if policy == "closed":
        with pytest.raises(BackendError):
            guarded.acquire([OTHER], NOW)
        with pytest.raises(BackendError, match="is away"):
            guarded.taken(ONE, NOW)
    else:
        guarded.acquire([OTHER], NOW)
        taken += [guarded.taken(ONE, NOW), guarded.taken(OTHER, NOW)]

    assert taken == found


def test_local_counts_in_this_process_with_the_same_limits(shared: Shared) -> None:
    guarded = GuardedLimiter(shared, "local")
    shared.fault = BackendError("away")

    assert guarded.acquire([ONE], NOW) is None
    assert guarded.away
    assert guarded.acquire([ONE], NOW) is not None
    guarded.release([ONE], NOW)
    assert guarded.acquire([ONE], NOW) is None


def test_open_lets_everything_pass(shared: Shared) -> None:
    guarded = GuardedLimiter(shared, "open")
    shared.fault = BackendError("away")

    assert [guarded.acquire([ONE], NOW) for _ in range(10)] == [None] * 10


def test_closed_raises_the_backends_error_and_asks_no_more_often(shared: Shared) -> None:
    guarded = GuardedLimiter(shared, "closed")
    shared.fault = BackendError("away")

    for _ in range(10):
        with pytest.raises(BackendError):
            guarded.acquire([ONE], NOW)
    assert shared.asked == 3


def test_after_three_failures_it_is_left_alone_for_longer_and_longer(shared: Shared) -> None:
    """1 s, 2 s, 4 s, … at most 30 s: no visitor must wait each time until it fails."""
    guarded = GuardedLimiter(shared)
    shared.fault = BackendError("away")
    asked_at = []
    for tenth in range(1200):
        before = shared.asked
        guarded.acquire([ONE], NOW + tenth / 10)
        if shared.asked > before:
            asked_at.append(tenth / 10)

    waits = [round(b - a, 1) for a, b in pairwise(asked_at)]
    assert waits[:7] == [0.1, 0.1, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert set(waits[7:]) == {30.0}


def test_a_clock_set_back_does_not_keep_it_away(shared: Shared) -> None:
    guarded = GuardedLimiter(shared)
    shared.fault = BackendError("away")
    for _ in range(4):
        guarded.acquire([ONE], NOW)
    shared.fault = None

    assert guarded.acquire([ONE], NOW - 86_400) is None
    assert not guarded.away


def test_when_it_answers_again_it_counts_again(
    shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = GuardedLimiter(shared)
    shared.fault = BackendError("away")
    for second in range(5):
        guarded.acquire([ONE], NOW + second)
    shared.fault = None

    assert guarded.acquire([ONE], NOW + 60) is None
    assert not guarded.away
    assert guarded.acquire([ONE], NOW + 60) is not None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, "one line when it goes, one when it comes back"
    assert "on_limiter_error='local'" in said[0]


def test_a_release_that_fails_wastes_the_charge_and_raises_nothing(shared: Shared) -> None:
    guarded = GuardedLimiter(shared)
    guarded.acquire([ONE], NOW)
    shared.fault = BackendError("away")

    guarded.release([ONE], NOW)

    assert guarded.away


def test_a_limiter_that_is_full_is_not_away(shared: Shared) -> None:
    guarded = GuardedLimiter(shared)
    shared.fault = StorageFull("full")

    with pytest.raises(StorageFull):
        guarded.acquire([ONE], NOW)
    assert not guarded.away


@pytest.mark.parametrize(
    ("now", "left"), [(0.0, 60), (0.1, 60), (59.0, 1), (59.9999, 1), (60.0, 60), (-0.5, 1)]
)
def test_seconds_left_are_whole_and_at_least_one(now: float, left: int) -> None:
    assert seconds_left(60, now) == left


def test_what_was_counted_here_is_given_back_here(shared: Shared) -> None:
    """Though the shared one answers again: giving back there would grant a place too many."""
    guarded = GuardedLimiter(shared)
    assert guarded.acquire([ONE], NOW) is None
    shared.fault = BackendError("away")
    assert guarded.acquire([ONE], NOW) is None
    shared.fault = None
    another_visitor = Thread(target=guarded.acquire, args=([Charge(b"z" * 16, ONE.quota)], NOW))
    another_visitor.start()
    another_visitor.join()
    assert not guarded.away

    guarded.release([ONE], NOW)

    assert guarded.acquire([ONE], NOW) is not None


def test_forgetting_forgets_what_is_counted_here_and_elsewhere(shared: Shared) -> None:
    guarded = GuardedLimiter(shared)
    guarded.acquire([ONE], NOW)
    shared.fault = BackendError("away")
    guarded.acquire([ONE], NOW)
    shared.fault = None

    guarded.forget([ONE.key])

    assert guarded.acquire([ONE], NOW) is None
    shared.fault = BackendError("away")
    assert guarded.acquire([ONE], NOW) is None


def test_forgetting_while_it_is_away_is_a_fault_to_try_again(shared: Shared) -> None:
    guarded = GuardedLimiter(shared)
    shared.fault = BackendError("away")

    with pytest.raises(BackendError):
        guarded.forget([ONE.key])


def many(number: int, seconds: int = 3600) -> list[Charge]:
    return [Charge(each.to_bytes(16), Quota(5, seconds)) for each in range(number)]


def test_so_many_keys_and_no_more_are_held() -> None:
    limiter = FixedWindows(capacity=3)
    for charge in many(3):
        assert limiter.acquire([charge], NOW) is None

    with pytest.raises(StorageFull):
        limiter.acquire(many(4), NOW)

    assert len(limiter) == 3
    assert limiter.acquire(many(3), NOW) is None, "what is held is counted on"


def test_keys_of_windows_that_have_ended_make_room() -> None:
    limiter = FixedWindows(capacity=2)
    limiter.acquire(many(2), NOW)
    with pytest.raises(StorageFull, match=r"holds 2 keys.*raise FixedWindows\(capacity=...\)"):
        limiter.acquire(many(3), NOW)

    assert limiter.acquire(many(2, seconds=60), NOW + 3600) is None
    assert len(limiter) == 2
    with pytest.raises(StorageFull):
        limiter.acquire(many(3, seconds=60), NOW + 3600)


def test_a_charge_that_finds_no_room_gives_the_others_back() -> None:
    limiter = FixedWindows(capacity=1)
    one, other = many(2)
    for _ in range(9):
        with pytest.raises(StorageFull):
            limiter.acquire([one, other], NOW)

    assert len(limiter) == 0
    assert [limiter.acquire([one], NOW) for _ in range(5)] == [None] * 5


def test_what_is_given_back_or_forgotten_leaves_no_key() -> None:
    limiter = FixedWindows()
    charges = many(3)
    limiter.acquire(charges, NOW)
    limiter.acquire(charges[:1], NOW)

    limiter.release(charges, NOW)
    assert len(limiter) == 1
    limiter.release(charges, NOW)
    assert len(limiter) == 0
    limiter.acquire(charges, NOW)
    limiter.forget([each.key for each in charges])
    assert len(limiter) == 0


def test_a_refused_charge_leaves_no_key() -> None:
    limiter = FixedWindows()
    limiter.acquire([ONE], NOW)

    assert limiter.acquire([*many(3), ONE], NOW) is not None

    assert len(limiter) == 1


def test_of_several_full_quotas_the_one_with_the_longest_wait_is_named() -> None:
    limiter = FixedWindows()
    day = Charge(b"d" * 16, Quota(1, 86_400))
    limiter.acquire([ONE, day], NOW)

    for charges in ([ONE, day], [day, ONE]):
        assert limiter.acquire(charges, NOW + 1) == Full(day, 86_400 - int(NOW + 1) % 86_400)


def test_a_full_quota_is_refused_though_no_key_has_room() -> None:
    limiter = FixedWindows(capacity=1)
    full = Charge(b"a" * 16, Quota(1, 3600))
    assert limiter.acquire([full], NOW) is None

    refusal = limiter.acquire([Charge(b"b" * 16, Quota(5, 86_400)), full], NOW)

    assert refusal is not None
    assert refusal.charge == full
