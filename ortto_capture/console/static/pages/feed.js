// @ts-check
/**
 * Requests as they come, and older ones when the reader asks for them.
 *
 * The law of this file: filters run on the server, over everything that is kept; rows of one answer
 * and of the next stand in one order, by time, and none is there twice.
 */
import { ApiError, ask, codeBox, empty, freshness, h, me, poll, problem, to } from "../core.js";
import { count, exact } from "../format.js";
import { stream } from "./stream.js";
import { HELD } from "../words.js";

/** @typedef {import("./rows.js").Row} Row */
/**
 * @typedef {{cursor: string, before: string, looked_back_to: string | null, anew: boolean,
 *   rows: Row[], counts: Record<string, number>, warnings: string[],
 *   example: {activity_id: string, attributes: Record<string, any>} | null}} Answer
 */

/** What the address may ask for. */
export const FILTERS = ["activity", "person", "outcome", "status", "text"];
/** Seconds between two questions. */
const EVERY = 2;
/** Rows that a page holds. */
const MOST = 1000;

/**
 * A feed. It is shown anew whenever the address changes, and keeps its rows while the filters stay.
 *
 * @param {Record<string, string>} fixed filters that the address cannot change
 * @param {(answer: Answer) => void} [told] each answer that is new
 */
export function feed(fixed, told = () => undefined) {
  const view = stream("Requests, newest first", { filters: !fixed.activity });
  /** @type {Row[]} newest first */
  let items = [];
  /** @type {Answer | null} */
  let last = null;
  /** @type {Record<string, string>} */
  let wanted = {};
  let asked = "", cursor = "", before = "", lookedBackTo = /** @type {string | null} */ (null);
  let loaded = false, paused = false;
  let turning = new AbortController();

  /** @param {Record<string, string>} more */
  const question = (more) => "feed?" + new URLSearchParams({ ...wanted, ...more });

  const turn = async () => {
    const { signal } = turning;
    /** @type {Answer} */
    let answer;
    try {
      answer = await ask(question(cursor ? { after: cursor } : {}), { signal });
    } catch (error) {
      if (error instanceof ApiError && error.status === 304) return;
      throw error;
    }
    if (signal.aborted || (answer === last && loaded)) return;
    last = answer;
    const anew = answer.anew || !cursor || !loaded;
    const came = anew ? [] : unknown(answer.rows);
    if (anew) {
      items = answer.rows;
      ({ before, looked_back_to: lookedBackTo } = answer);
    } else items = inOrder([...came, ...items]);
    // A page that is left open begins again with the latest; not while older rows are read.
    cursor = items.length > MOST && scrollY === 0 && !location.search.includes("open=") ? "" : answer.cursor;
    loaded = true;
    view.draw(items, came);
    foot();
    told(answer);
  };

  /** @param {readonly Row[]} rows */
  const unknown = (rows) => {
    const known = new Set(items.map((each) => each.key));
    return rows.filter((each) => !known.has(each.key));
  };

  const older = async () => {
    const { signal } = turning;
    view.foot.setAttribute("aria-busy", "true");
    try {
      const answer = await ask(question({ before }), { signal });
      if (signal.aborted) return;
      items = inOrder([...items, ...unknown(answer.rows)]);
      ({ before, looked_back_to: lookedBackTo } = answer);
      view.draw(items);
      foot();
    } catch (error) {
      if (!signal.aborted) view.foot.replaceChildren(problem(error, () => { void older(); }));
    } finally {
      view.foot.removeAttribute("aria-busy");
    }
  };

  const foot = () => {
    const filtered = Object.keys(wanted).length > Object.keys(fixed).length;
    const far = lookedBackTo && h("p.quiet", null, "Looked back to ", exact(lookedBackTo), ".");
    const more = before && (items.length < MOST
      ? h("button.button", { type: "button", onclick: older }, lookedBackTo ? "Look further back" : "Load older")
      : h("p.quiet", null, `A page holds ${count(MOST)} rows. Filter them to look further back.`));
    const none = !items.length && (filtered
      ? empty(before ? "Nothing matches so far." : "Nothing matches in all that is kept.")
      : before ? null : nothing());
    const end = items.length > 0 && !before && h("p.quiet", null, filtered ? "These are all that match." : "That is all that is kept.");
    view.foot.replaceChildren(h("div", null, none, far, more, end));
  };

  /** Nothing ever came: the code to paste, or the activity to create. */
  const nothing = () => {
    const example = last && last.example, id = fixed.activity || (example && example.activity_id);
    const box = h("div");
    if (!id) {
      me().then(({ snippet }) => box.replaceChildren(codeBox(snippet, "In the head of every page, once"))).catch((error) => box.replaceChildren(problem(error)));
      return empty("Nothing has arrived yet.", h("p", null, "No activity may be sent by websites so far."),
        h("p", null, h("a.button.first", { href: to({ page: "new" }, true) }, "New activity")),
        h("p.waiting", null, "Waiting for the first request. What is refused shows here too, with the reason."), box);
    }
    ask("activities/" + encodeURIComponent(id) + "/setup").then(({ code }) => {
      box.replaceChildren(codeBox(code.snippet, "Put this into your page's head"), codeBox(code.page, "And this where it happens"), h("p.quiet", null, HELD));
    }).catch((error) => box.replaceChildren(problem(error)));
    return empty("Nothing has arrived yet.", h("p.waiting", null, "Waiting for the first request. What is refused shows here too, with the reason."), box);
  };

  return {
    root: view.root,
    get paused() { return paused; },

    /**
     * Show what the address asks for.
     * @param {Record<string, string>} here @param {AbortSignal} gone
     */
    async show(here, gone) {
      turning.abort();
      turning = new AbortController();
      gone.addEventListener("abort", () => turning.abort());
      const given = Object.fromEntries(FILTERS.filter((name) => here[name]).map((name) => [name, here[name]]));
      wanted = { ...given, ...fixed };
      const print = JSON.stringify(wanted), other = print !== asked;
      if (other) {
        asked = print;
        cursor = before = "";
        loaded = false;
      }
      const opened = view.show(here.open, gone);
      if (other && paused) await turn();
      if (paused) freshness("paused");
      else await this.go();
      await opened;
    },

    /** Ask, now and again. */
    async go() {
      let kept = loaded;
      await poll(async () => {
        try {
          await turn();
        } catch (error) {
          // What is shown stays shown; the next turn says that the server is away.
          if (!(kept && error instanceof ApiError && (error.status === 0 || error.status >= 500))) throw error;
        }
        kept = false;
      }, EVERY, turning.signal);
    },

    /**
     * Stop asking, or go on.
     * @param {AbortSignal} gone
     */
    async pause(gone) {
      paused = !paused;
      turning.abort();
      turning = new AbortController();
      gone.addEventListener("abort", () => turning.abort());
      if (paused) freshness("paused");
      else await this.go();
    }
  };
}

/** @param {Row[]} rows @returns {Row[]} newest first; what came at the same time stays as it is */
const inOrder = (rows) => rows
  .map((row, index) => ({ row, index, at: Date.parse(row.at) }))
  .sort((a, b) => b.at - a.at || a.index - b.index)
  .map(({ row }) => row);
