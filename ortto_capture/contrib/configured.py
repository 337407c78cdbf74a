"""What the configuration of a host says: a plain mapping in, an account and its place out.

The law of this file: it names what integrations configure alike, and leaves the rest to
``Settings``. Nothing is read but what it is given: neither the environment nor a framework.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..backends import open_backends
from ..capture import Capture
from ..errors import ConfigurationError
from ..ports import Backends
from ..settings import Settings
from .visitors import key_of

#: What may be written beside the settings.
_OWN = ("data", "at", "key")


@dataclass(frozen=True, slots=True)
class Configured:
    """What a host's configuration amounts to."""

    #: The account, its backends open.
    capture: Capture
    #: The path to mount it at, such as ``/capture``.
    at: str
    #: The capture key of the host's own pages.
    key: str
    #: What the integration reads by itself, by names in lower case.
    others: Mapping[str, Any]


def configured(
    values: Mapping[str, Any],
    base: Path | str,
    *,
    backends: Backends | None = None,
    others: Collection[str] = (),
) -> Configured:
    """Open the account that a host has configured.

    :param values: ``data``: a directory, ``memory:`` or ``file:DIRECTORY``, by default ``capture``;
        ``at``: the path of the mount, by default ``/capture``; ``key``: the capture key of the
        host's own pages, by default the first of ``sources``, else ``site``; and the settings of
        :class:`~ortto_capture.Settings`. Names may be written in upper case, as Django has them.
    :param base: relative directories are below it.
    :param backends: what to use instead of ``data``.
    :param others: further names, in lower case, that the integration reads by itself.
    :raises ConfigurationError: for a name that there is not, and for a value that is wrong.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError("ORTTO_CAPTURE", 'give a dict, such as {"data": "capture"}')
    settings: dict[str, Any] = {}
    for name, value in values.items():
        if (folded := _known(name, others)) in settings:
            raise ConfigurationError(name, f"it is there twice, as {folded!r} too")
        settings[folded] = value
    own = {name: settings.pop(name) for name in (*_OWN, *others) if name in settings}
    data, at = own.pop("data", "capture"), own.pop("at", "/capture")
    if not isinstance(at, str):
        raise ConfigurationError("at", f'{at!r} is not a path such as "/capture"')
    # First, so that a mistake in them leaves no directory behind.
    checked = Settings.from_mapping(settings)
    key = own.pop("key", key_of(checked))
    if not isinstance(key, str) or (checked.sources and key not in checked.sources):
        raise ConfigurationError("key", f"{key!r} is none of {sorted(checked.sources)}")
    if backends is None:
        backends = open_backends(_address(data, Path(base)))
    return Configured(Capture(backends=backends, settings=checked), at, key, own)


def _known(name: object, others: Collection[str]) -> str:
    """The name in lower case."""
    known = [*_OWN, *others, *(each.name for each in fields(Settings))]
    if str(name).lower() not in known:
        spelled = map(str.upper, known) if str(name).isupper() else known
        raise ConfigurationError(str(name), f"no such setting; there are {', '.join(spelled)}")
    return str(name).lower()


def _address(data: object, base: Path) -> str:
    """The address that ``open_backends`` knows."""
    if not isinstance(data, str | os.PathLike) or not (text := str(data)):
        raise ConfigurationError("data", f'{data!r} is no directory; give one, or "memory:"')
    if text == "memory:":
        return text
    # An absolute directory stays what it is.
    return f"file:{base / text.removeprefix('file:')}"
