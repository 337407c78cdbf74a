"""The browser client: its files as they are served.

The law of this package: no build step. The code in ``app.js`` is what browsers run and people read;
here it is read once and freed of what only people need.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from ..assets import SCRIPT, Asset, asset, without_comments

_TYPES = {
    "app.js": SCRIPT,
    "debug.js": SCRIPT,
    "app.d.ts": "text/plain; charset=utf-8",
}


@cache
def assets() -> Mapping[str, Asset]:
    """The client's files by name, from a fixed table; scripts as ``script_text`` returns them."""
    return {
        name: asset(content_type, script_text(name) if content_type == SCRIPT else _text(name))
        for name, content_type in _TYPES.items()
    }


def script_text(name: str) -> str:
    """The text of one of our scripts without comments, see ``assets.without_comments``."""
    return without_comments(_text(name))


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
