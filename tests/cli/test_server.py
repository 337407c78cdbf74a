"""``serve``: real servers, asked by real clients."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..services import PATIENCE
from .conftest import JO, Account, Shell


class Served:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.said = ""
        while "Ctrl-C" not in self.said:
            line = process.stdout.readline()
            assert line, self.said + (process.stderr.read() if process.stderr else "")
            self.said += line
        [self.base] = re.findall(r"Reports go to +(\S+)/capture\n", self.said)
        self.port = int(self.base.rpartition(":")[2])

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Ask for a page: its status and what is in it."""
        return self.ask(urllib.request.Request(self.base + path, headers=dict(headers or {})))  # noqa: S310

    @property
    def token(self) -> str:
        """What stands behind the # of the printed link to the console."""
        [token] = re.findall(rf"{re.escape(self.base)}/capture/console/#token=(\S+)\n", self.said)
        return str(token)

    def record(self, activity_id: str, key: str = "") -> tuple[int, bytes]:
        """Report an activity, as a browser does."""
        activity = {"key": key, "activity_id": activity_id, "person": {"email": JO}}
        return self.ask(
            urllib.request.Request(  # noqa: S310  # our own server
                f"{self.base}/capture/-/events/activity",
                json.dumps(activity).encode(),
                {"Content-Type": "text/plain"},
            )
        )

    @staticmethod
    def ask(request: urllib.request.Request) -> tuple[int, bytes]:
        """Ask, and take whatever the answer is."""
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@contextmanager
def serving(shell: Shell, *options: str, ending: int = signal.SIGTERM) -> Iterator[Served]:
    """``serve`` on a port of its own; it is to end well."""
    with shell.start("serve", "--port", "0", *options) as process:
        try:
            yield Served(process)
            process.send_signal(ending)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_what_is_reported_is_kept(ending: int, shell: Shell, account: Account) -> None:
    with serving(shell, ending=ending) as server:
        assert server.record("act:cm:login") == (200, b'{"ok":true}')
        assert server.record("act:cm:refund-issued")[0] == 404
        assert server.get("/capture/-/health") == (200, b'{"ok":true}')
        assert server.get("/")[0] == 404
        status, client = server.get("/capture/app.js")

    assert (status, b"ap3c" in client) == (200, True)
    assert [row["person"] for row in shell.json("tail")] == [JO]
    assert [row["reason"] for row in shell.json("tail", "--refused")] == ["disabled"]


def test_a_directory_is_made_where_there_is_none(shell: Shell) -> None:
    with serving(shell) as server:
        assert f"Data is in      {shell.data}\n" in server.said
        assert server.record("act:cm:login")[0] == 404

    assert (shell.data / "store.sqlite3").exists()


def test_sessions_and_people_outlive_a_restart(shell: Shell, account: Account) -> None:
    track = {"email": JO}
    with serving(shell) as server:
        request = urllib.request.Request(  # noqa: S310  # our own server
            f"{server.base}/capture/-/events/track",
            json.dumps(track).encode(),
            {"Content-Type": "text/plain"},
        )
        session = json.loads(server.ask(request)[1])["session"]
    with serving(shell) as server:
        activity = {"session": session, "activity_id": "act:cm:login"}
        request = urllib.request.Request(  # noqa: S310  # our own server
            f"{server.base}/capture/-/events/activity",
            json.dumps(activity).encode(),
            {"Content-Type": "text/plain"},
        )
        assert server.ask(request)[0] == 200


def test_a_request_that_was_begun_gets_its_answer(shell: Shell, account: Account) -> None:
    """The server is told to end while half of a report is still on its way."""
    body = json.dumps({"activity_id": "act:cm:login", "person": {"email": JO}}).encode()
    head = f"POST /capture/-/events/activity HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with shell.start("serve", "--port", "0") as process:
        try:
            server = Served(process)
            with (
                # One that a browser opened in advance is not waited for.
                socket.create_connection(("127.0.0.1", server.port), PATIENCE),
                socket.create_connection(("127.0.0.1", server.port), PATIENCE) as visitor,
            ):
                visitor.sendall(head.encode() + body[:9])
                # Answered after the half report was begun, for connections are taken in order.
                assert server.get("/capture/-/health")[0] == 200
                process.send_signal(signal.SIGTERM)
                while listening(server.port):
                    pass
                visitor.sendall(body[9:])
                answer = b"".join(iter(lambda: visitor.recv(65_536), b""))
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()

    assert answer.endswith(b'{"ok":true}')
    assert len(shell.json("tail")) == 1


def listening(port: int) -> bool:
    """Whether connections are taken there."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionError as error:
        return not isinstance(error, ConnectionRefusedError)
    return True


def test_settings_come_from_a_file(shell: Shell, account: Account, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('person_limit = "1/day"\n[sources.shop-key]\nname = "Shop"\n')
    with serving(shell, "--config", str(settings)) as server:
        statuses = [server.record("act:cm:login", key)[0] for key in ("shop-key", "shop-key", "x")]

    assert statuses == [200, 429, 401]
    assert '("shop-key", "' in server.said


FEED = "/capture/console/api/feed"
PAGE = ["/", "/console.css", "/console.js", "/icon.svg"]


def test_the_activity_page_is_there_when_asked_for(shell: Shell, account: Account) -> None:
    with serving(shell) as server:
        assert server.get("/capture/console/")[0] == 404
        assert "/console/" not in server.said
    with serving(shell, "--console") as server:
        for path in PAGE:
            assert server.get(f"/capture/console{path}")[0] == 200
        assert b"console.js" in server.get("/capture/console/")[1]


def test_what_arrived_is_shown_to_the_bearer_of_the_printed_token_alone(
    shell: Shell, account: Account
) -> None:
    with serving(shell, "--console") as server:
        server.record("act:cm:login")
        token = server.token
        for path in PAGE:
            page = server.get(f"/capture/console{path}")[1]
            assert JO.encode() not in page
            assert token.encode() not in page
        for wrong in (
            None,
            "",
            "Bearer",
            "Bearer ",
            f"Bearer {token[:-1]}",
            f"Bearer {token}x",
            token,
            "Bearer \u00ff",
        ):
            given = {} if wrong is None else {"Authorization": wrong}
            assert server.get(FEED, given)[0] == 401
        assert server.get(f"{FEED}?token={token}")[0] == 401
        assert server.get(FEED, {"Cookie": f"token={token}"})[0] == 401

        status, feed = server.get(FEED, {"Authorization": f"Bearer {token}"})
        assert (status, b"act:cm:login" in feed) == (200, True)


def test_a_proxy_on_the_same_machine_shows_it_to_no_stranger(
    shell: Shell, account: Account
) -> None:
    """nginx as it comes rewrites Host and names no visitor: it looks like a request from here."""
    with serving(shell, "--console") as server:
        server.record("act:cm:login")
        host = f"127.0.0.1:{server.port}"

        assert server.get(FEED, {"Host": host, "Connection": "close"})[0] == 401


def test_every_start_has_a_token_of_its_own(shell: Shell, account: Account) -> None:
    with serving(shell, "--console") as server:
        before = server.token
    with serving(shell, "--console") as server:
        assert server.token != before
        assert server.get(FEED, {"Authorization": f"Bearer {before}"})[0] == 401


def test_visitors_behind_a_proxy_are_noted(shell: Shell, account: Account) -> None:
    """They share one bucket: what the server hears of a proxy reaches the app."""
    with serving(shell, "--console") as server:
        server.get("/capture/-/health", {"X-Forwarded-For": "203.0.113.7"})
        request = urllib.request.Request(  # noqa: S310  # our own server
            f"{server.base}/capture/-/events/track",
            b"{}",
            {"Content-Type": "text/plain", "X-Forwarded-For": "203.0.113.7"},
        )
        assert server.ask(request)[0] == 200
        feed = server.get(FEED, {"Authorization": f"Bearer {server.token}"})[1]

    assert json.loads(feed)["warnings"] == ["behind-proxy"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104  # refused
def test_other_machines_are_let_in_only_on_purpose(host: str, shell: Shell) -> None:
    result = shell("serve", "--host", host, "--port", "0")

    assert result.exit_code == 2
    assert "--allow-remote" in result.stderr
    assert not shell.data.exists()


def test_a_server_for_other_machines_says_what_belongs_in_front(
    shell: Shell, account: Account
) -> None:
    """Asked for, and then bound to this machine all the same: a test lets no stranger in."""
    with serving(shell, "--allow-remote") as server:
        assert server.process.stderr is not None
        server.process.stderr.readline()
        assert "a production server belongs in front" in server.process.stderr.readline()


def test_there_is_no_debugger(shell: Shell, account: Account) -> None:
    with serving(shell) as server:
        for path in ("/", "/console", "/capture/console"):
            status, page = server.get(f"{path}?__debugger__=yes&cmd=resource&f=debugger.js")
            assert (status, b"debugger" in page) == (404, False)


def test_a_port_that_is_taken_is_said(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = shell("serve", "--port", str(port))

    assert result.exit_code == 3
    assert f"port {port} of 127.0.0.1 cannot be used (Address already in use" in result.stderr
    assert not shell.data.exists()


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_one_is_said(host: str, shell: Shell) -> None:
    assert shell("serve", "--host", host, "--allow-remote").exit_code == 3


def test_settings_that_are_wrong_serve_no_page(shell: Shell, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("person_limit = 'many'")

    result = shell("serve", "--port", "0", "--config", str(settings))
    assert result.exit_code == 3
    assert f"{settings}: person_limit: not one limit" in result.stderr
    assert shell("serve", "--config", str(tmp_path / "nowhere.toml")).exit_code == 3


def has_ipv6() -> bool:
    """Whether this machine has an address of that kind for itself."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"])
def test_the_printed_address_works_however_this_machine_is_named(
    host: str, shell: Shell, account: Account
) -> None:
    if host == "::1" and not has_ipv6():
        result = shell("serve", "--host", host)
        assert (result.exit_code, f"of {host} cannot be used" in result.stderr) == (3, True)
        return
    with serving(shell, "--host", host, "--console") as server:
        assert server.base.startswith("http://[::1]:") == (host == "::1")
        assert server.record("act:cm:login")[0] == 200
        assert server.get("/capture/console/")[0] == 200
        assert server.get(FEED, {"Authorization": f"Bearer {server.token}"})[0] == 200


def test_the_printed_address_works_where_all_machines_are_let_in(
    shell: Shell, account: Account
) -> None:
    with serving(shell, "--host", "0.0.0.0", "--allow-remote") as server:  # noqa: S104
        assert server.base == f"http://127.0.0.1:{server.port}"
        assert server.record("act:cm:login")[0] == 200


def test_a_second_signal_waits_for_no_request(shell: Shell, account: Account) -> None:
    with shell.start("serve", "--port", "0") as process:
        try:
            server = Served(process)
            with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as visitor:
                visitor.sendall(b"POST /capture/-/events/activity HTTP/1.1\r\n")
                assert server.get("/capture/-/health")[0] == 200
                process.send_signal(signal.SIGTERM)
                while listening(server.port):
                    pass
                process.send_signal(signal.SIGTERM)
                assert process.wait(5) == 0
        finally:
            process.kill()


def test_a_demo_whose_port_is_in_use_takes_another_and_says_so_once(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with shell.start("demo", "--port", str(port)) as process:
            try:
                assert process.stdout is not None
                said = ""
                while "Ctrl-C" not in said:
                    line = process.stdout.readline()
                    assert line, said
                    said += line
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()

    assert said.startswith(f"Port {port} cannot be used; another one was chosen.\n")
    [base] = re.findall(r"The shop +(http://127.0.0.1:\d+)/#token=", said)
    assert base != f"http://127.0.0.1:{port}"


def test_a_demo_has_activities_of_its_own(shell: Shell) -> None:
    ended = shell("demo", "--app", "shop:app")

    assert ended.exit_code == 2
    assert "--data" in ended.stderr
