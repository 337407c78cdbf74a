"""Activities as Python classes: the definition and the code that reports it, in one place.

The law of this file: a class says what a :class:`Definition` says and nothing else, and everything
that is wrong with it is refused when the class is made. A value becomes plain JSON here; whether it
fits is the pipeline's to say, as for every other activity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import date, datetime
from types import NoneType, UnionType
from typing import (
    Any,
    ClassVar,
    Literal,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from .errors import ConfigurationError
from .model import Assurance, Attribute, Definition

#: What a Python type may be declared as (contract §6); the first where no key says which.
_PREFIXES: dict[Any, tuple[str, ...]] = {
    str: ("str", "txt"),
    bool: ("bol",),
    int: ("int",),
    datetime: ("tme",),
    date: ("dtz",),
    list: ("stl", "sst"),
    tuple: ("stl", "sst"),
    Sequence: ("stl", "sst"),
    dict: ("obj", "phn", "geo"),
    Mapping: ("obj", "phn", "geo"),
}
#: Where the key and what else was said of an attribute is kept in its field.
_SAID = "ortto_capture"
#: Before each word of a class name but the first.
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def attribute(
    key: str = "", *, default: Any = MISSING, name: str = "", sensitive: bool = False
) -> Any:
    """Say more of an attribute than its name and its type do.

    :param key: such as ``"str::email"``; else ``type:cm:name``, with ``-`` for ``_``.
    :param default: when given, the attribute is not required; None leaves it out.
    :param name: what people read.
    :param sensitive: the value is masked wherever people look.
    """
    # field()'s overloads do not take "maybe".
    options: dict[str, Any] = {} if default is MISSING else {"default": default}
    return field(**options, metadata={_SAID: (key, name, sensitive)})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attribute,))
class ActivityType:
    """The base of an activity's class; a subclass declares the attributes as a dataclass does.

    ::

        class Bought(ActivityType, client_side=True):
            price: int
            plan: Literal["free", "pro"] = attribute("str:cm:payment-plan", name="Plan")
            voucher: str | None = None

    ``Bought.definition`` is the :class:`Definition`, and ``Bought(price=12, plan="pro")`` is what
    ``Capture.record`` and ``Capture.record_for`` take in place of an id and attributes. An
    attribute without a default is required. ``id`` and ``name`` are made from the name of the class
    where they are left out: ``act:cm:bought``, "Bought".

    :raises ConfigurationError: when the class is made; it names the class and the attribute.
    """

    #: What may happen.
    definition: ClassVar[Definition]
    #: Attribute keys, by the names they have here.
    _keys: ClassVar[Mapping[str, str]]

    def __init_subclass__(
        cls,
        *,
        id: str = "",  # noqa: A002  # as in Definition
        name: str = "",
        client_side: bool = False,
        limits: Mapping[str, str] | None = None,
        unknown_attributes: Literal["reject", "drop"] = "reject",
        icon: str | None = None,
        needs: Assurance = "claimed",
        shown_as: str | None = None,
    ) -> None:
        """Make the class a frozen dataclass, and its definition."""
        words = _WORDS.sub(" ", cls.__name__).lower().replace("_", " ")
        try:
            declared = dict(_declared(dataclass(frozen=True, kw_only=True)(cls)))
            cls.definition = Definition(
                id or f"act:cm:{words.replace(' ', '-')}",
                name or words[:1].upper() + words[1:],
                client_side,
                tuple(declared.values()),
                limits,
                unknown_attributes,
                icon,
                needs=needs,
                shown_as=shown_as,
            )
        except ConfigurationError as error:
            said = str(error).removeprefix(f"{error.field}: ")
            raise ConfigurationError(f"{cls.__name__}: {error.field}", said) from error
        cls._keys = {each: attribute.key for each, attribute in declared.items()}

    @property
    def activity_id(self) -> str:
        """The id of the definition."""
        return self.definition.id

    @property
    def attributes(self) -> dict[str, Any]:
        """The values by attribute key, as plain JSON types; None is left out."""
        values = ((key, getattr(self, name)) for name, key in self._keys.items())
        return {key: _json(key, value) for key, value in values if value is not None}


#: What a class has already, so no attribute can be called that.
_TAKEN = ("definition", "activity_id", "attributes")


def _declared(cls: Any) -> Iterator[tuple[str, Attribute]]:
    """The attributes of a class, by the names they have there."""
    try:
        hints = get_type_hints(cls)
    except NameError as error:
        raise ConfigurationError("attributes", f"{error}; import it for the program") from error
    for each in fields(cls):
        if each.name in _TAKEN:
            raise ConfigurationError(each.name, f"name it otherwise; taken are {', '.join(_TAKEN)}")
        key, name, sensitive = each.metadata.get(_SAID, ("", "", False))
        prefixes = _prefixes(each.name, hints[each.name])
        key = key or f"{prefixes[0]}:cm:{each.name.replace('_', '-')}"
        required = each.default is MISSING and each.default_factory is MISSING
        attribute = Attribute(key, name, required, sensitive)
        if attribute.type not in prefixes:
            likely = " or ".join(prefixes)
            raise ConfigurationError(each.name, f"{key} is declared with a type that is {likely}")
        yield each.name, attribute


def _prefixes(name: str, hint: Any) -> tuple[str, ...]:
    """What a hint such as ``int | None`` may be declared as."""
    kinds = [hint]
    if get_origin(hint) in (Union, UnionType):
        kinds = [each for each in get_args(hint) if each is not NoneType]
    if get_origin(kinds[0]) is Literal:
        kinds[:1] = {type(value) for value in get_args(kinds[0])}
    origin = get_origin(kinds[0]) or kinds[0]
    found = _PREFIXES.get(origin) if len(kinds) == 1 else None
    if found is None:
        there = "str, bool, int, datetime, date, list[str] and dict, each also with | None"
        raise ConfigurationError(name, f"{hint} is no type of attributes; there are {there}")
    return found


def _json(key: str, value: Any) -> Any:
    """A value of one of the types above as JSON has it."""
    # Every datetime is a date to Python, so the attribute says which of the two is meant.
    if isinstance(value, datetime) and not key.startswith("dtz:"):
        return value.isoformat()
    if isinstance(value, date):
        return {"year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else value
