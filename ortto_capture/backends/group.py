"""Decisions of several threads that are carried out together by one of them.

The law of this file: whoever asks gets exactly one answer, whatever becomes of the thread that
worked for it. Whoever comes first works at once, for everybody who comes meanwhile; nobody waits
for a thread that is not there. It knows nothing of what is decided, or where it is stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock, RLock, get_ident
from typing import Any, Generic, TypeVar

from ..errors import BackendError
from ..locks import fork_safe_lock

T = TypeVar("T")


class Job(Generic[T]):
    """One decision that somebody waits for, and what became of it."""

    __slots__ = ("decide", "done", "error", "leads", "ready", "value")
    value: T

    def __init__(self, decide: Callable[[], T]) -> None:
        self.decide = decide
        self.error: BaseException | None = None
        self.done = False
        #: Whether whoever asked is to work, for this and for all that wait.
        self.leads = False
        #: Released when there is something to do for whoever asked; None when they do not wait.
        self.ready: Lock | None = None

    def run(self) -> bool:
        """Decide; tell whether that went well."""
        self.error = None
        try:
            self.value = self.decide()
        except Exception as error:  # noqa: BLE001  # whoever asked gets it
            # Without this frame: it holds the job, which holds the error, whose traceback holds it.
            traceback = error.__traceback__
            self.error = error.with_traceback(traceback.tb_next if traceback else None)
        return self.error is None

    def finish(self, error: BaseException | None = None) -> None:
        """Let whoever asked have it; ``error`` takes the place of what became of it."""
        self.error = error or self.error
        self.done = True
        self.wake()

    def wake(self) -> None:
        """Let whoever asked go on, once."""
        if self.ready is not None and self.ready.locked():
            self.ready.release()


class Group:
    """The threads that ask, one of which works.

    :param turn: held by whoever works.
    :param work: runs and finishes these jobs and all it takes; False to be asked again.
    """

    def __init__(self, turn: RLock, work: Callable[[list[Job[Any]]], bool]) -> None:
        self._turn = turn
        self._work = work
        self._arriving = fork_safe_lock()
        self._waiting: deque[Job[Any]] = deque()
        self._led = False
        self._leader = 0

    def ask(self, decide: Callable[[], T]) -> T:
        """Return what ``decide`` returns, or raise what it raises, once it is carried out."""
        job = Job(decide)
        # A signal's handler may raise anywhere in here.
        try:
            with self._arriving:
                job.leads = not self._led
                self._led = True
                if not job.leads:
                    # Before anybody finds the job, who would find nothing to release.
                    job.ready = Lock()
                    job.ready.acquire()
                self._waiting.append(job)
            if job.ready is not None:
                job.ready.acquire()
            if job.leads:
                with self._turn:
                    self._lead()
        finally:
            if job.leads or not job.done:
                try:
                    self._leave(job)
                except BaseException:
                    self._leave(job)
                    raise
        if job.error is not None:
            try:
                raise job.error
            finally:
                # Else the error, whose traceback holds this frame, would be kept by it in a cycle.
                del job
        return job.value

    def leading(self) -> bool:
        """Whether this thread is the one that works."""
        return self._leader == get_ident()

    def __len__(self) -> int:
        """How many wait that nobody works on yet."""
        return len(self._waiting)

    def take(self, jobs: list[Job[Any]]) -> None:
        """Add those to ``jobs``, to be worked on now."""
        if self._waiting:
            with self._arriving:
                # Each is in one of the two at least, wherever this is interrupted.
                while self._waiting:
                    jobs.append(self._waiting[0])
                    self._waiting.popleft()

    def forget(self) -> None:
        """Leave everything to the parent's threads, in a child that was forked."""
        self._waiting.clear()
        self._led = False

    def _leave(self, job: Job[Any]) -> None:
        """Take the job out, and have the next who waits work, if anybody does."""
        with self._arriving:
            # Not there any more, but for an interrupted one: looking is cheaper than an exception.
            if job in self._waiting:
                self._waiting.remove(job)
            # Whoever was working may have been interrupted while taking it.
            while self._waiting and self._waiting[0].done:
                self._waiting.popleft()
            if job.leads:
                self._led = bool(self._waiting)
                if self._led:
                    first = self._waiting[0]
                    first.leads = True
                    first.wake()

    def _lead(self) -> None:
        jobs: list[Job[Any]] = []
        self._leader = get_ident()
        try:
            while not self._work(jobs):
                jobs = [each for each in jobs if not each.done]
        finally:
            self._leader = 0
            for job in jobs:
                if not job.done:
                    job.finish(BackendError("the thread that stored this was interrupted"))
                else:
                    job.wake()
