"""The bytes of a request: the checks that cost nothing, and then the whole body.

The law of this file: what the headers tell is refused before a byte is read. No header costs more
than its length, and a body is believed only as far as its bytes were counted here: werkzeug's own
limited stream, under gunicorn, hands over a cut body as if it were whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.http import parse_options_header

from .errors import MalformedRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Characters of ``Content-Type`` and ``Content-Encoding`` together, or of ``Accept-Encoding``. More
#: are not parsed: servers take up to 256 KiB, and browsers send a fraction of this.
MAX_LABEL = 200


def read_body(environ: WSGIEnvironment, cap: int) -> bytes:
    """Read the whole body (contract §4, rows 1 to 4).

    :param cap: bytes at most.
    :raises MalformedRequest: when it is not there, not whole, too large or labelled as no JSON.
    """
    if environ["REQUEST_METHOD"] != "POST":
        raise MalformedRequest(code="method-not-allowed", allow="POST, OPTIONS")
    return whole_body(environ, cap)


def whole_body(environ: WSGIEnvironment, cap: int) -> bytes:
    """Read the body of a request whose method has one (contract §4, rows 2 to 4).

    :param cap: bytes at most.
    :raises MalformedRequest: when it is not there, not whole, too large or labelled as no JSON.
    """
    declared = environ.get("CONTENT_LENGTH") or None
    length = None
    if declared is not None and declared.isascii() and declared.isdigit():
        # A number of twenty digits is over any cap, and more digits must not cost more.
        length = int(declared.lstrip("0")[:20] or "0")
    if length is not None and length > cap:
        raise MalformedRequest(code="too-large")
    label, encoding = environ.get("CONTENT_TYPE", ""), environ.get("HTTP_CONTENT_ENCODING", "")
    if len(label) + len(encoding) > MAX_LABEL or not _may_be_json(label, encoding):
        raise MalformedRequest(code="unsupported-media-type")
    if length is None:
        if declared is not None:
            raise MalformedRequest("Content-Length is no number", code="incomplete")
        if not environ.get("wsgi.input_terminated"):
            raise MalformedRequest(code="length-required")
    wanted = cap + 1 if length is None else length
    try:
        stream = environ["wsgi.input"]
        body: bytes = stream.read(wanted)
        while len(body) < wanted and (more := stream.read(wanted - len(body))):
            body += more
    except Exception as error:  # whatever the server's stream raises, the body is not here
        raise MalformedRequest(
            f"reading failed: {type(error).__name__}", code="incomplete"
        ) from error
    if len(body) > cap:
        raise MalformedRequest(code="too-large")
    if length is not None and len(body) != length:
        raise MalformedRequest("fewer bytes than Content-Length", code="incomplete")
    return body


# Browsers and servers send a handful of labels.
@lru_cache(maxsize=256)
def _may_be_json(content_type: str, content_encoding: str) -> bool:
    """Whether a body so labelled may be JSON: all but forms, other charsets and compression."""
    if content_encoding.strip().lower() not in ("", "identity"):
        return False
    media_type, options = parse_options_header(content_type)
    media_type = media_type.lower()
    if media_type.startswith("multipart/") or media_type == "application/x-www-form-urlencoded":
        return False
    return options.get("charset", "utf-8").lower() in ("utf-8", "utf8")
