// @ts-check
/**
 * What every page is made of: elements, the address as state, and the states that all pages share.
 *
 * The law of this file: text becomes text nodes and never markup; listeners are functions and links
 * stay in the console, so no value from outside can run; a row that did not change keeps its element.
 */
import { ApiError, ask, can, download, freshness, me, passing, poll } from "./server.js";

export { ApiError, ask, can, download, freshness, me, poll };

/** @typedef {Node | string | number | null | undefined | false | any[]} Child */
/** @typedef {import("./server.js").Me} Me */
/** @typedef {Record<string, string>} Here the state in the address */
/** @typedef {(main: HTMLElement, here: Here, gone: AbortSignal) => unknown} Page */

const SVG = "http://www.w3.org/2000/svg";
const ADDRESSES = ["href", "src", "action", "formaction", "xlink:href"];
// Neither another scheme nor another host: browsers drop tabs and line ends before they read "//".
const OURS = /^(?:[?#]|\/(?![/\\\s]))/;

/**
 * Make an element: `h("a.row", {href: "?page=live"}, "Live")`.
 *
 * @param {string} name the tag, and classes behind dots
 * @param {Record<string, any> | null} [given] attributes; `on…` are listeners; false, null and
 *   undefined leave one out
 * @param {...Child} children text, nodes, lists of them; false, null and undefined are nothing
 * @returns {HTMLElement}
 */
export function h(name, given, ...children) {
  const [tag, ...classes] = name.split(".");
  return made(document.createElement(tag), classes, given, children);
}

/**
 * The same for SVG.
 * @param {string} name @param {Record<string, any> | null} [given] @param {...Child} children
 */
export function s(name, given, ...children) {
  const [tag, ...classes] = name.split(".");
  return made(document.createElementNS(SVG, tag), classes, given, children);
}

/**
 * @template {Element} E
 * @param {E} element @param {string[]} classes
 * @param {Record<string, any> | null | undefined} given @param {Child[]} children
 */
function made(element, classes, given, children) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(given || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) {
      if (typeof value !== "function") throw new TypeError(name + " takes a function");
      element.addEventListener(name.slice(2), value);
    } else if (name === "style") {
      throw new TypeError("a class says how it looks");
    } else if (ADDRESSES.includes(name) && !OURS.test(value)) {
      throw new TypeError(name + " stays in the console");
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...nodes(children));
  return element;
}

/** @param {Child} child @returns {(Node | string)[]} */
function nodes(child) {
  if (Array.isArray(child)) return child.flatMap(nodes);
  if (child === null || child === undefined || child === false) return [];
  return [child instanceof Node ? child : String(child)];
}

/** @type {WeakMap<Element, {key: string, print: string}>} of which item an element was made */
const origins = new WeakMap();
const FOCUSABLE = "a[href],button,input,select,textarea,summary,[tabindex]";

/**
 * Bring the children of `parent` to `items`. What stays the same keeps its element, and with it
 * focus, selection and what is unfolded; of a row that is made anew, focus goes to its successor.
 *
 * @template T
 * @param {Element} parent @param {readonly T[]} items
 * @param {(item: T) => string} key unique among the items
 * @param {(item: T) => Element} make
 */
export function rows(parent, items, key, make) {
  /** @type {Map<string, Element>} */
  const there = new Map();
  const wanted = new Set(items.map(key));
  for (const child of [...parent.children]) {
    const origin = origins.get(child);
    if (origin && wanted.has(origin.key)) there.set(origin.key, child);
    else child.remove();
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = key(item), print = JSON.stringify(item), old = there.get(name);
    let row = old;
    if (!old || (origins.get(old) || { print: "" }).print !== print) {
      row = make(item);
      origins.set(row, { key: name, print });
      if (old) {
        if (old === next) next = row;
        const made = row.querySelectorAll("details");
        old.querySelectorAll("details").forEach((each, index) => { if (each.open && made[index]) made[index].open = true; });
        const at = [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement || old);
        old.replaceWith(row);
        const heir = at < 0 ? null : row.querySelectorAll(FOCUSABLE)[at];
        if (heir instanceof HTMLElement) heir.focus({ preventScroll: true });
      }
    }
    if (row === next) next = next && next.nextElementSibling;
    else if (row) parent.insertBefore(row, next);
  }
}

/* The address is the state, and the state is the address. */

/** @returns {Here} */
export const state = () => Object.fromEntries(new URLSearchParams(location.search));

/**
 * The address with some of the state changed, for a link.
 * @param {Record<string, string | null | undefined>} change null, undefined and "" take a member out
 * @param {boolean} [fresh] begin with nothing instead of with the state as it is
 */
export function to(change, fresh = false) {
  const next = new URLSearchParams(fresh ? "" : location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value) next.set(name, value); else next.delete(name);
  }
  return "?" + next;
}

/**
 * Go there, and show it.
 * @param {Record<string, string | null | undefined>} change
 * @param {{replace?: boolean, fresh?: boolean, quiet?: boolean}} [how] replace: no step in the
 *   history; fresh: as with `to`; quiet: only the address changes, the page shows it already
 */
export function go(change, how = {}) {
  const { replace, fresh, quiet } = how;
  const address = to(change, fresh);
  history[replace ? "replaceState" : "pushState"](null, "", address);
  if (!quiet) dispatchEvent(new PopStateEvent("popstate"));
}

/**
 * Show the page that the address names, now and whenever it changes.
 * @param {Record<string, Page>} pages one of them is `token`, which asks who reads
 * @param {string} first the page of an address that names none
 */
export function route(pages, first) {
  const main = /** @type {HTMLElement} */ (document.querySelector("main"));
  let leaving = new AbortController();
  let shown = "";

  /** @param {unknown} error */
  const failed = (error) => {
    leaving.abort();
    freshness("");
    main.removeAttribute("aria-busy");
    if (error instanceof ApiError && error.status === 401) show("token", { why: error.code });
    else main.replaceChildren(problem(error, () => show(), "h1"));
  };

  /** @param {string} [name] @param {Here} [here] */
  const show = async (name, here = state()) => {
    leaving.abort();
    leaving = new AbortController();
    const gone = leaving.signal;
    const page = name || (Object.keys(pages).includes(here.page) ? here.page : first);
    const was = document.activeElement, named = was && nameOf(was), fresh = shown !== page;
    // What was pressed is drawn anew: the next key begins where the last one ended.
    const refocus = () => {
      if (!was || was.isConnected || fresh || document.activeElement !== document.body) return;
      const heir = [...main.querySelectorAll(was.tagName)].find((each) => nameOf(each) === named);
      if (heir instanceof HTMLElement) heir.focus({ preventScroll: true });
    };
    shown = page;
    mark(page);
    freshness("");
    main.setAttribute("aria-busy", "true");
    try {
      const drawn = pages[page](main, here, gone);
      refocus();
      await drawn;
      if (!gone.aborted) refocus();
    } catch (error) {
      if (!gone.aborted) failed(error);
    }
    if (!gone.aborted) main.removeAttribute("aria-busy");
  };

  addEventListener("popstate", () => show());
  addEventListener("page-failed", (event) => failed(/** @type {CustomEvent} */ (event).detail));
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a[href^='?']");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const before = state().page;
    history.pushState(null, "", link.getAttribute("href"));
    show();
    if (state().page !== before) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
  });
  show();
}

/** @param {Element} element */
const nameOf = (element) => element.getAttribute("aria-label") || element.id || element.textContent;

/** The part of the console that each page belongs to, where it is another than its own. */
const PARTS = /** @type {Here} */ ({ activity: "activities", new: "activities", person: "people", report: "reports", audience: "audiences" });

/** @param {string} page */
function mark(page) {
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.getAttribute("href") === "?page=" + (PARTS[page] || page);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/* The states that all pages share. */

/** @type {Record<string, [string, string]>} what happened, and what to do about it */
const PROBLEMS = {
  "offline": ["This machine is offline.", "It goes on when the connection is back."],
  "no-answer": ["The server does not answer.", "Check that it runs. This page asks again by itself."],
  "missing-scope": ["You may not do that.", "It needs a scope that your token or your account does not have."],
  "not-found": ["This is not there.", "It may have been removed meanwhile, or the address is misspelt."],
  "signed-out": ["You are signed out.", "Reload the page to sign in again."],
  "too-long": ["This took too long to count.", "Choose a shorter period."],
  "busy": ["Another report is being counted.", "This one comes when it is done."],
  "rate-limit": ["There were too many questions.", "This page asks again by itself."]
};
/** Milliseconds that it takes to read one sentence. */
const MOMENT = 6000;
/** Seconds until a page that failed is asked for again. */
const AGAIN = 5;

/**
 * What went wrong, why, and what to do.
 * @param {unknown} error @param {() => void} [again] asked for with a button, and by itself where
 *   waiting may mend it
 * @param {string} [heading] h1 where nothing else is shown
 */
export function problem(error, again, heading = "h2") {
  const known = error instanceof ApiError ? error : null;
  const [title, remedy] = (known && PROBLEMS[known.code]) || (known && known.status >= 500
    ? ["The server failed.", "Its log says why. This page asks again by itself."]
    : known ? ["This was refused.", ""] : ["This page failed.", "Reload it."]);
  const said = error instanceof Error ? error.message : String(error);
  const needs = known && known.code === "missing-scope" && known.expected ? " (" + known.expected + ")" : "";
  const box = h("section.problem", { role: "alert" },
    h(heading, null, title), h("p", null, remedy, needs),
    known && known.status === 0 ? null : h("p.quiet", null, "It said: ", h("bdi", null, said)),
    again && (known && known.status === 404
      ? h("button.button", { type: "button", onclick: () => history.back() }, "Go back")
      : h("button.button", { type: "button", onclick: again }, "Try again")));
  if (again && passing(error)) {
    setTimeout(() => { if (box.isConnected) again(); }, 1000 * Math.max(AGAIN, (known && known.retryAfter) || 0));
  }
  return box;
}

/**
 * Nothing is here yet, and the next thing to do.
 * @param {string} title @param {...Child} children
 */
export const empty = (title, ...children) => h("section.empty", null, h("h2", null, title), ...children);

/**
 * Tell what was done, once and for a moment.
 * @param {string} words
 */
export function say(words) {
  const said = h("span", null, words);
  document.getElementById("said")?.replaceChildren(said);
  setTimeout(() => said.remove(), MOMENT);
}

/** @param {string | (() => string)} text what is copied @param {string} [label] */
export function copyButton(text, label = "Copy") {
  const button = h("button.button.copy", { type: "button", onclick: async () => {
    button.textContent = await copied(typeof text === "function" ? text() : text, button) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = label; }, 2000);
  } }, label);
  return button;
}

/** @param {string} value @param {Element} button */
async function copied(value, button) {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    // Without HTTPS a page has no clipboard: what is to be copied is selected instead.
    const shown = button.parentElement && button.parentElement.querySelector("pre");
    if (shown) document.getSelection()?.selectAllChildren(shown);
    return false;
  }
}

/**
 * Code to paste, with a button that copies it.
 * @param {string} text @param {string} label
 */
export const codeBox = (text, label) =>
  h("figure.code", null, h("figcaption", null, label), copyButton(text), h("pre", { tabindex: "0", "aria-label": label }, h("code", null, text)));

/**
 * Ask before something is done.
 *
 * @param {{title: string, body: Child, actions: {label: string, kind?: "first" | "danger",
 *   run?: () => unknown}[]}} what `run` may be async; while it fails, the dialog stays and says
 *   why; it stays without a word when `run` returns false
 * @returns {Promise<string | null>} the label of what was chosen; null when it was closed
 */
export function dialog({ title, body, actions }) {
  return new Promise((resolve) => {
    const opener = document.activeElement, wrong = h("div", { "aria-live": "polite" });
    const box = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-label": title, onclose: () => {
      box.remove();
      if (opener instanceof HTMLElement) opener.focus();
      resolve(box.returnValue || null);
    } }, h("form", { method: "dialog" }, h("h2", null, title), h("div", null, body), wrong,
      h("p.actions", null, h("button.button", { type: "button", onclick: () => box.close() }, actions.length ? "Cancel" : "Close"), actions.map(({ label, kind, run }) =>
        h("button.button" + (kind ? "." + kind : ""), { value: label, onclick: async (/** @type {Event} */ event) => {
          event.preventDefault();
          const pressed = /** @type {HTMLButtonElement} */ (event.currentTarget);
          pressed.disabled = true;
          try {
            if (run && await run() === false) pressed.disabled = false;
            else box.close(label);
          } catch (error) {
            wrong.replaceChildren(problem(error));
            pressed.disabled = false;
          }
        } }, label))))));
    document.body.append(box);
    box.showModal();
  });
}
