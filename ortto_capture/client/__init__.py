"""The browser client: its files as they are served.

The law of this package: no build step. The code in ``app.js`` is what browsers run and people read;
here it is read once, freed of what only people need, compressed once, and named by its content.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

_SCRIPT = "text/javascript; charset=utf-8"
_TYPES = {
    "app.js": _SCRIPT,
    "debug.js": _SCRIPT,
    "app.d.ts": "text/plain; charset=utf-8",
}

#: At the start of a line: its indentation, and the whole line when nothing else is on it but a
#: comment. A line that begins with ``//#`` is a directive to the browser and stays.
_FOR_PEOPLE = re.compile(
    r"""^[ \t]*
        (?:
            (?: //(?!\#).* | /\* (?:(?!\*/)[\s\S])* \*/ [ \t]* )?
            \n
        )?""",
    re.MULTILINE | re.VERBOSE,
)


class Asset(NamedTuple):
    """One file, as bytes and gzipped; ``etag`` names its content."""

    content_type: str
    body: bytes
    gzip: bytes
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """The client's files by name, from a fixed table; scripts as ``script_text`` returns them."""
    found = {}
    for name, content_type in _TYPES.items():
        text = script_text(name) if content_type == _SCRIPT else _text(name)
        body = text.encode()
        # Without the time, so that every process serves the same bytes under the same tag.
        packed = gzip.compress(body, 9, mtime=0)
        found[name] = Asset(content_type, body, packed, sha256(body).hexdigest()[:16])
    return found


def script_text(name: str) -> str:
    """The text of one of our scripts without comments, see ``without_comments``."""
    return without_comments(_text(name))


def without_comments(script: str) -> str:
    """A script without its indentation, its blank lines, and comments on lines of their own.

    What remains is the same program, line by line, as long as the script keeps to one rule: a
    template literal or a string does not go on in the next line, and a comment that does begins
    its line. Such lines would be changed like any other. That our files keep to the rule is
    tested, by comparing the syntax trees of both texts.
    """
    return _FOR_PEOPLE.sub("", script)


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")
