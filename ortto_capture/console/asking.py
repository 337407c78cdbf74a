"""Questions: asked, with people named, and kept from readers who may not see the values.

The law of this file: what a question means is said elsewhere. A question about the values of a
sensitive attribute takes the scope that unmasks.
"""

from __future__ import annotations

from typing import Any

from ..capture import Capture
from ..ports import Backends
from ..questions.answer import Answer as Figures
from ..questions.checks import PRESENCE_OPS, SPLITS
from ..questions.query import Did, Funnel, Members, Query, Question, Where, conditions_in
from ..reports import Refusals
from ..reports.reports import parse_question
from .masks import Masks, plain_keys
from .routes import Asked, Route
from .shapes import ANSWER, QUESTION


class Asking:
    """Questions of one account."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def ask(self, asked: Asked) -> dict[str, Any]:
        """Answer a question."""
        return self.answer(asked, parse_question(asked.body))

    def answer(self, asked: Asked, question: Question | Refusals) -> dict[str, Any]:
        """The answer to a question, with people named.

        :raises Problem: 403, when it takes the scope ``pii``.
        """
        if not isinstance(question, Refusals):
            self.allow(asked, question)
        return shown(self._capture.reports.ask(question), question, Masks(self._capture.backends))

    def allow(self, asked: Asked, question: Question) -> None:
        """Refuse a question that tells values which the reader may not see.

        :raises Problem: 403.
        """
        if not asked.may("pii") and _tells(
            self._capture.reports.complete(question), self._capture.backends
        ):
            asked.need("pii")


def routes(capture: Capture) -> list[Route]:
    """The route of questions."""
    return [
        Route(
            "POST",
            "/api/ask",
            "read",
            Asking(capture).ask,
            "Answer a question.",
            body=QUESTION,
            answer=ANSWER,
            errors=(422, 429),
            held=False,
        )
    ]


def shown(answer: Figures, question: Question | Refusals, masks: Masks) -> dict[str, Any]:
    """An answer in plain JSON types; people by name, beside their ids."""
    by_person = isinstance(question, Members) or (
        isinstance(question, Query) and question.split_by == "person"
    )
    rows: list[dict[str, Any]] = []
    for start, value, measure in answer.rows:
        row: dict[str, Any] = {"start": start, "value": value, "measure": measure}
        if by_person:
            row |= {"value": masks.person(str(value)), "person_id": value}
        rows.append(row)
    return {
        "rows": rows,
        "total": answer.total,
        "since": answer.since,
        "until": answer.until,
        "buckets": [list(each) for each in answer.buckets],
        "partial": list(answer.partial),
    }


def _tells(question: Question, backends: Backends) -> bool:
    """Whether an answer tells of values that are masked.

    Those are of an attribute that one of the activities declares sensitive, or one that is named
    does not declare: it may have been declared sensitive before. Of all activities only some have
    it, so that one must declare it and none as sensitive. That there is a value, any reader sees.
    """
    if isinstance(question, Funnel):
        return False
    definitions = backends.definitions

    def masked(key: str, activities: tuple[str, ...] | None) -> bool:
        if activities is not None:
            return any(key not in plain_keys(definitions.get(each)) for each in activities)
        every = [one for each in definitions.all() for one in each.attributes if one.key == key]
        return not every or any(each.sensitive for each in every)

    def compared(wheres: tuple[Where, ...]) -> list[str]:
        return [each.attribute for each in wheres if each.op not in PRESENCE_OPS]

    keys: list[tuple[str, tuple[str, ...] | None]] = []
    if isinstance(question, Query):
        own = [*compared(question.where), question.attribute, question.split_by]
        keys = [(key, question.activities) for key in own if key and key not in SPLITS]
    for condition in conditions_in(question.people):
        if isinstance(condition, Did):
            keys += [(key, (condition.activity,)) for key in compared(condition.where)]
    return any(masked(*each) for each in keys)
