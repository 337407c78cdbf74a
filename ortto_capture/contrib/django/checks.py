"""What ``manage.py check`` says about capture.

The law of this file: nothing is made by looking. A directory that is not there yet is no mistake;
one that cannot be made is.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core import checks
from django.urls import get_resolver

from ... import CaptureError, open_backends
from ...backends.definition_file import FileDefinitions
from .account import asks_for_a_user, data_directory, given, hooks, read
from .place import included, mistake


def check(**_: object) -> list[checks.CheckMessage]:
    """All that can be known before the first request."""
    try:
        with warnings.catch_warnings():
            # That a key is made for as long as the process lives is nothing to this account.
            warnings.simplefilter("ignore")
            read(backends=open_backends("memory:"))
        hooks()
        problems = list(_data())
    except CaptureError as error:
        # The rest would be read from the same setting.
        return [checks.Error(f"ORTTO_CAPTURE: {error}", id="ortto_capture.E001")]
    return [*problems, *_urls(), *_users(), *_proxy()]


def _data() -> Iterator[checks.CheckMessage]:
    """Whether the directory can be written, and its definitions read."""
    directory = data_directory()
    if directory is None:
        return
    # Path.exists() raises below a directory that this user may not enter; this does not.
    exists = os.path.exists
    there = next(each for each in (directory, *directory.parents) if exists(each))
    if not (there.is_dir() and os.access(there, os.R_OK | os.W_OK | os.X_OK)):
        yield _closed(there)
    elif there == directory:
        closed = [_closed(each) for each in directory.iterdir() if not _is_open(each)]
        yield from closed or _definitions(directory)


def _definitions(directory: Path) -> Iterator[checks.CheckMessage]:
    try:
        FileDefinitions(directory)
    except CaptureError as error:
        yield checks.Error(f"ORTTO_CAPTURE: {error}", id="ortto_capture.E003")


def _is_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _closed(path: Path) -> checks.CheckMessage:
    return checks.Error(
        f"ORTTO_CAPTURE: {path} cannot be read and written by this user.",
        hint="The server writes below DATA; give it a directory of its own.",
        id="ortto_capture.E002",
    )


def _urls() -> Iterator[checks.CheckMessage]:
    """Whether the routes are included once, at a path that is the same for all visitors."""
    if not hasattr(settings, "ROOT_URLCONF"):
        return
    found = included(get_resolver())
    if (wrong := mistake(found)) is not None:
        kind, name = (checks.Error, "E005") if found else (checks.Warning, "W004")
        yield kind(f"ORTTO_CAPTURE: {wrong}", id=f"ortto_capture.{name}")
    elif found[0].by_language:
        yield checks.Warning(
            "ORTTO_CAPTURE: the routes are inside i18n_patterns: a visitor who changes the "
            "language is not known any more, because a session belongs to the path it began at.",
            hint="Include them outside of i18n_patterns.",
            id="ortto_capture.W007",
        )


def _users() -> Iterator[checks.CheckMessage]:
    """Whether there are users for a console that asks for them."""
    if asks_for_a_user(given().get("console")) and not any(
        each.endswith("AuthenticationMiddleware") for each in settings.MIDDLEWARE
    ):
        yield checks.Warning(
            "ORTTO_CAPTURE: CONSOLE asks for request.user, and no AuthenticationMiddleware is in "
            "MIDDLEWARE.",
            hint="Put django.contrib.auth.middleware.AuthenticationMiddleware there; or silence "
            "this check where a middleware of your own sets request.user.",
            id="ortto_capture.W008",
        )


def _proxy() -> Iterator[checks.CheckMessage]:
    """Whether a proxy is expected whose address all visitors would share."""
    told = [
        name
        for name in ("SECURE_PROXY_SSL_HEADER", "USE_X_FORWARDED_HOST")
        if getattr(settings, name)
    ]
    if told and "client_ip" not in given():
        yield checks.Warning(
            f"{' and '.join(told)} expects a proxy, and ORTTO_CAPTURE has no CLIENT_IP: all "
            "visitors may share the limit of one address, the proxy's.",
            hint="Give CLIENT_IP, a function of the request that returns the visitor's address; or "
            "silence this check where the server does that already.",
            id="ortto_capture.W006",
        )
