"""Cuts the power: rebuilds from a trace what a disk would hold, and opens that.

The law of this file: a disk keeps what was synced, bytes with their file and names with their
directory, and of everything else nothing, or any sectors it likes. Whatever it kept must open, and
hold all that was acknowledged before the cut.

``python -m tests.faults.powercut DIR SEED VARIANT``
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from .stage import (
    LOGIN,
    NOW,
    ROOMY,
    account,
    child,
    everything,
    files,
    finish,
    login,
    opened,
    program,
    redefine,
)
from .tracing import SYNCS, Call, attached, calls, trace_set

#: What a disk writes at once.
SECTOR = 512
GONE = "gone.away@emaildomain.com"


def life(directory: Path, variant: str, say: Callable[[str], None]) -> None:
    """What a store goes through; each step is said when it was acknowledged."""
    with account(directory, variant) as capture:
        say("stored opened")
        for version in range(3):
            redefine(files(capture), login(ROOMY, f"version {version}"))
            say(f"defined version {version}")
        for number in range(4):
            email = GONE if number == 1 else f"user-{number}@emaildomain.com"
            note = {"txt:cm:note": "x" * 1_300 * number}
            event = f"event-{number}"
            capture.record(None, LOGIN, note, event_id=event, person={"email": email})
            say(f"recorded {event}")
        say("erasing event-1")
        capture.erase(email=GONE)
        say("erased event-1")
        capture.record(None, LOGIN, event_id="event-4", person={"email": "last@emaildomain.com"})
        say("recorded event-4")
        files(capture).retain(NOW - 1, NOW - 1)
    # The end of the last process moves the log into the file: another life in which to be cut off.
    with account(directory, variant) as capture:
        capture.record(None, LOGIN, event_id="event-5", person={"email": "last@emaildomain.com"})
        say("recorded event-5")


class Node:
    """A file: what processes see of it, and what the disk has for certain."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = b""

    def write(self, data: bytes, offset: int) -> None:
        """Put ``data`` there."""
        if offset > len(self.content):
            self.content.extend(bytes(offset - len(self.content)))
        self.content[offset : offset + len(data)] = data

    def cut(self, rng: random.Random | None) -> bytes:
        """What is left: what was synced, or any mixture of sectors old and new."""
        if rng is None or bytes(self.content) == self.durable:
            return self.durable
        old, new = self.durable, bytes(self.content)
        length = rng.choice([len(old), len(new)])
        left = b"".join(
            rng.choice([old, new])[start : start + SECTOR].ljust(SECTOR, b"\0")
            for start in range(0, length, SECTOR)
        )
        return left[:length]


class Disk:
    """A directory, rebuilt call by call."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.names: dict[str, Node] = {}
        self.durable_names: dict[str, Node] = {}
        self.made = self.made_for_certain = False
        self._open: dict[str, Node] = {}
        self._offsets: dict[str, int] = {}

    def apply(self, call: Call) -> bool:
        """Do what ``call`` did; whether the disk has more for certain now."""
        if not call.worked:
            return False
        descriptor = call.arguments.partition("<")[0]
        node = self._open.get(descriptor)
        if call.name in SYNCS:
            return self._sync(call, node)
        if call.name == "openat":
            self._opened(call)
        elif call.name == "mkdir":
            self.made = self.made or call.names[0] == str(self.directory)
        elif call.name.startswith("rename"):
            old, new = (self._name(name) for name in call.names)
            self.names[new] = self.names.pop(old)
        elif call.name.startswith("unlink"):
            self.names.pop(self._name(call.names[0]), None)
        elif node is not None and self._inside(call.path):
            self._change(call, descriptor, node)
        return False

    def _sync(self, call: Call, node: Node | None) -> bool:
        if call.path == str(self.directory):
            self.durable_names = dict(self.names)
        elif call.path == str(self.directory.parent):
            self.made_for_certain = self.made
        elif node is not None and self._inside(call.path):
            node.durable = bytes(node.content)
        else:
            return False
        return True

    def _opened(self, call: Call) -> None:
        descriptor = call.result.partition("<")[0]
        name = str(self.directory / call.names[0])
        if not self._inside(name) or "O_DIRECTORY" in call.arguments:
            self._open.pop(descriptor, None)
            return
        node = self.names.setdefault(self._name(name), Node())
        if "O_TRUNC" in call.arguments:
            node.content.clear()
        self._open[descriptor] = node
        self._offsets[descriptor] = len(node.content) if "O_APPEND" in call.arguments else 0

    def _change(self, call: Call, descriptor: str, node: Node) -> None:
        numbers = [int(number) for number in re.findall(r", (\d+)", call.arguments[-40:])]
        if call.name == "ftruncate":
            del node.content[numbers[-1] :]
            node.content.extend(bytes(numbers[-1] - len(node.content)))
        elif call.name == "pwrite64":
            node.write(_bytes(call.names[0]), numbers[-1])
        elif call.name == "read":
            self._offsets[descriptor] += int(call.result)
        elif call.name == "write":
            data = _bytes(call.names[0])
            node.write(data, self._offsets[descriptor])
            self._offsets[descriptor] += len(data)
        else:
            raise AssertionError(f"what does {call.name} do?")

    def _inside(self, path: str) -> bool:
        return path.startswith(f"{self.directory}/") and not path.endswith("-shm")

    def _name(self, path: str) -> str:
        return str((self.directory / path).relative_to(self.directory))

    def cut(self, target: Path, rng: random.Random | None) -> None:
        """Write what is left into ``target``; by ``rng`` some of what is not certain as well."""
        shutil.rmtree(target, ignore_errors=True)
        if not self.made_for_certain:
            return
        target.mkdir(mode=0o700)
        left = dict(self.durable_names)
        if rng is not None:
            for name in sorted({*self.names, *left}):
                if self.names.get(name) is not left.get(name) and rng.random() < 0.5:
                    left.pop(name, None)
                    left |= {name: self.names[name]} if name in self.names else {}
        for name, node in left.items():
            (target / name).write_bytes(node.cut(rng))


_ESCAPES = {"n": 10, "t": 9, "r": 13, "v": 11, "f": 12, '"': 34, "\\": 92}
_ESCAPED = re.compile(rb'\\([0-7]{1,3}|[ntrvf"\\])')


def _bytes(quoted: str) -> bytes:
    """What strace wrote as a C string."""

    def plain(found: re.Match[bytes]) -> bytes:
        what = found[1].decode()
        return bytes([_ESCAPES[what] if what in _ESCAPES else int(what, 8)])

    return _ESCAPED.sub(plain, quoted.encode("latin-1"))


def findings(directory: Path, said: list[str]) -> Iterator[str]:
    """What is wrong with a directory after the cut, given what had been acknowledged."""
    done = [line.split(" ", 1) for line in said]
    recorded = [what for kind, what in done if kind == "recorded"]
    erasing = [what for kind, what in done if kind == "erasing"]
    erased = [what for kind, what in done if kind == "erased"]
    defined = [what for kind, what in done if kind == "defined"]
    if done and not directory.exists():
        yield "the whole directory is lost"
        return
    with account(directory) as capture:
        yield from files(capture).problems()
        stored = [each.event_id for each in everything(files(capture))]
        if lost := set(recorded) - set(erasing) - set(stored):
            yield f"{sorted(lost)} were acknowledged, and are lost"
        if len(stored) != len(set(stored)):
            yield f"stored are {stored}"
        if erased and (capture.person(email=GONE) or "event-1" in stored):
            yield "the erased is back"
    with opened(directory) as backends:
        names = [each.name for each in backends.definitions.all()]
        if defined and (not names or names[0] < defined[-1]):
            yield f"{defined[-1]} was acknowledged, and {names} is there"


def main(directory: str, seed: str, variant: str = "") -> None:
    """Trace one life, and cut it off after every call."""
    rng = random.Random(seed)
    place, log = Path(directory) / "data", Path(directory) / "trace"

    def work(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        wait()
        life(place, variant, say)

    with child(work) as talk, attached(talk.pid, *trace_set(), log=log):
        talk.go()
        everything_said = talk.rest()
        assert talk.status() == 0
    disk, said, found, cuts = Disk(place), [], [], 0
    left = Path(directory) / "left"
    for number, call in enumerate(calls(log)):
        certain = disk.apply(call)
        if call.name == "write" and call.path.startswith("pipe:"):
            said.append(call.names[0].removesuffix("\\n"))
            certain = True
        for chance in [None] * certain + [rng] * (number % 3 == 0):
            cuts += 1
            disk.cut(left, chance)
            try:
                wrong = list(findings(left, said))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
                wrong = [f"{type(error).__name__}: {error}"]
            how = "all that is not certain lost" if chance is None else "some of it left"
            found += [f"after call {number} {call.name}, {how}: {each}" for each in wrong]
        if found and variant:
            break
    else:
        assert said == everything_said
    finish(found, cuts=cuts, acked=len(said), seed=seed, variant=variant or "none")


if __name__ == "__main__":
    program(main)
