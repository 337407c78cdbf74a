"""The public names: what is promised, what is documented and what is there are one list."""

from __future__ import annotations

import re

import pytest

import ortto_capture

from .services import ROOT

PYTHON_PAGE = ROOT / "docs" / "reference" / "python.md"


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
