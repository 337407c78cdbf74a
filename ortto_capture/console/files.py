"""The console's own files: its page, its scripts, its styles.

The law of this file: what is served is what was read when the console was made, found by exact
path; no path is made of a request. The files hold no data.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from hashlib import sha256
from importlib.abc import Traversable
from importlib.resources import files
from typing import NamedTuple

#: Whatever else lies in the folder is not served.
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
#: The page: it is served at the path that ends with a slash.
_PAGE = "/index.html"


class File(NamedTuple):
    """One file, as bytes and gzipped; ``etag`` names its content."""

    content_type: str
    body: bytes
    gzip: bytes
    etag: str


def read_files() -> dict[str, File]:
    """Read all of them, by path below the console: ``/``, ``/console.css``, ``/pages/live.js``."""
    found = {}
    for path, each in _below(files(__package__ or "").joinpath("static"), ""):
        content_type = _TYPES.get(path.rpartition(".")[2])
        if content_type is not None:
            body = each.read_bytes()
            # Without the time, so that every process serves the same bytes under the same tag.
            packed = gzip.compress(body, 9, mtime=0)
            found[path] = File(content_type, body, packed, sha256(body).hexdigest()[:16])
    found["/"] = found.pop(_PAGE)
    return found


def _below(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _below(each, f"{path}/{each.name}")
        else:
            yield f"{path}/{each.name}", each
