"""What hosts write into their configuration becomes an account, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ortto_capture import ConfigurationError, Source, open_backends
from ortto_capture.backends.file import FileBackends
from ortto_capture.contrib.configured import configured

SECRET = "an example secret of more than 32 bytes"
MEMORY = {"data": "memory:", "secret_keys": [SECRET]}


def directory(values: dict[str, Any], base: Path) -> Path:
    with configured(values, base).capture.backends as backends:
        assert isinstance(backends, FileBackends)
        return backends.directory


def test_nothing_configured_is_a_directory_below_the_base(tmp_path: Path) -> None:
    made = configured({}, tmp_path)

    with made.capture.backends:
        assert (made.at, made.key) == ("/capture", "site")
    assert (tmp_path / "capture" / "store.sqlite3").exists()


def test_a_relative_directory_is_below_the_base_and_an_absolute_one_is_not(tmp_path: Path) -> None:
    base, elsewhere = tmp_path / "base", tmp_path / "elsewhere"

    assert directory({"data": "x"}, base) == base / "x"
    assert directory({"data": Path("x")}, base) == base / "x"
    assert directory({"data": "file:y?durability=os"}, base) == base / "y"
    assert directory({"data": elsewhere}, base) == elsewhere
    assert directory({"data": f"file:{elsewhere}"}, base) == elsewhere


def test_the_key_of_the_pages_is_the_first_source(tmp_path: Path) -> None:
    sources = {"shop": {"name": "The shop"}, "blog": Source("The blog")}

    assert configured(MEMORY | {"sources": sources}, tmp_path).key == "shop"
    assert configured(MEMORY | {"sources": sources, "key": "blog"}, tmp_path).key == "blog"
    assert configured(MEMORY | {"key": "any"}, tmp_path).key == "any"


def test_settings_are_settings_in_upper_case_too(tmp_path: Path) -> None:
    made = configured(
        {"DATA": "memory:", "AT": "/seen", "SECRET_KEYS": [SECRET], "PERSON_LIMIT": "3/day"},
        tmp_path,
    )

    assert made.at == "/seen"
    assert made.capture.settings.person_limit == "3/day"


def test_what_the_integration_reads_by_itself_is_handed_on(tmp_path: Path) -> None:
    assert configured(MEMORY | {"CONSOLE": "staff"}, tmp_path, others=["console"]).others == {
        "console": "staff"
    }
    assert configured(MEMORY, tmp_path, others=["console"]).others == {}


def test_backends_of_the_host_are_used_instead_of_a_directory(tmp_path: Path) -> None:
    backends = open_backends("memory:")

    made = configured({"secret_keys": [SECRET]}, tmp_path, backends=backends)

    assert made.capture.backends is backends
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"person_limits": "3/day"}, r"^person_limits: no such setting; .*\bperson_limit\b"),
        ({"PERSON_LIMITS": "3/day"}, r"^PERSON_LIMITS: no such setting; .*\bDATA\b.*\bMERGE_KEYS"),
        ({7: "x"}, "^7: no such setting"),
        ({"data": "x", "DATA": "y"}, "^DATA: it is there twice"),
        ({"data": None}, '^data: None is no directory; give one, or "memory:"'),
        ({"data": ""}, "^data: '' is no directory"),
        ({"at": None}, "^at: None is not a path"),
        ({"key": 5}, "^key: 5 is none of"),
        ({"key": "c", "sources": {"b": Source("b"), "a": Source("a")}}, r"is none of \['a', 'b'\]"),
        ({"person_limit": "many"}, "^person_limit: "),
        ("capture", "^ORTTO_CAPTURE: give a dict"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_makes_no_directory(
    values: Any, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        configured(values, tmp_path)
    assert list(tmp_path.iterdir()) == []
