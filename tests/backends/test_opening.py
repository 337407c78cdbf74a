"""Addresses of backends, and who closes what."""

from __future__ import annotations

import pytest

from ortto_capture import Backends, ConfigurationError, open_backends

closed: list[str] = []


class Counted(Backends):
    """Backends that know how often they were closed."""

    def close(self) -> None:
        closed.append("closed")


def build() -> Backends:
    """A factory as a project would have it."""
    memory = open_backends("memory:")
    return Counted(
        definitions=memory.definitions,
        people=memory.people,
        limiter=memory.limiter,
        journal=memory.journal,
    )


def wrong() -> str:
    """A factory that is none."""
    return "not backends"


def test_a_factory_is_opened_by_its_address_and_closed_with_its_block() -> None:
    with open_backends(f"{__name__}:build") as backends:
        assert backends.journal.latest() == []
        assert closed == []

    assert closed == ["closed"]


def test_memory_needs_no_closing() -> None:
    with open_backends("memory:") as backends:
        backends.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no address"),
        ("memory", "no address"),
        ("mem ory:x", "no address"),
        ("module:", "no address"),
        ("no_such_module:build", "cannot be imported"),
        (f"{__name__}:no_such_factory", "cannot be imported"),
        (f"{__name__}:wrong", "returned str"),
    ],
)
def test_an_address_that_leads_nowhere_says_why(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_backends(url)
