"""The contract of ``ports.RateLimiter``, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest

from ...model import Charge, Full, Quota
from ...ports import RateLimiter
from .samples import (
    DAY,
    HOUR,
    MIDNIGHT,
    PortContract,
    raises_backend_error,
    raises_storage_full,
    together,
)


def charge(amount: int, seconds: int, key: bytes | None = None) -> Charge:
    """One against a key of its own."""
    return Charge(key or uuid4().bytes, Quota(amount, seconds))


def room(limiter: RateLimiter, one: Charge, now: float) -> int:
    """How many more of these charges are counted, which is found out by charging them."""
    for counted in range(100):
        if limiter.acquire([one], now) is not None:
            return counted
    pytest.fail("a quota never gets full")


class RateLimiterContract(PortContract):
    """Override the fixture ``limiter``.

    A backend that counts by its server's clock overrides ``at`` as well.
    """

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def port(self, limiter: RateLimiter) -> RateLimiter:
        """The same, as what all contracts have in common takes it."""
        return limiter

    @pytest.fixture
    def at(self) -> Callable[[float], float]:
        """Makes it this time, and returns what is given as ``now``.

        By default a backend takes the time it is given. Where the server's clock counts instead,
        set that clock here.
        """
        return lambda now: now

    @pytest.fixture
    def size(self) -> Callable[[], int] | None:
        """How many keys are kept, where that can be seen."""
        return None

    @pytest.fixture
    def reopen(self, limiter: RateLimiter) -> Callable[[], RateLimiter]:
        """Opens the same medium again; by default the port that is open."""
        return lambda: limiter

    # -- the class

    @pytest.mark.parametrize("amount", [1, 2, 10])
    def test_in_one_window_a_key_is_never_charged_more_than_the_amount(
        self, limiter: RateLimiter, at: Callable[[float], float], amount: int
    ) -> None:
        """Exactly the amount passes, however late in the window."""
        one = charge(amount, DAY)
        verdicts = [limiter.acquire([one], at(MIDNIGHT + 5000 * each)) for each in range(15)]

        assert [verdict is None for verdict in verdicts] == [True] * amount + [False] * (
            15 - amount
        )

    @pytest.mark.parametrize("seconds", [1, 7, HOUR, DAY, 7 * DAY, 30 * DAY])
    def test_a_window_begins_at_every_multiple_of_its_seconds_since_the_epoch(
        self, limiter: RateLimiter, at: Callable[[float], float], seconds: int
    ) -> None:
        """A burst over the boundary is allowed: one before, one after."""
        one = charge(1, seconds)
        start = (MIDNIGHT // seconds + 1) * seconds

        assert limiter.acquire([one], at(start - 0.5)) is None
        assert limiter.acquire([one], at(start - 0.001)) is not None
        assert limiter.acquire([one], at(start)) is None
        assert limiter.acquire([one], at(start + seconds - 0.001)) is not None
        assert limiter.acquire([one], at(start + seconds)) is None

    def test_windows_of_different_lengths_are_counted_apart(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """The end of the short one does not end the long one."""
        hour, day = charge(1, HOUR), charge(2, DAY)
        now = at(MIDNIGHT)

        assert limiter.acquire([hour, day], now) is None
        assert limiter.acquire([hour, day], now) is not None
        now = at(MIDNIGHT + HOUR)
        assert limiter.acquire([hour, day], now) is None
        assert limiter.acquire([day], now) is not None

    def test_a_clock_that_goes_back_into_the_window_before_finds_its_counts(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Nothing is granted twice."""
        one, other = charge(1, HOUR), charge(2, HOUR)
        limiter.acquire([one, other], at(MIDNIGHT))
        limiter.acquire([one, other], at(MIDNIGHT + HOUR))

        now = at(MIDNIGHT)
        assert limiter.acquire([one], now) is not None
        assert room(limiter, other, now) == 1
        now = at(MIDNIGHT + HOUR + 1)
        assert limiter.acquire([one], now) is not None
        assert room(limiter, other, now) == 1

    @pytest.mark.parametrize("place", [0, 7, 15])
    @pytest.mark.parametrize("byte", b"/:A\0 \n*%\x7f\x80\xff", ids="0x{:02x}".format)
    def test_keys_that_differ_in_any_byte_are_counted_apart(
        self, limiter: RateLimiter, at: Callable[[float], float], byte: int, place: int
    ) -> None:
        """They are opaque: no byte ends a key, separates its parts or stands for another one."""
        head, tail, now = uuid4().bytes[:place], uuid4().bytes[place + 1 :], at(MIDNIGHT)
        keys = {
            head + bytes([byte]) + tail,
            head + bytes([byte]) + uuid4().bytes[place + 1 :],
            head + bytes([byte ^ 0x20]) + tail,
        }

        for verdict in (True, False):
            for key in keys:
                assert (limiter.acquire([charge(1, DAY, key)], now) is None) is verdict

    # -- acquire

    def test_acquire_counts_every_charge(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Each of several against its own quota."""
        person, address, third = charge(3, DAY), charge(4, HOUR), charge(5, 60)
        now = at(MIDNIGHT)

        assert limiter.acquire([person, address, third], now) is None
        assert limiter.acquire([person, address, third], now) is None
        assert [room(limiter, each, now) for each in (person, address, third)] == [1, 2, 3]

    def test_a_key_that_comes_twice_is_charged_twice(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Both or neither, like any two charges."""
        one, now = charge(3, DAY), at(MIDNIGHT)

        assert limiter.acquire([one, one], now) is None
        full = limiter.acquire([one, one], now)
        assert full is not None
        assert full.charge == one
        assert room(limiter, one, now) == 1

    def test_if_any_quota_is_full_none_is_counted_and_it_says_which(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Whether it comes first, last or in between."""
        full, other, third = charge(1, DAY), charge(2, HOUR), charge(2, DAY)
        now = at(MIDNIGHT)
        limiter.acquire([full], now)

        for charges in ([full, other, third], [other, full, third], [other, third, full]):
            verdict = limiter.acquire(charges, now)
            assert isinstance(verdict, Full)
            assert verdict.charge == full
        assert room(limiter, other, now) == 2
        assert room(limiter, third, now) == 2

    def test_now_is_epoch_seconds(self, limiter: RateLimiter, at: Callable[[float], float]) -> None:
        """With any fraction, and as a whole number too."""
        for now in (MIDNIGHT, int(MIDNIGHT), MIDNIGHT + 0.123456):
            one = charge(1, DAY)
            assert limiter.acquire([one], at(now)) is None
            assert limiter.acquire([one], at(now + 1)) is not None

    def test_no_charges_are_always_counted(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """An activity without a limit."""
        assert limiter.acquire([], at(MIDNIGHT)) is None
        assert limiter.acquire((), at(MIDNIGHT)) is None
        limiter.release([], at(MIDNIGHT))

    def test_when_several_quotas_are_full_the_one_with_the_longest_wait_is_named(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Asking again after a shorter wait would be refused again."""
        hour, day, minute = charge(1, HOUR), charge(1, DAY), charge(1, 60)
        now = at(MIDNIGHT)
        limiter.acquire([hour, day, minute], now)

        for charges in ([hour, day, minute], [day, minute, hour], [minute, hour, day]):
            assert limiter.acquire(charges, now) == Full(day, DAY)
        assert limiter.acquire([minute, hour, charge(1, DAY)], now) == Full(hour, HOUR)

    def test_the_longest_wait_may_be_that_of_the_shorter_window(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Seven minutes that have just begun last longer than a day that ends in four."""
        now = at(MIDNIGHT + DAY - 240)
        short, long = charge(1, 420), charge(1, DAY)
        limiter.acquire([short, long], now)

        for charges in ([short, long], [long, short]):
            assert limiter.acquire(charges, now) == Full(short, 420)

    @pytest.mark.parametrize(
        ("later", "wait"),
        [
            (0, HOUR),
            (0.001, HOUR),
            (0.5, HOUR),
            (1, HOUR - 1),
            (1800.25, 1800),
            (HOUR - 1.5, 2),
            (HOUR - 1, 1),
            (HOUR - 0.001, 1),
        ],
    )
    def test_retry_after_is_the_whole_number_of_seconds_at_least_1_until_its_window_ends(
        self, limiter: RateLimiter, at: Callable[[float], float], later: float, wait: int
    ) -> None:
        """Rounded up: after that wait there is room."""
        one, now = charge(1, HOUR), at(MIDNIGHT + later)
        limiter.acquire([one], now)
        full = limiter.acquire([one], now)

        assert full == Full(one, wait)
        assert isinstance(full.retry_after, int)
        assert limiter.acquire([one], at(now + wait)) is None

    def test_a_refusal_changes_no_count(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Neither of what is full nor of what is not, however often it is repeated."""
        full, other, now = charge(2, DAY), charge(3, HOUR), at(MIDNIGHT)
        limiter.acquire([full, full, other], now)
        for _ in range(5):
            assert limiter.acquire([full, other], now) is not None
            assert limiter.acquire([other, full, other], now) is not None

        assert room(limiter, other, now) == 2
        limiter.release([full], now)
        assert room(limiter, full, now) == 1

    def test_a_refusal_leaves_no_key(
        self, limiter: RateLimiter, at: Callable[[float], float], size: Callable[[], int] | None
    ) -> None:
        """A stranger who is refused makes nothing grow."""
        if size is None:
            return
        full, now = charge(1, DAY), at(MIDNIGHT)
        limiter.acquire([full], now)
        before = size()
        for _ in range(5):
            limiter.acquire([charge(1, HOUR), full, charge(1, DAY)], now)
            twice = charge(1, DAY)
            limiter.acquire([twice, twice], now)

        assert size() == before

    def test_a_quota_that_was_changed_counts_at_once_against_what_was_charged_before(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """More room, and less."""
        key, now = uuid4().bytes, at(MIDNIGHT)

        def quota(amount: int) -> Charge:
            return charge(amount, DAY, key)

        assert room(limiter, quota(2), now) == 2
        assert room(limiter, quota(5), now) == 3
        assert limiter.acquire([quota(4)], now) == Full(quota(4), DAY)
        assert limiter.acquire([quota(1)], now) == Full(quota(1), DAY)
        assert room(limiter, quota(6), now) == 1

    def test_counts_are_there_when_it_is_opened_again(
        self,
        limiter: RateLimiter,
        at: Callable[[float], float],
        reopen: Callable[[], RateLimiter],
    ) -> None:
        """A restart grants nothing."""
        one, now = charge(3, DAY), at(MIDNIGHT)
        limiter.acquire([one, one], now)

        assert room(reopen(), one, now) == 1

    # -- release

    def test_release_gives_back_charges(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """All of them, and one of each."""
        one, other, now = charge(3, DAY), charge(3, HOUR), at(MIDNIGHT)
        for _ in range(3):
            limiter.acquire([one, other], now)
        limiter.release([one, other], now)

        assert room(limiter, one, now) == 1
        assert room(limiter, other, now) == 1

    def test_release_gives_back_a_key_that_comes_twice_twice(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """As it was charged."""
        one, now = charge(3, DAY), at(MIDNIGHT)
        limiter.acquire([one, one, one], now)
        limiter.release([one, one], now)

        assert room(limiter, one, now) == 2

    def test_release_gives_back_in_the_window_that_holds_now(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """What was charged in the window before or behind stays charged there."""
        one = charge(2, HOUR)
        limiter.acquire([one, one], at(MIDNIGHT))
        limiter.acquire([one, one], at(MIDNIGHT + HOUR))
        limiter.release([one], at(MIDNIGHT + HOUR))

        assert room(limiter, one, at(MIDNIGHT + HOUR - 1)) == 0
        assert room(limiter, one, at(MIDNIGHT + HOUR)) == 1
        limiter.release([one], at(MIDNIGHT + HOUR - 1))
        assert room(limiter, one, at(MIDNIGHT + HOUR)) == 0
        assert room(limiter, one, at(MIDNIGHT + HOUR - 1)) == 1

    def test_what_was_not_charged_is_not_given_back(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """No key saves up, and no other key is given anything."""
        never, once, other = charge(1, DAY), charge(2, DAY), charge(1, DAY)
        now = at(MIDNIGHT)
        limiter.acquire([once, other], now)
        for _ in range(3):
            limiter.release([never], now)
            limiter.release([once], now)

        assert room(limiter, never, now) == 1
        assert room(limiter, once, now) == 2
        assert room(limiter, other, now) == 0

    # -- taken

    def test_taken_returns_how_often_the_key_is_charged_in_the_window_that_holds_now(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Neither in the window before or behind, nor in those of another length."""
        one, other, hour = charge(3, DAY), charge(3, DAY), charge(5, HOUR)
        now = at(MIDNIGHT)
        assert limiter.taken(one, now) == 0
        limiter.acquire([one, one, other], now)
        limiter.acquire([hour], now)

        assert [limiter.taken(each, now) for each in (one, other, hour)] == [2, 1, 1]
        assert limiter.taken(charge(5, HOUR, one.key), now) == 0
        limiter.release([one], now)
        assert limiter.taken(one, now) == 1
        now = at(MIDNIGHT + HOUR)
        assert [limiter.taken(each, now) for each in (one, hour)] == [1, 0]
        now = at(MIDNIGHT + DAY)
        limiter.acquire([one, one, one], now)
        assert limiter.taken(one, now) == 3
        assert limiter.taken(one, at(MIDNIGHT + DAY - 1)) == 1

    def test_what_was_refused_is_not_taken(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """However often it was tried."""
        full, other, now = charge(1, DAY), charge(9, DAY), at(MIDNIGHT)
        limiter.acquire([full], now)
        for _ in range(3):
            limiter.acquire([other, full], now)

        assert [limiter.taken(each, now) for each in (full, other)] == [1, 0]

    def test_for_taken_the_amount_of_the_quota_does_not_matter(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """A quota may have been lowered below what was charged before."""
        one, now = charge(3, DAY), at(MIDNIGHT)
        limiter.acquire([one, one, one], now)

        for amount in (1, 3, 100):
            assert limiter.taken(charge(amount, DAY, one.key), now) == 3

    def test_taken_changes_no_count_and_leaves_no_key(
        self, limiter: RateLimiter, at: Callable[[float], float], size: Callable[[], int] | None
    ) -> None:
        """An operator who looks uses nothing up."""
        one, never, now = charge(2, DAY), charge(2, HOUR), at(MIDNIGHT)
        limiter.acquire([one], now)
        before = size() if size is not None else 0
        for _ in range(3):
            assert [limiter.taken(each, now) for each in (one, never)] == [1, 0]

        assert size is None or size() == before
        assert room(limiter, one, now) == 1
        assert room(limiter, never, now) == 2

    # -- forget

    def test_forget_removes_every_count_of_these_keys(
        self,
        limiter: RateLimiter,
        at: Callable[[float], float],
        reopen: Callable[[], RateLimiter],
    ) -> None:
        """Of any collection of them; other keys keep theirs."""
        one, other, kept, now = charge(2, DAY), charge(1, DAY), charge(1, DAY), at(MIDNIGHT)
        for forgotten in ([one.key, other.key], {one.key, other.key, uuid4().bytes}):
            limiter.acquire([one, one, other], now)
            limiter.acquire([kept], now)
            limiter.forget([])
            assert limiter.acquire([one], now) is not None
            limiter.forget(forgotten)

            assert room(reopen(), one, now) == 2
            assert room(limiter, other, now) == 1
            assert limiter.acquire([kept], now) is not None
            limiter.forget([one.key, other.key])

    def test_forget_leaves_no_key(
        self, limiter: RateLimiter, at: Callable[[float], float], size: Callable[[], int] | None
    ) -> None:
        """A person who was erased is not known by a counter of nothing."""
        if size is None:
            return
        one, other, now = charge(2, DAY), charge(1, HOUR), at(MIDNIGHT)
        before = size()
        limiter.acquire([one, one, other], now)
        assert size() == before + 2
        limiter.forget([one.key, other.key])

        assert size() == before

    def test_forget_removes_counts_in_every_window(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """Of every length, in this window and the one before."""
        key = uuid4().bytes
        windows = [charge(1, seconds, key) for seconds in (60, HOUR, DAY)]
        for now in (MIDNIGHT - DAY, MIDNIGHT):
            assert all(limiter.acquire([each], at(now)) is None for each in windows)
        limiter.forget([key])

        for now in (MIDNIGHT, MIDNIGHT - DAY, MIDNIGHT + DAY):
            assert all(limiter.acquire([each], at(now)) is None for each in windows)

    # -- common to all ports

    def test_methods_are_called_from_several_threads_at_once(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """They share one count: exactly the amount passes, whatever the interleaving."""
        now = at(MIDNIGHT)

        def thrice(one: Charge) -> list[Full | None]:
            return [limiter.acquire([one], now) for _ in range(3)]

        for _round in range(5):
            verdicts = together(16, partial(thrice, charge(10, DAY)))
            assert sum(each is None for some in verdicts for each in some) == 10

    def test_a_refusal_changes_no_count_while_other_threads_charge_either(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """While many are refused by the full one, the other loses none of its room."""
        full, other, now = charge(1, DAY), charge(5, HOUR), at(MIDNIGHT)
        limiter.acquire([full], now)
        together(8, lambda: limiter.acquire([other, full], now))

        assert room(limiter, other, now) == 5

    def test_threads_that_charge_and_release_lose_no_count(
        self, limiter: RateLimiter, at: Callable[[float], float]
    ) -> None:
        """What each gives back is what it took.

        Several times: what is lost of both may be as much, once.
        """
        now = at(MIDNIGHT)
        for one in (charge(90, DAY), charge(90, DAY), charge(90, DAY)):

            def take_two_give_one(one: Charge = one) -> None:
                for _ in range(3):
                    limiter.acquire([one, one], now)
                    limiter.release([one], now)

            together(8, take_two_give_one)

            assert room(limiter, one, now) == 90 - 8 * 3

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: RateLimiter | None, at: Callable[[float], float]
    ) -> None:
        """By every method."""
        if broken is not None:
            raises_backend_error(
                lambda: broken.acquire([charge(1, DAY)], at(MIDNIGHT)),
                lambda: broken.release([charge(1, DAY)], at(MIDNIGHT)),
                lambda: broken.taken(charge(1, DAY), at(MIDNIGHT)),
                lambda: broken.forget([uuid4().bytes]),
            )

    def test_a_bound_that_was_reached_is_raised_as_storage_full(
        self, full: RateLimiter | None, at: Callable[[float], float]
    ) -> None:
        """A new key is refused; it is never counted wrong."""
        if full is not None:
            raises_storage_full(lambda: full.acquire([charge(1, DAY)], at(MIDNIGHT)))
