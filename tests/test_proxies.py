"""The how-to about proxies, run with real ones: each visitor keeps their own address."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from .deployed import (
    DOCUMENTED,
    Visitor,
    blocks,
    caddy,
    command,
    commands,
    expect_visitors_told_apart,
    free_port,
    nginx,
    running,
    save,
)
from .services import campaign

PAGE = "behind-a-proxy"
FIX = next(block for block in blocks(PAGE, "python") if "ProxyFix" in block)
#: What the page takes for granted where it wraps an app.
PROXIED = f"""
from flask import Flask
from ortto_capture import Capture, CaptureApp, mount
from shop import capture_app

app = Flask("shop")
capture = capture_app.capture
app.add_url_rule("/", view_func=lambda: capture_app.snippet("shop"))
{FIX}
application = app
"""
PASS = next(block for block in blocks(PAGE, "nginx") if "proxy_pass" in block)
UWSGI_PASS = next(block for block in blocks(PAGE, "nginx") if "uwsgi_pass" in block)
(CADDY,) = blocks(PAGE, "caddyfile")


class Setup(NamedTuple):
    """A server's line, a proxy's block, and whether it is tried every day."""

    line: str
    proxy: str
    everyday: bool = False


def fixed(line: str) -> str:
    """The same server with the app that ``ProxyFix`` is wrapped around."""
    return line.replace("shop:application", "proxied:application")


SETUPS = {
    "nginx, waitress": Setup(command(PAGE, "waitress"), PASS, everyday=True),
    "nginx, uWSGI": Setup(command(PAGE, "uwsgi"), UWSGI_PASS, everyday=True),
    "nginx, uWSGI's HTTP": Setup(fixed(commands("servers")[1]), PASS),
    "nginx, gunicorn": Setup(fixed(command("servers", "gunicorn --workers")), PASS),
    "nginx, granian": Setup(fixed(command("servers", "granian --interface wsgi")), PASS),
    "nginx, uvicorn": Setup(command("servers", "uvicorn"), PASS),
    "nginx, granian with ASGI": Setup(
        command("servers", "granian --interface asgi").replace("asgi_shop", "asgi_proxied"), PASS
    ),
    "Caddy, waitress": Setup(command(PAGE, "waitress"), CADDY),
    "Caddy, gunicorn": Setup(fixed(command("servers", "gunicorn --workers")), CADDY, everyday=True),
    "Caddy, uvicorn": Setup(command("servers", "uvicorn"), CADDY),
}


@contextmanager
def behind(line: str, proxy: str, folder: Path) -> Iterator[int]:
    """Run a server, and a proxy in front of it; the proxy's port."""
    save("servers", folder)
    (folder / "proxied.py").write_text(PROXIED)
    server, port = free_port(), free_port()
    proxy = proxy.replace(DOCUMENTED, str(server))
    if proxy.startswith("location"):
        shutil.copy("/etc/nginx/uwsgi_params", folder)
        (folder / "nginx.conf").write_text(nginx(proxy, port))
        front = f"nginx -p {folder} -c nginx.conf"
    else:
        (folder / "Caddyfile").write_text(caddy(proxy, port))
        front = "caddy run --config Caddyfile"
    with ExitStack() as started:
        started.enter_context(running(line, folder, server))
        started.enter_context(running(front, folder, port))
        yield port


@pytest.mark.parametrize("name", [n for n, s in SETUPS.items() if s.everyday or campaign(1) > 1])
def test_visitors_keep_their_addresses_behind_a_proxy(name: str, tmp_path: Path) -> None:
    line, proxy, _ = SETUPS[name]
    with behind(line, proxy, tmp_path) as port:
        expect_visitors_told_apart(port, tmp_path)


def test_without_what_the_page_says_all_visitors_share_one_address(tmp_path: Path) -> None:
    """So the tests above would find out."""
    line = command("servers", "waitress")
    with behind(line, PASS, tmp_path) as port:
        assert Visitor(port, 2).report() == 200
        assert Visitor(port, 3).report() == 429
