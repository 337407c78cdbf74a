"""Known-bad clients: each breaks one promise of the real one, and must be caught.

The law of this file: one small sin each, as an edit of the real text that must apply. A check that
passes on one of these proves nothing when it passes on the real client.
"""

from __future__ import annotations

from importlib.resources import files

#: What to find in the client's text, and what to write instead.
VARIANTS = {
    "no persistence": ("text && isShared && localStorage.setItem(name, text)", "0"),
    "a new id for each try": ("...entry.body,\n", "...entry.body, event_id: '' + Math.random(),\n"),
    "no lock": (
        "await navigator.locks.request(",
        "await ((name, options, work) => work())(",
    ),
    "no beacon": ("navigator.sendBeacon(url, body)", "true"),
    "asks for the lock while the page is going": (
        "if (going) leave();",
        "if (going) { going = false; ourEndpoints().forEach(deliver); }",
    ),
    "key and endpoint are those of the page's end": (
        "const address = call.endpoint = absolute(call.endpoint);",
        "call.key = current.key; const address = call.endpoint = absolute(current.endpoint);",
    ),
    "sends what was called for another endpoint": (
        "({ ...load(name), name })",
        "({ ...load(name), name, endpoint: address })",
    ),
    "does not remember its own calls": ("if (text) memory[name] = text;", ""),
    "takes a proxy's 404 for an answer": ("/^4/.test(status) && code &&", "/^4/.test(status) &&"),
    "a queue of any size": ("count > MAX_CALLS || size > MAX_SIZE", "count > MAX_CALLS"),
    "does not wait as long as it is asked to": (
        'wait = +answer.headers.get("Retry-After") || undefined;',
        "",
    ),
}


def spoilt(variant: str) -> str:
    """The client's text with that sin."""
    text = files("ortto_capture.client").joinpath("app.js").read_text()
    good, bad = VARIANTS[variant]
    assert text.count(good) == 1, f"{variant}: the client's text has changed"
    return text.replace(good, bad)
