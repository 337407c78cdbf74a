// @ts-check
/**
 * One report: the question as a sentence of choices, its answer drawn, and the same in Python.
 *
 * The law of this file: the question stands in the address, so a reload or a link asks the same. What is drawn is always
 * the answer to the question that is shown; while it is counted, the one before is drawn pale.
 */
import { ApiError, ask, can, codeBox, download, go, h, me, poll, problem, say, to } from "../core.js";
import { counted, refusal } from "../counting.js";
import { drawing, fitting, headline, single, wayName, ways } from "../drawing.js";
import { bdi, date } from "../format.js";
import { offered } from "../offer.js";
import { questionEditor } from "../query.js";
import { capital, missing, periodWords, pythonOf, questionWords, read, shorter, tidy } from "../question.js";
import { named, remove, save, unreadable } from "../saved.js";
import { pinned } from "./reports.js";

/** @typedef {import("../question.js").Question} Question */
/** @typedef {import("./reports.js").Report} Report */

/** Milliseconds without a change until the question is asked. */
const PAUSE = 300;
/** Seconds until an open report is asked again. */
const AGAIN = 60;

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  const [offer, { time_zone }, write, answer] = await Promise.all([offered(gone), me(), can("write"), here.name ? ask("reports", { signal: gone }) : null]);
  const saved = named(/** @type {Report[]} */ (answer ? answer.reports : []), here.name);
  const { names } = offer;
  const start = () => tidy(saved && saved.question || { activity: (offer.activities[0] || [])[0], by: "day" });
  /** @type {Question} */
  let question = read(here.q) || start();
  let draw = here.draw || (saved && saved.draw) || ways(question)[0];

  const heading = h("h1", null, bdi(saved ? saved.title : "New report"));
  const tools = h("p.tools"), drawn = h("div.drawn"), said = h("p.quiet.span"), python = h("div"), head = h("div.answer-head");
  const wrong = h("div", { "aria-live": "polite" });
  const editor = h("div");
  main.replaceChildren(
    h("p.crumbs", null, h("a.up", { href: to({ page: "reports" }, true) }, "← Reports")),
    h("header.head", null, heading, tools), unreadable(saved, "report"),
    editor, h("section.answer", { "aria-label": "Answer" }, head, wrong, drawn, said), python);
  document.title = saved ? saved.title : "New report";

  /** Whether it differs from what is saved. */
  const changed = () => !saved || JSON.stringify(question) !== JSON.stringify(tidy(saved.question)) || draw !== fitting(question, saved.draw);
  /** @type {any} the answer that is drawn */
  let latest = null;
  let asking = new AbortController(), timer = 0;

  /** What stands around the answer: the address, the buttons, the Python. */
  const frame = () => {
    if (!ways(question).includes(draw)) draw = ways(question)[0];
    const same = saved && !changed();
    go({ q: same ? null : JSON.stringify(question), draw: same ? null : draw }, { replace: true, quiet: true });
    tools.replaceChildren(...buttons());
    python.replaceChildren(missing(question) ? "" : codeBox(pythonOf("capture.reports.ask", { question }), "The same in Python"));
  };
  const paint = () => {
    if (!latest) return;
    const zone = question.time_zone || time_zone;
    const [figure, unit] = headline(question, latest);
    head.replaceChildren(h("p.total", null, h("strong", null, figure), " ", h("span.quiet", null, unit)), manners() || "");
    drawn.replaceChildren(single(question) ? "" : drawing(question, draw, latest, { names, zone, name: questionWords(question, names) }));
    said.textContent = `${date(seconds(latest.since), zone)} to ${date(Math.min(seconds(latest.until) - 1, Date.now() / 1000), zone)}, in ${zone}, by when it ${
      question.refusals ? "was refused." : "happened. What arrives late still changes past days."}`;
  };
  const manners = () => ways(question).length > 1 && h("div.choices", { role: "group", "aria-label": "Drawn as" }, ways(question).map((way) =>
    h("button", { type: "button", name: `way-${way}`, "aria-pressed": String(way === draw), onclick: () => {
      draw = way;
      frame();
      paint();
      focusOn(main, way);
    } }, wayName(way))));

  const once = async () => {
    const lacking = missing(question);
    if (lacking) return refuse(h("p.quiet", null, lacking));
    asking.abort();
    const mine = asking = new AbortController();
    const stop = () => mine.abort();
    gone.addEventListener("abort", stop);
    drawn.setAttribute("aria-busy", "true");
    try {
      const found = await counted("ask", question, mine.signal);
      if (mine !== asking || gone.aborted) return;
      wrong.replaceChildren();
      latest = found;
      paint();
    } catch (error) {
      if (mine !== asking || gone.aborted) return;
      if (!(error instanceof ApiError) || error.status === 401 || error.status === 0 || error.status >= 500) throw error;
      refuse(error.code === "too-long" ? tooLong() : refusal(error));
      mark(editor, error.field);
    } finally {
      gone.removeEventListener("abort", stop);
      if (mine === asking) drawn.removeAttribute("aria-busy");
    }
  };
  /** @param {Node} why */
  const refuse = (why) => {
    latest = null;
    head.replaceChildren();
    drawn.replaceChildren();
    drawn.removeAttribute("aria-busy");
    said.textContent = "";
    wrong.replaceChildren(why);
  };
  const tooLong = () => {
    const period = shorter(question.period);
    return h("section.problem", null, h("h2", null, "This takes too long to count."), h("p", null, "Ask for a shorter period", question.activity === undefined && !question.steps ? ", or for one activity instead of any." : "."),
      h("button.button", { type: "button", onclick: () => { 
        question = { ...question, period };
        edit();
        frame();
        later(0);
      } }, `Ask over ${periodWords(period)}`));
  };
  /** @param {number} wait */
  const later = (wait) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => once().catch((error) => {
      if (error instanceof ApiError && error.status !== 401) refuse(problem(error, () => later(0)));
      else dispatchEvent(new CustomEvent("page-failed", { detail: error }));
    }), wait);
  };
  gone.addEventListener("abort", () => clearTimeout(timer));

  const edit = () => editor.replaceChildren(questionEditor(question, offer, (next) => {
    if (ways(next)[0] !== ways(question)[0]) draw = ways(next)[0];
    question = next;
    mark(editor, "");
    frame();
    drawn.setAttribute("aria-busy", "true");
    later(PAUSE);
  }));

  const buttons = () => [
    write && h("button.button" + (changed() ? ".first" : ""), { type: "button", disabled: missing(question) !== "", onclick: () => save("report", saved, capital(questionWords(question, names)), { question, draw }) }, saved ? "Save…" : "Save report…"),
    saved && write && h("button.button", { type: "button", "aria-pressed": String(saved.pinned), onclick: () => attempt(async () => {
      await pinned(saved.name, !saved.pinned);
      saved.pinned = !saved.pinned;
      say(saved.pinned ? "It is on the Overview." : "It is off the Overview.");
      frame();
    }) }, saved.pinned ? "Unpin" : "Pin on Overview"),
    saved && h("button.button", { type: "button", disabled: changed(), title: changed() ? "Save it first" : null, onclick: () => attempt(() => download(`reports/${saved.name}/csv`, `${saved.name}.csv`)) }, "CSV"),
    saved && write && h("button.button", { type: "button", onclick: () => remove("report", saved, "The question goes, and its place on the Overview. The activities stay.") }, "Delete…"),
    !write && h("span.quiet", null, "Saving needs the scope write."),
  ].filter((each) => each instanceof Node).map((each) => /** @type {Node} */ (each));
  /** @param {() => Promise<unknown>} run */
  const attempt = (run) => run().catch((error) => wrong.replaceChildren(problem(error)));

  try {
    edit();
    frame();
  } catch (error) {
    // An address can hold anything.
    if (!here.q) throw error;
    question = start();
    edit();
    frame();
    say("The address held no question that can be shown.");
  }
  await poll(once, AGAIN, gone);
}

/** @param {string | number} time ISO 8601, or epoch seconds */
const seconds = (time) => typeof time === "number" ? time : Date.parse(time) / 1000;

/**
 * Mark the control that the server's refusal names.
 * @param {HTMLElement} editor
 * @param {string} name
 */
function mark(editor, name) {
  const plain = name.replace(/\.(all|any|not)(?=\.|$)/g, "");
  for (const control of editor.querySelectorAll("[name]"))
    if (plain && control.getAttribute("name") === plain) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
}

/**
 * @param {HTMLElement} main
 * @param {string} way
 */
function focusOn(main, way) {
  const button = main.querySelector(`[name="way-${way}"]`);
  if (button instanceof HTMLElement) button.focus();
}
