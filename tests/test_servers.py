"""Every line of the how-tos about servers and proxies is run, and activities arrive."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from time import monotonic, sleep

import pytest

from .deployed import (
    await_port,
    commands,
    environment,
    expect_visitors_told_apart,
    free_port,
    located,
    running,
    save,
)
from .services import PATIENCE, campaign

SERVERS = [line for line in commands("servers") if "--daemonize2" not in line]
#: The everyday run takes these; the others are in no way special.
EVERYDAY = [line for line in SERVERS if line.startswith(("uwsgi", "uvicorn"))]


@pytest.mark.parametrize("line", SERVERS if campaign(1) > 1 else EVERYDAY)
def test_each_server_runs_as_its_line_says(line: str, tmp_path: Path) -> None:
    save("servers", tmp_path)
    port = free_port()
    with running(line, tmp_path, port):
        expect_visitors_told_apart(port, tmp_path)


def test_uwsgi_runs_daemonised_and_is_ended_by_its_file(tmp_path: Path) -> None:
    save("servers", tmp_path)
    port = free_port()
    (line,) = [line for line in commands("servers") if "--daemonize2" in line]
    (stop,) = re.findall("`(uwsgi --stop .+?)`", page_text("servers"))

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


def page_text(page: str) -> str:
    from .deployed import HOW_TO

    return (HOW_TO / f"{page}.md").read_text("utf-8")


def run(line: str, folder: Path) -> None:
    """Run a command that ends by itself."""
    program, *words = shlex.split(line)
    done = subprocess.run(
        [located(program), *words],
        cwd=folder,
        env=environment(),
        check=False,
        timeout=PATIENCE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
