// @ts-check
/**
 * The frame of the console: which pages there are, and the keys that work on all of them.
 *
 * The law of this file: a key does nothing while the reader writes, and nothing that the browser's own keys do.
 */
import { dialog, go, h, route } from "./core.js";
// Pages that are alike stand together: packed so, the script is smaller.
import { show as overview } from "./pages/overview.js";
import { show as reports } from "./pages/reports.js";
import { show as report } from "./pages/report.js";
import { show as audiences } from "./pages/audiences.js";
import { show as audience } from "./pages/audience.js";
import { show as health } from "./pages/health.js";
import { show as activities } from "./pages/activities.js";
import { show as activity } from "./pages/activity.js";
import { show as edit } from "./pages/new.js";
import { show as live } from "./pages/live.js";
import { show as people } from "./pages/people.js";
import { show as person } from "./pages/person.js";
import { show as token } from "./pages/token.js";
import { admit } from "./server.js";
import { step } from "./table.js";

const PAGES = {
  overview, live, activities, activity, new: edit, people, person, reports, report, audiences, audience, health, token
};
/** The letter behind `g`, and the page that it goes to. */
const LETTERS = /** @type {Record<string, string>} */ ({ o: "overview", l: "live", a: "activities", p: "people", r: "reports", u: "audiences", h: "health" });
const KEYS = [
  ["/", "search or find"], ["j k", "next row, row before"], ["Enter", "open"], ["Esc", "close, or go back"],
  ["p", "pause, or go on (Live)"], ["g o", "Overview"], ["g l", "Live"], ["g a", "Activities"], ["g p", "People"], ["g r", "Reports"],
  ["g u", "Audiences"], ["g h", "Health"], ["?", "these keys"]
];

let going = -Infinity;

/** @param {KeyboardEvent} event @returns {boolean} whether the key was one of ours */
function pressed({ key, timeStamp }) {
  const after = timeStamp - going < 1500;
  going = key === "g" ? timeStamp : -Infinity;
  if (after && LETTERS[key]) go({ page: LETTERS[key] }, { fresh: true });
  else if (key === "j") step(1);
  else if (key === "k") step(-1);
  else if (key === "/") {
    const search = document.querySelector("main input[type=search]");
    if (!(search instanceof HTMLInputElement)) return false;
    search.focus();
    search.select();
  } else if (key === "?") {
    dialog({ title: "Keys", actions: [], body: h("dl.keys", null, KEYS.map(([keys, what]) =>
      [h("dt", null, keys.split(" ").map((each) => h("kbd", null, each))), h("dd", null, what)])) });
  } else if (key === "Escape") {
    const up = document.querySelector("main .up");
    if (!(up instanceof HTMLElement)) return false;
    up.click();
  } else return key === "g";
  return true;
}

document.addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (at instanceof HTMLElement && at.matches("input, select, textarea")) {
    if (event.key === "Escape") at.blur();
    return;
  }
  if (pressed(event)) event.preventDefault();
});

// To the browser this link is another place in the history; to the pages it is none.
const skip = document.querySelector(".skip"), main = document.querySelector("main");
skip?.addEventListener("click", (event) => {
  event.preventDefault();
  main?.focus();
});

admit();
addEventListener("hashchange", () => { if (admit()) dispatchEvent(new PopStateEvent("popstate")); });
route(PAGES, "overview");
