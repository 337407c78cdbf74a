// @ts-check
/**
 * One audience: its conditions, how many people meet them while they are edited, and who.
 *
 * The law of this file: an audience is counted anew each time and is exact at that moment; who came and who went is
 * neither kept nor claimed.
 */
import { ApiError, ask, can, codeBox, download, go, h, problem, say, to } from "../core.js";
import { counted, refusal } from "../counting.js";
import { bdi, count, percent, plural } from "../format.js";
import { offered } from "../offer.js";
import { conditionEditor } from "../query.js";
import { capital, conditionWords, missing, pythonOf, read, tidy } from "../question.js";
import { named, remove, save, unreadable } from "../saved.js";

/** @typedef {import("../question.js").Condition} Condition */
/** @typedef {import("./audiences.js").Audience} Audience */

/** Milliseconds without a change until people are counted. */
const PAUSE = 250;

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  const [offer, { audiences }, write, pii] = await Promise.all([offered(gone), ask("audiences", { signal: gone }), can("write"), can("pii")]);
  const saved = named(/** @type {Audience[]} */ (audiences), here.name);
  const first = (offer.activities[0] || [])[0];
  const start = () => (saved && saved.people) || (first ? { did: first, within: "30d" } : undefined);
  /** @type {Condition | undefined} */
  let people = read(here.q) || start();

  const editor = h("div"), tools = h("p.tools"), figure = h("p.total", { "aria-live": "polite" }), words = h("p.quiet.span"), python = h("div"), members = h("section");
  const title = saved ? saved.title : "New audience";
  document.title = title;

  const changed = () => !saved || JSON.stringify(people) !== JSON.stringify(tidy(saved.people));
  const frame = () => {
    const same = saved && !changed();
    go({ q: same || !people ? null : JSON.stringify(people) }, { replace: true, quiet: true });
    words.replaceChildren(people ? bdi(`Everyone who ${conditionWords(people, offer.names)}.`) : "");
    tools.replaceChildren(...buttons());
    const lines = saved && same ? `capture.audiences.members(${JSON.stringify(saved.name)})`
      : people && !missing({ people }) && pythonOf("capture.audiences.count", { condition: people });
    python.replaceChildren(lines ? codeBox(lines, "The same in Python") : "");
    members.hidden = !same;
  };

  let asking = new AbortController(), timer = 0;
  const recount = async () => {
    const lacking = people ? missing({ people }) : "Add a condition.";
    asking.abort();
    if (lacking) return figure.replaceChildren(h("span.quiet", null, lacking));
    const mine = asking = new AbortController();
    figure.setAttribute("aria-busy", "true");
    try {
      const answer = await counted("audiences/count", { people }, mine.signal);
      if (mine !== asking || gone.aborted) return;
      figure.replaceChildren(h("strong", null, count(answer.count)), h("span.quiet", null,
        ` of ${plural(answer.of, "person", "people")}${answer.of ? `, ${percent(answer.count, answer.of)}` : ""}`));
    } catch (error) {
      if (mine !== asking || gone.aborted) return;
      figure.replaceChildren(error instanceof ApiError && error.code === "too-long"
        ? h("span.quiet", null, "This takes too long to count. Ask about a shorter time.") : refusal(error));
    } finally {
      if (mine === asking) figure.removeAttribute("aria-busy");
    }
  };
  gone.addEventListener("abort", () => { asking.abort(); clearTimeout(timer); });

  const buttons = () => [
    write && people && h("button.button" + (changed() ? ".first" : ""), { type: "button", onclick: () => save("audience", saved, people ? capital(conditionWords(people, offer.names)) : "", { people }) }, saved ? "Save…" : "Save audience…"),
    saved && pii && h("button.button", { type: "button", disabled: changed(), title: changed() ? "Save it first" : "Addresses in full. It is recorded.", onclick: (/** @type {Event} */ event) =>
      download(`audiences/${saved.name}/csv`, `${saved.name}.csv`).catch((error) => complain(event, error)) }, "CSV"),
    saved && write && h("button.button", { type: "button", onclick: () => remove("audience", saved, "The condition goes. The people stay. Reports and audiences that use it can no longer be asked.") }, "Delete…"),
    !write && h("span.quiet", null, "Saving needs the scope write."),
  ].filter((each) => each instanceof Node).map((each) => /** @type {Node} */ (each));
  /**
   * @param {Event} event
   * @param {unknown} error
   */
  const complain = (event, error) => { if (event.target instanceof Element) event.target.replaceWith(problem(error)); };

  main.replaceChildren(
    h("p.crumbs", null, h("a.up", { href: to({ page: "audiences" }, true) }, "← Audiences")),
    h("header.head", null, h("h1", null, bdi(title)), tools), unreadable(saved, "audience"),
    editor, h("section.answer", { "aria-label": "How many" }, figure, words), python, members);
  const edit = () => {
    editor.replaceChildren(conditionEditor(people, offer, (next) => {
      people = next;
      frame();
      clearTimeout(timer);
      timer = window.setTimeout(recount, PAUSE);
    }));
    frame();
  };
  try {
    edit();
  } catch (error) {
    // An address can hold anything.
    if (!here.q) throw error;
    people = start();
    edit();
    say("The address held no condition that can be shown.");
  }
  await recount();
  if (saved && !changed()) await listed(members, saved.name, gone);
}

/**
 * The members, page by page.
 * @param {HTMLElement} box
 * @param {string} name
 * @param {AbortSignal} gone
 */
async function listed(box, name, gone) {
  const body = h("ul.members", { "aria-label": "Members" }), more = h("p.more");
  box.replaceChildren(h("h2", null, "Who"), body, more);
  /** @param {string} after */
  const load = async (after) => {
    try {
      const answer = await counted(`audiences/${name}/members?after=${encodeURIComponent(after)}`, undefined, gone);
      body.append(...answer.members.map((/** @type {{person_id: string, person: string}} */ each) => h("li", null,
        h("a.whole", { href: to({ page: "person", id: each.person_id }, true) }, bdi(each.person || each.person_id)))));
      more.replaceChildren(answer.after ? h("button.button", { type: "button", onclick: () => load(answer.after) }, "Show more")
        : body.children.length ? "" : h("span.quiet", null, "No person meets this now."));
    } catch (error) {
      if (!gone.aborted) more.replaceChildren(problem(error, () => load(after)));
    }
  };
  await load("");
}
