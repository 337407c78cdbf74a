"""The shipped backends, each imported on use.

The law of this package: a backend implements ports and decides nothing else; neither the pipeline
nor another backend is imported from here.
"""

from __future__ import annotations

from importlib import import_module

from ..errors import ConfigurationError
from ..ports import Backends


def open_backends(url: str) -> Backends:
    """Open all ports by address, to be closed in the same place: it is a context manager.

    :param url: ``memory:``; ``file:DIRECTORY``, with ``?durability=os`` when answers need not wait
        for the disk; or ``module:factory``, a callable of no arguments that returns
        :class:`Backends`.
    :raises ConfigurationError: when nothing answers to that address.
    """
    if url == "memory:":
        from .memory import MemoryBackends

        return MemoryBackends()
    if url.startswith("file:"):
        from .file import open_file

        return open_file(url.removeprefix("file:"))
    module, colon, factory = url.partition(":")
    if not (colon and factory.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise ConfigurationError(
            "backends",
            f'{url!r} is no address of backends; use "memory:", "file:./data" or "module:factory"',
        )
    try:
        opened = getattr(import_module(module), factory)()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError("backends", f"{url!r} cannot be imported: {error}") from error
    if not isinstance(opened, Backends):
        raise ConfigurationError(
            "backends", f"{url!r} returned {type(opened).__name__}, not Backends"
        )
    return opened
