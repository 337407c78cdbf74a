"""How commands end: exit codes, missing extras, readers that hang up."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest

from ortto_capture.cli.account import PLACES
from ortto_capture.cli.commands import commands

from ..services import ROOT
from .conftest import JO, Account, Shell
from .test_showing import every

PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ("activities", "list"),
        ("tail",),
        ("export",),
        ("people", "find", JO),
        ("schema", "act:cm:x"),
    ],
    ids=lambda command: command[0],
)
def test_a_file_of_settings_that_is_wrong_is_3_for_every_command(
    shell: Shell, busy: Account, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Those that need no setting included."""
    settings = tmp_path / "settings.toml"
    for text in (None, 'person_limit = "many"'):
        if text is not None:
            settings.write_text(text)
        ended = shell(*command, "--config", str(settings))
        assert (ended.exit_code, str(settings) in ended.stderr) == (3, True)


def test_wrong_usage_is_2(shell: Shell) -> None:
    for wrong in (["nonsense"], ["tail", "--nonsense"], ["schema"], ["export", "--format", "xml"]):
        assert shell(*wrong).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("activities", "list"),
        ("activities", "show", "act:cm:login"),
        ("activities", "enable", "act:cm:login"),
        ("schema", "act:cm:login"),
        ("tail",),
        ("people", "find", JO),
        ("people", "erase", JO, "--yes"),
        ("export",),
        ("backup", "copy"),
    ],
    ids=" ".join,
)
def test_a_directory_that_is_none_is_3_and_is_left_alone(
    command: tuple[str, ...], shell: Shell
) -> None:
    """Neither missing, nor a home, nor a file."""
    missing, home, file = (shell.data / name for name in ("missing", "home", "file"))
    home.mkdir(parents=True)
    file.write_text("a file")
    for data in (missing, home, file):
        result = Shell(data)(*command)
        assert (result.exit_code, result.stdout) == (3, "")
        assert str(data) in result.stderr
        assert "--data" in result.stderr or "see to it" in result.stderr

    assert not missing.exists()
    assert list(home.iterdir()) == []
    assert file.read_text() == "a file"


def test_a_directory_that_cannot_be_made_is_3(shell: Shell) -> None:
    shell.data.write_text("a file")
    result = shell("activities", "add", "act:cm:login")

    assert result.exit_code == 3
    assert str(shell.data) in result.stderr


def test_a_broken_definition_file_is_3(shell: Shell, account: Account) -> None:
    (shell.data / "activities.json").write_text("{")

    assert shell("activities", "list").exit_code == 3


def test_a_storage_fault_is_4(shell: Shell, busy: Account) -> None:
    with closing(sqlite3.connect(shell.data / "store.sqlite3")) as store, store:
        store.execute("UPDATE people SET first = 'Joe'")
    result = shell("people", "find", JO)

    assert (result.exit_code, result.stdout) == (4, "")
    assert str(shell.data / "store.sqlite3") in result.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["export", "tail", "doctor"])
def test_nowhere_to_write_is_4(command: str, unbuffered: str, shell: Shell, busy: Account) -> None:
    """Whether Python keeps what is printed for a moment or not."""
    arguments = [sys.executable, "-m", "ortto_capture", "--data", str(shell.data), command]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            arguments, cwd=ROOT, env=env, stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert ran.returncode == 4
    assert ran.stderr == b"Error: [Errno 28] No space left on device\n"


def test_what_is_there_already_is_1_and_stays(shell: Shell, busy: Account, tmp_path: Path) -> None:
    """The same for everything that makes a file or a directory."""
    file, directory = tmp_path / "file", tmp_path / "directory"
    directory.mkdir()
    for path in (file, directory / "file"):
        path.write_text("precious")
    for command in (
        ("export", "-o", str(file)),
        ("people", "export", JO, "-o", str(file)),
        ("backup", str(file)),
        ("backup", str(directory)),
    ):
        result = shell(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{command[-1]} is there already, and stays as it is" in result.stderr

    assert [path.read_text() for path in (file, directory / "file")] == ["precious"] * 2
    assert list(directory.iterdir()) == [directory / "file"]


def test_a_place_where_nothing_can_be_made_is_3(
    shell: Shell, busy: Account, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("precious")
    nowhere = str(tmp_path / "file" / "below")
    for command in (
        ("export", "-o", nowhere),
        ("people", "export", JO, "-o", nowhere),
        ("backup", nowhere),
    ):
        result = shell(*command)
        assert (result.exit_code, result.stdout) == (3, "")
        assert nowhere in result.stderr


@pytest.fixture
def much(busy: Account) -> Account:
    """More than fits into a pipe, or into a small quota."""
    for _ in range(200):
        busy.clock.advance(86_400)
        busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": "x" * 255})
        busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": "y" * 255})
    return busy


def test_a_file_that_is_cut_short_is_4_and_gone(
    shell: Shell, much: Account, tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    program = (
        "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (70_000, r.RLIM_INFINITY))\n"
        "from ortto_capture.cli import main\n"
        "try: main()\n"
        "finally: r.setrlimit(r.RLIMIT_FSIZE, (r.RLIM_INFINITY, r.RLIM_INFINITY))\n"
    )
    command = [sys.executable, "-c", program, "--data", str(shell.data), "export", "-o", str(file)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (4, f"Error: [Errno 27] File too large: '{file}'\n")
    assert not file.exists()


def test_a_reader_that_hangs_up_is_no_fault(shell: Shell, much: Account) -> None:
    with shell.start("export") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("missing", ["click", "rich", "waitress"])
@pytest.mark.parametrize(
    "start", ["-m ortto_capture", "-c import ortto_capture.cli as c; c.main()"]
)
def test_without_the_extra_one_line_says_what_to_install(
    missing: str, start: str, tmp_path: Path
) -> None:
    """With the package hidden, as on a machine that never had it."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{missing!r}] = None")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, *start.split(" ", 1)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert ran.returncode == 3
    assert ran.stdout == ""
    assert ran.stderr == "The command line needs: pip install 'ortto-capture[cli]'\n"


def test_help_begins_with_what_one_needs_first(shell: Shell) -> None:
    listed = shell.ok("--help").partition("Commands:")[2]

    names = re.findall(r"^  (\w+)  +[A-Z].*\.$", listed, re.MULTILINE)
    assert names == list(commands.commands)
    assert "..." not in listed


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_shells_complete_it_as_the_reference_says(shell_name: str) -> None:
    [line] = [line for line in PAGE.splitlines() if f"={shell_name}_source ortto-capture" in line]
    [name] = re.findall(r"(\w+)=\w+_source", line)
    program = "from ortto_capture.cli import main; main()"
    env = {**os.environ, name: f"{shell_name}_source", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    # Without the shell, or with an old one, click says so beside the script.
    assert f"{name}={shell_name}_complete" in ran.stdout

    # Fish says the word itself, the others its place.
    typed = {"COMP_WORDS": "ortto-capture ex", "COMP_CWORD": "ex" if shell_name == "fish" else "1"}
    env |= {name: f"{shell_name}_complete", **typed}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert {"explain", "export"} <= set(re.findall(r"\w+", ran.stdout))


def test_the_version_is_the_packages() -> None:
    command = [sys.executable, "-m", "ortto_capture", "--version"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert re.fullmatch(r"ortto-capture, version \d+\.\d+\.\d+\S*\n", ran.stdout)


def test_the_reference_has_every_command_and_option() -> None:
    for names, command in every(commands):
        _, heading, rest = PAGE.partition(f"\n### `{' '.join(names)}")
        assert heading, names
        section = rest.partition("\n## ")[0].partition("\n### ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter not in PLACES:
                assert f"`{parameter.opts[-1]}" in section, (names, parameter.opts)


def test_the_reference_has_the_options_that_all_commands_take() -> None:
    common = PAGE.partition("## What all commands have in common")[2].partition("\n## ")[0]

    for option in PLACES:
        assert f"`{option.opts[-1]}" in common


def test_the_reference_says_which_commands_take_no_json() -> None:
    common = PAGE.partition("## What all commands have in common")[2].partition("\n## ")[0]
    without = common.partition("No `--json`: ")[2].partition("\n\n")[0]

    assert set(re.findall("`([^`]+)`", without)) == {
        " ".join(names)
        for names, command in every(commands)
        if "as_json" not in {parameter.name for parameter in command.params}
    }


def test_the_reference_has_every_exit_code() -> None:
    assert re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE) == ["0", "1", "2", "3", "4"]
