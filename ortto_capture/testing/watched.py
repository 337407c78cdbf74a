"""What came, seen from outside: each request with what became of it, and who was told.

The law of this file: it looks at an attempt and changes nothing of it. Subscribers are called as in
production, except that the thread that records waits for them.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple

from ..identity import Identity
from ..model import Captured, Outcome
from ..pipeline import Attempt, Pipeline
from ..subscribers import AT_EXIT, Subscribers
from ..wire import ActivityRequest, TrackRequest


class Came(NamedTuple):
    """One request that came, and what became of it.

    :param request: None when it could not be read.
    :param captured: what the activity became, when it was taken.
    :param error: what refused it.
    """

    route: str
    request: ActivityRequest | TrackRequest | None
    outcome: Outcome | None
    captured: Captured | None
    error: BaseException | None

    @property
    def activity_id(self) -> str | None:
        """The activity that was reported; None for a ``track``."""
        return self.request.activity_id if isinstance(self.request, ActivityRequest) else None


def is_value(value: Any, wanted: Any) -> bool:
    """Whether an attribute is what a test wants: by ``==``, except that True is not 1."""
    if isinstance(value, bool) != isinstance(wanted, bool) and type(wanted) in (bool, int, float):
        return False
    return bool(value == wanted)


class Watched(Attempt):
    """An attempt that tells what became of it."""

    __slots__ = ("_captured", "_tell")

    def __init__(self, pipeline: Pipeline, route: str, tell: Callable[[Came], None]) -> None:
        super().__init__(pipeline, route)
        self._tell = tell
        self._captured: Captured | None = None

    def record(self, request: ActivityRequest, **how: Any) -> Captured:
        """As :meth:`Attempt.record`."""
        self._captured = super().record(request, **how)
        return self._captured

    def record_for(
        self, request: ActivityRequest, identity: Identity | None, at: float | None
    ) -> Captured:
        """As :meth:`Attempt.record_for`."""
        self._captured = super().record_for(request, identity, at)
        return self._captured

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._tell(Came(self._route, self._request, self._outcome, self._captured, error))


class WaitedFor(Subscribers):
    """Subscribers that are done when the activity is recorded, so that a test can look at once.

    They are called in a thread of their own, as in production: what belongs to the thread of a
    request is not there.
    """

    def take_over(self, others: Subscribers) -> None:
        """Tell also those that an app has added to its own ``Capture``.

        Integrations follow the one that is in place by themselves.
        """
        for subscriber, activity in others._all:  # noqa: SLF001  # of our base class
            module = str(getattr(subscriber, "func", subscriber).__module__)
            if not module.startswith("ortto_capture.contrib."):
                self.add(subscriber, activity)

    def tell(self, captured: Captured) -> None:
        """Call whom this concerns, and wait until they are done."""
        if self._wanted(captured):
            calls = Thread(target=self.tell_now, args=(captured,), daemon=True)
            calls.start()
            # One that waits for what this thread does next is not waited for.
            calls.join(AT_EXIT)
