// @ts-check
/**
 * The answer to a question, drawn: one figure, bars or a line over time, shares, the steps of a funnel, or a table.
 *
 * The law of this file: what is drawn is what was answered. Nothing is added up that cannot be added, such as people or
 * averages, and what the answer leaves out is no zero.
 */
import { bars, line, shares, spark } from "./chart.js";
import { h, to } from "./core.js";
import { attribute, bdi, bucket, count, date, day, hour, percent } from "./format.js";
import { MEASURES, capital, ofNumber } from "./question.js";
import { explain } from "./words.js";

/** @typedef {import("./question.js").Question} Question */
/** @typedef {import("./question.js").Names} Names */
/** @typedef {{start: number | null, value: any, measure: number | null, person_id?: string}} Row */
/** @typedef {{rows: Row[], total: number | null, buckets: [number, number][], partial: boolean[]}} Answer */
/** @typedef {{names: Names, zone: string, height?: number, name: string}} How */

const WAYS = /** @type {Record<string, string>} */ ({ bars: "Bars", line: "Line", shares: "Shares", table: "Table" });

/**
 * The ways in which a question can be drawn, the most usual first.
 * @param {Question} question
 * @returns {string[]}
 */
export const ways = (question) =>
  question.steps ? ["bars", "table"]
    : question.refusals || (question.split_by && !question.by) ? ["shares", "table"]
      : question.by ? (question.split_by ? ["bars", "table"] : ["bars", "line", "table"]) : ["table"];

/**
 * The way that was chosen, where the question can be drawn so.
 * @param {Question} question
 * @param {string} draw
 */
export const fitting = (question, draw) => ways(question).includes(draw) ? draw : ways(question)[0];

/**
 * What a way is called.
 * @param {string} way
 */
export const wayName = (way) => WAYS[way];

/**
 * Whether a question's drawing needs the whole width.
 * @param {Question} question
 * @param {string} draw
 * @param {Answer} [answer]
 */
export const wide = (question, draw, answer) =>
  Boolean(answer && (answer.buckets.length > 45 || (question.by && question.split_by && draw === "table")));

/**
 * @param {Question} question
 * @param {string} draw
 * @param {Answer} answer
 * @param {How} how
 * @returns {HTMLElement}
 */
export function drawing(question, draw, answer, how) {
  const way = fitting(question, draw);
  if (question.steps) return way === "table" ? table(question, answer, how) : funnel(question, answer, how);
  if (single(question)) return h("p.figure", null, headline(question, answer)[0]);
  if (!answer.rows.length) return h("p.quiet.nothing", null, "Nothing in this time.");
  if (way === "table") return question.by && question.split_by ? matrix(question, answer, how) : table(question, answer, how);
  if (!question.by) return shares(answer.rows.map((row) => part(question, row, how.names)), additive(question) ? answer.total || 0 : 0, how.name);
  if (question.split_by) return sparks(question, answer, how);
  const points = answer.rows.map((row, i) => ({ label: label(question, answer, row.start || 0, how.zone), value: row.measure, partial: answer.partial[i] }));
  return (way === "line" ? line : bars)(points, how);
}

/**
 * Whether the answer is one number and no more.
 * @param {Question} question
 */
export const single = (question) => !question.by && !question.split_by && !question.steps && !question.refusals;

/**
 * The number that an answer comes down to, and what it counts.
 * @param {Question} question
 * @param {Answer} answer
 * @returns {[string, string]}
 */
export function headline(question, { rows, total }) {
  if (question.steps) {
    const first = rows.length ? rows[0].measure || 0 : 0, last = rows.length ? rows[rows.length - 1].measure || 0 : 0;
    return [count(last), `of ${count(first)} went all the way, ${percent(last, first)}`];
  }
  if (total === null) return ["–", "nothing to measure"];
  return [count(total), question.refusals ? "refused" : question.measure === "people" ? "people"
    : ofNumber(question.measure) ? MEASURES[question.measure || ""].replace(/^the /, "") : "in all"];
}

/**
 * Whether the parts of a split make shares of the whole.
 * @param {Question} question
 */
const additive = (question) => ["count", "people", "sum"].includes(question.measure || "count");

/**
 * A bucket of time in words.
 * @param {Question} question
 * @param {Answer} answer
 * @param {number} start
 * @param {string} zone
 */
const label = ({ by }, { buckets }, start, zone) =>
  by === "hour" && buckets.length > 25 ? `${day(start, zone)} ${hour(start, zone)}`
    : by === "day" && buckets.length > 366 ? date(start, zone) : bucket(start, by || "day", zone);

/**
 * The value that a row stands for.
 * @param {Question} question
 * @param {Row} row
 * @param {Names} names
 */
function words(question, { value }, names) {
  if (question.refusals === "reason") return explain({ code: value, reason: value })[0].replace(/\.$/, "");
  if (question.refusals) return value ? names.activity(value) : "no activity that is there";
  if (value === null || value === "") return question.split_by === "source" ? "recorded by the host" : "no value";
  if (question.split_by === "activity") return names.activity(value);
  if (question.split_by === "assurance") return value === "verified" ? "verified by the host" : "claimed by the visitor";
  if ((question.split_by || "").startsWith("bol:")) return attribute(Boolean(value));
  return attribute(value);
}

/**
 * @param {Question} question
 * @param {Row} row
 * @param {Names} names
 */
const part = (question, row, names) => ({
  label: words(question, row, names), value: row.measure || 0,
  href: row.person_id ? to({ page: "person", id: row.person_id }, true)
    : question.split_by === "activity" ? to({ page: "activity", id: row.value }, true) : undefined,
});

/**
 * How many people did each step, as shares of the first.
 * @param {Question} question
 * @param {Answer} answer
 * @param {How} how
 */
function funnel(question, answer, { names, name }) {
  const steps = question.steps || [], first = answer.rows.length ? answer.rows[0].measure || 0 : 0;
  return shares(answer.rows.map((row, i) => ({ label: `${i + 1}. ${names.activity(steps[i])}`, value: row.measure || 0 })), first, name);
}

/**
 * The values of a split over time, each in a row of its own.
 * @param {Question} question
 * @param {Answer} answer
 * @param {How} how
 */
function sparks(question, answer, { names, name }) {
  // People and averages of several buckets make no sum: the latest bucket is told instead.
  const sums = question.measure !== "people" && additive(question);
  const last = (/** @type {Row[]} */ rows) => sums ? rows.reduce((all, row) => all + (row.measure || 0), 0) : rows[rows.length - 1].measure;
  return h("table.list.short", { "aria-label": name }, h("colgroup", null, h("col"), h("col.wide"), h("col.small")),
    h("thead", null, h("tr", null, h("th", null, "Value"), h("th", { title: "Each row to its own scale" }, `By ${question.by}`), h("th.number", null, sums ? "In all" : "Latest"))),
    h("tbody", null, [...series(answer).values()].map((rows) => h("tr", null,
      h("th", { scope: "row" }, named(question, rows[0], names)),
      h("td", null, spark(rows.map((row) => row.measure || 0), words(question, rows[0], names))),
      h("td.number", null, count(last(rows)))))));
}

/**
 * The rows of each value of a split, in the order of the answer.
 * @param {Answer} answer
 * @returns {Map<string, Row[]>}
 */
function series({ rows }) {
  /** @type {Map<string, Row[]>} */
  const found = new Map();
  for (const row of rows) {
    const key = JSON.stringify([row.value, row.person_id]);
    found.set(key, [...found.get(key) || [], row]);
  }
  return found;
}

/**
 * @param {Question} question
 * @param {Row} row
 * @param {Names} names
 */
function named(question, row, names) {
  const { label: text, href } = part(question, row, names);
  return href ? h("a", { href }, bdi(text)) : bdi(text);
}

/**
 * Rows with one number each.
 * @param {Question} question
 * @param {Answer} answer
 * @param {How} how
 */
function table(question, answer, { names, zone, name }) {
  const total = question.steps ? (answer.rows.length ? answer.rows[0].measure : 0) : answer.total;
  const part = !question.by && additive(question) && total;
  const head = question.steps ? "Step" : question.by ? capital(question.by) : question.refusals ? capital(question.refusals) : "Value";
  const first = (/** @type {Row} */ row, /** @type {number} */ i) =>
    question.steps ? bdi(names.activity(question.steps[i]))
      : question.by ? label(question, answer, row.start || 0, zone) + (answer.partial[i] ? " (not whole)" : "") : named(question, row, names);
  return h("table.list.short", { "aria-label": name }, h("colgroup", null, h("col"), h("col.middle"), part ? h("col.small") : null),
    h("thead", null, h("tr", null, h("th", null, head),
      h("th.number", null, question.steps ? "People" : capital(MEASURES[question.measure || "count"].replace(/^the /, ""))),
      part ? h("th.number", null, "Share") : null)),
    h("tbody", null, answer.rows.map((row, i) => h("tr", null, h("th", { scope: "row" }, first(row, i)),
      h("td.number", null, count(row.measure)), part ? h("td.number.quiet", null, percent(row.measure || 0, part)) : null))));
}

/**
 * Time downwards, values to the right.
 * @param {Question} question
 * @param {Answer} answer
 * @param {How} how
 */
function matrix(question, answer, { names, zone, name }) {
  const columns = [...series(answer).values()];
  return h("div.scroller", { tabindex: "0", role: "region", "aria-label": `${name}: values` }, h("table.plain.matrix", null,
    h("thead", null, h("tr", null, h("th", null, capital(question.by || "")), columns.map((rows) => h("th.number", { scope: "col" }, named(question, rows[0], names))))),
    h("tbody", null, answer.buckets.map(([start], i) => h("tr", null,
      h("th", { scope: "row" }, label(question, answer, start, zone), answer.partial[i] ? " (not whole)" : ""),
      columns.map((rows) => h("td.number", null, count((rows.find((row) => row.start === start) || rows[i] || { measure: null }).measure))))))));
}
