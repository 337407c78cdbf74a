"""``doctor`` finds what is wrong and says what to do; ``backup`` makes a copy that can be used."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ortto_capture import Outcome
from ortto_capture.cli import doctor
from ortto_capture.cli.doctor import Finding

from .conftest import JO, Account, Shell, bare


def findings(shell: Shell, *options: str) -> dict[str, Finding]:
    """What the doctor says of each thing; of several about one, the worst."""
    rows = [line.split("\t") for line in shell("doctor", *options).stdout.splitlines()]
    found: dict[str, Finding] = {}
    for state, check, said, remedy in rows:
        assert (state == "problem") == bool(remedy)
        if check not in found or remedy:
            found[check] = Finding(check, said, remedy)
    return found


def wrong(shell: Shell, *options: str) -> Finding:
    """The one thing that is wrong."""
    result = shell("doctor", *options)
    assert (result.exit_code, result.stderr) == (1, "Error: 1 problem\n"), result.output
    [only] = [each for each in findings(shell, *options).values() if each.remedy]
    return only


def test_what_is_well_is_said_to_be(shell: Shell, busy: Account) -> None:
    lines = [line.split("\t") for line in shell.ok("doctor").splitlines()]

    assert {line[0] for line in lines} == {"ok"}
    assert [line[1] for line in lines] == [
        *("configuration", "versions", "permissions", "free disk", "file system"),
        *("clock", "activities", "store", "proxy headers", "processes", "limiter"),
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
    """A directory of somebody who is not root, and to be them; most who run tests are already."""
    as_root = os.geteuid() == 0
    if as_root:
        os.setresuid(54_321, 54_321, 0)
    try:
        with TemporaryDirectory() as directory:
            yield Path(directory)
    finally:
        if as_root:
            os.setresuid(0, 0, 0)


def test_what_is_somebody_elses() -> None:
    """What is root's is there on every machine."""
    with ordinary_user() as data:
        [fine] = doctor.permissions(data)
        (data / "activities.json").symlink_to("/etc/passwd")
        found = [remedies(doctor.permissions(path)) for path in (Path("/"), data)]

    assert (fine.remedy, fine.found.startswith(f"{data} is for ")) == ("", True)
    assert found == [["be root: sudo -u root ortto-capture ..."]] * 2


def test_a_directory_that_may_not_be_entered() -> None:
    with ordinary_user() as directory:
        data = directory / "data"
        data.mkdir(mode=0)
        result, others = Shell(data)("doctor"), Shell(data)("tail")

    assert (result.exit_code, f"you may not read and write {data}" in result.stdout) == (1, True)
    assert (others.exit_code, "Traceback" in others.output) == (3, False)


def test_a_clock_that_went_back(shell: Shell, busy: Account) -> None:
    busy.clock.now = time.time() + 3_600
    busy.record(JO, "act:cm:login")

    found = wrong(shell)
    assert found.check == "clock"
    assert "an activity arrived 3," in found.found


def test_a_file_system_with_another_clock(shell: Shell, busy: Account) -> None:
    now = datetime.now(UTC) + timedelta(hours=1)
    [found] = doctor.clock(shell.data, busy.backends, now)

    assert found.found.startswith("the file system's differs by 3")


def test_nothing_is_on(shell: Shell, account: Account) -> None:
    for each in account.backends.definitions.all():
        shell.ok("activities", "disable", each.id)

    assert wrong(shell).found == "none of 4 in activities.json is on: everything gets 404"


def test_a_row_that_was_damaged(shell: Shell, busy: Account) -> None:
    with closing(sqlite3.connect(shell.data / "store.sqlite3")) as store, store:
        store.execute("UPDATE journal SET attributes = '{}' WHERE position = 2")

    assert "position 2 is damaged" in findings(shell)["store"].found


def test_a_store_that_is_none(shell: Shell, account: Account) -> None:
    account.backends.close()
    (shell.data / "store.sqlite3").write_bytes(b"no database" * 1_000)

    found = wrong(shell)
    assert (found.check, str(shell.data) in found.found) == ("store", True)


@pytest.mark.parametrize("note", doctor.NOTES)
def test_what_was_noted_while_serving(note: str, shell: Shell, busy: Account) -> None:
    busy.backends.outcomes.note(Outcome("accepted", 1.0, "activity", notes=(note,)))
    busy.backends.outcomes.flush()

    check, _, said, remedy = doctor.NOTES[note]
    assert wrong(shell) == Finding(check, f"{said} (1 time)", remedy)


def test_several_problems_are_counted_and_all_said(shell: Shell, busy: Account) -> None:
    (shell.data / "secret").chmod(0o644)
    busy.backends.outcomes.note(Outcome("accepted", 1.0, "activity", notes=("behind-proxy",)))
    busy.backends.outcomes.flush()
    result = shell("doctor")

    assert result.stderr == "Error: 2 problems\n"
    rows = [json.loads(line) for line in shell("doctor", "--json").stdout.splitlines()]
    assert [row["check"] for row in rows if not row["ok"]] == ["permissions", "proxy headers"]


def test_on_a_terminal_a_remedy_has_its_own_line(shell: Shell, busy: Account) -> None:
    (shell.data / "secret").chmod(0o644)
    written, code = shell.seen("doctor", columns=200)
    lines = bare(written)
    at = next(number for number, line in enumerate(lines) if line.startswith("problem"))

    assert code == 1
    assert lines[at].split()[1] == "permissions"
    assert lines[at + 1].strip() == f"→ chmod 600 {shell.data / 'secret'}"


def remedies(found: Iterable[Finding]) -> list[str]:
    """What there is to do."""
    return [each.remedy for each in found if each.remedy]


def test_a_disk_with_too_little_room(tmp_path: Path) -> None:
    assert remedies(doctor.disk(tmp_path, least=0)) == []
    assert remedies(doctor.disk(tmp_path, least=1 << 70)) == [
        "make room: without any, activities are answered with 503"
    ]


MOUNTS = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:20 / /srv rw - nfs4 server:/srv rw,vers=4.2
23 22 254:1 / /srv/local\\040disk rw master:1 - xfs /dev/vdb rw
24 21 0:21 / /mnt rw - ext4 /dev/vdc rw
25 21 0:22 / /mnt rw - fuse.sshfs user@host:/ rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "is_wrong"),
    [
        ("/data", "ext4", False),
        ("/srv/data", "nfs4", True),
        ("/srv/local disk/data", "xfs", False),
        ("/srvdata", "ext4", False),
        ("/mnt/data", "fuse.sshfs", True),
    ],
)
def test_file_systems_on_other_machines(
    path: str, kind: str, is_wrong: bool, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    [found] = doctor.file_system(Path(path), mounts)

    assert kind in found.found
    assert bool(found.remedy) == is_wrong


def test_where_mounts_are_not_listed_nothing_is_claimed(tmp_path: Path) -> None:
    [found] = doctor.file_system(tmp_path, tmp_path / "nowhere")
    assert found == Finding("file system", "not known here")


def test_versions_are_said_and_held_to_what_is_required() -> None:
    required = ["werkzeug>=3.1.6", "click>=99.0", "nowhere-to-be-found>=1", 'x>=1; extra == "y"']
    *wrong, said = doctor.versions(required)

    assert [each.remedy for each in wrong] == [
        "pip install 'click>=99.0'",
        "pip install 'nowhere-to-be-found>=1'",
    ]
    assert "SQLite" in said.found
    assert "werkzeug" in said.found


# -- backup


def test_a_backup_is_a_data_directory(shell: Shell, busy: Account, tmp_path: Path) -> None:
    copy = tmp_path / "deep" / "copy"
    assert shell.ok("backup", str(copy)) == f"{copy}\n"

    assert Shell(copy).ok("export") == shell.ok("export")
    assert Shell(copy).ok("activities", "list") == shell.ok("activities", "list")
    assert Shell(copy)("doctor").exit_code == 0


def test_a_backup_never_overwrites(shell: Shell, busy: Account, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("precious")
    result = shell("backup", str(tmp_path))

    assert result.exit_code == 3
    assert f"{tmp_path} is not empty; name a new directory" in result.stderr
