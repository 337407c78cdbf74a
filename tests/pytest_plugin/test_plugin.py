"""The plugin in runs of pytest: fixtures, configuration, what a failing test prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent
from tomllib import loads

import pytest

# So that the runs below, which forget what they have imported, need not import it each time.
import ortto_capture.contrib.asgi
import ortto_capture.contrib.django
import ortto_capture.pytest_plugin
import ortto_capture.testing
from ortto_capture.definition_format import format_definitions

from ..django_project import configure
from ..services import PATIENCE, ROOT
from . import shop

configure()

from django.test import override_settings  # noqa: E402

pytest_plugins = ["pytester"]

#: The plugin by its module, whether or not this environment knows its entry point.
LOADED = ["-p", "ortto_capture.pytest_plugin"]
CONFTEST = """
import pytest
from shop import create_app

@pytest.fixture
def client(capture):
    app = create_app()
    capture.use(app)
    return app.test_client()
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else this environment has takes seconds to import in each process."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a shop and a definition file."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(shop=Path(shop.__file__).read_text("utf-8"))
    (pytester.path / "activities.json").write_bytes(format_definitions([shop.LOGIN]))
    return pytester


def run(project: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run a test file in which every warning is an error."""
    project.makepyfile(test_shop=dedent(source))
    return run_here(project, *options)


def run_here(
    pytester: pytest.Pytester, *options: str, plugins: Sequence[object] = ()
) -> pytest.RunResult:
    """Run the tests of a directory with the plugin, in this process, where coverage looks."""
    given = ["-p", "no:ortto_capture", "-W", "error", *options]
    return pytester.runpytest_inprocess(*given, plugins=[ortto_capture.pytest_plugin, *plugins])


def test_each_test_has_a_capture_of_its_own(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_a_login(client, capture, number):
            assert capture.recorded() == []
            capture.identify(client, "jo@example.com")
            capture.activity(client, "act:cm:login")
            capture.assert_recorded("act:cm:login", times=1)
            capture.clock.advance("1 day")
            assert capture.clock() == 1_795_392_000 + 86_400
        """,
    )
    ran.assert_outcomes(passed=3)


def test_a_failing_test_shows_its_own_line_and_what_came(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
        def test_a_purchase(client, capture):
            capture.identify(client, "jo@example.com")
            capture.activity(client, "act:cm:bought", {"int:cm:price": 1200})
            capture.assert_recorded("act:cm:bought", {"int:cm:price": 12}, times=1)
        """,
    )
    ran.assert_outcomes(failed=1)
    text = ran.stdout.str()
    shown = [line for line in text.splitlines() if line.startswith(("E ", ">", "test_shop.py:"))]
    wanted = 'act:cm:bought with {"int:cm:price": 12}'
    assert [line.rstrip() for line in shown] == [
        '>       capture.assert_recorded("act:cm:bought", {"int:cm:price": 12}, times=1)',
        f"E       AssertionError: {wanted} was not recorded, expected once",
        "E",
        "E       What came, the oldest first:",
        "E         1  track          identified  jo@example.com",
        'E         2  act:cm:bought  recorded    jo@example.com  {"int:cm:price": 1200}',
        "E              int:cm:price is 1200, not 12",
        "test_shop.py:4: AssertionError",
    ]
    assert "ortto_capture/testing" not in text


@pytest.mark.parametrize("where", ["pytest.ini", "pyproject.toml", "-o"])
def test_definitions_come_from_the_project_s_file(project: pytest.Pytester, where: str) -> None:
    """Named in the configuration, relative to it, whatever directory pytest is run from."""
    options = []
    if where == "pytest.ini":
        project.makeini("[pytest]\nortto_capture_definitions = activities.json")
    elif where == "pyproject.toml":
        project.makepyprojecttoml('[tool.pytest.ini_options]\nortto_capture_definitions = "a.toml"')
        (project.path / "a.toml").write_text(
            '[[activities]]\nid = "act:cm:login"\nname = "Logged in"\n'
        )
    else:
        options = ["-o", "ortto_capture_definitions=activities.json"]
    ran = run(
        project,
        """
        def test_a_login(capture):
            capture.assert_not_recorded("act:cm:login")
        """,
        *options,
    )
    ran.assert_outcomes(passed=1)


def test_a_broken_definition_file_fails_with_its_mistakes(project: pytest.Pytester) -> None:
    (project.path / "activities.json").write_text('{"activities": [{"id": "act:cm:login"}]}')
    ran = run(
        project,
        "def test_a_login(capture): pass",
        "-o",
        "ortto_capture_definitions=activities.json",
    )
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["activities: */activities.json: activities[[]0] *name*"])
    assert "definition_format.py" not in ran.stdout.str()


def test_an_app_is_served_for_a_browser(project: pytest.Pytester) -> None:
    ran = run(
        project,
        """
        from urllib.request import urlopen

        def test_the_page(client, live_capture):
            with urlopen(live_capture.url) as page:
                assert b"/capture/app.js" in page.read()
            global url
            url = live_capture.url

        def test_it_is_gone():
            import pytest
            with pytest.raises(OSError):
                urlopen(url)
        """,
    )
    ran.assert_outcomes(passed=2)


def test_django_s_pages_report_to_the_test_without_a_word(project: pytest.Pytester) -> None:
    """In a process of its own: Django is configured once."""
    own = project.mkdir("own")
    own.joinpath("activities.json").write_text(
        '{"activities": [{"id": "act:cm:own", "name": "O"}]}'
    )
    project.makepyfile(
        conftest="",
        site_urls="""
            from django.http import HttpResponse
            from django.urls import include, path
            from ortto_capture.contrib.django import record

            def buy(request):
                record(request, "act:cm:paid")
                return HttpResponse("thank you")

            urlpatterns = [
                path("buy/", buy),
                path("track/", include("ortto_capture.contrib.django.urls")),
            ]
        """,
        test_site="""
            from pathlib import Path
            from urllib.request import urlopen

            import django
            from django.conf import settings

            settings.configure(
                SECRET_KEY="a secret of the site",
                ROOT_URLCONF="site_urls",
                ALLOWED_HOSTS=["*"],
                INSTALLED_APPS=["django.contrib.staticfiles", "ortto_capture.contrib.django"],
                STATIC_URL="static/",
                ORTTO_CAPTURE={"DATA": "own", "SECRET_KEYS": ["a secret of the site, of 32 bytes"]},
            )
            django.setup()

            from django.test import Client
            from ortto_capture import Definition
            from ortto_capture.contrib.django import capture_app, captured

            told = []
            captured.connect(lambda captured, **_: told.append(captured.activity_id), weak=False)


            def test_a_purchase(capture):
                capture.define(Definition("act:cm:paid", "Paid"))
                client = Client()
                capture.identify(client, "jo@example.com")
                assert client.get("/buy/").content == b"thank you"
                capture.assert_recorded("act:cm:paid", email="jo@example.com", times=1)
                assert told == ["act:cm:paid"]


            def test_a_login(capture):
                capture.define(Definition("act:cm:login", "Logged in", client_side=True))
                client = Client()
                capture.identify(client, "jo@example.com")
                capture.activity(client, "act:cm:login")
                assert len(capture.recorded()) == 1


            def test_a_browser(capture, live_capture):
                assert urlopen(live_capture.url + "/buy/").read() == b"thank you"
                assert urlopen(live_capture.url + "/track/app.js").status == 200


            def test_the_definitions_are_those_of_the_site(capture):
                assert [each.id for each in capture.backends.definitions.all()] == ["act:cm:own"]


            def test_the_site_s_own_data_was_not_touched():
                assert [each.name for each in Path("own").iterdir()] == ["activities.json"]


            def test_the_site_has_its_own_again():
                [own] = capture_app().capture.backends.definitions.all()
                assert own.id == "act:cm:own"
                assert Path("own", "store.sqlite3").exists()


            def test_an_account_that_is_open_is_put_aside_and_left_alone(capture):
                own = capture_app().capture
                assert own is capture
        """,
    )
    ran = project.runpytest_subprocess(*LOADED, "-W", "error", "-W", "ignore::ResourceWarning")
    ran.assert_outcomes(passed=7)


def test_a_site_of_django_is_served_for_a_browser(project: pytest.Pytester) -> None:
    project.makeconftest("")
    source = """
        from urllib.request import urlopen

        def test_the_client(live_capture):
            assert urlopen(live_capture.url + "/capture/app.js").status == 200
    """
    with override_settings(ROOT_URLCONF="tests.pytest_plugin.test_how_to"):
        run(project, source).assert_outcomes(passed=1)


def test_a_site_of_django_that_was_never_started_gets_no_data(
    project: pytest.Pytester, tmp_path: Path
) -> None:
    project.makeconftest("")
    with override_settings(ORTTO_CAPTURE={"DATA": tmp_path / "capture"}):
        ran = run(project, "def test_nothing(capture): assert capture.app is not None")
    ran.assert_outcomes(passed=1)
    assert not (tmp_path / "capture").exists()


def test_a_site_of_django_without_the_app_is_left_alone(project: pytest.Pytester) -> None:
    project.makeconftest("")
    with override_settings(INSTALLED_APPS=[]):
        ran = run(project, "def test_nothing(capture): assert capture.app is None")
    ran.assert_outcomes(passed=1)


def test_runs_in_parallel_do_not_meet(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_a_login(client, capture, number):
            capture.identify(client, "jo@example.com")
            for _ in range(10):
                capture.activity(client, "act:cm:login")
            capture.assert_recorded("act:cm:login", times=10)
        """
    )
    ran = project.runpytest_subprocess(*LOADED, "-p", "xdist", "-n", "2")
    ran.assert_outcomes(passed=6)


def test_pytest_finds_the_plugin_where_the_package_is_installed() -> None:
    project = loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [(name, value)] = project["entry-points"]["pytest11"].items()

    assert EntryPoint(name, value, "pytest11").load() is ortto_capture.pytest_plugin


def test_pytest_runs_without_fixtures_import_nothing_for_them(pytester: pytest.Pytester) -> None:
    """What the plugin adds to every run of an environment is the package alone."""
    program = """
        import json, sys
        import pytest
        pytest.main(["-q", "-p", "ortto_capture.pytest_plugin", "."])
        print(json.dumps([each for each in sys.modules if each.startswith("ortto_capture")]))
    """
    pytester.makepyfile("def test_nothing(): pass")
    ran = subprocess.run(
        [sys.executable, "-c", dedent(program)],
        cwd=pytester.path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    loaded = json.loads(ran.stdout.splitlines()[-1])
    assert "ortto_capture.pytest_plugin" in loaded
    assert not [each for each in loaded if ".testing" in each or ".contrib" in each]


@pytest.mark.parametrize("absent", ["tree_sitter", "tree_sitter_javascript"])
def test_the_extra_is_named_when_pages_cannot_be_read(absent: str) -> None:
    program = f"""
        import sys
        sys.modules[{absent!r}] = None
        from ortto_capture.testing import TestCapture
        try:
            TestCapture().assert_page_reports("<script>ap3c.activity()</script>")
        except ImportError as error:
            print(error)
    """
    ran = subprocess.run(
        [sys.executable, "-c", dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert "pip install 'ortto-capture[testing]'" in ran.stdout
