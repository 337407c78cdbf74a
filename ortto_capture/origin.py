"""Whether a request comes from a page of the host's own origin.

The law of this file: only what browsers add by themselves counts, because no script of a page can
change it. The host's cookies come with a request from any website: a POST of ``text/plain`` needs
no preflight. So a login is believed only where a browser says that the page was the host's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def is_same_origin(environ: WSGIEnvironment) -> bool:
    """Tell whether the browser says so: by ``Sec-Fetch-Site``, else by ``Origin``.

    Browsers send the first to https and to this machine, the second with every POST. A request with
    neither is of no browser, or cannot be told.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return bool(site == "same-origin")
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    scheme = environ["wsgi.url_scheme"]
    # Browsers leave the default port out; some proxies pass it on.
    own = f"{scheme}://{host.removesuffix(':443' if scheme == 'https' else ':80')}"
    return bool(environ.get("HTTP_ORIGIN", "").lower() == own.lower())


def may_read(environ: WSGIEnvironment) -> bool:
    """Tell whether the host's own words may be the answer to a GET.

    As above, but a GET of the host's own page has no ``Origin``, and over http to another machine
    nothing at all. No other website can read the answer then: it has no CORS header.
    """
    told = "HTTP_SEC_FETCH_SITE" in environ or "HTTP_ORIGIN" in environ
    return not told or is_same_origin(environ)
