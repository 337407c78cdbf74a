"""The commands on a host's own account: ``--app``, and as a part of the host's command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import flask
import pytest
from click.testing import CliRunner
from flask.cli import ScriptInfo

from ortto_capture import Backends, Capture, CaptureApp, Definition, Settings
from ortto_capture.backends.memory import MemoryBackends
from ortto_capture.cli.account import PLACES
from ortto_capture.cli.commands import commands
from ortto_capture.cli.embedded import group

from ..services import PATIENCE, ROOT
from .conftest import JO, Account, Shell
from .test_server import Served
from .test_showing import every

SECRET = "a secret of the host's, of more than 32 bytes"
HOST = f"""
import ortto_capture as oc

capture = oc.Capture(
    backends=oc.open_backends("file:kept"),
    settings=oc.Settings(secret_keys=[{SECRET!r}], person_limit="7/day", max_attributes=3),
)
capture.backends.definitions.declare([oc.Definition("act:cm:sold", "Sold", client_side=True)])
capture_app = oc.CaptureApp(capture)


class Integration:
    capture_app = capture_app


class WebFramework:
    extensions = {{"ortto_capture": capture_app}}


class Mount:
    app = Integration()


class Router:
    routes = [object(), Mount()]


def shop(environ, start_response):
    raise AssertionError


class Middleware:
    def __init__(self, app):
        self.wrapped_app = app


application = Middleware(oc.mount(shop, capture_app))


def create_app():
    return WebFramework()


def fails():
    raise ValueError("no database")


def misconfigured():
    oc.Settings(person_limit="many")


class Holder:
    capture = Integration()


itself = Holder()
itself.capture = itself
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the directory that the shell is in."""
    name = f"host_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(HOST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    if name in sys.modules:
        sys.modules[name].capture.backends.close()
        del sys.modules[name]


@pytest.mark.parametrize(
    "named",
    [
        *("capture", "capture_app", "Integration", "WebFramework", "create_app()", "Router"),
        *("application", "Holder.capture"),
    ],
)
def test_any_part_of_an_application_leads_to_its_account(
    named: str, host: str, shell: Shell
) -> None:
    assert shell.ok("--app", f"{host}:{named}", "activities", "list").startswith("act:cm:sold\ton")
    assert '"maxProperties": 3' in shell.ok("schema", "act:cm:sold", "--app", f"{host}:{named}")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("host", "'host' is not MODULE:NAME"),
        ("a host:x", "is not MODULE:NAME"),
        ("{host}:nothing", "AttributeError"),
        ("{host}:app", "did you mean {host}:create_app()?"),
        ("nowhere_at_all:app", "ModuleNotFoundError"),
        ("{host}:fails()", "ValueError: no database"),
        ("{host}:misconfigured()", "person_limit: not one limit"),
        ("{host}:fails", "is function, which has no Capture"),
        ("{host}:itself", "is Holder, which has no Capture"),
        ("{host}:oc", "is module, which has no Capture"),
    ],
)
def test_an_application_without_an_account_is_3(
    named: str, says: str, host: str, shell: Shell
) -> None:
    ended = shell("--app", named.format(host=host), "tail")

    assert (ended.exit_code, ended.stdout) == (3, "")
    assert says.format(host=host) in ended.stderr


def test_only_one_account_can_be_named(host: str, shell: Shell) -> None:
    app = ("--app", f"{host}:capture")
    for command in (
        (*app, "tail", "--data", "data"),
        ("--config", "settings.toml", "tail", *app),
        ("demo", *app),
    ):
        assert shell(*command).exit_code == 2


def test_the_command_line_goes_before_the_environment(
    host: str, shell: Shell, account: Account
) -> None:
    def listed(*options: str) -> str:
        env = {"ORTTO_CAPTURE_APP": f"{host}:capture", "ORTTO_CAPTURE_DATA": "nowhere"}
        ended = CliRunner(env=env).invoke(commands, ["activities", "list", *options])
        assert ended.exit_code == 0
        return ended.stdout

    assert listed().startswith("act:cm:sold")
    assert listed("--data", str(shell.data)).startswith("act:cm:login")


def test_the_installed_command_finds_the_application_in_its_own_directory(
    host: str, tmp_path: Path
) -> None:
    """A script's own directory, not the one it is called in, is where Python looks first."""
    program = "import sys; sys.path.remove(''); from ortto_capture.cli import main; main()"
    command = [sys.executable, "-c", program, "--app", f"{host}:capture", "doctor", "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    rows = [json.loads(line) for line in ran.stdout.splitlines()]

    assert ran.returncode == 0
    assert rows[0]["found"] == (
        "the application's own: 7/day for a person, 100/hour for an address"
    )
    assert {row["check"] for row in rows} >= {"permissions", "free disk", "activities", "store"}


def test_serving_serves_the_applications_account(host: str, tmp_path: Path) -> None:
    """No second directory is made beside the application's own."""
    command = [sys.executable, "-m", "ortto_capture", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--app", f"{host}:capture"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            server = Served(process)
            assert server.record("act:cm:sold") == (200, b'{"ok":true}')
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()

    assert "Data is in" not in server.said
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "kept" / "store.sqlite3").exists()


def test_an_account_in_memory_is_said_to_be_one(host: str, tmp_path: Path) -> None:
    (tmp_path / "memory.py").write_text(
        "import ortto_capture as oc\n"
        f"settings = oc.Settings(secret_keys=[{SECRET!r}])\n"
        "capture = oc.Capture(backends=oc.open_backends('memory:'), settings=settings)\n"
    )
    shell = Shell(tmp_path / "nowhere")
    written, code = shell.seen("--app", "memory:capture", "tail", cwd=tmp_path)

    assert code == 0
    assert "This account is in memory" in written


# -- within the host's own command line


@pytest.fixture
def capture() -> Capture:
    """A host's account in memory, with one activity by Jo."""
    capture = Capture(backends=MemoryBackends(), settings=Settings(secret_keys=[SECRET]))
    definition = Definition("act:cm:sold", "Sold", client_side=True, attributes=["int:cm:price"])
    capture.backends.definitions.put(definition)
    capture.record(None, "act:cm:sold", {"int:cm:price": 3}, person={"email": JO})
    return capture


def test_flask_has_the_commands_on_the_accounts_of_its_apps(capture: Capture) -> None:
    app = flask.Flask("shop")
    app.extensions["ortto_capture"] = CaptureApp(capture)

    def find() -> Capture:
        info = click.get_current_context().find_object(ScriptInfo)
        assert info is not None
        capture: Capture = info.load_app().extensions["ortto_capture"].capture
        return capture

    app.cli.add_command(group(find))
    runner = app.test_cli_runner()

    assert f"{JO}\tact:cm:sold" in runner.invoke(args=["capture", "tail"]).stdout
    assert runner.invoke(args=["capture", "people", "erase", JO, "--yes"]).exit_code == 0
    assert capture.person(JO) is None
    assert "activities" in runner.invoke(args=["capture"]).output


@pytest.mark.parametrize(
    ("asked", "code"),
    [(["tail"], 0), (["people", "find", "al@example.com"], 1), (["tail", "--x"], 2)],
)
def test_it_runs_alone_too_as_django_runs_it(asked: list[str], code: int, capture: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        group(lambda: capture).main(asked, prog_name="manage.py capture")

    assert ended.value.code == code


def test_it_is_everything_that_does_not_serve_and_names_no_other_account(
    capture: Capture,
) -> None:
    ours = dict(every(group(lambda: capture)))
    all_of_them = dict(every(commands))

    assert ours.keys() == all_of_them.keys() - {("serve",), ("demo",)}
    assert not any(place in each.params for place in PLACES for each in ours.values())
    # The others have kept theirs.
    assert all(place in each.params for place in PLACES for each in all_of_them.values())


def test_the_account_is_asked_for_when_a_command_needs_it(capture: Capture) -> None:
    """A host's settings are not read for a page of help."""
    asked: list[str] = []

    def find() -> Capture:
        asked.append("")
        return capture

    runner = CliRunner()
    assert runner.invoke(group(find), ["tail", "--help"]).exit_code == 0
    assert asked == []
    assert runner.invoke(group(find), ["doctor"]).exit_code == 0
    assert asked == [""]


def test_what_needs_a_directory_says_that_there_is_none(capture: Capture, tmp_path: Path) -> None:
    copied = CliRunner().invoke(group(lambda: capture), ["backup", str(tmp_path / "copy")])

    assert (copied.exit_code, copied.stdout) == (3, "")
    assert copied.stderr == (
        "Error: MemoryBackends: these backends keep no directory that could be copied\n"
    )
    assert not (tmp_path / "copy").exists()


def test_the_doctor_looks_at_what_there_is(capture: Capture) -> None:
    looked = CliRunner().invoke(group(lambda: capture), ["doctor"])

    assert [line.split("\t")[1:3] for line in looked.stdout.splitlines()] == [
        ["configuration", "the application's own: 10/day for a person, 100/hour for an address"],
        ["activities", "1 of 1 are on"],
    ]


def test_backends_that_remember_no_refusals_say_so(capture: Capture) -> None:
    ports = capture.backends
    silent = Backends(
        definitions=ports.definitions,
        people=ports.people,
        limiter=ports.limiter,
        journal=ports.journal,
    )
    host = Capture(backends=silent, settings=capture.settings)
    ran = CliRunner().invoke(group(lambda: host), ["tail", "--refused"])

    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "do not remember what was refused" in ran.stderr
    for command in (["doctor"], ["send", "act:cm:sold", "--email", JO]):
        assert CliRunner().invoke(group(lambda: host), command).exit_code == 0


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_it_says_what_to_install(missing: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{missing!r}] = None")
    program = (
        "from ortto_capture.cli.embedded import group; from ortto_capture import *\n"
        "try: group(lambda: None).main(['tail'])\n"
        "except ConfigurationError as error: sys.exit(f'Error: {error.args[0][5:]}')\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", f"import sys; {program}"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert ran.returncode in (1, 3)
    assert ran.stderr == "Error: The command line needs: pip install 'ortto-capture[cli]'\n"


def test_without_waitress_only_serving_is_gone(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['waitress'] = None")
    program = (
        "from ortto_capture.cli.embedded import group; from ortto_capture import *\n"
        "host = Capture(backends=open_backends('memory:'), "
        f"settings=Settings(secret_keys=[{SECRET!r}]))\n"
        "group(lambda: host).main(['tail'])"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ran = subprocess.run([sys.executable, "-c", program], env=env, check=False)

    assert ran.returncode == 0
