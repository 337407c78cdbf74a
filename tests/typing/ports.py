"""Read by mypy, never run: who satisfies which port, and who does not.

Each ``type: ignore`` is a proof: mypy warns about one that hides nothing, so should a wrong backend
ever pass for a right one, the check fails.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ortto_capture import ports
from ortto_capture.backends.limits import LimitsRateLimiter
from ortto_capture.backends.memory import (
    MemoryBackends,
    MemoryDefinitions,
    MemoryDocuments,
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
)
from ortto_capture.limiting import FixedWindows
from ortto_capture.model import Charge, Definition, Full

definitions: ports.Definitions = MemoryDefinitions()
people: ports.People = MemoryPeople()
limiter: ports.RateLimiter = FixedWindows()
journal: ports.Journal = MemoryJournal()
outcomes: ports.Outcomes = MemoryOutcomes()
documents: ports.Documents = MemoryDocuments()
any_storage: ports.RateLimiter = LimitsRateLimiter("memory://")
can_be_away: ports.Pingable = LimitsRateLimiter("memory://")
together: ports.Backends = MemoryBackends()


class NeverFull:
    """A limiter written without importing anything of ours but the values."""

    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        return None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        return None

    def taken(self, charge: Charge, now: float) -> int:
        return 0

    def forget(self, keys: Collection[bytes]) -> None:
        return None


class ForgetsToSayWhichWasFull(NeverFull):
    def acquire(self, charges: Sequence[Charge], now: float) -> bool:  # type: ignore[override]
        return True


class CannotForget:
    def acquire(self, charges: Sequence[Charge], now: float) -> Full | None:
        return None

    def release(self, charges: Sequence[Charge], now: float) -> None:
        return None

    def taken(self, charge: Charge, now: float) -> int:
        return 0


class CannotListThem:
    def get(self, activity_id: str) -> Definition | None:
        return None


structural: ports.RateLimiter = NeverFull()
answers_wrongly: ports.RateLimiter = ForgetsToSayWhichWasFull()  # type: ignore[assignment]
cannot_erase: ports.RateLimiter = CannotForget()  # type: ignore[assignment]
lacks_methods: ports.Definitions = CannotListThem()  # type: ignore[assignment]
another_port: ports.People = MemoryDefinitions()  # type: ignore[assignment]
is_never_away: ports.Pingable = FixedWindows()  # type: ignore[assignment]
ports.Backends(
    definitions=MemoryDefinitions(),
    people=MemoryPeople(),
    limiter=MemoryJournal(),  # type: ignore[arg-type]
    journal=MemoryJournal(),
)
