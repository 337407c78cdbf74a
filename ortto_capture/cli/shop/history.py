"""The week before the shop was opened: what a few made-up people did, so that no page is empty.

The law of this file: every start makes the same week, and each person of it has an address at
``sample.example``, so that no figure of it can be taken for one of real people.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ... import Capture, Refused

_DAY = 86_400
_NAMES = ("ada", "ben", "cleo", "dov", "eva", "finn", "gus", "hana", "ida", "jun", "kai", "lena")
#: As in the shop: the price in dollars a month, and how many of ten choose it.
_PLANS = {"Sip": (12, 5), "Pot": (22, 4), "Crew": (58, 1)}


def live_through(capture: Capture, now: float, days: int = 7) -> int:
    """Record the days before ``now``, unless anything happened already; return how much it was.

    :param now: epoch seconds.
    """
    if capture.backends.journal.latest(1):
        return 0
    moment = now
    week = sorted(_week(random.Random(7), now, days), key=lambda each: each[0])  # noqa: S311  # no secret
    then = Capture(backends=capture.backends, settings=capture.settings, clock=lambda: moment)

    def record() -> int:
        nonlocal moment
        for at, activity_id, name, attributes in week:
            moment = at
            with suppress(Refused):
                then.record_for(activity_id, attributes, email=f"{name}@sample.example")
        return len(week)

    # In one decision: a commit for each would have the shop open seconds later.
    return capture.backends.atomically(record)


def _week(chance: random.Random, now: float, days: int) -> Iterator[tuple[float, str, str, Any]]:
    """Visits: who signs in, drinks, chooses a plan, and buys it."""
    for day in range(days, 0, -1):
        for name in chance.sample(_NAMES, chance.randint(5, 9)):
            at = now - day * _DAY + chance.random() * 0.9 * _DAY
            email = {"str::email": f"{name}@sample.example"}
            yield at, "act:cm:login", name, email
            for cup in range(chance.randint(0, 3)):
                yield at + 40 * cup + 20, "act:cm:cup-poured", name, {}
            if chance.random() < 0.4:
                [plan] = chance.choices(list(_PLANS), [often for _, often in _PLANS.values()])
                chosen = {"str:cm:plan": plan, "int:cm:price": _PLANS[plan][0]}
                yield at + 180, "act:cm:plan-chosen", name, chosen
                if chance.random() < 0.5:
                    gift = {"bol:cm:gift": chance.random() < 0.2}
                    yield at + 300, "act:cm:purchase", name, chosen | gift
            if chance.random() < 0.1:
                yield at + 360, "act:cm:wish-list", name, {}
