"""What a process asks of the kernel, by strace: traced, killed at the n-th call, or failed at it.

The law of this file: the process under test is attached to when it is ready and goes on only then,
so nothing has to be built into it; and what a trace shows is judged against what a power cut
would leave: what was written is on the disk once it was synced, and a name once its directory was.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..services import PATIENCE, missing

#: System calls that change a file, make it durable, or tell another process.
WRITES = ("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate")
SYNCS = ("fsync", "fdatasync")
NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir")
SENDS = ("sendto", "sendmsg", "write")
#: Each is a moment to be killed at.
MOMENTS = (*WRITES, *SYNCS, *NAMES, "chmod", "fchmod", "symlink")

#: Shared memory is made anew from the log, and a lock holds nothing.
_NEEDLESS = ("-shm", ".lock")


def require_strace() -> None:
    """Leave the test out where there is no strace; fail it in CI."""
    if shutil.which("strace") is None:
        missing("strace")


@contextmanager
def attached(child: int, *options: str, log: Path | str = "/dev/null") -> Iterator[None]:
    """Trace ``child`` and its threads for the length of the block, or until it ends."""
    command = ["strace", "-f", "-y", "-s", "100000", "-o", str(log), *options, "-p", str(child)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    with tracer.stderr:
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.wait(PATIENCE)
            raise AssertionError(f"strace does not attach: {said}{tracer.stderr.read()}")
        try:
            yield
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            tracer.wait(PATIENCE)


def injected(call: str, fault: str, when: int | str) -> tuple[str, ...]:
    """Options that do ``fault`` (``signal=SIGKILL``, ``error=EIO``) at the n-th such call.

    :param call: one, or several with commas between them: of two such options the last counts.
    """
    return ("-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={when}")


class Call(NamedTuple):
    """One system call: which thread, its arguments as written, and where in the log it stands."""

    thread: int
    name: str
    arguments: str
    result: str
    began: int
    ended: int

    @property
    def path(self) -> str:
        """The file that the first argument stands for, when it is one."""
        found = re.match(r"\d+<([^>]*)>", self.arguments)
        return found[1].removesuffix(" (deleted)") if found else ""

    @property
    def names(self) -> list[str]:
        """The names in quotes."""
        return re.findall(r'"((?:[^"\\]|\\.)*)"', self.arguments)

    @property
    def worked(self) -> bool:
        return not self.result.startswith(("-1", "?"))


_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += (.*)", re.DOTALL)
_STARTED = re.compile(r"(\d+) +(\w+)\((.*?) *<unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (.*)", re.DOTALL)


def calls(log: Path) -> list[Call]:
    """Every call in a log, in the order in which they ended."""
    found: list[Call] = []
    begun: dict[int, tuple[int, str, str]] = {}
    for number, line in enumerate(log.read_text(errors="replace").splitlines()):
        if whole := _WHOLE.match(line):
            thread, name, arguments, result = whole.groups()
            found.append(Call(int(thread), name, arguments, result, number, number))
        elif started := _STARTED.match(line):
            thread, name, arguments = started.groups()
            begun[int(thread)] = (number, name, arguments)
        elif resumed := _RESUMED.match(line):
            thread, name, more, result = resumed.groups()
            number_then, _, arguments = begun.pop(int(thread))
            found.append(Call(int(thread), name, arguments + more, result, number_then, number))
    return found


# -- the order of things


def trace_set() -> tuple[str, ...]:
    """Options that record all that the checks below look at."""
    wanted = (*WRITES, *SYNCS, *NAMES, "sendto", "sendmsg", "recvfrom", "recvmsg", "read", "openat")
    return ("-e", f"trace={','.join(dict.fromkeys(wanted))}")


def undurable(
    found: Sequence[Call], directory: Path, answer: Callable[[Call], bool]
) -> Iterator[str]:
    """For each ``answer``: what a power cut at that moment would take back.

    Bytes written and not synced, and names made and not synced with their directory.
    """
    answers = [call for call in found if answer(call)]
    for number, sent in enumerate(answers):
        before = [call for call in found if call.worked and call.ended < sent.began]
        # What another thread has under way was not acknowledged yet.
        own = [call for call in before if call.thread == sent.thread]
        for path, written in _last_writes(own, directory).items():
            synced = [each for each in before if each.name in SYNCS and each.path == path]
            if not any(each.began > written for each in synced):
                yield f"answer {number} left before {Path(path).name} was synced"
        for name, made in _new_names(before, directory).items():
            parent = str(Path(name).parent)
            synced = [each for each in before if each.name in SYNCS and each.path == parent]
            if not any(each.began > made for each in synced):
                yield f"answer {number} left before the name {Path(name).name} was synced"


def _last_writes(found: Sequence[Call], directory: Path) -> dict[str, int]:
    """Where the last write to each file ended that still goes by a name."""
    written: dict[str, int] = {}
    for call in found:
        if call.name in WRITES and _matters(call.path, directory):
            written[call.path] = call.ended
        elif call.name.startswith("unlink"):
            for name in call.names:
                written.pop(str(directory / name), None)
        elif call.name.startswith("rename"):
            # Bytes follow their file to its new name, which is where they must be found.
            old, new = (str(directory / name) for name in call.names)
            written.pop(new, None)
            written.pop(old, None)
    return written


def _new_names(found: Sequence[Call], directory: Path) -> dict[str, int]:
    """Where each name was last made that is there at the end."""
    made: dict[str, int] = {}
    # An empty file without its name is as good as none.
    empty: dict[str, int] = {}
    for call in found:
        if call.name == "openat" and "O_CREAT" in call.arguments and call.names:
            name = str(directory / call.names[0])
            if _matters(name, directory):
                empty.setdefault(name, call.ended)
        elif call.name in WRITES and call.path in empty:
            made.setdefault(call.path, empty[call.path])
        elif call.name.startswith("rename"):
            old, new = (str(directory / name) for name in call.names)
            made.pop(old, None)
            if _matters(new, directory):
                made[new] = call.ended
        elif call.name == "mkdir" and str(directory / call.names[0]) == str(directory):
            made[str(directory)] = call.ended
        elif call.name.startswith("unlink"):
            for name in call.names:
                made.pop(str(directory / name), None)
                empty.pop(str(directory / name), None)
    return made


def careless_renames(found: Sequence[Call], directory: Path) -> Iterator[str]:
    """Each rename comes after its file was synced whole, and before its directory is."""
    worked = [call for call in found if call.worked]
    for rename in worked:
        if not rename.name.startswith("rename"):
            continue
        old, new = (str(directory / name) for name in rename.names)
        if not _matters(new, directory):
            continue
        before = [c for c in worked if c.path == old and c.ended < rename.began]
        written = max(c.ended for c in before if c.name in WRITES)
        if not any(c.name in SYNCS and c.began > written for c in before):
            yield f"{Path(new).name} was renamed before its bytes were synced"
        parent = str(Path(new).parent)
        if not any(c.name in SYNCS and c.path == parent and c.began > rename.ended for c in worked):
            yield f"{Path(new).name} was renamed and its directory never synced"


def _matters(path: str, directory: Path) -> bool:
    return path.startswith(f"{directory}/") and not path.endswith(_NEEDLESS)
