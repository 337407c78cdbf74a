"""A frame without an address of its own reports to the server of the page that it is in."""

from __future__ import annotations

from html import escape

from .websites import ANNA, OURS, OpenTab, Website, seen, track

#: Fills an empty frame, whose address stays ``about:blank``.
FILL = """async ([client, code]) => {
  const frame = document.body.appendChild(document.createElement("iframe"));
  await new Promise(setTimeout);
  const insert = fields => {
    const script = Object.assign(frame.contentDocument.createElement("script"), fields);
    return frame.contentDocument.body.appendChild(script);
  };
  insert({src: client}).onload = () => insert({text: code});
}"""
CALLS = f"{track(ANNA)}; {seen(1)};"


def test_a_frame_whose_text_is_in_an_attribute(open_tab: OpenTab, website: Website) -> None:
    text = escape(f"{website.snippet()}<script>{CALLS}</script>")
    open_tab().goto(website.put("/", "", f'<iframe srcdoc="{text}"></iframe>'))
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]


def test_a_frame_that_a_script_fills(open_tab: OpenTab, website: Website) -> None:
    tab = open_tab()
    tab.goto(website.put("/", ""))
    tab.run(FILL, [f"{OURS}/app.js", f"ap3c.init('key', '{OURS}'); {CALLS}"])
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
