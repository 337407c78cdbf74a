"""Every line of the how-tos about servers and proxies is run, and activities arrive."""

from __future__ import annotations

import json
import re
import shlex
from importlib import metadata
from pathlib import Path
from time import monotonic, sleep

import pytest

from ortto_capture import open_backends

from .deployed import (
    HOW_TO,
    LOGIN,
    await_port,
    blocks,
    command,
    commands,
    expect_visitors_told_apart,
    files,
    free_port,
    located,
    run,
    running,
    save,
)
from .services import PATIENCE, campaign, raw_request

SERVERS = [line for line in commands("servers") if "--daemonize2" not in line]
#: Granian's workers do not always end when told to while they start: not every day.
EVERYDAY = [line for line in SERVERS if not line.startswith("granian")]


@pytest.mark.parametrize("line", SERVERS if campaign(1) > 1 else EVERYDAY)
def test_each_server_runs_as_its_line_says(line: str, tmp_path: Path) -> None:
    save("servers", tmp_path)
    port = free_port()
    with running(line, tmp_path, port):
        expect_visitors_told_apart(port, tmp_path)


@pytest.mark.parametrize("server", ["uvicorn", "granian --interface asgi"][: campaign(1)])
def test_a_chunked_body_that_is_cut_off_is_not_taken_for_a_whole_one(
    server: str, tmp_path: Path
) -> None:
    """By the servers whose own WSGI would take it."""
    save("servers", tmp_path)
    port = free_port()
    activity = json.dumps({"activity_id": LOGIN, "person": {"email": "jo@example.com"}}).encode()
    head = b"POST /capture/-/events/activity HTTP/1.1\r\nHost: shop.example\r\n"
    chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(activity), activity)
    with running(command("servers", server), tmp_path, port):
        raw_request(port, head + chunk, half_close=True)
        whole = head + b"Connection: close\r\n" + chunk + b"0\r\n\r\n"
        assert raw_request(port, whole).startswith(b"HTTP/1.1 200 ")
    with open_backends(f"file:{tmp_path / 'data'}") as backends:
        assert len(backends.journal.latest()) == 1


def test_uwsgi_runs_daemonised_and_is_ended_by_its_file(tmp_path: Path) -> None:
    save("servers", tmp_path)
    port = free_port()
    (line,) = [line for line in commands("servers") if "--daemonize2" in line]
    (stop,) = re.findall("`(uwsgi --stop .+?)`", (HOW_TO / "servers.md").read_text("utf-8"))

    run(line.replace("8000", str(port)), tmp_path)
    try:
        await_port(port)
        expect_visitors_told_apart(port, tmp_path)
    finally:
        run(stop, tmp_path)
    pid = int((tmp_path / "uwsgi.pid").read_text())
    ends = monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert monotonic() < ends, (tmp_path / "uwsgi.log").read_text()
        sleep(0.02)


def test_the_unit_of_systemd_is_valid_and_its_line_runs(tmp_path: Path) -> None:
    save("servers", tmp_path)
    ((name, unit),) = files("servers", "ini").items()
    gunicorn = located("gunicorn")
    unit = unit.replace("/srv/shop/.venv/bin/gunicorn", gunicorn).replace(
        "/srv/shop", str(tmp_path)
    )
    (tmp_path / name).write_text(unit)
    (tmp_path / "data").mkdir(exist_ok=True)

    run(f"systemd-analyze verify --man=no {tmp_path / name}", tmp_path)
    (line,) = re.findall("^ExecStart=(.+)$", unit, re.MULTILINE)
    assert line.startswith(gunicorn)
    port = free_port()
    with running(line, tmp_path, port):
        expect_visitors_told_apart(port, tmp_path)


def test_what_the_image_of_docker_runs_can_be_run(tmp_path: Path) -> None:
    """Without a daemon, which no test has: its commands, and that the files it copies are there."""
    save("servers", tmp_path)
    (image,) = blocks("docker", "dockerfile")
    steps = [line.partition(" ")[::2] for line in image.splitlines()]
    (requirements,) = blocks("docker", "text")
    (tmp_path / "requirements.txt").write_text(requirements)

    for requirement in requirements.split():
        assert metadata.version(requirement.partition("[")[0])
    for copied in (words.split()[0] for step, words in steps if step == "COPY"):
        assert (tmp_path / copied).exists(), copied
    (start,) = [json.loads(words) for step, words in steps if step == "CMD"]
    (check,) = [
        json.loads(words.removeprefix("CMD ")) for step, words in steps if step == "HEALTHCHECK"
    ]
    # Above 1024, and no user's but this machine's.
    port = free_port()
    with running(shlex.join(start).replace("0.0.0.0", "127.0.0.1"), tmp_path, port):  # noqa: S104
        expect_visitors_told_apart(port, tmp_path)
        healthy = shlex.join(check).replace("8000", str(port))
        run(healthy, tmp_path)
    with pytest.raises(AssertionError, match="refused"):
        run(healthy, tmp_path)
