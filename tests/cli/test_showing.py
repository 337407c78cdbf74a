"""What is printed: safe for terminals, plain for programs, JSON for both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortto_capture.cli.commands import commands
from ortto_capture.cli.show import document, safe

from ..services import ROOT
from .conftest import JO, Account, Shell, bare

#: One way to ask for everything that there is to see.
ASKING = [
    ("activities", "list"),
    ("activities", "show", "act:cm:login"),
    ("tail",),
    ("tail", "--refused"),
    ("people", "find", JO),
    ("people", "show", JO),
    ("stats", "--period", "2023-11-13..2023-11-19", "--split", "activity"),
    ("reports", "list"),
    ("doctor",),
]
EVIL = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "a\rb",
    "a\nb",
    "a\tb",
    "\x9b2J",
    "\x7f",
    "\u202etxt.exe",
    "\u2066x\u2069",
    "zero\u200bwidth\ufeff",
    "a\u2028b",
    "\u00a0blank",
    "\U000e0041tag",
]


@pytest.mark.parametrize("text", EVIL)
def test_what_a_terminal_obeys_or_hides_is_shown_as_an_escape(text: str) -> None:
    assert safe(text).isprintable()
    assert json.loads(f'"{safe(text)}"') == text


@pytest.mark.parametrize("text", ["", "plain", "łukasz 東京 ü 🎉", "[red]x[/red]", "-–×•"])
def test_everything_else_is_shown_as_it_is(text: str) -> None:
    assert safe(text) == text


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=5))
def test_json_is_safe_to_look_at_and_loses_nothing(value: Any) -> None:
    for indent in (None, 2):
        shown = document(value, indent=indent)
        assert all(map(str.isprintable, shown.split("\n")))
        assert json.loads(shown) == value


@pytest.fixture
def attacked(account: Account) -> Account:
    """Strangers wrote what they could into every place there is."""
    for number, text in enumerate(EVIL):
        address = f"visitor{number}@example.com"
        account.capture.identify(email=address, first=text, last="[red]markup[/red] :smile:")
        account.record(address, "act:cm:plan-chosen", {"str:cm:plan": text})
        account.record(address, f"act:cm:{text}")
    account.backends.own.outcomes.flush()
    return account


@pytest.mark.parametrize(
    "asking",
    [
        ("tail",),
        ("tail", "--refused"),
        ("people", "show", "visitor0@example.com"),
        ("people", "find", "\x1b[31m", "visitor1@example.com"),
        ("people", "export", "visitor0@example.com"),
        ("export",),
        ("export", "--format", "csv"),
        ("activities", "show", "\x1b[31m"),
    ],
    ids=" ".join,
)
def test_nothing_that_a_stranger_wrote_reaches_a_terminal(
    asking: tuple[str, ...], shell: Shell, attacked: Account
) -> None:
    written, _ = shell.seen(*asking, columns=200)

    assert all(map(str.isprintable, bare(written)))
    for text in ("\x1b[31m", "\x1b]", "\x9b", "\x07"):
        assert text not in written
    if asking == ("people", "show", "visitor0@example.com"):
        assert "[red]markup[/red] :smile:" in written


@pytest.mark.parametrize("asking", ASKING, ids=" ".join)
@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_everything_fits(
    asking: tuple[str, ...], columns: int, shell: Shell, busy: Account
) -> None:
    written, code = shell.seen(*asking, columns=columns)
    lines = [line for line in bare(written) if not line.startswith("ap3c.activity(")]

    assert code == 0
    # What a program reads is JSON for people as well, without colour.
    assert ("\x1b[" in written) == (asking[:2] != ("activities", "show"))
    assert max(map(len, lines)) <= columns


def test_a_narrow_terminal_hides_nothing(shell: Shell, busy: Account) -> None:
    busy.record(f"{'long' * 10}@example.com", "act:cm:plan-chosen", {"str:cm:plan": "z" * 100})
    lines = bare(shell.seen("tail", "-n", "1", columns=40)[0])
    letters = "".join(lines)

    assert max(map(len, lines)) <= 40
    assert letters.count("z") == 100
    assert letters.count("g") == 10


@pytest.mark.parametrize("asking", ASKING, ids=" ".join)
def test_programs_get_plain_lines_whatever_the_environment_asks_for(
    asking: tuple[str, ...], shell: Shell, busy: Account
) -> None:
    """One record a line, values between tabs, nothing folded, however narrow the world is."""
    env = {**os.environ, "COLUMNS": "20", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    command = [sys.executable, "-m", "ortto_capture", "--data", str(shell.data), *asking]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert ran.stderr == ""
    assert all(line.replace("\t", "").isprintable() for line in ran.stdout.splitlines())
    # The doctor tells the time and the room on the disk, and both go on.
    now, then = (re.sub(r"\d+", "0", written) for written in (ran.stdout, shell.ok(*asking)))
    assert now == then


@pytest.mark.parametrize("asking", ASKING, ids=" ".join)
def test_json_is_one_object_a_line(asking: tuple[str, ...], shell: Shell, busy: Account) -> None:
    objects = shell.json(*asking)

    assert objects
    assert all(isinstance(each, dict) for each in objects)
    assert len(objects) == 1 or "show" not in asking


def every(command: click.Command, *names: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """All commands there are, with their names."""
    if isinstance(command, click.Group):
        return [e for name, each in command.commands.items() for e in every(each, *names, name)]
    return [(names, command)]


def test_whatever_prints_data_prints_it_as_json() -> None:
    """The others print a sentence, write files that are JSON already, or serve."""
    without = {
        " ".join(names)
        for names, command in every(commands)
        if "as_json" not in {parameter.name for parameter in command.params}
    }

    assert without == {
        *("serve", "demo", "types", "docs", "backup", "export", "people export"),
        *(f"activities {verb}" for verb in ("add", "enable", "disable", "archive", "import")),
        *("token new", "token remove"),
    }


@pytest.mark.parametrize("names", [names for names, _ in every(commands)], ids=" ".join)
def test_every_command_takes_the_data_directory_before_and_after_its_name(
    names: tuple[str, ...], shell: Shell
) -> None:
    assert shell("--data", "x", *names, "--help").exit_code == 0
    assert shell(*names, "--data", "x", "--help").exit_code == 0


def test_what_is_said_last_about_the_data_directory_counts(shell: Shell, account: Account) -> None:
    here, nowhere = str(shell.data), str(shell.data / "nowhere")

    assert shell("--data", nowhere, "activities", "list", "--data", here).exit_code == 0
    assert shell("--data", here, "activities", "list", "--data", nowhere).exit_code == 3
