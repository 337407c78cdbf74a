"""The public names: what is promised, what is documented and what is there are one list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest

import ortto_capture

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
    """One ``### `Name` `` heading each; a name nobody documents is a name nobody may rely on."""
    headings = re.findall(r"^### `(\w+)", PYTHON_PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(ortto_capture.__all__)


def test_every_error_of_the_package_is_public() -> None:
    from ortto_capture import errors

    assert set(errors.__all__) <= set(ortto_capture.__all__)


@pytest.mark.parametrize(("module", "name"), ELSEWHERE)
def test_what_is_promised_elsewhere_is_there_and_says_what_it_is(module: str, name: str) -> None:
    assert name in import_module(module).__all__
    assert getattr(import_module(module), name).__doc__


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """The (module, name)s that a file of the package takes from elsewhere in the package."""
    package = ".".join(file.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((module, alias.name) for alias in node.names)


def test_the_command_line_uses_only_what_is_promised() -> None:
    """So whatever it does, a program can do."""
    used = {
        each
        for file in (PACKAGE / "cli").rglob("*.py")
        for each in imported(file)
        if not each[0].startswith("ortto_capture.cli")
    }
    promised = {("ortto_capture", name) for name in ortto_capture.__all__} | set(ELSEWHERE)

    assert ("ortto_capture.backends.file", "FileBackends") in used
    assert used <= promised
