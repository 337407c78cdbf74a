"""The browser client: files as they are served, and the snippet that loads them.

The law of this package: no build step. What is in ``app.js`` is what browsers run and people read;
here it is only read once, compressed once, and named by its content.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import NamedTuple

from ..errors import ConfigurationError

_SCRIPT = "text/javascript; charset=utf-8"
_TYPES = {
    "app.js": _SCRIPT,
    "debug.js": _SCRIPT,
    "app.d.ts": "text/plain; charset=utf-8",
}


class Asset(NamedTuple):
    """One file, as bytes and gzipped; ``etag`` names its content."""

    content_type: str
    body: bytes
    gzip: bytes
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """The client's files by name, from a fixed table."""
    found = {}
    for name, content_type in _TYPES.items():
        body = files(__name__).joinpath(name).read_bytes()
        # Without the time, so that every process serves the same bytes under the same tag.
        packed = gzip.compress(body, 9, mtime=0)
        found[name] = Asset(content_type, body, packed, sha256(body).hexdigest()[:16])
    return found


class _Markup(str):
    """HTML that the templates of Flask and Django put in as it is: they ask for this method."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def snippet(key: str, endpoint: str = "/capture", nonce: object = None) -> str:
    """The HTML that loads the client, and takes calls made before it has arrived.

    :param endpoint: where the capture app is mounted, as a path or an http(s) URL.
    :param nonce: as text, or as what a framework has in hand: any object whose text it is, or a
        function that returns it; None for none.
    :raises ConfigurationError: when ``endpoint`` is neither, or the nonce is empty.
    """
    endpoint = endpoint.rstrip("/")
    if not (endpoint == "" or endpoint.startswith(("/", "http://", "https://"))):
        raise ConfigurationError(
            "endpoint", f'{endpoint!r} is no path such as "/capture", nor a URL'
        )
    attribute = "" if nonce is None else f' nonce="{escape(_text(nonce))}"'
    text = _SNIPPET.format(
        nonce=attribute,
        arguments=f"{_inline(key)}, {_inline(endpoint)}",
        # The version makes the address new when the file is, so that browsers may keep it for good.
        source=f"{escape(endpoint)}/app.js?v={assets()['app.js'].etag}",
    )
    return _Markup(text)


def _text(nonce: object) -> str:
    """A nonce as text. Django's is lazy, and false until it is used; flask-talisman's is called."""
    text = str(nonce() if callable(nonce) else nonce)
    if not text:
        raise ConfigurationError("nonce", "it is empty; give the nonce of this page's policy")
    return text


_SNIPPET = """\
<script{nonce}>
(function (w) {{
  var a = w.ap3c = Object(w.ap3c);
  if (a.loaded) return;
  a.cmd = Array.isArray(a.cmd) ? a.cmd : [];
  ["init", "track", "activity", "clearSession", "consent"].forEach(function (name) {{
    a[name] = function () {{
      var given = arguments;
      return new Promise(function (done) {{
        a.cmd.push(function () {{ done(w.ap3c[name].apply(null, given)); }});
      }});
    }};
  }});
  a.init({arguments});
}})(window);
</script>
<script{nonce} src="{source}" async></script>
"""


def _inline(value: str) -> str:
    """A JavaScript string that cannot end the script it stands in."""
    text = json.dumps(value)  # ASCII only, so the line separators U+2028 and U+2029 are escaped
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
