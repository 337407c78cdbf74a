"""A year of a busy website on the file backend: what the console's figures are measured on.

The law of this file: the same size makes the same activities, on every machine; they are stored by
the ports alone; and a store that was made once is opened again, as long as its tables are the same.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from zlib import crc32

from ortto_capture import Attribute, Definition, Person
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.backends.tables import SCHEMA
from ortto_capture.model import Activity, Identifier

T = TypeVar("T")

#: Where stores are kept from one run to the next; without it each run makes its own.
CACHE = "ORTTO_CAPTURE_BENCH_DATA"

DAY = 86_400
#: 2026-11-25T15:20:00Z: the year ends in the middle of a day, as every year does that is looked at.
NOW = 1_795_620_000.0
START = NOW - 365 * DAY
#: Of activities, the n-th most frequent of them 1/n as often as the first.
KINDS = 50
#: Activities for each person, on average.
EACH = 10
#: People who are there when the year begins, of a hundred.
EARLY = 2
#: Rows in one transaction.
BATCH = 5_000

PLAN, PAGE, AMOUNT, TRIAL, NOTE = (
    "str:cm:plan",
    "str:cm:page",
    "int:cm:amount",
    "bol:cm:trial",
    "txt:cm:note",
)
PLANS = ("free",) * 5 + ("starter",) * 3 + ("team",) * 2 + ("business",)
WORDS = ("blue", "green", "summer", "winter", "small", "gift", "cotton", "linen", "wool", "shirt")

DEFINITIONS = tuple(
    Definition(
        f"act:cm:kind-{number:02}",
        f"Kind {number}",
        client_side=True,
        attributes=[Attribute(key) for key in (PLAN, PAGE, AMOUNT, TRIAL, NOTE)],
    )
    for number in range(1, KINDS + 1)
)
IDS = tuple(each.id for each in DEFINITIONS)
#: The most frequent one: more than a fifth of all.
TOP = IDS[0]


def people(size: int) -> Iterator[Person]:
    """A tenth as many as activities, in the order in which they come."""
    number_of = max(1, size // EACH)
    for number in range(number_of):
        since = max(0.0, (number / number_of * 100 - EARLY) / (100 - EARLY))
        address = Identifier("email", f"visitor{number}@emaildomain.com")
        yield Person(
            person_id(number), (address,), None, None, "claimed", START + since * 365 * DAY
        )


def person_id(number: int) -> str:
    """As long as real ones, and in an order of their own."""
    return f"{crc32(b'%d' % number):08x}{number:014x}"


def activities(size: int) -> Iterator[Activity]:
    """So many, in the order in which they are received; a few of people, many of the heaviest."""
    chance = Random(size)
    frequent = list(accumulate(1 / rank for rank in range(1, KINDS + 1)))
    number_of = max(1, size // EACH)
    for number in range(size):
        received = START + (number + chance.random()) / size * 365 * DAY
        # One of twenty is late, by an hour on average: the page was closed before it was sent.
        late = chance.expovariate(1 / 3_600) if chance.random() < 0.05 else 0.0
        arrived = max(1, int(number_of * (EARLY + (100 - EARLY) * number / size) / 100))
        who = int(arrived * chance.random() ** 2.5)
        attributes: dict[str, Any] = {
            PLAN: chance.choice(PLANS),
            PAGE: f"/p/{int(400 * chance.random() ** 2)}",
            AMOUNT: int(chance.lognormvariate(7, 1)),
            TRIAL: chance.random() < 0.2,
        }
        if chance.random() < 0.5:
            attributes[NOTE] = " ".join(chance.choices(WORDS, k=4))
        yield Activity(
            f"3f0c2a0e-7d7f-4e0b-9b53-{number:012x}",
            IDS[bisect(frequent, chance.random() * frequent[-1])],
            person_id(who),
            attributes,
            "site",
            "verified" if chance.random() < 0.1 else "claimed",
            round(max(START, received - late), 3),
            round(received, 3),
            False,
        )


def build(directory: Path, size: int) -> None:
    """Store the whole year below ``directory``, which has none yet."""
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    with open_file(f"{unfinished}?durability=os") as backends:
        backends.definitions.declare(DEFINITIONS)
        _store(backends, backends.people.save, people(size))
        _store(backends, backends.journal.append, activities(size))
    unfinished.rename(directory)


def _store(backends: FileBackends, save: Callable[[T], object], values: Iterator[T]) -> None:
    while some := list(islice(values, BATCH)):

        def decide(some: list[T] = some) -> None:
            for each in some:
                save(each)

        backends.atomically(decide)


@contextmanager
def cache() -> Iterator[Path]:
    """The directory that holds the stores: that of the environment, or one for this run."""
    if CACHE in os.environ:
        yield Path(os.environ[CACHE])
    else:
        with TemporaryDirectory() as name:
            yield Path(name)


def year(place: Path, size: int) -> Path:
    """The directory of a store of that size below ``place``, made when it is not there."""
    directory = place / f"year-{size}-{crc32(SCHEMA.encode()):08x}"
    if not directory.exists():
        place.mkdir(parents=True, exist_ok=True)
        build(directory, size)
    return directory


if __name__ == "__main__":
    sys.stdout.write(f"{year(Path(os.environ[CACHE]), int(float(sys.argv[1])))}\n")
