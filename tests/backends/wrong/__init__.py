"""Backends with one mistake each, by port: tables for ``test_wrong_backends``.

The law of this package: a mistake is one method of a right backend (``dicts``) replaced, and a
plausible one: what a database compares loosely, a boundary missed by one, a lock left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unicodedata import normalize

from ortto_capture.errors import BackendError

from ..dicts import DictPort


class Mistake(NamedTuple):
    """What is wrong, part of the name of a test that fails, and the methods that are replaced."""

    right: type
    says: str
    caught_by: str
    methods: dict[str, Any]


def wrong(right: type, says: str, caught_by: str, **methods: Any) -> Mistake:
    return Mistake(right, says, caught_by, methods)


#: How media compare and keep strings loosely.
LOOSELY: dict[str, Callable[[str], str]] = {
    "without case": str.lower,
    "composed": lambda text: normalize("NFC", text),
    "by look": lambda text: normalize("NFKC", text),
    "trimmed": str.strip,
    "cut at 255 characters": lambda text: text[:255],
    "cut at 255 bytes": lambda text: text.encode(errors="replace")[:255].decode(errors="ignore"),
    "as ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "as numbers": lambda text: text.removesuffix(".0").lstrip("0"),
}


@contextmanager
def unlocked(self: DictPort) -> Iterator[None]:
    yield


def lets_others_in(self: DictPort) -> None:
    time.sleep(0.0005)


@contextmanager
def unguarded(self: DictPort) -> Iterator[None]:
    with self.lock:
        self.drive()
        yield


def fails_without_cause(self: DictPort, error: OSError) -> None:
    raise BackendError("the medium is away") from None


@contextmanager
def answers_nothing(self: DictPort) -> Iterator[None]:
    with self.lock:
        yield


def forgets(self: DictPort) -> DictPort:
    return type(self)()


def says_it_is_away(self: DictPort) -> None:
    if self.medium.full:
        raise BackendError("the medium is full")


def leaking(right: type, method: str) -> Callable[..., Any]:
    """The same method, which lets the driver's exception out."""

    def leak(self: DictPort, *given: Any) -> Any:
        self.drive()
        return getattr(right, method)(self, *given)

    return leak


def common(right: type, *methods: str) -> list[Mistake]:
    """What can be wrong with any of them, or with one of these methods."""
    caught_by = "a_fault_is_raised"
    return [
        wrong(right, "lets the driver's exceptions out", caught_by, use=unguarded),
        wrong(right, "hides the cause", caught_by, fail=fails_without_cause),
        wrong(right, "is never away", caught_by, use=answers_nothing),
        *[
            wrong(right, f"lets them out of {each}", caught_by, **{each: leaking(right, each)})
            for each in methods
        ],
    ]
