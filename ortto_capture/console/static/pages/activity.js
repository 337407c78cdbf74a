// @ts-check
/**
 * One activity: how it goes, what came, who did it, and how it is set up.
 *
 * The law of this file: tab, period and breakdown stand in the address; figures say of which period
 * they are, and a bucket that is not over yet is drawn open.
 */
import { ask, empty, go, h, me, poll, rows, to } from "../core.js";
import { bars, shares } from "../chart.js";
import { select, toggle } from "../form.js";
import { ago, attribute, bdi, bucket, change, count, date, plural } from "../format.js";
import { icon } from "../icons.js";
import { choices, figure, list, whole } from "../table.js";
import { explain } from "../words.js";
import { switchSource, whyNot } from "./activities.js";
import { feed } from "./feed.js";
import { setup } from "./setup.js";

/** @type {Record<string, [string, string]>} words of a period, and of the one before */
const PERIODS = {
  "24h": ["24 hours", "the 24 hours before"], "7d": ["7 days", "the 7 days before"], "30d": ["30 days", "the 30 days before"],
  "90d": ["90 days", "the 90 days before"], "365d": ["A year", "the year before"]
};
const TABS = [["Overview", ""], ["Activity", "activity"], ["People", "people"], ["Setup", "setup"]];
/** Seconds between two questions: a chart need not be as quick as a feed. */
const EVERY = 10;

/** @type {{id: string, root: any} | null} the feed of the activity, while its tab is there */
let kept = null;

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here id, tab, period, split
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  const id = here.id || "", path = "activities/" + encodeURIComponent(id);
  const tab = TABS.some(([, each]) => each && each === here.tab) ? here.tab : "";
  const period = here.period in PERIODS ? here.period : "30d";
  const [reader, about] = await Promise.all([me(), ask(path, { signal: gone })]);
  const { definition } = about, why = whyNot(reader);
  const question = path + "/overview?" + new URLSearchParams({ period, split: here.split || splitOf(definition) });
  const first = tab ? null : await ask(question, { signal: gone });
  document.title = definition.name;
  const body = main.querySelector(".tab-body") && main.dataset.shown === id + tab ? /** @type {HTMLElement} */ (main.querySelector(".tab-body")) : h("div.tab-body");
  main.dataset.shown = id + tab;
  const state = definition.archived ? "archived" : about.status;
  const editable = !why && about.editable;
  main.replaceChildren(
    h("a.up", { href: to({ page: "activities" }, true) }, "← Activities"),
    h("header.head", null,
      h("div", null, h("h1", null, definition.icon && icon(definition.icon), bdi(definition.name)),
        h("p.line", null, h("code", null, bdi(id)), h("span.status." + state, null, state === "live" ? "Live" : state === "setup" ? "Setup" : "Archived"))),
      !definition.archived && h("span.line", { title: "Its client-side source" }, h("span.quiet", null, "Websites may send it"),
        toggle("Websites may send it", definition.client_side, why || !(about.switchable ?? about.editable) ? null : (on) => switchSource(id, on))),
      editable && h("a.button", { href: to({ page: "new", edit: id }, true) }, "Edit")),
    ...(editable || tab !== "setup" || !(why || about.why_not) ? [] : [h("p.notice", null, why || about.why_not)]),
    h("div.tabs-line", null, choices("Of this activity", TABS.map(([words, each]) => [words, to({ page: "activity", id, tab: each || null, period: here.period }, true), tab === each]), "tabs"),
      (tab === "" || tab === "people") && choices("Period", Object.entries(PERIODS).map(([each, [words]]) => [words, to({ period: each }), each === period]))),
    body);
  if (tab === "activity") await feedOf(body, id, here, gone);
  else if (tab === "people") await people(body, path, period, gone);
  else if (tab === "setup") await setup(body, about, gone);
  else {
    /** @type {any} */
    let last = null;
    const draw = (/** @type {any} */ answer) => {
      if (answer === last) return;
      last = answer;
      overview(body, answer, { id, period, zone: reader.time_zone });
    };
    draw(first);
    await poll(async () => draw(await ask(question, { signal: gone })), EVERY, gone);
  }
}

/**
 * By which attribute it is broken down at first.
 * @param {import("../draft.js").Definition} definition
 */
const splitOf = ({ attributes }) => (attributes.find(({ key, sensitive }) => !sensitive && /^(?:str|bol|int):/.test(key)) || { key: "" }).key;

/**
 * @param {HTMLElement} body @param {any} answer
 * @param {{id: string, period: string, zone: string}} how
 */
function overview(body, answer, how) {
  const { accepted, refused, reasons, split, splits, now, ...rest } = answer;
  const nothing = !answer.last_seen && !refused;
  // Each part is drawn anew only when its own numbers changed, so that focus and what is unfolded stay.
  const parts = nothing ? [{ part: "nothing" }] : [
    { part: "figures", ...rest, accepted, refused, most: reasons[0] },
    { part: "chart", by: rest.by, buckets: rest.buckets, refused },
    { part: "columns", split, splits, accepted, refused, reasons }
  ];
  rows(body, parts, ({ part }) => part, (/** @type {any} */ each) => {
    if (each.part === "figures") return figures(each, now, how);
    if (each.part === "chart") return chart(each, how);
    if (each.part === "columns") {
      return h("div.columns", null, each.splits.length > 0 && breakdown(each.split, each.splits, each.accepted), each.refused > 0 && refusals(each, how.id));
    }
    return empty("Nothing has arrived yet.", h("p", null, "Paste the code where it happens; this page shows the first one by itself."),
      h("a.button.first", { href: to({ page: "activity", id: how.id, tab: "setup" }, true) }, "Show the code"));
  });
}

/** @param {any} answer @param {string} now @param {{period: string, zone: string}} how */
function figures({ accepted, refused, people: who, before, most, last_seen: last, first_seen: first }, now, { period, zone }) {
  const earlier = PERIODS[period][1];
  return h("dl.figures", null,
    figure("Accepted", count(accepted), !before ? "nothing before to compare with"
      : before.accepted ? change(accepted, before.accepted) + " on " + earlier : "nothing in " + earlier),
    figure("People", count(who), before && before.people ? change(who, before.people) + " on " + earlier
      : who ? (accepted === who ? "once each" : count(accepted / who) + " times each") : "none"),
    figure("Refused", count(refused), most ? explain({ code: "", reason: most.reason })[0].replace(/\.$/, "") : "none"),
    figure("Last seen", ago(last, now), first ? "first on " + date(Date.parse(first) / 1000, zone) : ""));
}

/** @param {any} answer @param {{period: string, zone: string}} how */
function chart({ by, buckets, refused }, { period, zone }) {
  const compared = buckets.some((/** @type {any} */ each) => each.before !== null);
  const points = buckets.map((/** @type {any} */ each) => ({
    label: bucket(each.start, by, zone), value: each.accepted, second: each.refused, before: each.before, partial: each.partial
  }));
  const name = "Accepted by " + by;
  return h("section", null,
    h("h2.line", null, name, h("span.legend", null,
      h("span", null, h("i"), "accepted"), refused > 0 && h("span", null, h("i.is-second"), "refused"),
      compared && h("span", null, h("i.is-before"), PERIODS[period][1]),
      points.some((/** @type {any} */ each) => each.partial) && h("span", null, h("i.is-open"), "not over yet"),
      h("span", null, "in " + zone))),
    bars(points, { name, unit: "Accepted", second: refused > 0 ? "Refused" : undefined, before: compared ? "Before" : undefined }));
}

/** @param {any} answer @param {string} id */
const refusals = ({ reasons, refused }, id) => h("section", null, h("h2.line", null, "Why refused"),
  shares(reasons.map((/** @type {any} */ each) => ({ label: explain({ code: "", reason: each.reason })[0], value: each.count })), refused, "Why refused"),
  h("p", null, h("a.quiet", { href: to({ page: "live", activity: id, outcome: "refused" }, true) }, "Show them")));

/** @param {any} split @param {{key: string, name: string}[]} splits @param {number} accepted */
function breakdown(split, splits, accepted) {
  const chosen = split ? split.attribute : "";
  const which = select([...(split ? [] : [/** @type {[string, string]} */ (["", "choose"])]), ...splits.map((each) => /** @type {[string, string]} */ ([each.key, each.name]))],
    chosen, { id: "split", "aria-label": "Attribute", onchange: () => go({ split: which.value }, { replace: true }) });
  const numbers = split && split.number;
  return h("section", null, h("h2.line", null, "By ", which),
    numbers && h("dl.figures.small", null, [
      ["Sum", numbers.sum], ["Average", numbers.average], ["Median", numbers.median], ["95 % below", numbers.p95]
    ].map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, count(value))))),
    numbers && h("p.quiet", null, `From ${count(numbers.minimum)} to ${count(numbers.maximum)}, in ${plural(numbers.count, "activity", "activities")} that carry it.`),
    split && shares(split.values.map((/** @type {any} */ each) => ({ label: each.value === null ? h("span.quiet", null, "no value") : attribute(each.value), value: each.count })), accepted, "Values and shares"));
}

/** @param {HTMLElement} body @param {string} path @param {string} period @param {AbortSignal} gone */
async function people(body, path, period, gone) {
  const view = list({
    label: "People, most often first", key: (/** @type {any} */ each) => each.person_id,
    columns: [{ name: "Person" }, { name: "Times", kind: "number small" }, { name: "Last time", kind: "number middle" }],
    cells: (each) => [whole(to({ page: "person", id: each.person_id }, true), bdi(each.person)), count(each.count), ago(each.last)]
  });
  const total = h("p.quiet", { role: "status" });
  await poll(async () => {
    const answer = await ask(path + "/people?period=" + period, { signal: gone });
    total.textContent = answer.total > answer.people.length
      ? `${count(answer.total)} people; the ${count(answer.people.length)} who did it most often are here.` : plural(answer.total, "person", "people") + ".";
    view.show(answer.people);
    if (answer.people.length) body.replaceChildren(total, view.element);
    else body.replaceChildren(empty("No person did this in that time.", h("p", null, "Choose a longer period, or look at what was refused.")));
  }, EVERY, gone);
}

/** @param {HTMLElement} body @param {string} id @param {import("../core.js").Here} here @param {AbortSignal} gone */
async function feedOf(body, id, here, gone) {
  if (!kept || kept.id !== id || !body.contains(kept.root.root)) {
    kept = { id, root: feed({ activity: id }) };
    body.replaceChildren(kept.root.root);
  }
  await kept.root.show(here, gone);
}
