"""What a program says, as the pipeline takes it.

The law of this file: values in, values out. What cannot be right is a refusal, as it is of a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .activity_type import ActivityType
from .errors import ConfigurationError, MalformedRequest
from .identity import Identity


def reported(
    activity: str | ActivityType, attributes: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any] | None]:
    """The id and the attributes of what a program reports."""
    if isinstance(activity, ActivityType):
        if attributes is not None:
            raise TypeError("an ActivityType has its own attributes")
        return activity.activity_id, activity.attributes
    return activity, plain(attributes)


def plain(value: Any) -> Any:
    """Any mapping as a dict, which is what JSON would have made of it."""
    return dict(value) if isinstance(value, Mapping) else value


def identity_of(email: str | None, ei: str | int | None) -> Identity | None:
    """Whom the host names, if it does.

    :raises MalformedRequest: when that can be no person.
    """
    if all(each is None or (isinstance(each, str) and not each.strip()) for each in (email, ei)):
        return None
    try:
        return Identity(email, ei=ei)
    except ConfigurationError as error:
        raise MalformedRequest(str(error), field=error.field) from None


def seconds_of(at: datetime | float) -> float:
    """A time in epoch seconds.

    :raises MalformedRequest: when it says no moment since 1970.
    """
    if isinstance(at, datetime) and at.tzinfo is None:
        raise MalformedRequest("a time without its zone", field="at")
    try:
        seconds = at.timestamp() if isinstance(at, datetime) else float(at)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise MalformedRequest("no time since 1970", field="at")
    return seconds
