// @ts-check
/**
 * The first page: the reports that are pinned, in the reader's own order.
 *
 * The law of this file: reports are asked in their order, one after the other and at most once a minute; a report that
 * fails says so in its place and harms no other.
 */
import { ApiError, ask, can, codeBox, empty, go, h, me, poll, rows, say, to } from "../core.js";
import { counted, refusal } from "../counting.js";
import { drawing, headline, single, wide } from "../drawing.js";
import { bdi } from "../format.js";
import { offered } from "../offer.js";
import { questionWords, shorter, tidy } from "../question.js";
import { HELD } from "../words.js";

/** @typedef {import("./reports.js").Report} Report */

/** Seconds between two looks at all reports, and at whether the first activity has come. */
const AGAIN = 60, WAITING = 3;

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  document.title = "Overview";
  // All at once: what is asked one after the other, a reader waits for.
  const [{ activities }, write, { names }, { time_zone }] = await Promise.all([ask("activities", { signal: gone }), can("write"), offered(gone), me()]);
  if (!activities.some((/** @type {any} */ each) => each.status === "live")) return begin(main, activities, write, gone);

  const tiles = h("div.tiles"), none = h("div"), arrange = h("button.button", { type: "button", "aria-pressed": "false", onclick: () => toggle() }, "Arrange");
  const hint = h("p.quiet.hint-above", { hidden: true }, "Drag a report, or move it with its arrows or the arrow keys. Each move is saved.");
  main.replaceChildren(
    h("header.head", null, h("h1", null, "Overview"), h("p.tools", null, write && arrange, h("a.button", { href: to({ page: "report" }, true) }, "New report"))),
    hint, tiles, none);

  /** @type {Report[]} */ let shown = [];
  /** @type {string} */ let etag = "";
  let arranging = false;
  /** @type {Map<string, any>} what each tile shows */
  const answers = new Map();

  const tile = (/** @type {Report} */ report) => {
    const { name, title } = report;
    const box = h("section.tile", { "data-name": name, "aria-label": title },
      h("header", null, h("h2", null, h("a", { href: to({ page: "report", name }, true), draggable: "false" }, bdi(title))), h("p.total"), h("p.moves", null,
        [-1, 1].map((by) => h("button.handle", {
          type: "button", "aria-label": `Move ${title} ${by < 0 ? "up" : "down"}`, onclick: (/** @type {Event} */ event) => move(event, name, by),
          onkeydown: (/** @type {KeyboardEvent} */ event) => keys(event, name) }, by < 0 ? "↑" : "↓")),
        h("button.remove", { type: "button", "aria-label": `Unpin ${title}`, title: "Unpin", onclick: () => place(shown.filter((each) => each.name !== name), `${title} is off the Overview.`) }, "×"))),
      h("div.drawn", { "aria-busy": "true" }));
    box.addEventListener("dragstart", (event) => {
      box.classList.add("dragged");
      if (event.dataTransfer) event.dataTransfer.setData("text/plain", title);
    });
    box.addEventListener("dragend", () => {
      box.classList.remove("dragged");
      const order = [...tiles.children].map((each) => each.getAttribute("data-name"));
      place(order.map((each) => /** @type {Report} */ (shown.find((one) => one.name === each))), "Saved.");
    });
    box.addEventListener("dragover", (event) => {
      const dragged = tiles.querySelector(".dragged");
      event.preventDefault();
      if (!dragged || dragged === box) return;
      const before = Boolean(dragged.compareDocumentPosition(box) & Node.DOCUMENT_POSITION_PRECEDING);
      tiles.insertBefore(dragged, before ? box : box.nextSibling);
    });
    box.addEventListener("drop", (event) => event.preventDefault());
    if (answers.has(name)) fill(box, report, answers.get(name));
    box.draggable = arranging;
    return box;
  };

  /**
   * @param {Element} box
   * @param {Report} report
   * @param {any} answer
   */
  const fill = (box, { title, question, draw }, answer) => {
    const asked = tidy(question), body = /** @type {HTMLElement} */ (box.querySelector(".drawn"));
    body.removeAttribute("aria-busy");
    box.classList.toggle("wide", wide(asked, draw, answer));
    const [figure, unit] = headline(asked, answer), total = box.querySelector(".total");
    if (total && !single(asked)) total.replaceChildren(figure, " ", h("span.quiet", null, unit));
    box.classList.toggle("small", single(asked));
    body.replaceChildren(drawing(asked, draw, answer, { names, zone: asked.time_zone || time_zone, height: 160, name: title }),
      h("p.quiet.words", null, bdi(questionWords(asked, names))));
  };
  /**
   * @param {Element} box
   * @param {Report} report
   * @param {unknown} error
   */
  const fail = (box, { name, question }, error) => {
    const body = /** @type {HTMLElement} */ (box.querySelector(".drawn"));
    body.removeAttribute("aria-busy");
    if (error instanceof ApiError && error.code === "too-long") {
      const period = shorter(question.period);
      body.replaceChildren(h("p", null, "This takes too long to count."),
        h("p", null, h("a", { href: to({ page: "report", name, q: JSON.stringify({ ...question, period }) }, true) }, "Ask for a shorter period")));
    } else body.replaceChildren(refusal(error));
  };

  const redraw = () => {
    rows(tiles, shown, (each) => each.name, tile);
    none.replaceChildren(...(shown.length ? [] : [empty("Nothing is pinned", h("p", null, "Pin the reports that you look at every day. They stand here in your order."),
      h("p", null, h("a.button.first", { href: to({ page: "reports" }, true) }, "Choose reports")))]));
    arrange.hidden = !shown.length && !arranging;
  };
  const toggle = () => {
    arranging = !arranging;
    arrange.setAttribute("aria-pressed", String(arranging));
    arrange.textContent = arranging ? "Done" : "Arrange";
    hint.hidden = !arranging;
    tiles.classList.toggle("arranging", arranging);
    for (const each of tiles.children) /** @type {HTMLElement} */ (each).draggable = arranging;
  };

  let saving = Promise.resolve();
  /**
   * Show this order, save it, and say so.
   * @param {Report[]} order
   * @param {string} words
   */
  const place = (order, words) => {
    if (order.map((each) => each.name).join() === shown.map((each) => each.name).join()) return;
    shown = order;
    redraw();
    const names = order.map((each) => each.name);
    saving = saving.then(async () => {
      const answer = await ask("overview", { method: "PUT", body: { names }, etag });
      etag = answer.etag;
      say(words);
    }).catch(async (error) => {
      say(error instanceof ApiError && error.status === 412 ? "The order was changed elsewhere meanwhile. It is shown as it is now." : String(error.message || error));
      await look();
    });
  };
  /**
   * @param {KeyboardEvent} event
   * @param {string} name
   */
  const keys = (event, name) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -shown.length, End: shown.length }[event.key];
    if (!by) return;
    move(event, name, by);
  };
  /**
   * Move a report by so many places; focus stays on what was pressed.
   * @param {Event} event
   * @param {string} name
   * @param {number} by
   */
  const move = (event, name, by) => {
    event.preventDefault();
    const pressed = /** @type {HTMLElement} */ (event.currentTarget);
    const from = shown.findIndex((each) => each.name === name), at = Math.max(0, Math.min(shown.length - 1, from + by));
    const order = shown.filter((each) => each.name !== name);
    order.splice(at, 0, shown[from]);
    place(order, `${order[at].title}: place ${at + 1} of ${order.length}.`);
    pressed.focus();
  };

  const look = async () => {
    const { reports, overview } = await ask("reports", { signal: gone });
    etag = overview.etag;
    shown = overview.names.map((/** @type {string} */ name) => reports.find((/** @type {Report} */ each) => each.name === name)).filter(Boolean);
    redraw();
  };
  await poll(async () => {
    await saving;
    await look();
    for (const report of shown) {
      const box = () => tiles.querySelector(`[data-name="${CSS.escape(report.name)}"]`);
      try {
        const answer = await counted(`reports/${report.name}/answer`, undefined, gone);
        const there = box();
        if (there && answers.get(report.name) !== answer) fill(there, report, answer);
        answers.set(report.name, answer);
      } catch (error) {
        const there = box();
        if (gone.aborted || !(error instanceof ApiError) || error.status === 0 || error.status === 401) throw error;
        answers.delete(report.name);
        if (there) fail(there, report, error);
      }
    }
  }, AGAIN, gone);
}

/**
 * Before the first activity: what to do, and the page that turns by itself when it has come.
 * @param {HTMLElement} main
 * @param {any[]} activities
 * @param {boolean} write
 * @param {AbortSignal} gone
 */
async function begin(main, activities, write, gone) {
  const { snippet } = await me();
  const ready = activities.find((each) => each.client_side) || activities[0];
  const { code } = ready ? await ask(`activities/${encodeURIComponent(ready.id)}/setup`, { signal: gone }) : { code: null };
  main.replaceChildren(h("header.head", null, h("h1", null, "Overview")),
    ready
      ? empty("Waiting for the first activity…",
        h("p", null, "Paste this into your pages. When one of them sends ", h("b", null, bdi(ready.name)), ", the first reports stand here. ", HELD),
        codeBox(code.page.startsWith("<") ? `${code.snippet}\n${code.page}` : `${code.snippet}\n<script>\n${code.page}\n</script>`, `Code for ${ready.name}`),
        h("p.tools", null, h("a.button", { href: to({ page: "activity", id: ready.id, tab: "setup" }, true) }, "All of its code"),
          write && h("a.button", { href: to({ page: "new" }, true) }, "New activity")))
      : empty("No activities yet",
        h("p", null, "An activity is something that people do: log in, sign up, buy. Say which ones your website may send, paste a few lines into its pages, and see here what comes."),
        h("p", null, write ? h("a.button.first", { href: to({ page: "new" }, true) }, "New activity") : "Making one needs the scope write."),
        h("p.waiting", null, "Waiting for the first activity…"), codeBox(snippet, "In the head of every page, once")));
  await poll(async () => {
    const answer = await ask("activities", { signal: gone });
    if (answer.activities.some((/** @type {any} */ each) => each.status === "live") || answer.activities.length !== activities.length) go({}, { replace: true });
  }, WAITING, gone);
}
