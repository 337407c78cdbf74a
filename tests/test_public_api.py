"""The public names: what is promised, what is documented and what is there are one list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from typing import Literal, get_origin

import pytest

import ortto_capture
from ortto_capture import errors

from .services import ROOT

PYTHON_PAGE = ROOT / "docs" / "reference" / "python.md"
PACKAGE = ROOT / "ortto_capture"
#: Promised where they are: (module, name), by the table on that page.
ELSEWHERE = [
    (module, name)
    for module, names in re.findall(
        r"^\| `(ortto_capture\.[\w.]+)` \|([^|]+)\|", PYTHON_PAGE.read_text("utf-8"), re.MULTILINE
    )
    for name in re.findall(r"`(\w+)", names)
]


@pytest.mark.parametrize("name", ortto_capture.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(ortto_capture, name).__doc__


def test_the_list_is_sorted_as_a_reader_would_look_it_up() -> None:
    names = list(ortto_capture.__all__)
    assert names == sorted(set(names))


def test_the_reference_documents_exactly_the_public_names() -> None:
    """One ``### `Name` `` heading each: a name without one is a name not to rely on."""
    headings = re.findall(r"^### `(\w+)", PYTHON_PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(ortto_capture.__all__)


def test_every_error_of_the_package_is_promised() -> None:
    """An exception that a program may have to catch has a documented place to import it from."""
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    promised = {name for module, name in ELSEWHERE if module == "ortto_capture.errors"}

    assert raised == promised | (raised & set(ortto_capture.__all__))


@pytest.mark.parametrize(("module", "name"), ELSEWHERE)
def test_what_is_promised_elsewhere_is_there_and_says_what_it_is(module: str, name: str) -> None:
    found = getattr(import_module(module), name)
    # A literal type has no docstring of its own.
    assert get_origin(found) is Literal or found.__doc__


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """The (module, name)s that a file of the package takes from elsewhere in the package."""
    package = ".".join(file.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((module, alias.name) for alias in node.names)


def test_the_command_line_uses_only_what_is_promised() -> None:
    """So a program can do whatever the command line does.

    How rows are shown, it shares with the console.
    """
    ours = ("ortto_capture.cli", "ortto_capture.console")
    used = {
        each
        for file in (PACKAGE / "cli").rglob("*.py")
        for each in imported(file)
        if not each[0].startswith(ours)
    }
    promised = {("ortto_capture", name) for name in ortto_capture.__all__} | set(ELSEWHERE)

    assert ("ortto_capture.backends.file", "FileBackends") in used
    assert used <= promised
