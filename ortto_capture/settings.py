"""Configuration: one frozen value, complete and checked when it is built.

The law of this file: every setting is listed here with its default and its reason, and a wrong one
is refused by name before anything is served. A number that no operator needed to change is a
constant where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .errors import BadQuery, ConfigurationError
from .model import EVENT_ID_SECONDS, MAX_INTEGER, Quota, Source, is_attribute_key

#: Shorter keys are refused: 32 bytes are as many as the SHA-256 signatures have.
MIN_SECRET = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """How one account captures. All names are public; see ``docs/reference/settings.md``.

    :raises ConfigurationError: naming the setting and what to do.
    """

    #: Signs session and identity tokens, newest first; each at least 32 bytes. Without any, the
    #: backends' own is used, or one is made for as long as the process lives.
    secret_keys: Sequence[str | bytes] = field(default=(), repr=False)
    #: Capture keys and the websites they name. With none, any key is accepted.
    sources: Mapping[str, Source] = field(default_factory=dict)
    #: Accepted activities per person, assurance and activity id (the guide's number).
    person_limit: str = "10/day"
    #: Accepted activities per IP address and activity id (the guide's number).
    ip_limit: str = "100/hour"
    #: People that ``track`` may create per IP address; bounds what a stranger can make us store.
    new_people_limit: str = "100/hour"
    #: Attribute keys that ``track``'s ``ac`` may identify by.
    merge_keys: Sequence[str] = ()
    #: Let every visitor ask, by ``skipNonExisting``, whether an address is known.
    allow_skip_non_existing: bool = False
    #: ``"required"`` accepts only identity that the host vouched for.
    identity: Literal["open", "required"] = "open"
    #: Bytes of one request body; 64 KiB is what browsers let a page send with keepalive.
    max_body: int = 65_536
    #: Members of ``attributes`` (Ortto's published limit).
    max_attributes: int = 15
    #: Bytes of ``attributes`` as compact JSON (Ortto's published limit).
    max_activity_bytes: int = 16_384
    #: How long a session token is good for; browsers cap cookies at about 400 days.
    session_days: int = 365
    #: A limiter that is away: count in this ``"local"`` process, stay ``"open"``, or refuse.
    on_limiter_error: Literal["local", "open", "closed"] = "local"
    #: What ``Sec-GPC: 1`` does: ``"record"`` the signal, or ``"drop"`` the activity.
    gpc: Literal["record", "drop"] = "record"
    #: How long activities are kept by media that can forget; at least as long as event ids are
    #: remembered, which is 7 days.
    retain_activities_days: int = 400
    #: How long claimed people without activity are kept by media that can forget.
    retain_idle_people_days: int = 30
    #: In which zone reports begin a day, by its IANA name. Limits keep to UTC.
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        self._check_secrets()
        for name in ("person_limit", "ip_limit", "new_people_limit"):
            Quota.parse(getattr(self, name), name)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigurationError(name, f"choose one of {', '.join(map(repr, choices))}")
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ConfigurationError(name, f"give a whole number from {least} to {most}")
        if not _is_time_zone(self.time_zone):
            raise ConfigurationError(
                "time_zone", 'give an IANA name that this machine knows, such as "Europe/Berlin"'
            )
        for key, source in self.sources.items():
            if not (isinstance(key, str) and 0 < len(key) <= 100 and isinstance(source, Source)):
                raise ConfigurationError(
                    "sources", 'give {"capture key": Source("name")}, keys of 1 to 100 characters'
                )
        if isinstance(self.merge_keys, str) or not all(map(is_attribute_key, self.merge_keys)):
            raise ConfigurationError(
                "merge_keys", 'give a list of attribute keys, such as ["str:cm:customer-id"]'
            )
        object.__setattr__(self, "merge_keys", tuple(self.merge_keys))
        object.__setattr__(self, "sources", dict(self.sources))

    def _check_secrets(self) -> None:
        if isinstance(self.secret_keys, str | bytes):
            raise ConfigurationError("secret_keys", "give a list of keys, newest first, not one")
        if any(len(key) < MIN_SECRET for key in self.secrets):
            raise ConfigurationError(
                "secret_keys",
                f"each needs at least {MIN_SECRET} bytes; make one with "
                'python -c "import secrets; print(secrets.token_urlsafe(32))"',
            )
        object.__setattr__(self, "secret_keys", tuple(self.secret_keys))

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """``secret_keys`` as bytes, newest first; none when none were given."""
        return tuple(k.encode() if isinstance(k, str) else k for k in self.secret_keys)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Build from plain data such as a parsed TOML file or Flask's config.

        ``sources`` may hold ``{"name": …, "origins": […]}`` instead of :class:`Source`.

        :raises ConfigurationError: also for a name that is no setting.
        """
        known = {each.name for each in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigurationError(unknown[0], f"no such setting; there are {sorted(known)}")
        given = dict(values)
        try:
            if "sources" in given:
                given["sources"] = {
                    key: Source(**value) if isinstance(value, Mapping) else value
                    for key, value in given["sources"].items()
                }
            return cls(**given)
        except (AttributeError, TypeError) as error:
            raise ConfigurationError(
                "settings", f"a value has the wrong type: {error}; see docs/reference/settings.md"
            ) from error


_CHOICES: dict[str, tuple[str, ...]] = {
    "identity": ("open", "required"),
    "on_limiter_error": ("local", "open", "closed"),
    "gpc": ("record", "drop"),
}
#: A hundred years, for operators who keep everything: backends count milliseconds.
_CENTURY = 36_500
_BOUNDS = {
    "max_body": (1, MAX_INTEGER),
    "max_attributes": (1, MAX_INTEGER),
    "max_activity_bytes": (1, MAX_INTEGER),
    "session_days": (1, 365),
    "retain_activities_days": (EVENT_ID_SECONDS // 86_400, _CENTURY),
    "retain_idle_people_days": (1, _CENTURY),
}


def _is_time_zone(name: object) -> bool:
    """Whether this machine knows a zone of this name; UTC needs no files for that."""
    if name == "UTC":
        return True
    # Imported on use: most programs keep the default.
    from .questions.periods import check_zone

    try:
        check_zone(name)
    except BadQuery:
        return False
    return True
