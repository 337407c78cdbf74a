// @ts-check
/**
 * Activities: every definition, how it goes, and the switch of its client-side source.
 *
 * The law of this file: rows keep their order while the page is open; a switch says what the server
 * has, and turns back when the server refuses.
 */
import { ask, codeBox, empty, go, h, me, poll, say, state, to } from "../core.js";
import { input, toggle } from "../form.js";
import { ago, bdi, count, plural, short } from "../format.js";
import { icon } from "../icons.js";
import { list, whole } from "../table.js";
import { spark } from "../chart.js";

/**
 * One row, as the API has it.
 * @typedef {{id: string, name: string, icon: string | null, client_side: boolean, archived: boolean,
 *   status: "setup" | "live", today: {accepted: number, refused: number}, days: number[],
 *   last_seen: string | null, editable: boolean, switchable?: boolean, etag: string}} Activity
 */

/** Seconds between two questions. */
const EVERY = 5;

/**
 * Turn the client-side source of an activity on or off; the rest of its definition stays.
 * @param {string} id @param {boolean} on
 */
export async function switchSource(id, on) {
  const path = "activities/" + encodeURIComponent(id);
  const { definition, etag } = await ask(path);
  const answer = await ask(path, { method: "PUT", body: { ...definition, client_side: on }, etag });
  if (state().page === "activity") go({}, { replace: true });
  say(on ? definition.name + " is on: websites may send it." : definition.name + " is off: websites are answered 404.");
  return answer;
}

/**
 * Why the reader cannot change definitions, in words; nothing when they can.
 * @param {import("../core.js").Me} reader
 */
export const whyNot = (reader) => !reader.definitions.writable ? reader.definitions.reason
  : reader.scopes.includes("write") ? "" : "You may look and not change: " + reader.who + " has no scope write.";

/**
 * @param {HTMLElement} main @param {import("../core.js").Here} here find, archived
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  document.title = "Activities";
  const [reader, first] = await Promise.all([me(), ask(question(here), { signal: gone })]);
  const reason = whyNot(reader);
  /** @type {Activity[]} */
  let all = [];
  /** @type {string[]} */
  let order = [];
  let now = "";
  /** @type {any} */
  let last = null;
  const total = h("p.quiet", { role: "status" });
  const find = input({ type: "search", placeholder: "Find an activity", "aria-label": "Find an activity", "aria-keyshortcuts": "/", value: here.find || "" });
  const view = list({
    label: "Activities", key: (/** @type {Activity} */ each) => each.id,
    columns: [
      { name: "Activity" }, { name: "Status", kind: "fold small" },
      { name: [h("span.fold", { title: "The client-side source: whether websites may send it" }, "From websites"), h("span.unfold", null, "On")], kind: "switches" },
      { name: h("span", { title: "Accepted today, " + reader.time_zone }, "Today"), kind: "number small" },
      { name: h("span", { title: "Refused today, " + reader.time_zone }, "Refused"), kind: "number fold small" },
      { name: "30 days", kind: "fold wide" }, { name: "Last seen", kind: "number fold middle" }
    ],
    cells: (each) => [
      whole(to({ page: "activity", id: each.id }, true), icon(each.icon), bdi(each.name)),
      h("span.status." + (each.archived ? "archived" : each.status), null, each.archived ? "Archived" : each.status === "live" ? "Live" : "Setup"),
      !each.archived && toggle("Websites may send " + each.name, each.client_side,
        reason || !(each.switchable ?? each.editable) ? null : (on) => switchSource(each.id, on)),
      figure(each.today.accepted),
      each.today.refused ? h("span.refused", null, figure(each.today.refused)) : h("span.quiet", null, "0"),
      spark(each.days, "Accepted a day, 30 days"),
      ago(each.last_seen, now)
    ].map((cell, index) => (index ? cell : [cell, h("code", null, bdi(each.id))]))
  });
  const nothing = h("div");
  const draw = () => {
    const word = find.value.trim().toLowerCase();
    const found = all.filter(({ id, name }) => !word || name.toLowerCase().includes(word) || id.toLowerCase().includes(word));
    const sum = (/** @type {"accepted" | "refused"} */ what) => count(found.reduce((n, { today }) => n + today[what], 0));
    total.textContent = !all.length ? "" : (found.length === all.length ? "" : count(found.length) + " of ") + plural(all.length, "activity", "activities") +
      " · " + sum("accepted") + " accepted today, " + sum("refused") + " refused";
    view.element.hidden = found.length === 0;
    view.show(found);
    find.hidden = !all.length;
    if (found.length) nothing.replaceChildren();
    else if (all.length) nothing.replaceChildren(empty("No activity is called that.", h("p", null, "Names and ids were searched."), h("p", null, h("a", { href: to({ find: null }) }, "Show all"))));
    else nothing.replaceChildren(begin(reason, reader.snippet));
  };
  /** @param {any} answer */
  const take = (answer) => {
    if (answer === last) return;
    ({ activities: all, now } = last = answer);
    const known = new Set(order);
    if (!order.length) all.sort((a, b) => sumOf(b.days) - sumOf(a.days) || a.name.localeCompare(b.name));
    order = [...all.map(({ id }) => id).filter((id) => !known.has(id)), ...order];
    const place = new Map(order.map((id, index) => [id, index]));
    all.sort((a, b) => (place.get(a.id) || 0) - (place.get(b.id) || 0));
    draw();
  };
  find.addEventListener("input", () => {
    go({ find: find.value }, { replace: true, quiet: true });
    draw();
  });
  take(first);
  main.replaceChildren(
    h("header.head", null, h("div", null, h("h1", null, "Activities"), total), find,
      !reason && h("a.button.first", { href: to({ page: "new" }, true) }, "New activity")),
    ...(reason ? [h("p.notice", null, reason)] : []),
    view.element, nothing,
    h("p.more", null, h("a.quiet", { href: to({ archived: here.archived ? null : "1" }) }, here.archived ? "Hide archived ones" : "Show archived ones")));
  await poll(async () => take(await ask(question(here), { signal: gone })), EVERY, gone);
}

/** @param {import("../core.js").Here} here */
const question = (here) => "activities" + (here.archived ? "?archived=1" : "");

/**
 * A count that a narrow column can hold.
 * @param {number} n
 */
const figure = (n) => (n < 1e6 ? count(n) : h("span", { title: count(n) }, short(n)));

/** @param {number[]} days */
const sumOf = (days) => days.reduce((sum, each) => sum + each, 0);

/**
 * There is no activity yet.
 * @param {string} reason why none can be made here
 * @param {string} snippet for the head of a page
 */
const begin = (reason, snippet) => empty("No activity yet.",
  h("p", null, "An activity is something that people do on your website, such as logging in. Create one, paste its code into the page where it happens, and see it arrive here."),
  !reason && h("a.button.first", { href: to({ page: "new" }, true) }, "New activity"),
  h("p.waiting", null, "Waiting for the first activity…"),
  codeBox(snippet, "In the head of every page, once"));
