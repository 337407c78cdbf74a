"""Read by mypy, never run: what the call of an activity's class may be.

Each ``type: ignore`` is a proof: mypy warns about one that hides nothing, so should a wrong call
ever pass for a right one, the check fails.
"""

from __future__ import annotations

from typing import Literal

from ortto_capture import ActivityType, Definition, attribute


class LoggedIn(ActivityType):
    """Without attributes."""


class Bought(ActivityType, id="act:cm:bought", client_side=True):
    price: int
    plan: Literal["free", "pro"] = attribute("str:cm:payment-plan")
    voucher: str | None = None
    email: str | None = attribute("str::email", default=None)


class Wrong(ActivityType, cliend_side=True):  # type: ignore[call-arg]
    """The word is misspelled."""


login = LoggedIn()
bought = Bought(price=12, plan="pro")
with_voucher = Bought(price=12, plan="pro", voucher="abc", email=None)
definition: Definition = Bought.definition
price: int = bought.price

Bought(plan="pro")  # type: ignore[call-arg]
Bought(price=12)  # type: ignore[call-arg]
Bought(price="12", plan="pro")  # type: ignore[arg-type]
Bought(price=12, plan="gold")  # type: ignore[arg-type]
Bought(price=12, plan="pro", vaucher="abc")  # type: ignore[call-arg]
Bought(12, "pro")  # type: ignore[call-arg]
LoggedIn(price=1)  # type: ignore[call-arg]
bought.price = 3  # type: ignore[misc]
