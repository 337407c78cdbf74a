"""The how-tos for operators are done as they stand there, and come to what they say."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    ConfigurationError,
    Definition,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.backends.store_file import FORMAT

from .backends.test_views import PROMISED
from .services import PATIENCE, ROOT, missing, run_server, serve
from .test_docs import DOCS, blocks, files

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOW_TO = DOCS / "how-to"
JO, AL = "jo@example.com", "al@example.com"
BOUGHT = Definition(
    "act:cm:bought",
    "Bought",
    client_side=True,
    attributes=[Attribute("int:cm:price"), Attribute("str:cm:note", sensitive=True)],
)
#: Where the pages have things, and where they are in a test.
PLACES = ("/srv/shop", "/var/backups/shop")
SYSTEMCTL = '#!/bin/sh\necho "$@" >> "$(dirname "$0")/systemctl.log"\n'


class Operator:
    """A person who does what a page says, in an empty directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "srv/shop/data"
        self.backups = folder / "var/backups/shop"
        self.bin = folder / "bin"
        for each in (self.data.parent, self.backups, self.bin):
            each.mkdir(parents=True)
        (self.bin / "systemctl").write_text(SYSTEMCTL)
        (self.bin / "systemctl").chmod(0o755)
        # Pages that name no other place have the data in ./data.
        (folder / "data").symlink_to(self.data)

    def shell(self, script: str, port: int = 8000) -> str:
        """Run a block of a page, which has to succeed, and return what it printed."""
        for tool in ("curl", "jq", "sqlite3"):
            if tool in script.split() and shutil.which(tool) is None:
                missing(tool)
        for place in PLACES:
            script = script.replace(place, f"{self.folder}{place}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace(":8000", f":{port}")],
            cwd=self.folder,
            env=self.environment(),
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 3,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, page: str, name: str, env: Mapping[str, str] | None = None) -> str:
        """Save and run a program of a page, which has to succeed."""
        done = self.program(page, name, env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def program(
        self, page: str, name: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Save and run a program of a page."""
        (self.folder / name).write_text(files(HOW_TO / f"{page}.md")[name])
        return subprocess.run(
            [sys.executable, name],
            cwd=self.folder,
            env={**self.environment(), **(env or {})},
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 3,
        )

    def environment(self) -> dict[str, str]:
        """That of a shell in which the page's first line was typed."""
        programs = [str(self.bin), str(Path(sys.executable).parent), os.environ["PATH"]]
        return {
            **os.environ,
            "PATH": os.pathsep.join(programs),
            "PYTHONPATH": str(ROOT),
            "ORTTO_CAPTURE_DATA": str(self.data),
        }

    def services(self) -> list[str]:
        """What was asked of systemd."""
        return (self.bin / "systemctl.log").read_text().splitlines()

    def capture(self) -> Capture:
        """The account, opened as the application opens it."""
        backends = open_backends(f"file:{self.data}")
        backends.definitions.declare([BOUGHT])
        return Capture(backends=backends)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def bought(capture: Capture, email: str, price: int) -> None:
    """Have a person buy something."""
    capture.record_for("act:cm:bought", {"int:cm:price": price}, email=email)


@pytest.fixture
def shop(operator: Operator) -> Iterator[Capture]:
    """An account in which Jo has bought twice, and Al once."""
    capture = operator.capture()
    with capture.backends:
        for email, price in ((JO, 12), (AL, 5), (JO, 30)):
            bought(capture, email, price)
        yield capture


def below(page: str, heading: str, language: str = "sh") -> list[str]:
    """The blocks of a language below a heading of a page."""
    text = (HOW_TO / f"{page}.md").read_text("utf-8")
    part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert part, heading
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", part, re.DOTALL | re.MULTILINE)


def block(page: str, heading: str) -> str:
    [found] = below(page, heading)
    return found


def emails(capture: Capture) -> list[str | None]:
    """Who did what is stored, in the order of storing."""
    people = capture.backends.people
    rows = capture.backends.journal.latest()
    return [person and person.email for person in (people.get(each.person_id) for each in rows)]


# -- deploying.md


def test_the_shop_of_the_page_is_well_where_the_page_deploys_it(operator: Operator) -> None:
    page = "deploying"
    [made] = below(page, "Where the data lives")
    operator.shell(made)
    (operator.folder / "shop.py").write_text(files(HOW_TO / "deploying.md")["shop.py"])
    env = operator.environment()
    env["PYTHONPATH"] = os.pathsep.join([str(operator.folder), str(ROOT)])

    with run_server("gunicorn-gthread", "shop:application", workers=2, env=env) as port:
        health, outside, inside = below(page, "Is it well?")
        assert json.loads(operator.shell(health, port)) == {"ok": True}
        for doctor in (outside, inside):
            assert "problem" not in operator.shell(doctor, port)
    assert operator.data.stat().st_mode & 0o777 == 0o700


def test_the_log_of_the_page_is_json_with_the_name_of_the_event(
    operator: Operator, shop: Capture
) -> None:
    (operator.folder / "log.py").write_text(
        "".join(source for _, source in blocks(HOW_TO / "deploying.md", "python")[1:])
        + "from ortto_capture import Capture, open_backends\n"
        "capture = Capture(backends=open_backends('file:data'))\n"
        "capture.record_for('act:cm:unknown', email='jo@example.com', on_refused='log')\n"
    )
    done = subprocess.run(
        [sys.executable, "log.py"],
        cwd=operator.folder,
        env=operator.environment(),
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
    )

    [line] = done.stderr.splitlines()
    said = json.loads(line)
    assert (said["level"], said["event"]) == ("WARNING", "not-recorded")
    assert "act:cm:unknown" in said["message"]


def logged() -> set[str]:
    """The events of all lines that the package writes into its log."""
    found = set()
    for path in (ROOT / "ortto_capture").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="_log")),
                    keywords=[ast.keyword(arg="extra", value=ast.Dict(values=[event, *_]))],
                ):
                    found.add(ast.literal_eval(event))
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"))):
                    pytest.fail(f"{path}, line {node.lineno}: a line without its event")
    return found


def events(page: str) -> set[str]:
    """The first column of a page's table of events."""
    table = (DOCS / page).read_text("utf-8").partition("\n| event |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE))


def test_every_line_of_the_log_is_explained_by_its_event() -> None:
    assert events("reference/logs.md") == logged()


def test_people_are_called_for_events_that_there_are() -> None:
    assert events("how-to/deploying.md") < logged()


# -- upgrading.md


@pytest.mark.parametrize(("step", "row"), [(1, "newer"), (-1, "older")])
def test_a_store_of_another_format_is_refused_as_the_page_says(
    operator: Operator, shop: Capture, step: int, row: str
) -> None:
    page = (HOW_TO / "upgrading.md").read_text("utf-8")
    [message] = re.findall(rf"^\| {row} than the version \| `(.+?)` \|", page, re.MULTILINE)
    assert f"has a format number, which is {FORMAT}" in page
    shop.backends.close()
    with closing(sqlite3.connect(operator.data / "store.sqlite3")) as store:
        store.execute(f"PRAGMA user_version = {FORMAT + step}")

    with pytest.raises(ConfigurationError, match=message):
        open_backends(f"file:{operator.data}")


def test_what_is_done_before_and_after_an_upgrade_works(operator: Operator, shop: Capture) -> None:
    [export] = below("upgrading", "The format of the store")
    operator.shell(export)
    exported = (operator.folder / "activities.jsonl").read_text().splitlines()
    assert [json.loads(line)["person"] for line in exported] == [JO, AL, JO]

    shutil.copy(operator.data / "activities.json", operator.folder / "new.json")
    operator.shell(block("upgrading", "Definitions that change"))


# -- backups.md


def test_a_backup_is_made_while_activities_are_recorded(operator: Operator, shop: Capture) -> None:
    ended, recorded = Event(), [0]

    def go_on() -> None:
        while not ended.is_set():
            bought(shop, JO, 1)
            recorded[0] += 1

    buyer = Thread(target=go_on)
    buyer.start()
    try:
        operator.shell(block("backups", "Every night"))
    finally:
        ended.set()
        buyer.join(PATIENCE)

    [copy] = operator.backups.iterdir()
    with open_backends(f"file:{copy}") as backends:
        position = backends.journal.latest(1)[0].position
        assert 3 <= position <= 3 + recorded[0]
    assert copy.stat().st_mode & 0o777 == 0o700


def erase_after_a_backup(operator: Operator, shop: Capture) -> None:
    """A backup, then Jo is erased and Al buys again."""
    operator.shell(block("backups", "Every night"))
    shop.erase(JO)
    operator.shell(block("backups", "After an erasure"))
    bought(shop, AL, 7)
    shop.backends.close()


def test_old_backups_go_and_new_ones_stay(operator: Operator, shop: Capture) -> None:
    long_ago = operator.backups / "2020-01-01"
    long_ago.mkdir()
    os.utime(long_ago, (0, 0))
    operator.shell(block("backups", "Every night"))

    assert not long_ago.exists()
    assert len(list(operator.backups.iterdir())) == 1


def test_the_rehearsal_opens_the_newest_copy_without_the_erased(
    operator: Operator, shop: Capture
) -> None:
    erase_after_a_backup(operator, shop)
    said = operator.shell(block("backups", "Rehearse"))

    assert "every row is as it was written" in said
    assert AL in said
    assert JO not in said


@pytest.mark.parametrize("heading", ["The store is damaged", "The whole directory is lost"])
def test_a_restored_shop_has_what_the_backup_had_but_for_the_erased(
    operator: Operator, shop: Capture, heading: str
) -> None:
    session = shop.identify(email=AL).session
    # Jo's activities are still in SQLite's log, as after a power cut.
    log = (operator.data / "store.sqlite3-wal").read_bytes()
    erase_after_a_backup(operator, shop)
    (operator.data / "store.sqlite3").write_bytes(b"no store any more" * 1000)
    (operator.data / "store.sqlite3-wal").write_bytes(log)
    if heading == "The whole directory is lost":
        (operator.data / "secret").unlink()
    operator.shell(block("backups", heading))

    assert operator.services() == ["stop shop", "start shop"]
    restored = operator.capture()
    with restored.backends:
        assert emails(restored) == [AL]
        assert restored.person(JO) is None
        # The session of before is still good.
        assert restored.record(session, "act:cm:bought").position > 0


# -- privacy.md


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_what_the_page_says_is_not_stored_is_in_no_file(operator: Operator, shop: Capture) -> None:
    headers = {
        "User-Agent": "Traceable/1.0",
        "Referer": "https://shop.example/secret-page",
        "Cookie": "traceable-cookie=1",
        "Accept-Language": "x-traceable",
    }
    client = Client(CaptureApp(shop))
    for body in (
        {"activity_id": "act:cm:bought", "person": {"email": AL}},
        {"activity_id": "act:cm:bought", "attributes": {"str:cm:other": "unasked-for"}},
        {"activity_id": "act:cm:nothing", "person": {"email": AL}},
    ):
        client.post(
            "/-/events/activity?page=secret-query",
            json=body,
            headers=headers,
            environ_base={"REMOTE_ADDR": "203.0.113.77"},
        )
    shop.backends.close()

    kept = everything_in(operator.data)
    assert AL.encode() in kept
    for text in (*headers.values(), "203.0.113.77", "secret-query", "unasked-for"):
        assert text.encode() not in kept, text


def test_a_person_gets_their_data_and_is_erased_to_the_last_byte(
    operator: Operator, shop: Capture
) -> None:
    operator.shell(block("privacy", "A person asks for their data"))
    mine = json.loads((operator.folder / "jo.json").read_text())
    assert [each["attributes"]["int:cm:price"] for each in mine["activities"]] == [12, 30]

    operator.shell(block("privacy", "A person asks to be erased"))
    shop.backends.close()
    assert JO.encode() not in everything_in(operator.data)
    assert AL.encode() in everything_in(operator.data)


def test_the_numbers_of_the_page_are_those_of_the_settings() -> None:
    page = (HOW_TO / "privacy.md").read_text("utf-8")

    for name in ("retain_activities_days", "retain_idle_people_days"):
        assert f"`{name}` ({getattr(Settings(), name)})" in page
    assert f"for {Settings().retain_activities_days} days and passed on" in page
    assert f"{Settings().session_days} days" in page


# -- moving-from-ortto.md


class OrttosApi:
    """What a program sends to Ortto, which may be away."""

    def __init__(self) -> None:
        self.away = False
        self.received: list[dict[str, Any]] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if self.away or environ["HTTP_X_API_KEY"] != "the key":
            start_response("503 Service Unavailable", [])
            return []
        self.received += body["activities"]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"activities": []}']


def test_activities_are_sent_on_to_ortto_once_also_when_it_was_away(
    operator: Operator, shop: Capture
) -> None:
    api = OrttosApi()
    shop.identify(email="claimed@example.com")
    with serve(api) as address:
        env = {"ORTTO_API": address, "ORTTO_API_KEY": "the key"}

        def run() -> int:
            return operator.program("moving-from-ortto", "to_ortto.py", env).returncode

        def sent() -> list[tuple[str, int]]:
            prices = [each["attributes"]["int:cm:price"] for each in api.received]
            people = [each["fields"]["str::email"] for each in api.received]
            return list(zip(people, prices, strict=True))

        assert (run(), sent()) == (0, [(JO, 12), (AL, 5), (JO, 30)])
        bought(shop, AL, 8)
        session = shop.identify(email="stranger@example.com").session
        shop.record(session, "act:cm:bought", {"int:cm:price": 1})
        api.away = True
        assert run() != 0
        api.away = False
        assert (run(), sent()[3:]) == (0, [(AL, 8)])
        assert (run(), len(api.received)) == (0, 4)


#: As Ortto's API answers when an activity is created.
CREATED = {
    "custom_activity": {
        "name": "Logged in",
        "activity_field_id": "act:cm:login",
        "attributes": [{"name": "Plan", "field_id": "do-not-map", "display_type": "text"}],
    }
}


def test_definitions_of_ortto_are_taken_over(operator: Operator, shop: Capture) -> None:
    (operator.folder / "ortto.json").write_text(json.dumps(CREATED))
    operator.shell(block("moving-from-ortto", "1. Define your activities"))
    shop.backends.close()

    with open_backends(f"file:{operator.data}") as backends:
        login = backends.definitions.get("act:cm:login")
    assert login is not None
    assert (login.client_side, [each.key for each in login.attributes]) == (True, ["str:cm:plan"])


def test_the_definition_of_the_page_is_one() -> None:
    names: dict[str, Any] = {}
    for _, source in blocks(HOW_TO / "moving-from-ortto.md", "python"):
        if "to_ortto.py" not in source:
            exec(compile(source, "moving-from-ortto.md", "exec"), names)  # noqa: S102
    assert names["LOGIN"].unknown_attributes == "drop"


# -- using-the-data.md


def test_the_columns_of_the_page_are_those_of_the_store() -> None:
    text = (HOW_TO / "using-the-data.md").read_text("utf-8")
    shown = {
        view: re.findall(r"^\| `(\w+)` \| (?:integer|text) \|", part, re.MULTILINE)
        for view, part in re.findall(
            r"^\*\*`(\w+)`\*\*(.*?)(?=^\*\*`|^```)", text, re.DOTALL | re.MULTILINE
        )
    }

    assert shown == PROMISED


def test_questions_in_sql_are_answered_while_the_server_has_the_store_open(
    operator: Operator, shop: Capture
) -> None:
    said = operator.shell(block("using-the-data", "The SQL schema that is promised"))

    assert "|act:cm:bought|3|2" in said
    assert said.splitlines()[-2:] == [f"{JO}|42", f"{AL}|5"]


def test_pandas_and_duckdb_find_what_was_bought(operator: Operator, shop: Capture) -> None:
    weekly = operator.python("using-the-data", "weekly.py")
    assert re.search(r"3 +47", weekly), weekly

    operator.shell(block("using-the-data", "DuckDB"))
    top = operator.python("using-the-data", "top.py")
    assert re.search(rf"{JO}.+42.*\n.*{AL}.+5", top), top


def test_a_file_grows_by_what_is_new(operator: Operator, shop: Capture) -> None:
    operator.shell(block("using-the-data", "DuckDB"))
    bought(shop, AL, 99)
    for _ in range(2):
        operator.shell(block("using-the-data", "What is new since the last time"))
    rows = (operator.folder / "activities.jsonl").read_text().splitlines()

    assert [json.loads(row)["attributes"]["int:cm:price"] for row in rows] == [12, 5, 30, 99]


def test_a_copy_follows_new_activities_erasures_and_a_restore(
    operator: Operator, shop: Capture
) -> None:
    def copied() -> int:
        operator.python("using-the-data", "sync.py")
        with closing(sqlite3.connect(operator.folder / "copy.sqlite3")) as copy:
            [count] = copy.execute("SELECT count(*) FROM activities").fetchone()
            return int(count)

    assert copied() == 3
    bought(shop, AL, 1)
    assert copied() == 4
    shop.erase(JO)
    assert copied() == 2

    operator.shell(block("backups", "Every night"))
    operator.shell(block("backups", "After an erasure"))
    shop.backends.close()
    operator.shell(block("backups", "The whole directory is lost"))
    restored = operator.capture()
    with restored.backends:
        bought(restored, AL, 2)
    assert copied() == 3


def test_a_spreadsheet_gets_a_column_for_each_attribute_and_nothing_sensitive(
    operator: Operator, shop: Capture
) -> None:
    shop.record_for("act:cm:bought", {"str:cm:note": "=private"}, email=AL)
    operator.shell(block("using-the-data", "CSV for spreadsheets"))
    sheet = (operator.folder / "activities.csv").read_text("utf-8")

    assert '"int:cm:price","str:cm:note"' in sheet.splitlines()[0]
    assert "private" not in sheet


# -- reports.md


def test_the_notebook_of_the_page_computes(operator: Operator, shop: Capture) -> None:
    told = operator.python("reports", "notebook.py")

    assert re.search(r"\b3\b", told)
    assert f"{JO} 42" in told
    assert f"{AL} 5" in told


def test_what_the_page_saves_is_pinned_and_printed(operator: Operator, shop: Capture) -> None:
    operator.python("reports", "save.py")

    total = operator.shell(block("reports", "In a terminal, and as CSV"))

    assert shop.reports.pinned().names[0] == "sales"
    assert shop.reports.ask("came-back").total == 2
    assert total.strip() == "2"
    with (operator.folder / "sales.csv").open(encoding="utf-8") as sales:
        assert sum(float(row["measure"]) for row in csv.DictReader(sales)) == 47
    with (operator.folder / "buyers.csv").open(encoding="utf-8") as buyers:
        assert max(int(row["measure"]) for row in csv.DictReader(buyers)) == 2


def test_the_audience_of_the_page_goes_into_a_mailing_tool(
    operator: Operator, shop: Capture
) -> None:
    assert operator.python("reports", "audience.py").strip() == "1"

    operator.shell(block("reports", "An audience for a mailing tool"))

    with (operator.folder / "to-review.csv").open(encoding="utf-8") as members:
        assert [(row["email"], row["assurance"]) for row in csv.DictReader(members)] == [
            (JO, "verified")
        ]
    assert operator.python("reports", "members.py").splitlines() == [JO]
    shop.backends.definitions.put(Definition("act:cm:asked-for-review", "Asked for a review"))
    shop.record_for("act:cm:asked-for-review", email=JO)
    assert operator.python("reports", "audience.py").strip() == "0"


# -- console.md


def test_the_tokens_of_the_page_open_the_console(operator: Operator, shop: Capture) -> None:
    """A program makes an activity, and counts what was refused."""
    [named] = below("console", "Who may see it")
    [in_a_program] = below("console", "From a program")
    printed = operator.shell(named)
    assert re.findall(r"^oct_\S+$", printed, re.MULTILINE)
    assert "Jo" in printed.splitlines()[-1]

    app = mount(Response("the host's"), CaptureApp(shop), at="/capture")
    with serve(app) as base:
        told = operator.shell(in_a_program, int(base.rpartition(":")[2]))
    assert '"refused": 0' in told
    made = shop.backends.definitions.get("act:cm:signed-up")
    assert made is not None
    assert made.client_side
