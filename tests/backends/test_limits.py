"""The adapter for the ``limits`` package, beyond the contract."""

from __future__ import annotations

import socket
import time
from math import ceil
from uuid import uuid4

import pytest
from limits.storage import MemcachedStorage, MemoryStorage

from ortto_capture import BackendError, ConfigurationError
from ortto_capture.backends.limits import LimitsRateLimiter
from ortto_capture.model import Charge, Quota
from ortto_capture.ports import Pingable

NOW = 1_795_392_000.0


def charge() -> Charge:
    return Charge(uuid4().bytes, Quota(1, 60))


@pytest.fixture
def dead_port() -> int:
    """A port that no server listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_storage_that_answers_is_healthy(valkey_url: str) -> None:
    for limiter in (LimitsRateLimiter("memory://"), LimitsRateLimiter(valkey_url)):
        assert isinstance(limiter, Pingable)
        limiter.ping()


def test_a_storage_that_is_away_raises_backend_error_with_the_drivers_cause(dead_port: int) -> None:
    limiter = LimitsRateLimiter(f"redis://127.0.0.1:{dead_port}")

    for call in (limiter.acquire, limiter.release):
        with pytest.raises(BackendError) as failed:
            call([charge()], NOW)
        assert type(failed.value.__cause__).__module__.startswith("redis")
    with pytest.raises(BackendError):
        limiter.ping()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_a_server_that_accepts_and_never_answers_is_given_up_on(scheme: str) -> None:
    """Within the time-out: a visitor must not wait for the driver's own five seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limiter = LimitsRateLimiter(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        before = time.monotonic()
        with pytest.raises(BackendError):
            limiter.acquire([charge()], NOW)
        assert time.monotonic() - before < 2.5


def test_options_reach_the_storage_and_come_before_our_own(valkey_url: str) -> None:
    one = charge()
    for prefix in ("mine", "yours"):
        limiter = LimitsRateLimiter(valkey_url, socket_timeout=30, key_prefix=prefix)
        assert limiter.acquire([one], NOW) is None, "each prefix counts apart"


@pytest.mark.parametrize("uri", ["nonsense://", "async+memory://"])
def test_an_address_that_cannot_be_opened_is_a_configuration_error(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="limiter"):
        LimitsRateLimiter(uri)


class Racing(MemoryStorage):
    """Another process takes the last place between the look and the count."""

    def __init__(self) -> None:
        super().__init__()
        self.raced = False

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        if amount > 0 and ":60:" in key and not self.raced:
            self.raced = True
            super().incr(key, expiry, 1)
        return super().incr(key, expiry, amount)


class RacingUpwards(Racing):
    """The same, and it cannot count down."""

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        if amount < 0:
            raise ValueError("upwards only")
        return super().incr(key, expiry, amount)


def test_the_loser_of_a_race_is_refused_even_where_nothing_can_be_given_back() -> None:
    """A fault instead would be decided by ``on_limiter_error``, which may let it pass."""
    limiter, contested = LimitsRateLimiter(RacingUpwards()), charge()

    refusal = limiter.acquire([contested], NOW)

    assert refusal is not None
    assert refusal.charge == contested


def test_the_loser_of_a_race_for_the_last_place_gives_everything_back() -> None:
    limiter = LimitsRateLimiter(Racing())
    first, contested = Charge(uuid4().bytes, Quota(1, 3600)), charge()

    refusal = limiter.acquire([first, contested], NOW)

    assert refusal is not None
    assert refusal.charge == contested
    assert limiter.acquire([first], NOW) is None
    assert limiter.acquire([contested], NOW) is not None, "the winner's charge stands"


class Memcached(MemcachedStorage):
    """memcached's rules without its server and driver; checked against 1.6.18 by hand."""

    STORAGE_SCHEME = None  # type: ignore[assignment]  # not to be found by an address

    def __init__(self) -> None:
        self.wrap_exceptions = False
        self.kept: dict[str, tuple[int, float]] = {}
        self.time = NOW

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def get(self, key: str) -> int:
        count, ends = self.kept.get(key, (0, 0.0))
        return count if ends > self.time else 0

    def incr(
        self, key: str, expiry: float, amount: int = 1, set_expiration_key: bool = True
    ) -> int:
        if amount < 0:
            raise ValueError("invalid numeric delta argument")
        ends = expiry if expiry > 30 * 86_400 else self.time + expiry
        count = self.get(key)
        self.kept[key] = (count + amount, self.kept[key][1] if count else ceil(ends))
        return count + amount


@pytest.mark.parametrize("days", [1, 30, 365])
def test_memcached_keeps_counts_of_long_windows(days: int) -> None:
    """It takes more than 30 days for a date, and would forget the count at once."""
    storage = Memcached()
    limiter = LimitsRateLimiter(storage)
    seconds = days * 86_400
    one = Charge(uuid4().bytes, Quota(1, seconds))
    start = NOW // seconds * seconds
    storage.time = start

    assert limiter.acquire([one], start) is None
    assert limiter.acquire([one], start) is not None
    storage.time = start + seconds - 1
    assert limiter.acquire([one], storage.time) is not None


def test_a_storage_that_cannot_count_down_wastes_charges_and_grants_none() -> None:
    limiter = LimitsRateLimiter(Memcached())
    one = charge()
    limiter.acquire([one], NOW)

    limiter.release([one], NOW)

    assert limiter.acquire([one], NOW) is not None


class Refusing(MemoryStorage):
    """Fails as memcached's driver does without a server: with an error that is not its own."""

    def get(self, key: str) -> int:
        raise ConnectionRefusedError


def test_errors_of_the_operating_system_are_backend_errors() -> None:
    limiter = LimitsRateLimiter(Refusing())

    for call in (limiter.acquire, limiter.release):
        with pytest.raises(BackendError) as failed:
            call([charge()], NOW)
        assert isinstance(failed.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("seconds", [60, 3_600, 86_400])
def test_what_is_forgotten_was_never_charged(seconds: int) -> None:
    """A window of any length that this process has charged."""
    limiter = LimitsRateLimiter("memory://")
    now = time.time()
    one, other = (Charge(uuid4().bytes, Quota(1, seconds)) for _ in range(2))
    limiter.acquire([one, other], now)

    limiter.forget([one.key])

    assert limiter.acquire([one], now) is None
    assert limiter.acquire([other], now) is not None
