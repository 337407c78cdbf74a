"""Programs that the how-tos show, run as they stand there.

The law of this file: what is run is taken out of a page of the docs and changed in nothing but
ports, paths and host names. A visitor has an address of this machine other than 127.0.0.1, which is
a proxy's, so that a test can tell whose address was counted.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

from ortto_capture import Definition, open_backends

from .services import PATIENCE, ROOT, missing

HOW_TO = ROOT / "docs" / "how-to"
#: Where the docs have a server listen.
DOCUMENTED = "8000"
LOGIN = "act:cm:login"
#: Seconds to end in, when told to.
GRACE = 5


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language in a how-to."""
    text = (HOW_TO / f"{page}.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def files(page: str, language: str = "python") -> dict[str, str]:
    """The blocks that begin with ``# name``: what a reader is asked to save, by name."""
    found = [(re.match(r"# ([\w.]+)\n", each), each) for each in blocks(page, language)]
    return {name[1]: source for name, source in found if name}


def commands(page: str) -> list[str]:
    """The lines of a how-to's shell blocks."""
    return [line for block in blocks(page, "sh") for line in block.splitlines() if line]


def command(page: str, beginning: str) -> str:
    """The one command of a how-to that begins so."""
    (found,) = [line for line in commands(page) if line.startswith(beginning)]
    return found


def save(page: str, folder: Path) -> None:
    """Save the Python files of a how-to, beside data where each address has one activity a day."""
    for name, source in files(page).items():
        (folder / name).write_text(source)
    with open_backends(f"file:{folder / 'data'}") as backends:
        once = {"ip": "1/day"}
        backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True, limits=once))


def free_port() -> int:
    """A port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def located(program: str) -> str:
    """Where a program is: beside Python, or where the machine has it."""
    beside = Path(sys.executable).parent / program
    found = str(beside) if beside.exists() else shutil.which(program, path="/usr/sbin:/usr/bin")
    return found or missing(program)


def environment(folder: Path) -> Mapping[str, str]:
    """What a documented program is run with: this project, and a home of its own."""
    here = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **here}


def run(line: str, folder: Path) -> None:
    """Run a command that ends by itself."""
    program, *words = shlex.split(line)
    done = subprocess.run(
        [located(program), *words],
        cwd=folder,
        env=environment(folder),
        check=False,
        timeout=PATIENCE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def await_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when a server accepts connections."""
    ends = monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            if (process is not None and process.poll()) or monotonic() > ends:
                raise


@contextmanager
def running(line: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a documented command in ``folder``, on ``port`` in place of the documented one."""
    program, *words = shlex.split(line.replace(DOCUMENTED, str(port)))
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [located(program), *words],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            await_port(port, process)
            yield process
        except BaseException as error:
            log.seek(0)
            error.add_note(f"{line} wrote:\n{log.read()}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Visitor:
    """A visitor of a server on this machine.

    :param number: tells visitors and their addresses apart.
    """

    def __init__(self, port: int, number: int, host: str = "shop.example") -> None:
        self.address = f"127.0.0.{number}"
        self._port = port
        self._host = host
        self._sent = 0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """Ask for a path; the answer's status, and its body."""
        connection = HTTPConnection(
            "127.0.0.1", self._port, timeout=PATIENCE, source_address=(self.address, 0)
        )
        given = {"Host": self._host, **{key.replace("_", "-"): headers[key] for key in headers}}
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return b"%d " % answer.status + answer.read()
        finally:
            connection.close()

    def report(self, **headers: str) -> int:
        """Log in as another person each time; the answer's status."""
        self._sent += 1
        person = {"email": f"user{self.address}-{self._sent}@emaildomain.com"}
        body = json.dumps({"key": "shop", "activity_id": LOGIN, "person": person}).encode()
        answer = self.ask("POST", "/capture/-/events/activity", body, **headers)
        return int(answer[:3])


def expect_visitors_told_apart(port: int, folder: Path) -> None:
    """Each visitor's one activity arrives, and a header that a visitor wrote changes nothing."""
    first, second, liar = (Visitor(port, number) for number in (2, 3, 4))
    page = first.ask("GET", "/")
    assert page.startswith(b"200"), page
    assert b"/capture/app.js" in page
    assert first.ask("GET", "/capture/app.js").startswith(b"200")
    assert [first.report(), first.report(), second.report()] == [200, 429, 200]
    forged = [liar.report(X_Forwarded_For=f"198.51.100.{n}") for n in (1, 2)]
    assert forged == [200, 429], "who wrote a header chose an address"
    with open_backends(f"file:{folder / 'data'}") as backends:
        assert len(backends.journal.latest()) == 3


def nginx(block: str, port: int) -> str:
    """A whole configuration around a documented ``location``, for the process that reads it."""
    paths = "".join(
        f"    {kind}_temp_path {kind};\n"
        for kind in ("client_body", "proxy", "uwsgi", "fastcgi", "scgi")
    )
    return f"""
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
{paths}
    server {{
        listen 127.0.0.1:{port};
        server_name shop.example;
{block}
    }}
}}
"""


def caddy(block: str, port: int) -> str:
    """A whole configuration around a documented site, which would ask for a certificate."""
    site = f"http://shop.example:{port} {{\n    bind 127.0.0.1"
    return "{\n    admin off\n    auto_https off\n}\n" + block.replace("shop.example {", site)
