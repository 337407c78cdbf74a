"""Documents of the file backend: between processes, in backups, and when another program edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ortto_capture import BackendError
from ortto_capture.backends.file import FileBackends, open_file
from ortto_capture.model import Document

from .samples import sql


def put(backends: FileBackends, name: str, value: object) -> Document:
    found = backends.own.documents.put("report", name, value)
    assert found is not None
    return found


def test_a_document_that_another_program_spoiled_is_reported_and_harms_no_other(
    tmp_path: Path,
) -> None:
    with open_file(str(tmp_path)) as backends:
        documents = backends.own.documents
        sound = [put(backends, name, {"name": name}) for name in ("a", "c")]
        spoiled = put(backends, "b", {"name": "b"})
        assert backends.problems() == []
        for text in ("{", None, "[" * 100_000):
            sql(tmp_path, "UPDATE documents SET value = ? WHERE name = 'b'", text)

            assert documents.get("report", "b") == spoiled._replace(value=None)
            assert [each for each in documents.all("report") if each.name != "b"] == sound
            [problem] = backends.problems()
            assert "the report 'b' is no JSON; save it again" in problem
        put(backends, "b", {"name": "mended"})

        assert backends.problems() == []


def test_documents_come_with_a_backup(tmp_path: Path) -> None:
    with open_file(str(tmp_path / "data")) as backends:
        kept = put(backends, "a", {"question": {"by": "day"}})
        backends.backup(tmp_path / "copy")
        put(backends, "a", {})

    with open_file(str(tmp_path / "copy")) as restored:
        assert restored.own.documents.get("report", "a") == kept


def test_a_decision_that_fails_leaves_no_document_behind(tmp_path: Path) -> None:
    with open_file(str(tmp_path)) as backends:
        before = put(backends, "a", 1)

        def decide() -> None:
            put(backends, "a", 2)
            put(backends, "b", 2)
            raise BackendError("a reason of its own")

        with pytest.raises(BackendError, match="a reason of its own"):
            backends.atomically(decide)

        assert list(backends.own.documents.all("report")) == [before]
