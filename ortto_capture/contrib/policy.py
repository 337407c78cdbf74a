"""Whether a page and its snippet fit together, told from the page's headers.

The law of this file: it says "blocked" only of what every browser blocks. A source that may or may
not be the client's own address counts as if it were: a page that works must not be refused.
"""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import new

from werkzeug.http import parse_dict_header, parse_list_header

from .. import ConfigurationError

_log = logging.getLogger("ortto_capture")

_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)
_NONCE = re.compile(r' nonce="([^"]*)"')
#: A source whose letters count behind the first hyphen.
_EXACT = re.compile(r"'(nonce|sha256|sha384|sha512)-", re.IGNORECASE)
#: With one of these, ``'unsafe-inline'`` means nothing.
_STRICT = ("'nonce-", "'sha256-", "'sha384-", "'sha512-", "'strict-dynamic'")


def check_page(
    snippets: Iterable[str],
    policies: Iterable[str],
    cache_control: str,
    vary: str,
    *,
    refused: bool,
    place: object,
    logged: set[str],
) -> str | None:
    """Refuse a page that its headers keep from working or make unsafe, or log that once.

    :param snippets: the HTML that the page has in its head.
    :param policies: the values of its ``Content-Security-Policy`` headers.
    :param refused: whether to raise; in production the page is served.
    :param place: how the log is to name the page; not by its path, for a visitor may have written
        that.
    :param logged: what the log has been told once.
    :returns: what the page's ``Cache-Control`` must become; None when it may stay.
    :raises ConfigurationError: says what to do.
    """
    private = None
    policies = list(policies)
    for snippet in snippets:
        fault = blocked(policies, snippet)
        if leak := shared(cache_control, vary, snippet):
            private = as_private(cache_control)
        if fault := fault or leak:
            if refused:
                raise ConfigurationError("snippet", fault)
            if (said := f"{place}: {fault}") not in logged:
                logged.add(said)
                _log.error("%s", said, extra={"event": "snippet-blocked"})
    return private


def blocked(policies: Iterable[str], snippet: str) -> str | None:
    """Say what a page's policies keep from working, and what to do; None when nothing is.

    :param policies: the values of its ``Content-Security-Policy`` headers.
    :param snippet: the HTML that the page has in its head.
    """
    for policy in ",".join(policies).split(","):
        directives: dict[str, list[str]] = {}
        for directive in policy.split(";"):
            first, *sources = directive.split() or [""]
            # As browsers do: the first of a name counts.
            directives.setdefault(first.lower(), [_folded(each) for each in sources])
        if "allow-scripts" not in directives.get("sandbox", ["allow-scripts"]):
            return "the page's sandbox lets no script run: add allow-scripts"
        name = _first(directives, "script-src-elem", "script-src", "default-src")
        if name is not None and (fault := _scripts(directives[name], snippet)) is not None:
            return f"the page's {name} {fault}"
        name = _first(directives, "connect-src", "default-src")
        if name is not None and not _may_be_own(directives[name]):
            return f"the page's {name} does not let the client report: add 'self'"
    return None


def shared(cache_control: str, vary: str, snippet: str) -> str | None:
    """Say that a cache may hand one visitor's identity token to others; None when none may.

    :param cache_control: the page's ``Cache-Control``, empty when there is none.
    :param vary: the page's ``Vary``: a cache tells visitors apart by their cookies.
    """
    varies = {each.strip() for each in vary.lower().split(",")}
    if "oi1." not in snippet or varies & {"cookie", "*"}:
        return None
    if not _is_kept_for_all(parse_dict_header(cache_control.lower())):
        return None
    return 'caches may keep the page, and it says who one visitor is: give it identity="host"'


def as_private(cache_control: str) -> str:
    """A ``Cache-Control`` for one visitor's browser alone, its other directives as they are."""
    others = [
        each
        for each in parse_list_header(cache_control)
        if each.partition("=")[0].strip().lower() not in ("public", "private")
    ]
    return ", ".join([*others, "private"])


def _is_kept_for_all(told: Mapping[str, str | None]) -> bool:
    """Whether caches that serve many may answer with the page without asking the host again."""
    # With the name of a header, `private` and `no-cache` speak of that header only.
    if "no-store" in told or any(told.get(each, "") is None for each in ("private", "no-cache")):
        return False
    fresh = told.get("s-maxage", told.get("max-age"))
    if fresh is None:
        return "public" in told
    stale = (told.get("stale-while-revalidate"), told.get("stale-if-error"))
    return any((each or "").strip("0") for each in (fresh, *stale))


def _first(directives: Mapping[str, object], *names: str) -> str | None:
    """The directive that browsers go by."""
    return next((each for each in names if each in directives), None)


def _folded(source: str) -> str:
    """A source of a policy in lower case, but for what counts as it is written."""
    exact = _EXACT.match(source)
    return exact[0].lower() + source[exact.end() :] if exact else source.lower()


def _scripts(sources: list[str], snippet: str) -> str | None:
    """What is wrong with one of the snippet's scripts."""
    for attributes, code in _SCRIPT.findall(snippet):
        nonce = _NONCE.search(attributes)
        if nonce and f"'nonce-{nonce[1]}'" in sources:
            continue
        if " src=" in attributes:
            if "'strict-dynamic'" in sources or not _may_be_own(sources):
                return (
                    "does not let app.js load: give the snippet the policy's nonce, or add 'self'"
                )
        elif not _is_let_in(sources, code):
            return "does not let inline code run: give it the policy's nonce, or use inline=False"
    return None


def _may_be_own(sources: list[str]) -> bool:
    """Whether the client's own address may be among them: what is in quotes is no address."""
    return any(each == "'self'" or not each.startswith("'") for each in sources)


def _is_let_in(sources: list[str], code: str) -> bool:
    """Whether inline code without the policy's nonce runs."""
    for source in sources:
        if (kind := _EXACT.match(source)) and kind[1] != "nonce":
            digest = b64encode(new(kind[1], code.encode()).digest()).decode()
            if source == f"'{kind[1]}-{digest}'":
                return True
    return "'unsafe-inline'" in sources and not any(each.startswith(_STRICT) for each in sources)
