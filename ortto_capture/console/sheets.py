"""Tables as CSV, for programs that people open tables with.

The law of this file: no cell is a formula. Text that a spreadsheet would take for one begins with
an apostrophe; numbers stay numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Final

from ..questions.periods import zone_of

MEDIA: Final = "text/csv; charset=utf-8"
#: What a cell must not begin with; the last ones are skipped before it is looked at.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def written(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(titles)
    writer.writerows([_cell(each) for each in row] for row in rows)
    return text.getvalue()


def of_answer(answer: dict[str, Any], question: dict[str, Any], zone: str) -> str:
    """Write the answer to a question, as the API has both: a row for each figure.

    :param zone: of the times; each is ISO 8601 with its offset.
    """
    by = "by" in question
    split = question.get("split_by") or ("step" if "steps" in question else None)
    split = question.get("refusals", split)
    titles = [*(["start"] if by else []), *([split] if split else []), _measure(question)]
    rows = []
    for row in answer["rows"]:
        start = datetime.fromtimestamp(row["start"], zone_of(zone)) if by else None
        cells = [start.isoformat()] if start is not None else []
        rows.append([*cells, *([row["value"]] if split else []), row["measure"]])
    return written(titles, rows)


def _measure(question: dict[str, Any]) -> str:
    if "refusals" in question:
        return "refused"
    return "people" if "steps" in question else str(question.get("measure", "count"))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value
