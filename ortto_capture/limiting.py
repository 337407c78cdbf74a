"""Counting in this process, and what to do when a shared counter is away.

The law of this file: no I/O and no timer threads. Counting is exact under threads, both-or-neither,
and bounded; a fault may waste a charge but never grants one beyond what the policy says.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from itertools import product
from math import ceil, floor
from typing import Literal

from .errors import BackendError, StorageFull
from .locks import fork_safe_lock
from .model import Charge, Full
from .ports import RateLimiter

_log = logging.getLogger("ortto_capture")


class FixedWindows:
    """The counts of one process: ``{seconds: {slot: {key: count}}}`` under one lock.

    Windows are dropped whole, when a new one begins and they are older than the one before it: the
    one before stays, so that a clock set back by a little still finds its counts.

    :param capacity: keys at most; one more is refused as :class:`StorageFull`, never counted wrong.
        134 bytes each, measured by ``scripts/bench``.
    """

    def __init__(self, capacity: int = 500_000) -> None:
        self.capacity = capacity
        self._windows: dict[int, dict[int, dict[bytes, int]]] = {}
        self._lock = fork_safe_lock()
        self._keys = 0

    def __len__(self) -> int:
        """How many keys are held."""
        return self._keys

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        with self._lock:
            for taken, (key, (amount, seconds)) in enumerate(charges):
                counts = self._counts(seconds, now)
                count = counts.get(key, 0)
                if count >= amount or (
                    not count and self._keys >= self.capacity and not self._make_room(now)
                ):
                    self._give_back(charges[:taken], now)
                    full = [each for each in charges if self._is_full(each, now)]
                    if not full and not count:
                        raise StorageFull(
                            f"the rate limiter holds {self.capacity} keys, as many as may be: "
                            "people and addresses not seen in this window wait until it ends; "
                            "raise FixedWindows(capacity=...)"
                        )
                    # A key charged twice may be full only together with its own first charge.
                    return longest_wait(full or charges, now)
                if not count:
                    self._keys += 1
                counts[key] = count + 1
        return None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        with self._lock:
            self._give_back(charges, now)

    def taken(self, charge: Charge, now: float) -> int:
        key, (_, seconds) = charge
        with self._lock:
            return self._windows.get(seconds, {}).get(floor(now / seconds), {}).get(key, 0)

    def forget(self, keys: Collection[bytes]) -> None:
        with self._lock:
            for slots in self._windows.values():
                for counts, key in product(slots.values(), keys):
                    if counts.pop(key, None) is not None:
                        self._keys -= 1

    def _counts(self, seconds: int, now: float) -> dict[bytes, int]:
        """The counts of the window that holds ``now``."""
        slot = floor(now / seconds)
        try:
            return self._windows[seconds][slot]
        except KeyError:
            self._drop_ended(now, spared=1)
            slots = self._windows.setdefault(seconds, {})
            slots[slot] = {}
            return slots[slot]

    def _is_full(self, charge: Charge, now: float) -> bool:
        return self._counts(charge.quota.seconds, now).get(charge.key, 0) >= charge.quota.amount

    def _drop_ended(self, now: float, spared: int) -> None:
        """Drop the windows that have ended, but so many of each length."""
        for seconds, slots in self._windows.items():
            for slot in [each for each in slots if each + spared < floor(now / seconds)]:
                self._keys -= len(slots.pop(slot))

    def _make_room(self, now: float) -> bool:
        """Drop every window that has ended; say whether that made room."""
        self._drop_ended(now, spared=0)
        return self._keys < self.capacity

    def _give_back(self, charges: Sequence[Charge], now: float) -> None:
        for key, quota in charges:
            counts = self._counts(quota.seconds, now)
            count = counts.get(key, 0)
            if count > 1:
                counts[key] = count - 1
            elif count:
                del counts[key]
                self._keys -= 1


def longest_wait(full: Sequence[Charge], now: float) -> Full:
    """The refusal for several full quotas: it names the one whose window ends last."""
    charge = max(full, key=lambda each: seconds_left(each.quota.seconds, now))
    return Full(charge, seconds_left(charge.quota.seconds, now))


def seconds_left(seconds: int, now: float) -> int:
    """Whole seconds, at least 1, until the window of ``seconds`` that holds ``now`` ends."""
    return max(1, ceil((floor(now / seconds) + 1) * seconds - now))


class GuardedLimiter:
    """A limiter that may be away, behind a circuit breaker.

    After 3 failures in a row it is left alone for 1 s, then 2 s, … at most 30 s: a backend that
    takes its 250 ms to fail must not cost every visitor 250 ms.

    :param policy: what happens meanwhile: ``local`` counts in this process with the same limits,
        ``open`` lets everything pass, ``closed`` raises the backend's error.
    """

    FAILURES = 3
    LONGEST = 30.0

    def __init__(
        self, limiter: RateLimiter, policy: Literal["local", "open", "closed"] = "local"
    ) -> None:
        self._limiter = limiter
        self._policy = policy
        self._local = FixedWindows()
        #: Failures in a row, and when to ask again after too many of them.
        self._failures = 0
        self._retry_at = 0.0
        #: What each thread's last charges were counted by: it alone gives them back.
        self._counted = threading.local()

    @property
    def away(self) -> bool:
        """Whether the backend's last answer was an error: charges are counted by the policy."""
        return self._failures > 0

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        """Count every charge or none, in the backend or, while it is away, by the policy."""
        self._counted.by = self._limiter
        # A clock that was set back must not leave it alone for long.
        if self._failures < self.FAILURES or not 0 < self._retry_at - now <= self.LONGEST:
            try:
                full = self._limiter.acquire(charges, now)
            except StorageFull:
                raise
            except BackendError as error:
                self._failed(error, now)
                if self._policy == "closed":
                    raise
            else:
                if self._failures:
                    self._failures = 0
                    _log.warning("the rate limiter answers again", extra={"event": "limiter-back"})
                return full
        elif self._policy == "closed":
            raise BackendError("the rate limiter is away")
        self._counted.by = self._local
        return self._local.acquire(charges, now) if self._policy == "local" else None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        """Give back charges where they were counted; one that cannot be given back is wasted."""
        try:
            getattr(self._counted, "by", self._limiter).release(charges, now)
        except BackendError as error:
            self._failed(error, now)

    def taken(self, charge: Charge, now: float) -> int:
        """Return the backend's count or, while it is away, what the policy counts by."""
        if not self.away:
            return self._limiter.taken(charge, now)
        if self._policy == "closed":
            raise BackendError("the rate limiter is away")
        return self._local.taken(charge, now)

    def forget(self, keys: Collection[bytes]) -> None:
        """Remove every count of these keys, in the backend and here; a fault is raised."""
        self._local.forget(keys)
        self._limiter.forget(keys)

    def _failed(self, error: BackendError, now: float) -> None:
        if not self._failures:
            _log.warning(
                "the rate limiter does not answer (%s); on_limiter_error=%r applies until it does",
                type(error.__cause__ or error).__name__,
                self._policy,
                extra={"event": "limiter-away"},
            )
        self._failures += 1
        # The first failures in a row put nothing off; from the tenth on the pause grows no more.
        pause = 2.0 ** (min(self._failures, 10) - self.FAILURES)
        self._retry_at = now + min(self.LONGEST, pause)
