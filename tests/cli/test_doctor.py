"""``doctor`` finds what is wrong and says what to do; ``backup`` makes a copy that can be used."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from ortto_capture import open_backends
from ortto_capture.cli import doctor
from ortto_capture.model import Outcome

from ..services import ROOT
from .conftest import Account, Shell, bare


class Finding(NamedTuple):
    """A line of what the doctor prints."""

    state: str
    check: str
    found: str
    remedy: str


def findings(shell: Shell, *options: str) -> list[Finding]:
    """What the doctor says of each thing."""
    found = [Finding(*line.split("\t")) for line in shell("doctor", *options).stdout.splitlines()]
    assert all((each.state == "problem") == bool(each.remedy) for each in found)
    return found


def wrong(shell: Shell, *options: str) -> Finding:
    """The one thing that is wrong."""
    result = shell("doctor", *options)
    assert (result.exit_code, result.stderr) == (1, "Error: problems: 1\n"), result.output
    [only] = [each for each in findings(shell, *options) if each.remedy]
    return only


def test_what_is_well_is_said_to_be(shell: Shell, busy: Account) -> None:
    lines = [line.split("\t") for line in shell.ok("doctor").splitlines()]

    assert {line[0] for line in lines} == {"ok"}
    assert list(dict.fromkeys(line[1] for line in lines)) == [
        *("configuration", "permissions", "free disk", "activities", "store"),
    ]


def test_where_there_is_nothing_it_says_so(shell: Shell) -> None:
    assert wrong(shell).found == f"{shell.data} is no directory"
    assert not shell.data.exists()

    shell.data.mkdir(mode=0o700)
    assert wrong(shell).found.startswith(f"{shell.data}: is no data directory; ")
    assert list(shell.data.iterdir()) == []


def test_a_setting_that_is_wrong(shell: Shell, busy: Account, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    for text, says in (
        ('person_limit = "many"', "person_limit: not one limit"),
        ("nonsense\n", "line 1, column"),
        ("sources = [1]", ""),
        ("[sources.key]\nnom = 1", ""),
    ):
        settings.write_text(text)
        found = wrong(shell, "--config", str(settings))
        assert found.check == "configuration"
        assert found.found.startswith(f"{settings}: ")
        assert says in found.found


def test_a_file_of_settings_that_is_not_there_has_a_remedy(shell: Shell, busy: Account) -> None:
    found = wrong(shell, "--config", "/nowhere.toml")

    assert (found.check, found.found) == (
        "configuration",
        "/nowhere.toml: No such file or directory",
    )
    assert found.remedy == "name another, or see to it that it can be used"


def test_keys_that_others_may_read(shell: Shell, busy: Account, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(f'secret_keys = ["{"x" * 32}"]')
    settings.chmod(0o640)
    assert wrong(shell, "--config", str(settings)).remedy == f"chmod 600 {settings}"

    settings.chmod(0o600)
    assert shell("doctor", "--config", str(settings)).exit_code == 0


@pytest.mark.parametrize("name", ["store.sqlite3", "secret", ""])
def test_files_that_others_may_read(name: str, shell: Shell, busy: Account) -> None:
    path = shell.data / name if name else shell.data
    path.chmod(0o755 if path.is_dir() else 0o644)

    found = wrong(shell)
    assert found.check == "permissions"
    subprocess.run(found.remedy.split(), check=True)
    assert shell("doctor").exit_code == 0


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """A directory of an ordinary user, and to be that user; most who run tests are already."""
    as_root = os.geteuid() == 0
    if as_root:
        os.setresuid(54_321, 54_321, 0)
    try:
        with TemporaryDirectory() as directory:
            yield Path(directory)
    finally:
        if as_root:
            os.setresuid(0, 0, 0)


def test_what_belongs_to_another_user() -> None:
    """Nothing is changed, and the remedy names the owner."""
    with ordinary_user():
        result = Shell(Path("/"))("doctor")

    assert result.exit_code == 1
    assert "you may not read and write /" in result.stdout
    assert "sudo -u '#0' ortto-capture" in result.stdout


def test_a_directory_that_may_not_be_entered() -> None:
    with ordinary_user() as directory:
        data = directory / "data"
        data.mkdir(mode=0)
        result, others = Shell(data)("doctor"), Shell(data)("tail")

    assert (result.exit_code, f"you may not read and write {data}" in result.stdout) == (1, True)
    assert (others.exit_code, "Traceback" in others.output) == (3, False)


def test_nothing_is_on(shell: Shell, account: Account) -> None:
    for each in account.backends.definitions.all():
        shell.ok("activities", "disable", each.id)

    found = wrong(shell)
    assert found.found == "0 of 4 in activities.json are on"
    assert "activities enable" in found.remedy


def test_nothing_is_defined(tmp_path: Path) -> None:
    with open_backends(f"file:{tmp_path}"):
        pass

    assert "activities add act:cm:login --client-side" in wrong(Shell(tmp_path)).remedy


def test_a_row_that_was_damaged(shell: Shell, busy: Account) -> None:
    with closing(sqlite3.connect(shell.data / "store.sqlite3")) as store, store:
        store.execute("UPDATE journal SET attributes = '{}' WHERE position = 2")

    found = [each for each in findings(shell) if each.remedy]
    assert {each.check for each in found} == {"store"}
    assert "restore a backup" in found[0].remedy


def test_a_store_that_is_none(shell: Shell, account: Account) -> None:
    account.backends.close()
    (shell.data / "store.sqlite3").write_bytes(b"no database" * 1_000)

    found = wrong(shell)
    assert (found.check, str(shell.data) in found.found) == ("store", True)


@pytest.mark.parametrize("note", ["behind-proxy", "counts-alone", "limited-locally"])
def test_what_was_noted_while_serving(note: str, shell: Shell, busy: Account) -> None:
    busy.backends.own.outcomes.note(Outcome("accepted", 1.0, "activity", notes=(note,)))
    busy.backends.own.outcomes.flush()

    found = wrong(shell)
    assert (found.check, found.found) == ("serving", f"{note} was noted")
    assert f"`{note}`" in (ROOT / "docs/reference/cli.md").read_text("utf-8")


def test_several_problems_are_counted_and_all_said(shell: Shell, busy: Account) -> None:
    (shell.data / "secret").chmod(0o644)
    busy.backends.own.outcomes.note(Outcome("accepted", 1.0, "activity", notes=("behind-proxy",)))
    busy.backends.own.outcomes.flush()
    result = shell("doctor")

    assert result.stderr == "Error: problems: 2\n"
    rows = [json.loads(line) for line in shell("doctor", "--json").stdout.splitlines()]
    assert [row["check"] for row in rows if not row["ok"]] == ["permissions", "serving"]


def test_on_a_terminal_the_remedy_is_beside_it(shell: Shell, busy: Account) -> None:
    (shell.data / "secret").chmod(0o644)
    written, code = shell.seen("doctor", columns=250)
    [line] = [line for line in bare(written) if line.startswith("problem")]

    assert code == 1
    assert line.split()[1] == "permissions"
    assert line.endswith(f"chmod go= {shell.data / 'secret'}")


def test_a_disk_with_too_little_room(tmp_path: Path) -> None:
    [fine], [full] = doctor.disk(tmp_path, least=0), doctor.disk(tmp_path, least=1 << 70)

    assert (fine["ok"], fine["remedy"]) == (True, "")
    assert (full["ok"], full["remedy"][:9]) == (False, "make room")


# -- backup


def test_a_backup_is_a_data_directory(shell: Shell, busy: Account, tmp_path: Path) -> None:
    copy = tmp_path / "deep" / "copy"
    assert shell.ok("backup", str(copy)) == f"{copy}\n"

    assert Shell(copy).ok("export") == shell.ok("export")
    assert Shell(copy).ok("activities", "list") == shell.ok("activities", "list")
    assert Shell(copy)("doctor").exit_code == 0
