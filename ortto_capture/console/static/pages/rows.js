// @ts-check
/**
 * One request on one line, and equal lines as one.
 *
 * The law of this file: what a visitor sent is cut to what a line can show, and cannot rearrange it;
 * an outcome has a word and a shape, never a colour alone.
 */
import { h, s, to } from "../core.js";
import { ago, attribute, bdi, count } from "../format.js";
import { explain, outcome } from "../words.js";

/**
 * One request, as the API has it; members that do not apply are null.
 * @typedef {{key: string, kind: Kind, status: number, at: string, activity_id: string | null,
 *   name: string | null, text: string | null, person_id: string | null, person: string | null,
 *   attributes: Record<string, any> | null, assurance: string | null, source: string | null,
 *   event_id: string | null, occurred_at: string | null, received_at: string | null,
 *   code: string | null, reason: string | null, field: string | null, expected: string | null,
 *   route: string | null, notes: string[] | null}} Row
 * @typedef {"accepted" | "identified" | "duplicate" | "refused" | "failed"} Kind
 * @typedef {Row & {times: number, part: "" | "folded" | "unfolded" | "within"}} Line
 *   `times`: how many equal ones it stands for
 */

/**
 * The word of each outcome, and its shape.
 * @type {Record<Kind, [string, string]>}
 */
export const KINDS = {
  accepted: ["Accepted", "M2 6.5 5 9.5 10 3"],
  identified: ["Identified", "M6 5.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM2 10.5c.5-4 7.5-4 8 0"],
  duplicate: ["Duplicate", "M1.5 4.5h6v6h-6zM4.5 4.5v-3h6v6h-3"],
  refused: ["Refused", "M6 1.5 11 10.5H1zM6 5v2.5"],
  failed: ["Failed", "M3 3l6 6M9 3l-6 6"]
};
/** Characters of a value that a line can show. */
const SHOWN = 200;

/**
 * The shape of an outcome.
 * @param {Kind} kind
 */
export const shape = (kind) =>
  s("svg.shape", { viewBox: "0 0 12 12", "aria-hidden": "true", "data-kind": kind }, s("path", { d: KINDS[kind][1] }));

/**
 * The outcome as a word, with its shape.
 * @param {Kind} kind
 */
export const badge = (kind) => h("span.outcome", { "data-kind": kind }, shape(kind), h("span", null, KINDS[kind][0]));

/** @param {string} text */
const cut = (text) => (text.length > SHOWN ? text.slice(0, SHOWN) + "…" : text);

/**
 * What it was, as people read it.
 * @param {Row} row
 */
export const title = (row) => cut(!row.activity_id && row.kind === "identified" ? "Visitor identified"
  : row.activity_id ? row.text || row.name || row.activity_id : "ap3c." + (row.route || "track"));

/**
 * Its attributes, or why it was refused.
 * @param {Row} row
 */
export function about(row) {
  if (row.kind === "refused" || row.kind === "failed") {
    const [what] = explain({ code: row.code || "", reason: row.reason });
    return row.field && !what.includes(row.field) ? what.replace(/\.$/, ": ") + cut(row.field) : what;
  }
  const values = Object.entries(row.attributes || {}).slice(0, 8)
    .map(([key, value]) => key.slice(key.lastIndexOf(":") + 1) + " " + cut(attribute(value)));
  return values.join(" · ") || (row.kind === "accepted" ? "" : outcome(row.code || row.kind).split(". ")[0]);
}

/**
 * Of whom it was. Before check 9 that is not known.
 * @param {Row} row
 */
const who = (row) => row.person || row.person_id || "not known";

/**
 * The line of a row. Its link opens the row's details on the page that it stands on.
 * @param {Line} line @param {(() => void) | null} [unfold] show the equal ones, or hide them again
 */
export function lineOf(line, unfold) {
  const id = line.activity_id, name = title(line);
  return h("li.event" + (line.part === "within" ? ".within" : ""), { "data-key": line.key },
    badge(line.kind),
    h("a.whole.what", { href: to({ open: line.key }), "aria-expanded": "false" }, bdi(name), id && id !== name && [" ", h("code", null, bdi(cut(id)))]),
    h("span.about", null,
      line.times > 1 && h("button.times", {
        type: "button", "aria-expanded": String(line.part === "unfolded"), onclick: unfold,
        "aria-label": line.times + " equal ones in a row", title: line.part === "unfolded" ? "Fold them" : "Show each of them"
      }, "× " + count(line.times)),
      bdi(about(line))),
    h("span.who" + (line.person || line.person_id ? "" : ".quiet"), null, bdi(who(line))),
    ago(line.at));
}

/**
 * What makes two lines look the same.
 * @param {Row} row
 */
const look = (row) => JSON.stringify([row.kind, title(row), row.activity_id, row.person_id, row.reason, about(row)]);

/**
 * Rows as lines: several equal ones in a row are one line, the newest, unless its key is in `unfolded`.
 *
 * The line has the key of the oldest, which stays while newer ones come.
 * @param {readonly Row[]} items newest first @param {ReadonlySet<string>} unfolded
 * @returns {(Line & {fold: string})[]}
 */
export function fold(items, unfolded) {
  const lines = [];
  for (let at = 0; at < items.length;) {
    let end = at + 1;
    while (end < items.length && look(items[end]) === look(items[at])) end += 1;
    const times = end - at, name = items[end - 1].key;
    if (times === 1 || !unfolded.has(name)) {
      lines.push({ ...items[at], times, fold: name, part: times > 1 ? "folded" : "" });
    } else {
      for (const each of items.slice(at, end)) {
        const first = each === items[at];
        lines.push({ ...each, times: first ? times : 1, fold: first ? name : each.key, part: first ? "unfolded" : "within" });
      }
    }
    at = end;
  }
  return /** @type {any} */ (lines);
}
