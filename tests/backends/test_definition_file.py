"""Definitions in a file: edited by hand and by tools at once, seen by all, never half anything."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import time
from typing import IO, Any

import pytest

from ortto_capture import (
    BackendError,
    ConfigurationError,
    Definition,
    DefinitionEditor,
    Definitions,
    StorageFull,
)
from ortto_capture.backends.definition_file import (
    FileDefinitions,
    TomlDefinitions,
    open_definitions,
    read_definitions,
)
from ortto_capture.definition_format import format_definitions
from ortto_capture.testing import DefinitionsContract, FakeClock

from ..services import PATIENCE, ROOT
from .test_files import as_an_ordinary_user, failing, limit, open_directory

__all__ = ["open_directory"]

LOGIN = Definition("act:cm:login", "Logged in", client_side=True)
LOGOUT = Definition("act:cm:logout", "Logged out")

BROKEN = '{"activities": [\n  {"id": "act:cm:login"},\n]}'
#: What is said of it.
COMMA = ":2:25: remove this comma, nothing follows it"


class TestFileDefinitions(DefinitionsContract):
    @pytest.fixture
    def definitions(self, tmp_path: Path) -> Definitions:
        return FileDefinitions(tmp_path)


class TestTomlDefinitions(DefinitionsContract):
    """Written by hand, here by an editor that writes TOML and waits for it to be seen."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def definitions(self, tmp_path: Path, clock: FakeClock) -> Definitions:
        (tmp_path / "activities.toml").touch()
        return TomlDefinitions(tmp_path, clock)

    @pytest.fixture
    def editor(self, tmp_path: Path, clock: FakeClock) -> DefinitionEditor:
        return ByHand(tmp_path / "activities.toml", clock)


class ByHand:
    """Somebody with a text editor, who looks whether it worked a second later."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.path = path
        self.clock = clock
        self.written: dict[str, Definition] = {}

    def put(self, definition: Definition) -> None:
        self.written[definition.id] = definition
        # Of JSON's values, all that definitions are made of are TOML's as well.
        activities = json.loads(format_definitions(self.written.values()))["activities"]
        self.path.write_text("".join(map(_table, activities)), "utf-8")
        os.utime(self.path, (time() - 1, time() - 1))
        self.clock.advance(1)


def _table(activity: dict[str, Any]) -> str:
    return "[[activities]]\n" + "".join(
        f"{name} = {_inline(value)}\n" for name, value in activity.items()
    )


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_inline(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def write(directory: Path, *definitions: Definition) -> Path:
    """Write activities.json as if by hand, in place."""
    path = directory / "activities.json"
    path.write_bytes(format_definitions(definitions))
    return path


def names(definitions: Definitions) -> list[str]:
    return [each.name for each in definitions.all()]


# -- opening


def test_without_a_file_there_are_no_definitions_and_put_makes_one(tmp_path: Path) -> None:
    definitions = open_definitions(tmp_path)
    assert definitions.path == tmp_path / "activities.json"
    assert names(definitions) == []
    assert list(tmp_path.iterdir()) == []

    assert isinstance(definitions, FileDefinitions)
    definitions.put(LOGIN)

    assert definitions.path.read_bytes() == format_definitions([LOGIN])
    assert definitions.path.stat().st_mode & 0o777 == 0o600
    assert names(open_definitions(tmp_path)) == ["Logged in"]


def test_only_definitions_in_json_have_an_editor(tmp_path: Path) -> None:
    assert isinstance(open_definitions(tmp_path), DefinitionEditor)

    (tmp_path / "activities.toml").write_text("[[activities]]\nid = 'act:cm:a'\nname = 'A'\n")
    by_hand = open_definitions(tmp_path)

    assert not isinstance(by_hand, DefinitionEditor)
    assert by_hand.path == tmp_path / "activities.toml"
    assert by_hand.get("act:cm:a") == Definition("act:cm:a", "A")


def test_two_files_are_refused_with_what_to_remove(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "activities.toml").touch()

    for open_ in (open_definitions, FileDefinitions, TomlDefinitions):
        with pytest.raises(ConfigurationError) as refused:
            open_(tmp_path)
        assert refused.value.field == "activities"
        assert "are both there; remove the .json if definitions are written by hand" in str(
            refused.value
        )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("activities.json", BROKEN, COMMA),
        ("activities.json", '{"activites": []}', ":1: activites: no such member; did you mean"),
        ("activities.json", "", ": the file is empty"),
        ("activities.toml", "[[activities]]\nid = 'act:cm:a'\n", ":1: act:cm:a: name: missing;"),
    ],
)
def test_a_broken_file_is_refused_at_the_start_with_its_line(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)

    with pytest.raises(ConfigurationError) as refused:
        open_definitions(tmp_path)
    assert refused.value.field == "activities"
    assert str(refused.value).startswith(f"activities: {tmp_path / name}{said}")


def test_what_stands_in_the_files_place_is_refused_at_the_start_with_a_remedy(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder" / "activities.json").mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "activities.json").symlink_to("gone")

    for name, said in [
        ("folder", "this is a directory; move it out of the way"),
        ("link", "this is a link to gone, which is not there; put it there"),
    ]:
        with pytest.raises(ConfigurationError) as refused:
            open_definitions(tmp_path / name)
        assert refused.value.field == "activities"
        assert str(refused.value) == f"activities: {tmp_path / name / 'activities.json'}: {said}"


@pytest.mark.parametrize("closed", ["", "activities.json"])
def test_what_may_not_be_read_is_refused_at_the_start_with_the_user(
    open_directory: Path, closed: str
) -> None:
    write(open_directory, LOGIN)
    (open_directory / closed).chmod(0)

    with as_an_ordinary_user(), pytest.raises(ConfigurationError) as refused:
        open_definitions(open_directory)
    assert refused.value.field == "activities"
    assert re.fullmatch(
        rf"activities: {open_directory}/activities\.\w+: user \d+ may not do that; give the file "
        "and its directory to this user",
        str(refused.value),
    )


def test_a_file_is_read_by_its_name_for_whoever_only_wants_to_check_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[[activities]]\nid = 'act:cm:a'\nname = 'A'\n")
    (tmp_path / "mine.txt").write_bytes(format_definitions([LOGIN]))
    (tmp_path / "two.json").write_text('{"activities": [\n{"id": "act:cm:a"},\n{"name": "B"}]}')

    assert read_definitions(tmp_path / "mine.toml") == [Definition("act:cm:a", "A")]
    assert read_definitions(tmp_path / "mine.txt") == [LOGIN]
    with pytest.raises(ConfigurationError) as wrong:
        read_definitions(tmp_path / "two.json")
    first, second = str(wrong.value).splitlines()
    assert first.startswith(f"activities: {tmp_path / 'two.json'}:2: act:cm:a: name: missing;")
    assert second.startswith(f"{tmp_path / 'two.json'}:3: activity 2: id: missing;")
    with pytest.raises(ConfigurationError, match="it is not there; put it back"):
        read_definitions(tmp_path / "none.json")


# -- putting


def test_put_keeps_the_others_and_what_was_written_by_hand_a_moment_ago(tmp_path: Path) -> None:
    definitions = FileDefinitions(tmp_path, FakeClock())
    definitions.put(LOGIN)
    write(tmp_path, replace(LOGIN, name="By hand"), Definition("act:cm:new", "New"))

    definitions.put(LOGOUT)

    assert names(definitions) == ["By hand", "Logged out", "New"]
    assert read_definitions(definitions.path) == list(definitions.all())


def test_put_keeps_the_files_mode(tmp_path: Path) -> None:
    path = write(tmp_path, LOGIN)
    path.chmod(0o640)

    FileDefinitions(tmp_path).put(LOGOUT)

    assert path.stat().st_mode & 0o777 == 0o640


def test_put_writes_through_a_link(tmp_path: Path) -> None:
    """To definitions that are kept under version control, say."""
    (tmp_path / "data").mkdir()
    (tmp_path / "repository").mkdir()
    kept = write(tmp_path / "repository", LOGIN)
    (tmp_path / "data" / "activities.json").symlink_to(kept)

    definitions = FileDefinitions(tmp_path / "data")
    definitions.put(LOGOUT)

    assert definitions.path.is_symlink()
    assert read_definitions(kept) == [LOGIN, LOGOUT]


@pytest.mark.parametrize("content", [BROKEN, "", '{"activities": [7]}'])
def test_put_never_writes_over_what_it_could_not_read(tmp_path: Path, content: str) -> None:
    definitions = FileDefinitions(tmp_path)
    definitions.put(LOGIN)
    definitions.path.write_text(content)

    with pytest.raises(ConfigurationError, match=str(definitions.path)):
        definitions.put(LOGOUT)

    assert definitions.path.read_text() == content
    assert names(definitions) == ["Logged in"]


def test_put_does_not_bring_back_a_file_that_somebody_took_away(tmp_path: Path) -> None:
    definitions = FileDefinitions(tmp_path)
    definitions.put(LOGIN)
    definitions.path.unlink()

    with pytest.raises(BackendError, match="it is not there; put it back"):
        definitions.put(LOGOUT)

    assert not definitions.path.exists()
    assert names(definitions) == ["Logged in"]


def test_put_makes_no_second_file_beside_a_hand_written_one(tmp_path: Path) -> None:
    definitions = FileDefinitions(tmp_path)
    (tmp_path / "activities.toml").touch()

    with pytest.raises(ConfigurationError, match="is new here; restart to have it read"):
        definitions.put(LOGIN)

    assert not definitions.path.exists()


@pytest.mark.parametrize(
    "members", [{"name": "\ud83d"}, {"client_side": "yes"}, {"archived": 1}, {"icon": 7}]
)
def test_what_could_not_be_read_back_is_refused_before_it_is_written(
    tmp_path: Path, members: dict[str, Any]
) -> None:
    definitions = FileDefinitions(tmp_path)
    definitions.put(LOGIN)

    with pytest.raises(ConfigurationError, match=f"act:cm:login: {next(iter(members))}: write "):
        definitions.put(replace(LOGIN, **members))

    assert read_definitions(definitions.path) == [LOGIN]


def test_without_a_directory_put_says_so(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"activities\.lock: it is not there; put it back, or"):
        FileDefinitions(tmp_path / "gone").put(LOGIN)


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    definitions = FileDefinitions(tmp_path)
    definitions.put(LOGIN)
    before = definitions.path.read_bytes()
    long = replace(LOGOUT, name="N" * 8_000)

    with limit(resource.RLIMIT_FSIZE, 5_000), pytest.raises(StorageFull, match=str(tmp_path)):
        definitions.put(long)
    assert definitions.path.read_bytes() == before
    assert definitions.all() == [LOGIN]
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "activities.json",
        "activities.lock",
    ]

    definitions.put(long)
    assert read_definitions(definitions.path) == [LOGIN, long]


def test_a_directory_that_may_only_be_read_refuses_and_serves_on(open_directory: Path) -> None:
    write(open_directory, LOGIN).chmod(0o644)
    open_directory.chmod(0o555)

    with as_an_ordinary_user():
        definitions = FileDefinitions(open_directory)
        with pytest.raises(BackendError, match=r"activities\.lock: user \d+ may not do that"):
            definitions.put(LOGOUT)
        assert definitions.all() == [LOGIN]


def test_every_call_may_fail_and_what_the_file_says_is_in_force(tmp_path: Path) -> None:
    """Either the old definition or the new one, whole; and the next put works."""
    clock = FakeClock()
    definitions = FileDefinitions(tmp_path, clock)
    calls = {"open", "fchmod", "fchown", "write", "fsync", "replace", "unlink"}
    after = replace(LOGIN, name="After")
    outcomes = []
    for number in count(1):
        definitions.put(LOGIN)
        try:
            with failing(number, calls) as made:
                definitions.put(after)
        except BackendError:
            outcomes.append("new" if "replace" in made[: number - 1] else "old")
        else:
            outcomes.append("new")
        assert read_definitions(definitions.path) == [after if outcomes[-1] == "new" else LOGIN]
        clock.advance(1)
        assert definitions.all() == read_definitions(definitions.path)
        if len(made) < number:
            break
    assert outcomes.count("old") > 6
    assert outcomes == sorted(outcomes, reverse=True)


def test_of_300_threads_that_put_at_once_none_loses_its_definition(tmp_path: Path) -> None:
    definitions = FileDefinitions(tmp_path)
    start = threading.Barrier(300)

    def put(number: int) -> Definition | None:
        start.wait()
        definitions.put(Definition(f"act:cm:a{number:03}", f"Number {number}"))
        return definitions.get(f"act:cm:a{number:03}")

    with ThreadPoolExecutor(300) as pool:
        found = list(pool.map(put, range(300)))

    assert [each and each.name for each in found] == [f"Number {number}" for number in range(300)]
    assert read_definitions(definitions.path) == found == definitions.all()


# -- changes that others make


def test_a_change_is_seen_within_a_second_and_not_looked_for_before(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = write(tmp_path, LOGIN)
    definitions = FileDefinitions(tmp_path, clock)
    write(tmp_path, LOGOUT)

    clock.advance(0.49)
    assert definitions.get(LOGOUT.id) is None
    clock.advance(0.02)
    assert definitions.get(LOGOUT.id) == LOGOUT
    assert definitions.get(LOGIN.id) is None

    path.unlink()
    write(tmp_path, LOGIN, LOGOUT)
    clock.advance(0.51)
    assert names(definitions) == ["Logged in", "Logged out"]


def test_what_did_not_change_stays_the_same_object(tmp_path: Path, clock: FakeClock) -> None:
    """The pipeline keeps what it has prepared for as long as it sees the same one."""
    write(tmp_path, LOGIN, LOGOUT)
    definitions = FileDefinitions(tmp_path, clock)
    login, logout = definitions.all()

    write(tmp_path, LOGIN, replace(LOGOUT, name="Gone"))
    clock.advance(1)
    assert definitions.get(LOGIN.id) is login
    assert names(definitions) == ["Logged in", "Gone"]
    definitions.put(logout)
    assert definitions.get(LOGIN.id) is login
    (tmp_path / "activities.json").touch()
    clock.advance(1)
    assert definitions.get(LOGIN.id) is login


def test_changes_within_one_tick_of_the_file_systems_clock_are_all_seen(
    tmp_path: Path, clock: FakeClock
) -> None:
    """The same size, the same inode, and often the same time stamps."""
    write(tmp_path, LOGIN)
    definitions = FileDefinitions(tmp_path, clock)
    for number in range(200):
        for letter in "ab":
            write(tmp_path, replace(LOGIN, name=f"{number:03}{letter}"))
            clock.advance(1)
            assert names(definitions) == [f"{number:03}{letter}"]


def test_a_broken_file_is_said_once_and_the_last_good_definitions_stay(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, LOGIN)
    definitions = FileDefinitions(tmp_path, clock)

    def seconds(number: int) -> list[str]:
        """Let them pass, with looks in between, and return what was logged."""
        caplog.clear()
        for _ in range(2 * number):
            clock.advance(0.5)
            assert definitions.get(LOGIN.id) == LOGIN
        assert {(each.name, each.levelno) for each in caplog.records} <= {
            ("ortto_capture", logging.ERROR)
        }
        return caplog.messages

    remedy = "write a name people can read, in quotes"
    stays = "; the definitions read before stay in force"
    path.write_text(BROKEN)
    assert seconds(1) == [f"activities: {path}{COMMA}{stays}"]
    path.touch()
    assert seconds(5) == [], "the content is the same"

    path.write_text('{"activities": [{"id": "act:cm:a"}, {"id": "act:cm:b"}, {}]}')
    assert seconds(5) == [
        f"activities: {path}:1: act:cm:a: name: missing; {remedy} (and 3 more){stays}"
    ]

    broken = path.read_bytes()
    path.write_bytes(format_definitions([LOGIN]))
    assert seconds(5) == []
    path.write_bytes(broken)
    assert len(seconds(5)) == 1, "broken anew"

    path.unlink()
    [gone] = seconds(5)
    assert gone == f"{path}: it is not there; put it back, or make its directory{stays}"
    (tmp_path / "activities.toml").touch()
    [another] = seconds(5)
    assert another == (
        f"activities: {tmp_path / 'activities.toml'} is new here; restart to have it read{stays}"
    )

    (tmp_path / "activities.toml").unlink()
    write(tmp_path, LOGIN, LOGOUT)
    assert seconds(1) == []
    assert names(definitions) == ["Logged in", "Logged out"]


def test_a_file_that_is_only_half_saved_when_looked_at_is_no_news(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, LOGIN)
    definitions = FileDefinitions(tmp_path, clock)
    whole = format_definitions([LOGIN, LOGOUT])

    for half in (b"", whole[:50]):
        path.write_bytes(half)
        clock.advance(0.5)
        assert names(definitions) == ["Logged in"]
    path.write_bytes(whole)
    clock.advance(0.5)

    assert names(definitions) == ["Logged in", "Logged out"]
    assert caplog.messages == []


def test_a_file_that_could_not_be_opened_is_read_as_soon_as_it_can(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It looks the same as before then."""
    write(tmp_path, LOGIN)
    definitions = FileDefinitions(tmp_path, clock)
    write(tmp_path, LOGOUT)
    with limit(resource.RLIMIT_NOFILE, 1):
        for _ in range(4):
            clock.advance(1)
            assert definitions.get(LOGIN.id) == LOGIN
    assert len(caplog.messages) == 1
    assert "too many files open" in caplog.messages[0]

    clock.advance(1)
    assert names(definitions) == ["Logged out"]


def test_definitions_may_come_later_by_hand(tmp_path: Path, clock: FakeClock) -> None:
    definitions = open_definitions(tmp_path, clock)
    write(tmp_path, LOGIN)
    clock.advance(1)

    assert definitions.get(LOGIN.id) == LOGIN


def test_one_thread_looks_and_the_others_go_on(tmp_path: Path) -> None:
    """With what they have: a request waits for no file."""
    looking, go_on = threading.Event(), threading.Event()
    clock = FakeClock()
    asked = count(1)

    def slow_for_the_looker() -> float:
        # It asks twice: whether it is time, and, once it is alone, whether it still is.
        if threading.get_ident() != here and next(asked) == 2:
            looking.set()
            assert go_on.wait(PATIENCE)
        return clock()

    here = threading.get_ident()
    write(tmp_path, LOGIN)
    definitions = FileDefinitions(tmp_path, slow_for_the_looker)
    write(tmp_path, LOGOUT)
    clock.advance(1)
    with ThreadPoolExecutor(1) as pool:
        looker = pool.submit(definitions.get, LOGOUT.id)
        assert looking.wait(PATIENCE)
        assert definitions.get(LOGIN.id) == LOGIN
        go_on.set()
        assert looker.result(PATIENCE) == LOGOUT


# -- other processes


def another_process(program: Callable[[Path], None], directory: Path) -> subprocess.Popen[str]:
    """Run a function of this module in a process of its own."""
    source = f"""
import sys
from pathlib import Path
from {__name__} import {program.__name__}
{program.__name__}(Path(sys.argv[1]))
"""
    return subprocess.Popen(
        [sys.executable, "-c", source, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ends(process: subprocess.Popen[str]) -> str:
    """What it printed to the end; it must have ended well."""
    printed, _ = process.communicate(timeout=PATIENCE * 3)
    assert process.returncode == 0
    return printed


def answer_and_obey(directory: Path) -> None:
    """Print all names when asked, a second after the last time; else put a definition."""
    clock = FakeClock()
    definitions = FileDefinitions(directory, clock)
    for line in sys.stdin:
        if name := line.strip():
            definitions.put(Definition("act:cm:theirs", name))
        clock.advance(1)
        sys.stdout.write(f"{names(definitions)}\n")
        sys.stdout.flush()


def test_two_processes_see_each_others_changes(tmp_path: Path, clock: FakeClock) -> None:
    definitions = FileDefinitions(tmp_path, clock)
    with another_process(answer_and_obey, tmp_path) as process:
        their_input, their_output = process.stdin, process.stdout
        assert their_input is not None
        assert their_output is not None

        def say(line: str, to: IO[str] = their_input, of: IO[str] = their_output) -> str:
            to.write(f"{line}\n")
            to.flush()
            return of.readline().strip()

        assert say("") == "[]"
        definitions.put(LOGIN)
        assert say("") == "['Logged in']"
        assert say("Theirs") == "['Logged in', 'Theirs']"
        clock.advance(1)
        assert names(definitions) == ["Logged in", "Theirs"]
        ends(process)


def put_thirty(directory: Path) -> None:
    definitions = FileDefinitions(directory)
    for number in range(30):
        definitions.put(Definition(f"act:cm:p{os.getpid()}-{number}", "X"))


def test_processes_that_put_at_once_lose_nothing(tmp_path: Path) -> None:
    processes = [another_process(put_thirty, tmp_path) for _ in range(3)]
    for process in processes:
        ends(process)

    assert {each.id for each in read_definitions(tmp_path / "activities.json")} == {
        f"act:cm:p{process.pid}-{number}" for process in processes for number in range(30)
    }


def die_at_every_call(directory: Path) -> None:
    """Put, killed at the first call into the operating system, then at the second, and so on.

    After each, without help: the file is whole, old or new, and the next put works.
    """
    after = replace(LOGIN, name="After")
    FileDefinitions(directory).put(LOGIN)
    seen = set()
    for number in count(1):
        child = os.fork()
        if child == 0:
            left = number
            definitions = FileDefinitions(directory)

            def announced(_frame: object, event: str, function: Any) -> None:
                nonlocal left
                if event == "c_call" and function.__module__ in ("posix", "fcntl", "io", "_io"):
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.setprofile(announced)
            definitions.put(after)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        [found] = read_definitions(directory / "activities.json")
        assert found in (LOGIN, after)
        seen.add(found.name)
        FileDefinitions(directory).put(LOGIN)
        assert sorted(each.name for each in directory.iterdir()) == [
            "activities.json",
            "activities.lock",
        ]
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            assert status == 0
            break
    assert seen == {"Logged in", "After"}
    sys.stdout.write(f"{number}")


def test_a_process_killed_at_any_call_leaves_the_old_or_the_new_definitions(
    tmp_path: Path,
) -> None:
    killed = int(ends(another_process(die_at_every_call, tmp_path)))

    assert killed > 15


def fork_while_putting(directory: Path) -> None:
    """Children of a busy process find no lock held, put, and see what the parent puts."""
    clock = FakeClock()
    definitions = FileDefinitions(directory, clock)
    stop = threading.Event()

    def busy(number: int) -> None:
        while not stop.is_set():
            definitions.put(Definition(f"act:cm:busy{number}", "Busy"))

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(30):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                clock.advance(1)
                definitions.put(Definition(f"act:cm:child{number}", "Child"))
                os._exit(0 if definitions.get(f"act:cm:child{number}") else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    clock.advance(1)
    assert names(definitions).count("Child") == 30


def test_children_forked_in_the_middle_of_everything_work_on(tmp_path: Path) -> None:
    ends(another_process(fork_while_putting, tmp_path))


def test_half_a_file_is_not_put_in_force(tmp_path: Path) -> None:
    """What an editor has written so far may be whole to the parser."""
    clock = FakeClock()
    path = tmp_path / "activities.toml"
    path.touch()
    editor = ByHand(path, clock)
    definitions = TomlDefinitions(tmp_path, clock)
    editor.put(LOGIN)
    assert definitions.get(LOGIN.id) == LOGIN
    path.write_text("")
    clock.advance(1)
    assert definitions.get(LOGIN.id) == LOGIN

    clock.advance(1)
    assert definitions.get(LOGIN.id) is None
