"""Any storage of the ``limits`` package behind the rate limiter port, as well as it can be done.

The law of this file: it never grants more than a quota, and where the storage cannot keep another
promise of the port it says so here. Nothing of ``limits``' own key building or strategies is used:
its keys let different parts meet, and its windows begin with the first hit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from math import floor
from time import time
from typing import Any

from limits.errors import ConfigurationError as StorageMisconfigured
from limits.errors import StorageError
from limits.storage import MemcachedStorage, MemoryStorage, Storage, storage_from_string

from ..errors import BackendError, ConfigurationError
from ..limiting import longest_wait, seconds_left
from ..locks import fork_safe_lock
from ..model import Charge, Full

#: Counters live this much longer than their window, in seconds, for servers whose clocks differ.
GRACE = 60
#: A server that does not answer within this many seconds is away; left alone, the drivers of Redis
#: and Valkey would wait for 5, MongoDB's for 30, and memcached's for ever.
TIMEOUT = 0.25
_REDIS = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
_TIMEOUTS: dict[str, dict[str, float]] = {
    "redis": _REDIS,
    "valkey": _REDIS,
    "memcached": {"timeout": TIMEOUT, "connect_timeout": TIMEOUT},
    "mongodb": dict.fromkeys(
        ("serverSelectionTimeoutMS", "connectTimeoutMS", "socketTimeoutMS"), TIMEOUT * 1000
    ),
}
#: Beyond this many seconds memcached reads an expiry as a date (its protocol.txt, "Expiration
#: times"), and a date in 1970 means that nothing is kept: the quota would never fill.
MEMCACHED_LONGEST = 30 * 86_400


class LimitsRateLimiter:
    """Counts in Redis, memcached, MongoDB or whatever else ``limits`` can reach. Best effort.

    It promises never to charge a key beyond its quota while the storage keeps what it was given,
    and to charge all or none of several when no other caller charges them at the same moment. It
    cannot promise these sentences of the port:

    - *in one window a key is never charged more than quota.amount times*: a storage that evicts
      keys, restarts empty or fails over to a replica that lags has forgotten what was charged.
    - *A refusal changes no count and leaves no key*: when two callers race for the last place, the
      loser's charges are counted and given back, so a third may be refused meanwhile, and the keys
      stay, at 0, until they expire. A storage that cannot count down (memcached) wastes them.
    - *Remove every count of these keys, in every window*: only windows of a day, an hour, and of
      the lengths that this object has charged are looked for.

    :param storage: a URI of ``limits`` such as ``redis://localhost:6379``, or a storage.
    :param options: for the storage, when it is given as a URI.
    :raises ConfigurationError: when the URI is not known, or its driver is not installed.
    """

    def __init__(self, storage: str | Storage, **options: Any) -> None:
        if isinstance(storage, str):
            storage = _open(storage, options)
        self._storage = storage
        # The locking of the memory storage lets two threads count as one.
        self._lock: AbstractContextManager[Any] = (
            fork_safe_lock() if isinstance(storage, MemoryStorage) else nullcontext()
        )
        #: Lengths of the windows that are charged, in seconds.
        self._windows = {3_600, 86_400}
        # memcached's driver lets the operating system's own errors through. What the storage names
        # may be a tuple, and `except` takes one within another.
        self._faults: Any = (StorageError, OSError, storage.base_exceptions)

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        with self._lock, self._wrapped():
            full = [each for each in charges if self._count(each, now) >= each.quota.amount]
            if not full:
                for taken, charge in enumerate(charges, start=1):
                    if self._add(charge, now, 1) > charge.quota.amount:
                        full = [charge]
                        self._give_back(charges[:taken], now)
                        break
        return longest_wait(full, now) if full else None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        with self._lock, self._wrapped():
            self._give_back(charges, now)

    def taken(self, charge: Charge, now: float) -> int:
        with self._lock, self._wrapped():
            return max(0, self._count(charge, now))

    def forget(self, keys: Collection[bytes]) -> None:
        now = time()
        with self._lock, self._wrapped():
            for seconds in self._windows:
                # A counter outlives its window by a minute.
                for slot in (floor(now / seconds) - 1, floor(now / seconds)):
                    for key in keys:
                        self._storage.clear(_name(seconds, slot, key))

    def ping(self) -> None:
        with self._wrapped():
            answers = self._storage.check()
        if not answers:
            raise BackendError("the rate limiter's storage does not answer")

    def _count(self, charge: Charge, now: float) -> int:
        return self._storage.get(_key(charge, now))

    def _add(self, charge: Charge, now: float, amount: int) -> int:
        self._windows.add(charge.quota.seconds)
        expiry = seconds_left(charge.quota.seconds, now) + GRACE
        if expiry > MEMCACHED_LONGEST and isinstance(self._storage, MemcachedStorage):
            expiry += floor(now)
        return self._storage.incr(_key(charge, now), expiry, amount)

    def _give_back(self, charges: Sequence[Charge], now: float) -> None:
        for charge in charges:
            if self._count(charge, now) > 0:
                # A storage that cannot count down says so by raising. The charge is wasted then;
                # a refusal that became a fault instead would be decided by on_limiter_error.
                with suppress(*self._faults):
                    self._add(charge, now, -1)

    @contextmanager
    def _wrapped(self) -> Iterator[None]:
        try:
            yield
        except self._faults as error:
            raise BackendError("the rate limiter's storage failed") from error


def _key(charge: Charge, now: float) -> str:
    seconds = charge.quota.seconds
    return _name(seconds, floor(now / seconds), charge.key)


def _name(seconds: int, slot: int, key: bytes) -> str:
    # Hex and digits only: no part can run into the next, whatever the storage does with it. The 1
    # is this layout's version, so that another never meets keys of a kind it does not know.
    return f"oc:1:{seconds}:{slot}:{key.hex()}"


def _open(uri: str, options: dict[str, Any]) -> Storage:
    scheme = uri.partition("://")[0]
    for server, defaults in _TIMEOUTS.items():
        if scheme.startswith(server):
            options = defaults | options
    try:
        storage = storage_from_string(uri, **options)
    except StorageMisconfigured as error:
        remedy = "for Redis, pip install 'ortto-capture[redis]' brings its driver"
        raise ConfigurationError("limiter", f"{error}; {remedy}") from error
    if not isinstance(storage, Storage):
        raise ConfigurationError("limiter", "give a synchronous storage, not an async+ one")
    return storage
