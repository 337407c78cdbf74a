// @ts-check
/**
 * All saved reports, and which of them stand on the Overview.
 *
 * The law of this file: a report is listed with its question in words; it is asked on its own page.
 */
import { ask, can, empty, h, say, to } from "../core.js";
import { fitting, wayName } from "../drawing.js";
import { toggle } from "../form.js";
import { bdi } from "../format.js";
import { offered } from "../offer.js";
import { questionWords } from "../question.js";
import { list, whole } from "../table.js";

/** @typedef {{name: string, title: string, question: any, draw: string, pinned: boolean, etag: string, problem: string}} Report */

/** Reports on the Overview. */
const MOST = 30;

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  document.title = "Reports";
  const [{ names }, write] = await Promise.all([offered(gone), can("write")]);
  const made = () => h("a.button.first", { href: to({ page: "report" }, true) }, "New report");
  const { element, show: fill } = list({
    label: "Reports", columns: [{ name: "Report" }, { name: "Drawn as", kind: "fold small" }, { name: "On Overview", kind: "middle" }],
    key: (/** @type {Report} */ each) => each.name,
    cells: (each) => [
      [whole(to({ page: "report", name: each.name }, true), bdi(each.title)),
        h("span.fold.quiet", null, each.question ? bdi(questionWords(each.question, names)) : "cannot be read any more")],
      each.question && wayName(fitting(each.question, each.draw)),
      toggle(`${each.title} on the Overview`, each.pinned, write ? (on) => pin(each, on) : null)],
  });
  const found = h("div");
  main.replaceChildren(h("header.head", null, h("h1", null, "Reports"), made()), found);
  const look = async () => {
    const { reports } = await ask("reports", { signal: gone });
    fill(reports);
    found.replaceChildren(reports.length ? element : empty("No reports",
      h("p", null, "A report is a question that is kept: how often, by how many people, split by what."), made()));
  };
  const pin = async (/** @type {Report} */ report, /** @type {boolean} */ on) => {
    await pinned(report.name, on);
    say(on ? "It stands on the Overview." : "It is off the Overview.");
    await look();
  };
  await look();
}

/**
 * Put a report on the Overview, at its end, or take it off.
 * @param {string} name
 * @param {boolean} on
 */
export async function pinned(name, on) {
  const { overview } = await ask("reports");
  const names = overview.names.filter((/** @type {string} */ each) => each !== name);
  if (on && names.length >= MOST) throw new Error(`The Overview holds ${MOST} reports. Take one off first.`);
  await ask("overview", { method: "PUT", body: { names: on ? [...names, name] : names }, etag: overview.etag });
}
