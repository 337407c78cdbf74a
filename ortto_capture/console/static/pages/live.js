// @ts-check
/**
 * Live: what arrives, what is refused and why, while it happens.
 *
 * The law of this file: the address says what is shown, so that a reload or a link shows it again;
 * but no e-mail address ever stands in it: that would end in histories and logs.
 */
import { ask, go, h, problem, rows, to } from "../core.js";
import { input, select } from "../form.js";
import { bdi, count } from "../format.js";
import { warning } from "../words.js";
import { FILTERS, feed } from "./feed.js";
import { KINDS, shape } from "./rows.js";

/** The statuses that a browser may be answered with. */
const STATUSES = ["200", "400", "401", "403", "404", "405", "411", "413", "415", "429", "500", "503"];
/** Milliseconds after the last letter until a search begins. */
const PAUSE = 400;

/** @type {ReturnType<typeof live> | null} the page, while it is there */
let kept = null;

/** @param {HTMLElement} main @param {Record<string, string>} here @param {AbortSignal} gone */
export async function show(main, here, gone) {
  document.title = "Live";
  if (!kept || !main.contains(kept.root)) {
    kept = live();
    main.replaceChildren(kept.root);
  }
  await kept.show(here, gone);
}

function live() {
  /** @type {Record<string, number>} */
  let counts = {};
  const people = /** @type {Record<string, string>} */ ({});
  let here = /** @type {Record<string, string>} */ ({});
  let gone = new AbortController().signal;
  let timer = 0;

  const requests = feed({}, (answer) => {
    counts = answer.counts;
    for (const { person_id: id, person } of answer.rows) if (id && person) people[id] = person;
    warnings.replaceChildren(...answer.warnings.map((name) => h("p.notice.warning", null, h("strong", null, warning(name)[0]), " ", warning(name)[1])));
    head();
  });
  const pause = h("button.button.pause", { type: "button", "aria-pressed": "false", title: "p", onclick: () => hold() }, "Pause");
  const kinds = h("nav.kinds", { "aria-label": "Outcome" });
  const warnings = h("div");
  const chosen = h("p.chosen");
  const told = h("p.hint", { role: "status" });
  const search = input({ type: "search", "aria-label": "Search attributes and ids", placeholder: "Search attributes and ids", oninput: () => {
    clearTimeout(timer);
    const address = search.value.includes("@");
    told.textContent = address ? "Enter finds the person with this address." : "";
    if (!address) timer = window.setTimeout(() => find(), PAUSE);
  } });
  const activity = select([["", "Any activity"]], "", { "aria-label": "Activity", onchange: () => go({ activity: activity.value, open: null }) });
  const status = select([["", "Any status"], ...STATUSES.map((each) => /** @type {[string, string]} */ ([each, each]))], "", { "aria-label": "Status", onchange: () => go({ status: status.value, open: null }) });

  const hold = () => {
    const done = requests.pause(gone);
    pause.textContent = requests.paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(requests.paused));
    done.catch((error) => dispatchEvent(new CustomEvent("page-failed", { detail: error })));
  };

  /** @param {boolean} [entered] by the key, so that an id is looked for as well */
  const find = async (entered) => {
    clearTimeout(timer);
    const text = search.value.trim(), address = text.includes("@");
    if (!address) {
      if (text !== (here.text || "")) go({ text, open: null }, { replace: Boolean(here.text) });
      if (!entered || !text) return;
    }
    let found;
    try {
      ({ people: [found] } = await ask("people", { body: { find: text } }));
    } catch (error) {
      told.replaceChildren(problem(error));
      return;
    }
    if (found && address) {
      search.value = told.textContent = "";
      people[found.person_id] = found.person;
      go({ person: found.person_id, text: null, open: null });
    } else if (found) {
      told.replaceChildren("A person has this id. ", h("a", { href: to({ person: found.person_id, text: null, open: null }), onclick: () => { told.textContent = ""; } }, "Show only this person"));
    } else told.textContent = address ? "No person has this address." : "";
  };

  /** The activities to choose from; without an answer, those that were there before. */
  const choices = async () => {
    const { activities } = await ask("activities?archived=1").catch((error) => {
      if (activity.length > 1) return {};
      throw error;
    });
    const names = activities ? activities.map((/** @type {any} */ each) => [each.id, each.name]) : [...activity.options].slice(1).map(({ value, text }) => [value, text]);
    const chosen = here.activity || "";
    if (chosen && !names.some((/** @type {string[]} */ [id]) => id === chosen)) names.push([chosen, chosen]);
    activity.replaceChildren(...select([["", "Any activity"], ...names], chosen).children);
    activity.value = chosen;
  };

  /** Counts as filters, and what else is filtered by. */
  const head = () => {
    const all = [["", "All"], ...Object.entries(KINDS).map(([kind, [word]]) => [kind, word])];
    rows(kinds, all.map(([kind, word]) => ({ kind, word, number: kind ? counts[kind] || 0 : null, href: to({ outcome: kind, open: null }), current: (here.outcome || "") === kind })),
      ({ kind }) => kind, ({ kind, word, number, href, current }) =>
        h("a", { href, "aria-current": current ? "true" : null },
          kind && shape(/** @type {import("./rows.js").Kind} */ (kind)), h("span", null, word), number !== null && h("b", null, count(number))));
    const name = here.person && (people[here.person] || here.person);
    chosen.hidden = !FILTERS.some((each) => here[each]);
    chosen.replaceChildren(h("span", null,
      name && h("a.chip", { href: to({ person: null, open: null }), title: "Show all people again" }, "Person ", bdi(name), " ×"),
      h("a", { href: to({ page: "live" }, true) }, "Clear the filters")));
  };

  return {
    root: h("div.live", null,
      h("header.head", null, h("h1", null, "Live"), pause),
      warnings, kinds,
      h("form.filters", { role: "search", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void find(true); } }, search, activity, status),
      told, chosen, requests.root),

    /** @param {Record<string, string>} now @param {AbortSignal} leaving */
    async show(now, leaving) {
      here = now;
      gone = leaving;
      document.addEventListener("keydown", (event) => {
        const writing = event.target instanceof Element && event.target.matches("input, select, textarea");
        if (event.key !== "p" || writing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
        event.preventDefault();
        hold();
      }, { signal: gone });
      if (document.activeElement !== search) search.value = here.text || "";
      status.value = here.status || "";
      head();
      await Promise.all([requests.show(here, gone), choices()]);
    }
  };
}
