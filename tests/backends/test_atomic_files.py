"""Files that several processes share: locks, and contents that are replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import BackendError, StorageFull
from ortto_capture.backends.atomic_files import exclusive_lock, explain, faults, replace_file

from ..services import ROOT

NOBODY = 65_534


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may do anything; tests of permissions run as a user who may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def limit(which: int, amount: int) -> Iterator[None]:
    """Run with a lower limit of the kernel's."""
    before = resource.getrlimit(which)
    resource.setrlimit(which, (amount, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can reach; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        directory.chmod(0o700)


@contextmanager
def failing(number: int, calls: set[str], error: int = errno.EIO) -> Iterator[list[str]]:
    """Let the ``number``-th of these calls into the operating system fail; yield those made.

    The interpreter announces each call of a built-in function to its profiler, and what the
    profiler raises comes out of the call.
    """
    made: list[str] = []

    def announced(_frame: object, event: str, function: Any) -> None:
        if event == "c_call" and function.__module__ == "posix" and function.__name__ in calls:
            made.append(function.__name__)
            if len(made) == number:
                raise OSError(error, os.strerror(error))

    sys.setprofile(announced)
    try:
        yield made
    finally:
        sys.setprofile(None)


# -- locks

_HOLD = """
import sys
from pathlib import Path
from ortto_capture.backends.atomic_files import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock; it releases it when its input ends."""
    command = [sys.executable, "-c", _HOLD, str(lock)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_lock_that_another_process_holds_is_a_fault_with_path_and_remedy(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    with held_elsewhere(lock), pytest.raises(BackendError) as refused, exclusive_lock(lock, 0):
        pytest.fail("two hold it")
    assert str(refused.value).startswith(
        f"{lock}: another process has held this lock for 0 seconds;"
    )
    assert isinstance(refused.value.__cause__, BlockingIOError)

    with exclusive_lock(lock, 0):
        assert lock.stat().st_mode & 0o777 == 0o600


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path / "lock") as holder:
        holder.kill()
        holder.wait()
        with exclusive_lock(tmp_path / "lock", 0):
            pass


def test_a_waiting_thread_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    """Threads exclude one another as processes do."""
    lock, inside = tmp_path / "lock", []

    def work(number: int) -> None:
        with exclusive_lock(lock, 20):
            inside.append(number)
            (tmp_path / "alone").mkdir()
            (tmp_path / "alone").rmdir()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert sorted(inside) == list(range(40))


def test_an_error_releases_the_lock_and_is_raised(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), exclusive_lock(tmp_path / "lock"):
        raise OSError("mine")

    with exclusive_lock(tmp_path / "lock", 0):
        pass


def test_a_child_forked_meanwhile_keeps_no_lock(tmp_path: Path) -> None:
    """It has the file open as well, so that closing alone would leave the lock to it."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with exclusive_lock(tmp_path / "lock"):
        [mine] = [
            int(each.name)
            for each in Path("/proc/self/fd").iterdir()
            if os.path.realpath(each) == str(tmp_path / "lock")
        ]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[mine])
    with child, exclusive_lock(tmp_path / "lock", 0):
        assert child.stdin is not None
        child.stdin.close()


def test_a_link_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with (
        pytest.raises(BackendError, match="symbolic link; put the file itself there"),
        exclusive_lock(tmp_path / "lock"),
    ):
        pytest.fail("locked")
    assert not (tmp_path / "elsewhere").exists()


# -- replacing


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = os.urandom(300_000)
    path.write_bytes(b"before")

    with path.open("rb") as reading:
        replace_file(path, data)
        assert reading.read() == b"before", "a reader of the old one goes on with it"
    assert path.read_bytes() == data
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        replace_file(tmp_path / "secret", b"x")
    finally:
        os.umask(before)

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_keeps_its_mode_and_its_owner(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    path.chmod(mode)
    owner = NOBODY if os.geteuid() == 0 else os.geteuid()
    os.chown(path, owner, -1)

    replace_file(path, b"after")

    assert path.stat().st_mode & 0o777 == mode
    assert path.stat().st_uid == owner


def test_what_root_makes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    """Or the server could not read what an administrator added by hand."""
    owner = NOBODY if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path, owner, -1)

    with exclusive_lock(tmp_path / "lock"):
        replace_file(tmp_path / "file", b"x")

    assert {each.stat().st_uid for each in tmp_path.iterdir()} == {owner}


def test_root_gives_away_no_file_that_has_another_name(tmp_path: Path) -> None:
    """A lock file may have been made as a second name of something precious."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"x")
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "lock").hardlink_to(precious)
    os.chown(directory, NOBODY if os.geteuid() == 0 else -1, -1)

    with exclusive_lock(directory / "lock"):
        assert precious.stat().st_uid == os.geteuid()


def test_what_a_killed_process_left_behind_does_not_stand_in_the_way(tmp_path: Path) -> None:
    left = tmp_path / ".file.new"
    left.write_bytes(b"half")
    left.chmod(0)

    replace_file(tmp_path / "file", b"whole")

    assert (tmp_path / "file").read_bytes() == b"whole"
    assert not left.exists()


@pytest.mark.parametrize("room", [0, 1, 4_096, 9_999])
def test_a_file_that_does_not_fit_is_storage_full_and_the_old_one_stays(
    tmp_path: Path, room: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    with limit(resource.RLIMIT_FSIZE, room), pytest.raises(StorageFull) as full:
        replace_file(path, bytes(10_000))
    assert str(full.value).startswith(f"{path}: the limit for file sizes is reached; raise it")
    assert isinstance(full.value.__cause__, OSError)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"file": b"before"}

    replace_file(path, bytes(10_000))
    assert path.read_bytes() == bytes(10_000)


def test_every_call_may_fail_and_leaves_the_old_or_the_new_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    calls = {"open", "stat", "fchmod", "fchown", "write", "fsync", "replace", "unlink"}
    path = tmp_path / "file"
    for number in count(1):
        replace_file(path, b"before")
        try:
            with failing(number, calls) as made:
                replace_file(path, b"after")
        except BackendError as error:
            failed = error
        else:
            break
        renamed = "replace" in made[: number - 1]
        assert isinstance(failed.__cause__, OSError)
        assert str(failed).startswith(f"{path}: the disk reports an error;")
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {
            "file": b"after" if renamed else b"before"
        }
    # What makes it last, in the order that makes it so: the content, the name, the directory.
    essential = [name for name in made if name in ("write", "fsync", "replace")]
    assert essential == ["write", "fsync", "replace", "fsync"]


def test_a_directory_that_may_not_be_written_to_is_said_with_the_user(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    with as_an_ordinary_user():
        user = os.geteuid()
        with pytest.raises(BackendError) as replaced:
            replace_file(open_directory / "file", b"x")
        with pytest.raises(BackendError) as locked, exclusive_lock(open_directory / "lock"):
            pytest.fail("locked")

    for failed, name in ((replaced, "file"), (locked, "lock")):
        assert str(failed.value) == (
            f"{open_directory / name}: user {user} may not do that; "
            "give the file and its directory to this user"
        )


# -- faults


def test_a_full_disk_is_storage_full(tmp_path: Path) -> None:
    """The kernel has a device for that."""
    with pytest.raises(StorageFull) as full, faults(tmp_path):
        Path("/dev/full").write_bytes(b"x")
    assert str(full.value) == f"{tmp_path}: the disk is full; make room on it"


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda path: replace_file(path / "no" / "file", b"x"), "put it back, or make its dir"),
        (lambda path: replace_file(path / "f" / "file", b"x"), "a part of this path is a file"),
        (lambda path: replace_file(path, b"x"), "this is a directory; move it out of the way"),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path: Path, use: Any, said: str) -> None:
    path = tmp_path / "data"
    path.mkdir()
    (path / "f").write_bytes(b"")

    with pytest.raises(BackendError, match=said) as failed:
        use(path)
    assert str(failed.value).startswith(str(path))


def test_too_many_open_files_are_said_and_passing(tmp_path: Path) -> None:
    with (
        limit(resource.RLIMIT_NOFILE, 1),
        pytest.raises(BackendError, match="too many files open; raise its limit"),
    ):
        replace_file(tmp_path / "file", b"x")

    replace_file(tmp_path / "file", b"x")


def test_an_error_without_a_remedy_of_ours_keeps_the_systems_words() -> None:
    assert explain(Path("f"), OSError(errno.ENOLCK, "No locks available")) == (
        "f: No locks available"
    )
    assert explain(Path("f"), OSError("odd")) == "f: odd"
