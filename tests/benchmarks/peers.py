"""The browser clients that ours is measured beside, each as a site would load it.

The law of this file: no file of a peer is in the repository. ``ORTTO_CAPTURE_PEERS`` names the
directory they are read from. What is on npm is packed into it by ``npm pack`` when it is missing;
GoatCounter's ``public/count.js`` of the tag v2.7.0 is in its repository only, and is put there by
hand.
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

from .programs import ATTRIBUTES


class Client(NamedTuple):
    """A client that a page loads and reports events with."""

    name: str
    #: What is published of it.
    files: bytes
    #: One classic script: its files, with what starts it.
    script: bytes
    #: A JavaScript function that reports one event.
    call: str
    #: A JavaScript function that is awaited before the first event.
    prepare: str = "() => {}"
    #: What its ``<script>`` has besides its address.
    attributes: str = ""


class Peer(NamedTuple):
    """A published client: where its files are, and what a page does with them."""

    #: With its version, as npm takes it; for None the files are in the directory.
    package: str | None
    files: tuple[str, ...]
    #: What starts it, around a ``%s`` for each file. Events go to the page's own server. As ours
    #: does, it reports nothing by itself: no page view.
    script: str
    #: Reports one event with the attributes that stand for ``%s``.
    call: str
    attributes: str = ""


PEERS = {
    "Plausible": Peer(
        "@plausible-analytics/tracker@0.4.6",
        ("plausible.js",),
        # It ignores what a browser reports that a program drives, unless this says otherwise.
        """__plausible = true;
        (() => { %s
        init({ domain: "shop.example", endpoint: "/event", captureOnLocalhost: true,
          autoCapturePageviews: false });
        })();""",
        "() => plausible('Purchase', { props: %s })",
    ),
    "plausible-tracker": Peer(
        "plausible-tracker@0.3.9",
        ("build/main/lib/request.js", "build/main/lib/tracker.js"),
        """(() => {
        const exports = {}, require = () => exports;
        { %s }
        { %s }
        window.plausible = exports.default(
          { apiHost: "", domain: "shop.example", trackLocalhost: true }).trackEvent;
        })();""",
        "() => plausible('Purchase', { props: %s })",
    ),
    "GoatCounter": Peer(
        None,
        ("count.js",),
        "goatcounter = { allow_local: true, no_onload: true };\n%s",
        "() => goatcounter.count({ path: 'Purchase', title: JSON.stringify(%s), event: true })",
        'data-goatcounter="/count"',
    ),
    "Snowplow": Peer(
        "@snowplow/browser-tracker@4.10.1",
        ("dist/index.umd.min.js",),
        """%s
        snowplowBrowserTracking.newTracker("sp", location.origin, { appId: "shop" });""",
        """() => snowplowBrowserTracking.trackStructEvent(
          { category: "shop", action: "Purchase", label: JSON.stringify(%s) })""",
    ),
    "Segment": Peer(
        "@segment/analytics-next@1.84.3",
        ("dist/umd/index.js",),
        """%s
        analytics = AnalyticsNext.AnalyticsBrowser.load({ writeKey: "key", cdnSettings: {
          integrations: {
            "Segment.io": { apiKey: "key", apiHost: location.host + "/v1", protocol: "http" } },
        } });""",
        "() => analytics.track('Purchase', %s)",
    ),
    "Jitsu": Peer(
        "@jitsu/js@1.11.0",
        ("dist/web/p.js.txt",),
        "jitsuConfig = { writeKey: 'key:secret', initOnly: true };\n%s",
        "() => jitsu.track('Purchase', %s)",
    ),
    "PostHog": Peer(
        "posthog-js@1.449.2",
        ("dist/array.js",),
        # It takes a browser that a program drives for a robot, unless told not to.
        """%s
        posthog.init("key", { api_host: location.origin, opt_out_useragent_filter: true,
          capture_pageview: false });""",
        "() => posthog.capture('Purchase', %s)",
    ),
}


def peers(folder: Path) -> list[Client]:
    """Every peer, from the files in ``folder``."""
    return [read(folder, name, peer) for name, peer in PEERS.items()]


def read(folder: Path, name: str, peer: Peer) -> Client:
    """The peer of this name as one script."""
    files = [text(folder, peer.package, path) for path in peer.files]
    return Client(
        name,
        "".join(files).encode(),
        (peer.script % tuple(files)).encode(),
        peer.call % json.dumps(ATTRIBUTES),
        attributes=peer.attributes,
    )


def text(folder: Path, package: str | None, path: str) -> str:
    """One file of a package, as a bundler would put it into a classic script."""
    if package is None:
        found = folder.joinpath(path).read_bytes()
    else:
        packed = folder / f"{re.sub('[/@]', '-', package.removeprefix('@'))}.tgz"
        if not packed.exists():
            command = ["npm", "pack", "--silent", package]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(packed) as archive:
            member = archive.extractfile(f"package/{path}")
            assert member is not None
            found = member.read()
    source = re.sub(r"^//# sourceMappingURL=.*$", "", found.decode(), flags=re.MULTILINE)
    # The exports of a module become an expression without effect.
    return re.sub(r"\bexport (\{[^}]*\}\s*)$", r"void \1", source)
