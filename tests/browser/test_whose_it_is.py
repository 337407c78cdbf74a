"""What waits for an identity belongs to the first person identified after it, from then on."""

from __future__ import annotations

import pytest

from .engines import Tab
from .websites import ANNA, AWAY, BOB, OpenTab, Website, seen, settle, track, visit

NO_COOKIE = "() => { document.cookie = 'ap3c=; path=/; max-age=0'; }"


@pytest.fixture
def tab(open_tab: OpenTab, website: Website) -> Tab:
    """A page of an unknown visitor."""
    opened = open_tab()
    visit(opened, website.put("/", website.snippet()))
    return opened


def hold_three(tab: Tab) -> None:
    """Three activities of a visitor who is not identified yet."""
    tab.run(f"() => {{ {seen(1)}; {seen(2)}; {seen(3)}; }}")
    settle(tab)


@pytest.mark.parametrize("trouble", ["slow", "away", "slow, then away"])
def test_signing_out_while_being_identified_keeps_what_was_held(
    tab: Tab, website: Website, trouble: str
) -> None:
    """It was theirs as soon as they were named."""
    hold_three(tab)
    if "away" in trouble:
        website.answer = lambda posted: AWAY
    if "slow" in trouble:
        website.hold(lambda posted: posted.route == "track")
    told = f"window.told = {track(ANNA)}"
    tab.run(f"() => {{ {told}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    if trouble == "away":
        tab.run("() => told")
    tab.run("() => ap3c.clearSession()")
    website.release()
    tab.run("() => told")
    website.answer = lambda posted: None
    website.wait_for(lambda: len(website.rows()) == 3)

    assert website.rows() == [("1", ANNA), ("2", ANNA), ("3", ANNA)]
    assert tab.run("() => ap3c.getCookie()") is None


def test_signing_out_in_the_same_task_keeps_what_was_held(tab: Tab, website: Website) -> None:
    hold_three(tab)
    tab.run(f"() => {{ {track(ANNA)}; ap3c.clearSession(); }}")
    website.wait_for(lambda: len(website.rows()) == 3)

    assert website.rows() == [("1", ANNA), ("2", ANNA), ("3", ANNA)]


@pytest.mark.parametrize("by", ["another script", "the page"])
@pytest.mark.parametrize("again", [True, False])
def test_what_was_given_to_one_person_is_never_given_to_the_next(
    tab: Tab, website: Website, by: str, again: bool
) -> None:
    """Though the server failed for it, and the session is gone meanwhile; on the next page, too."""
    hold_three(tab)
    website.answer = lambda posted: AWAY if posted.route == "activity" else None
    tab.run(f"() => {track(ANNA)}")
    assert website.wait_for(lambda: website.sent("activity"))
    tab.run(NO_COOKIE if by == "another script" else "() => ap3c.clearSession()")
    if again:
        visit(tab, website.base + "/")
    tab.run(f"() => {{ {track(BOB)}; {seen(4)}; }}")
    website.answer = lambda posted: None
    website.wait_for(lambda: len(website.rows()) == 4)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA), ("4", BOB)]


def test_what_waits_belongs_to_the_first_of_several_people(tab: Tab, website: Website) -> None:
    hold_three(tab)
    tab.run(f"() => {{ {track(ANNA)}; {track(BOB)}; {seen(4)}; }}")
    website.wait_for(lambda: len(website.rows()) == 4)

    assert sorted(website.rows()) == [("1", ANNA), ("2", ANNA), ("3", ANNA), ("4", BOB)]
