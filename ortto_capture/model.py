"""The nouns: what the rest of the package talks about.

The law of this file: values only. Everything is frozen, checks itself when built and does no
I/O. The values that a request creates are ``NamedTuple``s, because building one costs a quarter of
what a frozen dataclass costs (0.4 µs against 1.6 µs for nine fields), and a request builds several;
the values an operator writes are dataclasses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from .errors import ConfigurationError

#: How identity was proved: ``claimed`` (a browser said so) or ``verified`` (the host vouched).
Assurance: TypeAlias = Literal["claimed", "verified"]

#: The eleven attribute types (contract §6), the first part of every attribute key.
ATTRIBUTE_TYPES = ("str", "txt", "int", "bol", "dtz", "tme", "phn", "geo", "sst", "stl", "obj")

#: The longest activity id or attribute key, in characters (contract §3).
MAX_ID = 100

#: The longest text that says how an activity reads, in characters: as long as a value of ``str``.
MAX_TEXT = 255

#: JavaScript's largest safe integer. Beyond it browsers round, and backends do not agree.
MAX_INTEGER = 2**53 - 1

#: How long an event id is remembered (contract §4, row 11), in seconds.
EVENT_ID_SECONDS = 7 * 86_400

# The ``limits`` package reads "1/0 day" as one a day.
_NO_WINDOW = re.compile(r"(?:/|per)\s*0+\s*[a-z]", re.IGNORECASE)
_ATTRIBUTE_KEY = re.compile(r"(?:%s):[a-z0-9]{0,8}:[A-Za-z0-9_-]+" % "|".join(ATTRIBUTE_TYPES))
#: In a text that says how an activity reads: where the value of an attribute goes.
_PLACE = re.compile(r"\{([^{}]*)\}")
#: Codes of refusals behind row 8 of the contract's §4, where the definition was found.
_PAST_DEFINITION = frozenset(
    {
        "not-identified",
        "needs-verified",
        "bad-session",
        "bad-identity",
        "bad-attribute",
        "rate-limit",
    }
)
_ACTIVITY_ID = re.compile(r"act:[a-z0-9]{1,8}:[A-Za-z0-9_-]+")


class Quota(NamedTuple):
    """At most ``amount`` per fixed UTC window of ``seconds``."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str, field: str = "quota") -> Quota:
        """Read the notation of the ``limits`` package: ``"10/day"``, ``"5 per 2 hours"``.

        :param field: what to name in the error.
        :raises ConfigurationError: when the text is not one limit in that notation.
        """
        # Imported on use: it takes 60-110 ms, and importing this package must stay cheap.
        from limits import parse_many

        try:
            items = parse_many(text)
        except (ValueError, TypeError):
            items = []
        if len(items) != 1 or items[0].amount < 1 or _NO_WINDOW.search(text):
            raise ConfigurationError(
                field, 'not one limit; write an amount and a period, such as "10/day" or "100/hour"'
            )
        quota = cls(items[0].amount, items[0].get_expiry())
        if max(quota) > MAX_INTEGER:
            raise ConfigurationError(
                field, f"backends count up to {MAX_INTEGER}; write a smaller amount or period"
            )
        return quota


class Charge(NamedTuple):
    """One thing to count: ``key`` (16 opaque bytes) against ``quota``."""

    key: bytes
    quota: Quota


class Full(NamedTuple):
    """A rate limiter's no: the full ``charge``, and the whole seconds (≥ 1) until it has room."""

    charge: Charge
    retry_after: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """One typed value an activity may carry.

    :param key: ``type:namespace:slug``, such as ``str:cm:payment-plan`` or ``str::email``; matched
        exactly, never normalised.
    :param name: what people read; the slug when left out.
    :param required: an activity without it is refused.
    :param sensitive: the value is masked wherever people look.
    :raises ConfigurationError: when the key is not well formed.
    """

    key: str
    name: str = ""
    required: bool = False
    sensitive: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not is_attribute_key(self.key):
            raise ConfigurationError(
                "attribute",
                f"{self.key!r} is not type:namespace:slug of at most {MAX_ID} characters, "
                f"the type being one of {', '.join(ATTRIBUTE_TYPES)}",
            )
        if not self.name:
            object.__setattr__(self, "name", self.key.rpartition(":")[2])

    @property
    def type(self) -> str:
        """The type prefix, one of :data:`ATTRIBUTE_TYPES`."""
        return self.key[:3]


def is_attribute_key(key: str) -> bool:
    """Tell whether ``key`` is well formed: ``type:namespace:slug``, at most 100 characters."""
    return len(key) <= MAX_ID and _ATTRIBUTE_KEY.fullmatch(key) is not None


def is_activity_id(activity_id: str) -> bool:
    """Tell whether it is well formed: ``act:namespace:slug``, at most 100 characters."""
    return len(activity_id) <= MAX_ID and _ACTIVITY_ID.fullmatch(activity_id) is not None


@dataclass(frozen=True, slots=True)
class Definition:
    """What may happen.

    :param id: ``act:namespace:slug``, at most 100 characters; matched exactly. System ids
        (``act::…``) cannot be defined.
    :param name: what people read.
    :param client_side: whether websites may send it (the *client-side data source*).
    :param attributes: what it may carry; a bare key such as ``"str::email"`` stands for
        ``Attribute("str::email")``.
    :param limits: its own limits instead of the global ones, such as ``{"person": "20/day"}`` or
        ``{"ip": "9/hour"}`` or both.
    :param unknown_attributes: ``"reject"`` the activity, or ``"drop"`` what is not declared.
    :param icon: a name for a picture; kept, not interpreted.
    :param archived: kept for its history, no longer accepted.
    :param needs: the assurance without which it is refused: ``"verified"`` for what a stranger must
        not claim for another person, such as a purchase.
    :param shown_as: how one of its activities reads, such as ``Placed order #{str:cm:order-id}``,
        at most 255 characters; its name alone when left out.
    :raises ConfigurationError: naming the member and the remedy.
    """

    id: str
    name: str
    client_side: bool = False
    attributes: Sequence[Attribute] = ()
    limits: Mapping[str, str] | None = None
    unknown_attributes: Literal["reject", "drop"] = "reject"
    icon: str | None = None
    archived: bool = False
    needs: Assurance = "claimed"
    shown_as: str | None = None

    if TYPE_CHECKING:
        # The dataclass's own, except that bare keys are accepted for attributes.
        def __init__(
            self,
            id: str,  # noqa: A002
            name: str,
            client_side: bool = False,
            attributes: Iterable[Attribute | str] = (),
            limits: Mapping[str, str] | None = None,
            unknown_attributes: Literal["reject", "drop"] = "reject",
            icon: str | None = None,
            archived: bool = False,
            needs: Assurance = "claimed",
            shown_as: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        if not is_activity_id(self.id):
            raise ConfigurationError(
                "id", f"{self.id!r} is not act:namespace:slug of at most {MAX_ID} characters"
            )
        if not self.name.strip():
            raise ConfigurationError("name", f"give {self.id} a name people can read")
        if self.unknown_attributes not in ("reject", "drop"):
            raise ConfigurationError("unknown_attributes", 'choose "reject" or "drop"')
        if self.needs not in ("claimed", "verified"):
            raise ConfigurationError("needs", 'choose "claimed" or "verified"')
        given = self.attributes
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise ConfigurationError(
                "attributes", 'give a list of keys or attributes, such as ["str::email"]'
            )
        attributes = tuple(a if isinstance(a, Attribute) else Attribute(a) for a in given)
        object.__setattr__(self, "attributes", attributes)
        keys = [attribute.key for attribute in attributes]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ConfigurationError("attributes", f"declared twice: {', '.join(twice)}")
        if self.shown_as is not None:
            _check_text(self.shown_as, keys)
        for kind, notation in (self.limits or {}).items():
            if kind not in ("person", "ip"):
                raise ConfigurationError("limits", f'{kind!r} is neither "person" nor "ip"')
            Quota.parse(notation, f"limits.{kind}")

    def declared_over(self, stored: Definition | None) -> Definition:
        """Return what is to be stored when this is declared and ``stored`` is there.

        The operator's switches stay as they are stored: ``client_side`` and ``archived``. When
        nothing else changes, it is ``stored`` itself.
        """
        if stored is None:
            return self
        declared = replace(self, client_side=stored.client_side, archived=stored.archived)
        return stored if declared == stored else declared


def places_of(text: str) -> list[str]:
    """Split a text such as ``Order #{str:cm:order-id}``: words and keys in turn, words first."""
    return _PLACE.split(text)


def _check_text(text: str, keys: Sequence[str]) -> None:
    parts = places_of(text)
    if not text.strip() or len(text) > MAX_TEXT or {"{", "}"} & set("".join(parts[::2])):
        raise ConfigurationError(
            "shown_as",
            f"write at most {MAX_TEXT} characters, each brace around the key of an attribute: "
            '"Placed order #{str:cm:order-id}"',
        )
    if missing := [key for key in parts[1::2] if key not in keys]:
        raise ConfigurationError("shown_as", f"{missing[0]!r} is no attribute of this activity")


@dataclass(frozen=True, slots=True)
class Source:
    """One website that reports here.

    :param name: what people read.
    :param origins: when given, browsers on other origins are refused (``https://shop.example``,
        compared exactly). It restrains browsers and no other program.
    """

    name: str
    origins: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.origins, str):
            raise ConfigurationError("origins", "give a list of origins, not one string")
        object.__setattr__(self, "origins", tuple(self.origins))
        for origin in self.origins:
            scheme, separator, host = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not host or "/" in host:
                raise ConfigurationError(
                    "origins", f"{origin!r} is not scheme://host[:port], without a path"
                )


class Identifier(NamedTuple):
    """One way to find a person: ``kind`` is ``ei``, ``email`` or an attribute key."""

    kind: str
    value: str


class Person(NamedTuple):
    """Who. At most one identifier of each kind; times are epoch seconds, UTC."""

    id: str
    identifiers: tuple[Identifier, ...]
    first: str | None
    last: str | None
    assurance: Assurance
    created_at: float

    @property
    def email(self) -> str | None:
        """The e-mail address, or None when another identifier is all there is."""
        return next((value for kind, value in self.identifiers if kind == "email"), None)

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types, as it is exported; the time is ISO 8601, UTC."""
        return {
            **self._asdict(),
            "identifiers": [each._asdict() for each in self.identifiers],
            "created_at": datetime.fromtimestamp(self.created_at, UTC).isoformat(),
        }


class Activity(NamedTuple):
    """What happened, ready to be stored; times are epoch seconds, UTC, in whole milliseconds."""

    event_id: str
    activity_id: str
    person_id: str
    attributes: Mapping[str, Any]
    source: str
    assurance: Assurance
    occurred_at: float
    received_at: float
    gpc: bool


class Captured(NamedTuple):
    """One activity as the journal holds it.

    :param position: its place in the journal, at least 1; 0 for a visitor who opted out, of whom
        nothing was stored.
    :param cursor: what ``Journal.after`` goes on from; opaque.
    :param duplicate: set only in the answer to a repeated ``event_id``: this is then the first.
    """

    position: int
    cursor: str
    activity: Activity
    duplicate: bool = False

    @property
    def event_id(self) -> str:
        """The id that makes a repetition harmless."""
        return self.activity.event_id

    @property
    def activity_id(self) -> str:
        """The id of its definition."""
        return self.activity.activity_id

    @property
    def person_id(self) -> str:
        """The id of the person who did it."""
        return self.activity.person_id

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its attribute values by key."""
        return self.activity.attributes

    @property
    def source(self) -> str:
        """The capture key it came with, or the empty string."""
        return self.activity.source

    @property
    def assurance(self) -> Assurance:
        """How its person's identity was proved."""
        return self.activity.assurance

    @property
    def occurred_at(self) -> datetime:
        """When the page called ``ap3c.activity``; UTC."""
        return datetime.fromtimestamp(self.activity.occurred_at, UTC)

    @property
    def received_at(self) -> datetime:
        """When it was received here; UTC."""
        return datetime.fromtimestamp(self.activity.received_at, UTC)

    @property
    def gpc(self) -> bool:
        """Whether the visitor signalled Global Privacy Control."""
        return self.activity.gpc

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types, as it is exported; times are ISO 8601, UTC."""
        return {
            "position": self.position,
            **self.activity._asdict(),
            "occurred_at": self.occurred_at.isoformat(),
            "received_at": self.received_at.isoformat(),
        }


class Identified(NamedTuple):
    """The answer to ``track``: the session token, and whether a person is identified now."""

    session: str | None
    identified: bool


class Erased(NamedTuple):
    """What an erasure removed: how many ``activities``, and whether it is ``complete``.

    When it is not, another connection was reading at that moment: a later decision overwrites the
    bytes.
    """

    activities: int
    complete: bool


class Document(NamedTuple):
    """One thing that operators saved: a report, an audience, an access token's hash.

    :param kind: what it is; a name is one of its kind.
    :param value: plain JSON.
    :param version: at least 1; each ``put`` gives a higher one, and none is given twice.
    """

    kind: str
    name: str
    value: Any
    version: int


class Outcome(NamedTuple):
    """What became of one request; exactly one each. ``at`` is epoch seconds.

    ``code`` is the public code of a refusal, or ``accepted``, ``duplicate``, ``opted-out`` (dropped
    for Global Privacy Control), ``identified``, ``anonymous``. ``reason`` is what the public answer
    hides. ``notes`` are counted beside it: ``identity-conflict``, ``limited-locally``,
    ``ignored:cc``. ``number`` is given by the backend, rising, and 0 before that.
    """

    code: str
    at: float
    route: str
    reason: str = ""
    activity_id: str | None = None
    person_id: str | None = None
    field: str | None = None
    expected: str | None = None
    notes: tuple[str, ...] = ()
    number: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether the page shows it: refused requests, and those that no activity tells of."""
        return bool(self.reason) or self.code in ("identified", "duplicate")

    @property
    def refusal(self) -> tuple[float, str, str]:
        """As what a refused request is tallied: the start of its hour, the activity, the reason.

        The activity is told where the request came as far as a definition. What is refused before
        that may name any activity, and is tallied under none.
        """
        known = self.reason in ("disabled", "archived") or self.code in _PAST_DEFINITION
        activity_id = self.activity_id if known else None
        return self.at // 3_600 * 3_600, activity_id or "", self.reason

    @property
    def counted(self) -> list[str]:
        """What it is counted as: its code, and each note behind ``note:``."""
        return [self.code, *[f"note:{note}" for note in self.notes]]

    def plain(self) -> dict[str, Any]:
        """The same in plain JSON types, as it is exported; the time is ISO 8601, UTC."""
        return {
            **self._asdict(),
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "notes": list(self.notes),
        }
