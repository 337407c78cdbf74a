"""Counting in this process, and what to do when a shared counter is away.

The law of this file: no I/O and no timer threads. Counting is exact under threads, both-or-neither,
and bounded; a fault may waste a charge but never grants one beyond what the policy says.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
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
        self._warned = False
        self._keys = 0

    def __len__(self) -> int:
        """How many keys are held."""
        return self._keys

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        with self._lock:
            for taken, (key, (amount, seconds)) in enumerate(charges):
                counts = self._counts(seconds, now)
                count = counts.get(key, 0)
                if count >= amount:
                    self._give_back(charges[:taken], now)
                    return self._longest_wait(charges, now)
                if not count:
                    if self._keys >= self.capacity and not self._make_room(now):
                        self._give_back(charges[:taken], now)
                        if any(self._is_full(each, now) for each in charges):
                            return self._longest_wait(charges, now)
                        raise StorageFull("the rate limiter holds as many keys as it may")
                    self._keys += 1
                counts[key] = count + 1
        return None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        with self._lock:
            self._give_back(charges, now)

    def forget(self, keys: Collection[bytes]) -> None:
        with self._lock:
            for slots in self._windows.values():
                for counts in slots.values():
                    for key in keys:
                        if counts.pop(key, None) is not None:
                            self._keys -= 1

    def _counts(self, seconds: int, now: float) -> dict[bytes, int]:
        """The counts of the window that holds ``now``."""
        slot = floor(now / seconds)
        try:
            return self._windows[seconds][slot]
        except KeyError:
            slots = self._windows.setdefault(seconds, {})
            self._drop_before(slots, slot - 1)
            slots[slot] = {}
            return slots[slot]

    def _drop_before(self, slots: dict[int, dict[bytes, int]], first: int) -> None:
        for slot in [slot for slot in slots if slot < first]:
            self._keys -= len(slots.pop(slot))

    def _make_room(self, now: float) -> bool:
        """Drop every window that has ended; say whether that made room."""
        for seconds, slots in self._windows.items():
            self._drop_before(slots, floor(now / seconds))
        if self._keys < self.capacity:
            self._warned = False
            return True
        if not self._warned:
            self._warned = True
            _log.warning(
                "the rate limiter holds %d keys, as many as it may: activities of people and "
                "addresses not seen in this window get 503 until it ends; raise its capacity",
                self._keys,
            )
        return False

    def _give_back(self, charges: Sequence[Charge], now: float) -> None:
        for key, quota in charges:
            counts = self._counts(quota.seconds, now)
            count = counts.get(key, 0)
            if count > 1:
                counts[key] = count - 1
            elif count:
                del counts[key]
                self._keys -= 1

    def _is_full(self, charge: Charge, now: float) -> bool:
        return self._counts(charge.quota.seconds, now).get(charge.key, 0) >= charge.quota.amount

    def _longest_wait(self, charges: Sequence[Charge], now: float) -> Full:
        full = [charge for charge in charges if self._is_full(charge, now)]
        # A key charged twice in one call can be full only together with its own first charge.
        return longest_wait(full or charges, now)


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
        self._failures = 0
        self._retry_at = 0.0
        #: Where each thread's last charges were counted: they are given back there, or nowhere.
        self._counted = threading.local()
        #: The backend's last answer was an error; charges are counted by the policy.
        self.away = False

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        """Count every charge or none, in the backend or, while it is away, by the policy."""
        self._counted.here = False
        if not self.away or self._failures < self.FAILURES or self._due(now):
            try:
                full = self._limiter.acquire(charges, now)
            except StorageFull:
                raise
            except BackendError as error:
                self._failed(error, now)
                if self._policy == "closed":
                    raise
            else:
                if self.away:
                    self._failures = 0
                    self.away = False
                    _log.warning("the rate limiter answers again")
                return full
        elif self._policy == "closed":
            raise BackendError("the rate limiter is away")
        self._counted.here = True
        return self._local.acquire(charges, now) if self._policy == "local" else None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        """Give back charges where they were counted; one that cannot be given back is wasted."""
        if getattr(self._counted, "here", False):
            self._local.release(charges, now)
            return
        try:
            self._limiter.release(charges, now)
        except BackendError as error:
            self._failed(error, now)

    def forget(self, keys: Collection[bytes]) -> None:
        """Remove every count of these keys, in the backend and here; a fault is raised."""
        self._local.forget(keys)
        self._limiter.forget(keys)

    def _due(self, now: float) -> bool:
        # A clock that was set back must not keep the breaker open for long.
        return now >= self._retry_at or self._retry_at - now > self.LONGEST

    def _failed(self, error: BackendError, now: float) -> None:
        self._failures += 1
        beyond = min(max(0, self._failures - self.FAILURES), 5)
        self._retry_at = now + min(self.LONGEST, 2.0**beyond)
        if not self.away:
            self.away = True
            _log.warning(
                "the rate limiter does not answer (%s); on_limiter_error=%r applies until it does",
                type(error.__cause__ or error).__name__,
                self._policy,
            )
