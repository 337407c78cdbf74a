"""What ``manage.py check`` says about capture.

The law of this file: nothing is made by looking. A directory that is not there yet is no mistake;
one that cannot be made is.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

from django.conf import settings
from django.core import checks
from django.urls import get_resolver

from ... import CaptureError, open_backends
from ...backends.definition_file import FileDefinitions
from .account import data_directory, given, hooks, read
from .place import mistake, names


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
    return [*problems, *_urls(), *_proxy()]


def _data() -> Iterator[checks.CheckMessage]:
    """Whether the directory can be written, and its definitions read."""
    directory = data_directory()
    if directory is None:
        return
    there = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    files = list(directory.iterdir()) if directory.is_dir() else []
    for path in [there, *files]:
        if not os.access(path, os.W_OK) or (path == there and not path.is_dir()):
            yield checks.Error(
                f"ORTTO_CAPTURE: {path} cannot be written by this user.",
                hint="The server writes below DATA; give it a directory of its own.",
                id="ortto_capture.E002",
            )
    if directory.is_dir():
        try:
            FileDefinitions(directory)
        except CaptureError as error:
            yield checks.Error(f"ORTTO_CAPTURE: {error}", id="ortto_capture.E003")


def _urls() -> Iterator[checks.CheckMessage]:
    """Whether the routes are included, once."""
    times = len(names(get_resolver())) if hasattr(settings, "ROOT_URLCONF") else 1
    if times == 0:
        yield checks.Warning(f"ORTTO_CAPTURE: {mistake(times)}", id="ortto_capture.W004")
    elif times > 1:
        yield checks.Error(f"ORTTO_CAPTURE: {mistake(times)}", id="ortto_capture.E005")


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
