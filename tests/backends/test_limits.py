"""The adapter for the ``limits`` package, beyond the contract."""

from __future__ import annotations

import socket
from uuid import uuid4

import pytest
from limits.storage import MemoryStorage

from ortto_capture import BackendError, Charge, ConfigurationError, InProcess, Pingable, Quota
from ortto_capture.backends.limits import LimitsRateLimiter

NOW = 1_795_392_000.0


def charge() -> Charge:
    return Charge(uuid4().bytes, Quota(1, 60))


@pytest.fixture
def dead_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_only_memory_is_in_process(valkey_url: str) -> None:
    assert isinstance(LimitsRateLimiter(Racing()), InProcess)
    assert not isinstance(LimitsRateLimiter(valkey_url), InProcess)


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


def test_a_server_that_accepts_and_never_answers_is_given_up_on() -> None:
    """Within the time-out: a visitor must not wait for redis-py's own five seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limiter = LimitsRateLimiter(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(BackendError):
            limiter.acquire([charge()], NOW)


@pytest.mark.parametrize("uri", ["nonsense://", "async+memory://"])
def test_an_address_that_cannot_be_opened_is_a_configuration_error(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="limiter"):
        LimitsRateLimiter(uri)


class Racing(MemoryStorage):
    """Somebody else takes the last place between the look and the count."""

    def __init__(self) -> None:
        super().__init__()
        self.raced = False

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        if amount > 0 and ":60:" in key and not self.raced:
            self.raced = True
            super().incr(key, expiry, 1)
        return super().incr(key, expiry, amount)


def test_who_loses_a_race_for_the_last_place_gives_everything_back() -> None:
    limiter = LimitsRateLimiter(Racing())
    first, contested = Charge(uuid4().bytes, Quota(1, 3600)), charge()

    refusal = limiter.acquire([first, contested], NOW)

    assert refusal is not None
    assert refusal.charge == contested
    assert limiter.acquire([first], NOW) is None
    assert limiter.acquire([contested], NOW) is not None, "the winner's charge stands"
