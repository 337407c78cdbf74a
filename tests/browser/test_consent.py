"""A visitor who takes the consent back is followed no more, whatever is under way."""

from __future__ import annotations

import pytest

from .websites import ANNA, AWAY, BOB, OpenTab, Website, seen, track, visit

#: Says when the page's own code, and all that followed at once, has had an answer.
ANSWERED = """<script>
const send = window.fetch;
window.fetch = async (...given) => {
  const answer = await send(...given), read = answer.json.bind(answer);
  answer.json = () => read().finally(() => setTimeout(() => { window.answered = true; }));
  return answer;
};
</script>"""
KEPT = "() => Object.keys(localStorage)"


@pytest.mark.parametrize("server", ["well", "away"])
def test_an_answer_that_comes_after_consent_was_taken_back_leaves_nothing(
    open_tab: OpenTab, website: Website, server: str
) -> None:
    tab = open_tab()
    visit(tab, website.put("/", ANSWERED + website.snippet()))
    if server == "away":
        website.answer = lambda posted: AWAY
    released = website.hold(lambda posted: posted.route == "track")
    tab.run(f"() => {{ {track(ANNA)}; }}")
    assert website.wait_for(lambda: website.sent("track"))
    tab.run("() => ap3c.consent(false)")
    released.set()
    tab.until("() => window.answered")

    assert tab.run(KEPT) == []
    assert tab.cookies() == []


def test_what_is_called_in_the_task_that_takes_the_consent_back_waits_for_a_new_one(
    open_tab: OpenTab, website: Website
) -> None:
    """As pages do that say what the visitor has decided before they report."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {{ {track(BOB)}; ap3c.consent(false); {track(ANNA)}; {seen(1)}; }}")
    tab.run("() => ap3c.consent(true)")

    assert website.wait_for(lambda: website.rows() == [("1", ANNA)])
    assert [each.body["email"] for each in website.sent("track")] == [ANNA]
