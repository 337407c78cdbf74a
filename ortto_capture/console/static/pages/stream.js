// @ts-check
/**
 * Rows, newest first, and beside them the details of the one that is open.
 *
 * The law of this file: nothing moves under the eyes of a reader: while a row is open, has focus or
 * the list is scrolled, rows that come above leave what is seen where it is. Which row is open
 * stands in the address.
 */
import { go, h, rows, to } from "../core.js";
import { plural } from "../format.js";
import { detail } from "./detail.js";
import { fold, lineOf } from "./rows.js";

/** @typedef {import("./rows.js").Row} Row */

/** Widths where the details cover the rows. */
const NARROW = "(max-width: 860px)";

/**
 * @param {string} label what the rows are
 * @param {Record<string, any>} [opened] how details are shown, see `detail`
 */
export function stream(label, opened = {}) {
  /** @type {readonly Row[]} */
  let items = [];
  /** @type {ReadonlySet<string>} */
  let fresh = new Set();
  let open = "", above = 0;
  /** @type {Set<string>} */
  const unfolded = new Set();
  /** @type {HTMLElement[]} what is behind the details */
  let covered = [];
  const list = h("ol.events", { "aria-label": label });
  const foot = h("div.older");
  const more = h("button.button.above", { type: "button", hidden: true, onclick: () => scrollTo({ top: 0 }) });
  const pane = h("aside.pane", { "aria-label": "Details", hidden: true });
  const root = h("div.stream", null, h("div.rows", null, more, list, foot), pane);
  const details = detail(pane, opened);

  const draw = () => rows(list, fold(items, unfolded), (line) => line.key, (line) => {
    const element = lineOf(line, line.part ? () => {
      if (!unfolded.delete(line.fold)) unfolded.add(line.fold);
      still(draw);
      mark();
    } : null);
    if (fresh.has(line.key)) element.classList.add("fresh");
    return element;
  });

  const mark = () => {
    for (const element of list.children) {
      const isOpen = element.getAttribute("data-key") === open, link = element.querySelector(".whole");
      element.classList.toggle("open", isOpen);
      if (!link) continue;
      link.setAttribute("aria-expanded", String(isOpen));
      // A filter that changed is in the address that the row leads to.
      link.setAttribute("href", to({ open: isOpen ? null : element.getAttribute("data-key") }));
    }
  };

  /**
   * Change the list while what is read stays where it is.
   * @param {() => void} change @returns {boolean} whether it was held
   */
  const still = (change) => {
    const held = list.querySelector("li:focus-within, li.open") || (scrollY > 0 &&
      [...list.children].find((each) => each.getBoundingClientRect().bottom > 0));
    const key = held && held.getAttribute("data-key"), top = held && held.getBoundingClientRect().top;
    change();
    const now = held && (held.isConnected ? held : lineWith(key || ""));
    if (now) scrollBy(0, now.getBoundingClientRect().top - (top || 0));
    return Boolean(now);
  };

  /** @param {string} key */
  const lineWith = (key) => [...list.children].find((each) => each.getAttribute("data-key") === key);

  const tell = () => {
    if (scrollY === 0) above = 0;
    more.hidden = above === 0;
    more.textContent = plural(above, "new row above", "new rows above");
  };

  /**
   * What details cover can be neither focused nor pressed; what the page tells is still heard.
   * @param {AbortSignal} gone
   */
  const cover = (gone) => {
    for (const each of covered) each.inert = false;
    covered = [];
    if (!open || gone.aborted || !matchMedia(NARROW).matches) return;
    for (let at = /** @type {Element} */ (pane); at !== document.body && at.parentElement; at = at.parentElement) {
      const beside = /** @type {HTMLElement[]} */ ([...at.parentElement.children]);
      covered.push(...beside.filter((each) => each !== at && !each.inert && !each.matches("dialog, [role=status]")));
    }
    for (const each of covered) each.inert = true;
  };

  const close = () => {
    const key = open;
    go({ open: null });
    focus(key);
  };

  /** @param {string} key */
  const focus = (key) => {
    const line = lineWith(key), link = line && line.querySelector(".whole");
    if (link instanceof HTMLElement) link.focus({ preventScroll: true });
  };

  list.addEventListener("focusin", (event) => {
    // With the details open, the keys that go from row to row bring each row's details.
    const link = event.target instanceof Element && event.target.matches(".whole:focus-visible") && event.target.closest("li");
    const key = link && link.getAttribute("data-key");
    if (open && key && key !== open && !matchMedia(NARROW).matches) go({ open: key }, { replace: true });
  });

  // To Tab the details stand behind their row, however many rows there are.
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Tab" || event.ctrlKey || event.altKey || event.metaKey || !open || covered.length) return;
    const line = lineWith(open), last = line && [...line.querySelectorAll("a, button")].pop(), first = pane.querySelector("button");
    if (!last || !first || event.target !== (event.shiftKey ? first : last)) return;
    event.preventDefault();
    (event.shiftKey ? /** @type {HTMLElement} */ (last) : first).focus();
  });

  return {
    root, foot,
    /**
     * @param {readonly Row[]} all newest first @param {readonly Row[]} [came] those of them that
     *   are new since
     */
    draw(all, came = []) {
      items = all;
      fresh = new Set(came.map((each) => each.key));
      if (still(draw)) above += came.length;
      tell();
      mark();
    },

    /**
     * Open the row that the address names, or none.
     * @param {string | undefined} key @param {AbortSignal} gone
     */
    async show(key, gone) {
      const before = open;
      open = key || "";
      addEventListener("scroll", tell, { signal: gone, passive: true });
      document.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !open || document.querySelector("dialog[open]") ||
          (event.target instanceof Element && event.target.matches("input, select, textarea"))) return;
        event.preventDefault();
        close();
      }, { signal: gone, capture: true });
      root.classList.toggle("split", Boolean(open));
      pane.hidden = !open;
      matchMedia(NARROW).addEventListener("change", () => cover(gone), { signal: gone });
      gone.addEventListener("abort", () => cover(gone));
      cover(gone);
      mark();
      // Where the page around the rows is drawn anew, focus was lost.
      if (document.activeElement === document.body) focus(open || before);
      if (!open) return;
      if (open !== before) pane.scrollTop = 0;
      const asked = details.show(open, items.find((each) => each.key === open), gone, close);
      if (open !== before && matchMedia(NARROW).matches) {
        const first = pane.querySelector("button");
        if (first) first.focus();
      }
      await asked;
    }
  };
}
