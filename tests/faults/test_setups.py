"""A directory that is not what it should be is refused with its path and a remedy."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ortto_capture import ConfigurationError

from ..conftest import Campaigns
from .space import Visitor
from .stage import account, define, everything, files, opened


def dangling(path: Path) -> None:
    """A symbolic link to nothing."""
    path.symlink_to(path.with_name("nowhere"))


def newer(path: Path) -> None:
    """A store from the future."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def halved(path: Path) -> None:
    """A copy that was interrupted."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    """A copy that was interrupted at once."""
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    """Something else altogether."""
    path.write_bytes(b"This is no database, but long enough to be mistaken for one. " * 100)


def of_another_program(path: Path) -> None:
    """A database, of another program."""
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (name)")
    connection.close()


Spoil = Callable[[Path], None]
SPOILT: list[tuple[str, bool, Spoil]] = [
    *((name, True, Path.mkdir) for name in ("store.sqlite3", "activities.json", "secret")),
    ("erased", True, Path.mkdir),
    ("store.sqlite3", True, dangling),
    ("store.sqlite3", False, newer),
    ("store.sqlite3", False, halved),
    ("store.sqlite3", False, empty),
    ("store.sqlite3", False, garbage),
    ("store.sqlite3", True, of_another_program),
    ("secret", False, empty),
    ("activities.json", False, halved),
]


def refusal(directory: Path) -> str:
    """What is said when it is opened and used."""
    with pytest.raises(ConfigurationError) as raised, opened(directory) as backends:
        backends.secret()
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "away", "spoil"), SPOILT, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_file_that_is_not_what_it_should_be_is_refused_and_left_alone(
    tmp_path: Path, name: str, away: bool, spoil: Spoil
) -> None:
    directory = tmp_path / "data"
    define(directory)
    with account(directory) as capture:
        visitor = Visitor(capture)
        visitor.post()
        capture.erase(email="unknown@emaildomain.com")
    kept = shutil.copytree(directory, tmp_path / "kept")
    if away and spoil is not of_another_program:
        (directory / name).unlink(missing_ok=True)
    spoil(directory / name)
    before = (directory / name).read_bytes() if (directory / name).is_file() else None

    said = refusal(directory)

    assert str(directory / name) in said
    assert len(said.partition(name)[2]) > 20, f"no remedy: {said}"
    if before is not None:
        assert (directory / name).read_bytes() == before, "what may be evidence is left alone"
    shutil.rmtree(directory)
    kept.rename(directory)
    with opened(directory) as backends:
        assert [each.event_id for each in everything(backends)] == visitor.acknowledged


def test_a_lock_that_cannot_be_taken_is_named_where_a_store_has_to_be_made(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    lock = directory / "store.lock"
    lock.mkdir(parents=True)

    assert str(lock) in refusal(directory)
    lock.rmdir()
    define(directory)
    lock.unlink()
    lock.mkdir()
    with account(directory) as capture:
        assert Visitor(capture).post().status == 200, "a sound store is opened without it"


@pytest.mark.parametrize("spoil", [Path.touch, dangling])
def test_a_path_that_is_no_directory_is_refused(tmp_path: Path, spoil: Spoil) -> None:
    directory = tmp_path / "data"
    spoil(directory)

    said = refusal(directory)

    assert str(directory) in said
    assert len(said.partition(str(directory))[2]) > 20, f"no remedy: {said}"


def test_a_directory_that_is_moved_away_is_503_until_it_is_back(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    define(directory)
    with account(directory) as capture:
        visitor = Visitor(capture)
        answers = [visitor.post().status]
        directory.rename(tmp_path / "away")
        answers.append(visitor.post().status)
        assert not directory.exists(), "a new one would hide the old one"
        (tmp_path / "away").rename(directory)
        answers.append(visitor.post().status)

        assert answers == [200, 503, 200]
        stored = [each.event_id for each in everything(files(capture))]
    assert stored == visitor.acknowledged


def test_what_may_not_be_read_or_written_is_refused_with_its_path(
    campaigns: Campaigns, tmp_path: Path
) -> None:
    assert campaigns("permissions", tmp_path) == []
