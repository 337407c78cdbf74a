"""Files that browsers load, as they are served.

The law of this file: what only people need is left out and the program stays the same. A file is
compressed once and named by its content.
"""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from typing import NamedTuple

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

SCRIPT = "text/javascript; charset=utf-8"

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


#: A type for the checker, in the middle of a line.
_TYPE = re.compile(r"/\*\* @(?:(?!\*/).)*\*/[ ]?")


class Asset(NamedTuple):
    """One file, as bytes and gzipped; ``etag`` names its content."""

    content_type: str
    body: bytes
    gzip: bytes
    etag: str

    def taken(self, accepts: str) -> tuple[bytes, str, bool]:
        """The bytes for a browser, their entity tag, and whether they are gzipped.

        :param accepts: its ``Accept-Encoding``.
        """
        # A strong tag names bytes, so the packed bytes need one of their own.
        if parse_accept_header(accepts, Accept)["gzip"] > 0:
            return self.gzip, f'"{self.etag}-gzip"', True
        return self.body, f'"{self.etag}"', False


def asset(content_type: str, text: str) -> Asset:
    """A text as it is served, compressed."""
    body = text.encode()
    # Without the time, so that every process serves the same bytes under the same tag.
    packed = gzip.compress(body, 9, mtime=0)
    return Asset(content_type, body, packed, sha256(body).hexdigest()[:16])


def without_comments(text: str) -> str:
    """A text without indentation, blank lines, comments on lines of their own, and types.

    What remains of a script is the same program, line by line, as long as it keeps to one rule: a
    template literal or a string does not go on in the next line and holds no ``/** @``, and a
    comment that goes on begins its line. Such lines would be changed like any other. That our
    files keep to the rule is tested, by comparing the syntax trees of both texts. In a style sheet
    a comment begins its line, too.
    """
    return _TYPE.sub("", _FOR_PEOPLE.sub("", text))
