// @ts-check
/**
 * Lists: one row a thing, the whole row its link.
 *
 * The law of this file: a list is a table to ears and hands; of a thousand rows the first are drawn,
 * and the rest when the reader asks.
 */
import { h, rows } from "./core.js";
import { count } from "./format.js";

/** Rows that are drawn at first, and how many more each time. */
const AT_ONCE = 200;

/**
 * @typedef {{name: import("./core.js").Child, kind?: string}} Column
 * `kind` are classes for its cells: `number` (to the right), `fold` (left out on narrow screens),
 * `tiny`, `small`, `middle` (a fixed width; the others share what is left).
 */

/**
 * A list. `show` brings it to new items and keeps the rows that did not change.
 *
 * @template T
 * @param {{label: string, columns: Column[], key: (item: T) => string,
 *   cells: (item: T) => import("./core.js").Child[]}} what `cells`: the content of each column's
 *   cell; the first holds `whole(…)`, the link of the row
 * @returns {{element: HTMLElement, show: (items: readonly T[]) => void}}
 */
export function list({ label, columns, key, cells }) {
  const body = h("tbody"), more = h("p.more");
  let most = AT_ONCE;
  const kinds = columns.map(({ kind }) => kind || "");
  /** @param {T} item */
  const row = (item) => h("tr", null, cells(item).map((cell, index) =>
    h(index ? "td" : "th", { scope: index ? null : "row", class: kinds[index] || null }, cell)));
  /** @param {readonly T[]} items */
  const show = (items) => {
    rows(body, items.slice(0, most), key, row);
    more.replaceChildren(...(items.length > most ? [h("button.button", { type: "button", onclick: () => { most += AT_ONCE; show(items); } },
      `Show ${count(Math.min(AT_ONCE, items.length - most))} more of ${count(items.length)}`)] : []));
  };
  const element = h("div", null, h("table.list", { "aria-label": label },
    h("colgroup", null, kinds.map((kind) => h("col", { class: kind || null }))),
    h("thead", null, h("tr", null, columns.map(({ name, kind }) => h("th", { scope: "col", class: kind || null }, name)))),
    body), more);
  return { element, show };
}

/**
 * The link of a row, which the whole row is.
 * @param {string} href @param {...import("./core.js").Child} children
 */
export const whole = (href, ...children) => h("a.whole", { href }, ...children);

/**
 * Bring focus to the row that many rows further.
 * @param {number} by
 */
export function step(by) {
  const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("main .whole")]);
  const row = document.activeElement && document.activeElement.closest("tr, li");
  const at = links.findIndex((link) => link === document.activeElement || (row && row.contains(link)));
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by))];
  if (next) next.focus();
}

/**
 * Tabs, or choices of which one holds.
 * @param {string} label @param {[string, string, boolean][]} links words, address, current @param {string} [kind]
 */
export const choices = (label, links, kind = "choices") =>
  h("nav." + kind, { "aria-label": label }, links.map(([words, href, current]) =>
    h("a", { href, "aria-current": current ? "true" : null }, words)));

/**
 * A figure with its name above and what it means below.
 * @param {string} name @param {import("./core.js").Child} value @param {...import("./core.js").Child} more
 */
export const figure = (name, value, ...more) => h("div", null, h("dt", null, name), h("dd", null, value), h("dd.quiet", null, ...more));
