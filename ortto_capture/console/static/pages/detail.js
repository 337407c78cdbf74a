// @ts-check
/**
 * Everything about one request: what became of it and why, its attributes, its person.
 *
 * The law of this file: values are masked until a reader with the scope `pii` asks for them, which
 * the server records; a row that was unmasked is masked again when another one is shown.
 */
import { ApiError, ask, can, copyButton, h, me, problem, say, to } from "../core.js";
import { ago, attribute, bdi, count, exact } from "../format.js";
import { assurance, explain, meaning, outcome } from "../words.js";
import { badge, fold, shape, title } from "./rows.js";

/** @typedef {import("./rows.js").Row} Row */
/**
 * @typedef {{row: Row, stopped_at: {row: number, check: string} | null,
 *   limit: {name: string, quota: string, opens_at: string} | null, did_you_mean: string | null,
 *   others: Row[], maskable: boolean}} Answer
 */

/** Characters of a value that are shown at first. */
const SHOWN = 1000;
/** How many checks a request goes through. */
const CHECKS = 14;

/**
 * @param {HTMLElement} pane
 * @param {{filters?: boolean, person?: string}} how `filters`: offer to show only rows like this
 *   one; `person`: whose page this is
 */
export function detail(pane, { filters = false, person = "" } = {}) {
  let shown = "", turn = 0, whole = false;
  return {
    /** @param {string} key @param {Row | undefined} row what is known already @param {AbortSignal} gone @param {() => void} close */
    async show(key, row, gone, close) {
      if (shown === key && whole) return;
      const mine = ++turn;
      shown = key;
      whole = false;
      /** @param {...import("../core.js").Child} children */
      const fill = (...children) => {
        const at = [...pane.querySelectorAll("button, a")].indexOf(/** @type {Element} */ (document.activeElement));
        pane.replaceChildren(h("button.button.close", { type: "button", onclick: close, "aria-label": "Close the details" }, "Close"));
        pane.append(...children.flat(9).filter((each) => each instanceof Node));
        const heir = at < 0 ? null : pane.querySelectorAll("button, a")[at];
        if (heir instanceof HTMLElement) heir.focus({ preventScroll: true });
      };
      fill(row && head(row));
      try {
        const [answer, reader, pii] = await Promise.all([
          /** @type {Promise<Answer>} */ (ask("feed/" + encodeURIComponent(key), { signal: gone })), me(), can("pii")]);
        const names = await namesOf(answer.row);
        if (mine !== turn) return;
        whole = true;
        /** @param {Row} now */
        const draw = (now) => fill(body(answer, now, names, {
          filters, person, canCreate: reader.scopes.includes("write") && reader.definitions.writable,
          unmask: pii && answer.maskable && now === answer.row ? async () => {
            const { row: unmasked } = await ask("unmask", { body: { key } });
            if (mine !== turn) return;
            draw(unmasked);
            say("Shown, and recorded.");
          } : null
        }));
        draw(answer.row);
      } catch (error) {
        if (mine !== turn || gone.aborted) return;
        const lost = error instanceof ApiError && error.status === 404;
        fill(row && head(row), lost
          ? h("section.problem", null, h("h2", null, "This row is not kept any more."), h("p", null, "Of refused, identified and repeated requests only the latest are kept. Activities go when they are too old, or when their person is erased."))
          : problem(error, () => { void this.show(key, row, gone, close); }));
      }
    }
  };
}

/**
 * Attributes by the names that people read.
 * @param {Row} row @returns {Promise<Record<string, string>>}
 */
async function namesOf(row) {
  if (!row.activity_id || !row.name || !row.attributes || !Object.keys(row.attributes).length) return {};
  try {
    const { definition } = await ask("activities/" + encodeURIComponent(row.activity_id));
    return Object.fromEntries(definition.attributes.map((/** @type {any} */ each) => [each.key, each.name]));
  } catch {
    return {}; // The slugs of the keys will do.
  }
}

/** @param {Row} row */
const head = (row) => h("header", null,
  h("p.line", null, badge(row.kind), row.status && h("span.quiet", null, row.status + (row.code && row.code !== row.kind ? " " + row.code : "")), ago(row.at)),
  h("h2", null, bdi(title(row))),
  row.activity_id && row.activity_id !== title(row) && h("p", null, row.name
    ? h("a", { href: to({ page: "activity", id: row.activity_id }, true) }, h("code", null, bdi(row.activity_id)))
    : h("code", null, bdi(row.activity_id))));

/**
 * @param {Answer} answer @param {Row} row the row of the answer, or the same unmasked
 * @param {Record<string, string>} names
 * @param {{filters: boolean, person: string, canCreate: boolean, unmask: (() => Promise<void>) | null}} how
 */
function body(answer, row, names, how) {
  const { stopped_at: stopped, limit, did_you_mean: meant } = answer;
  const hosts = row.source === "server";
  const bad = row.kind === "refused" || row.kind === "failed";
  const [what, remedy] = bad ? explain({ code: row.code || "", reason: row.reason }) : [outcome(row.code || row.kind), ""];
  return [
    head(row),
    h("section.became", null,
      what && h("p", null, bad ? h("strong", null, what) : what), remedy && h("p", null, remedy),
      meant && h("p", null, "Did you mean ", h("a", { href: to({ page: "activity", id: meant }, true) }, h("code", null, meant)), "?"),
      row.reason === "unknown-activity" && row.activity_id && how.canCreate && h("p", null,
        h("a", { href: to({ page: "new", id: row.activity_id }, true) }, "Create ", h("code", null, bdi(row.activity_id)))),
      limit && h("p", null, limitWords(limit)),
      (row.notes || []).map((note) => h("p", null, meaning(note)))),
    facts([
      ["Attribute", row.field && h("code", null, bdi(row.field))], ["Expected", row.expected && bdi(row.expected)],
      ["Stopped at", stopped && `check ${stopped.row} of ${CHECKS}: ${stopped.check}`]]),
    attributes(row, names),
    facts([
      ["Person", row.person_id ? h("a", { href: to({ page: "person", id: row.person_id }, true) }, bdi(row.person || row.person_id)) : "not known"],
      ["Identity", row.assurance && assurance(row.assurance).join(": ")],
      ["Occurred", row.occurred_at && exact(row.occurred_at)], ["Received", exact(row.received_at || row.at)],
      ["Capture key", row.source && !hosts && h("code", null, bdi(row.source))],
      ["Event id", row.event_id && h("code", null, bdi(row.event_id))], ["Sent by", hosts ? "the host itself" : row.route && "ap3c." + row.route]]),
    h("p.actions", null,
      copyButton(() => JSON.stringify(row, null, 2), "Copy as JSON"),
      how.unmask && h("button.button", { type: "button", title: "That you looked is recorded.", onclick: pressed(how.unmask) }, "Show masked values"),
      how.filters && row.activity_id && h("a.button", { href: to({ activity: row.activity_id, open: null }) }, "Only this activity"),
      how.filters && row.person_id && h("a.button", { href: to({ person: row.person_id, open: null }) }, "Only this person")),
    how.unmask && h("p.hint", null, "Masked values are shown on request, and the request is recorded."),
    others(answer, how.person)
  ];
}

/**
 * What works on a button waits, and says below it why it failed.
 * @param {() => Promise<void>} work
 */
export const pressed = (work) => async (/** @type {Event} */ event) => {
  const button = /** @type {HTMLButtonElement} */ (event.currentTarget), place = button.parentElement;
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (place) place.append(problem(error));
  }
  button.disabled = false;
};

/** @param {{name: string, quota: string, opens_at: string}} limit */
function limitWords({ name, quota, opens_at }) {
  const wait = Math.ceil((Date.parse(opens_at) - Date.now()) / 60000), at = exact(opens_at).replace(/:\d\d\.\d+/, "");
  const rest = wait <= 0 ? "It opened again at " + at + "."
    : `It opens again at ${at}, in ${wait < 60 ? wait + " min" : Math.round(wait / 60) + " h"}.`;
  return [h("code", null, name.replaceAll("-", "_")), ` is ${quota}, counted in UTC. ${rest}`];
}

/** @param {(readonly [string, import("../core.js").Child])[]} given what is empty is left out */
function facts(given) {
  const there = given.filter(([, value]) => value);
  return there.length > 0 && h("dl.known", null, there.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

/** @param {Row} row @param {Record<string, string>} names */
function attributes(row, names) {
  const all = Object.entries(row.attributes || {});
  return all.length > 0 && h("table.carried", null, h("caption", null, "Attributes"), h("tbody", null, all.map(([key, value]) =>
    h("tr", null, h("th", { scope: "row", title: key }, bdi(names[key] || key.slice(key.lastIndexOf(":") + 1))), h("td", null, long(attribute(value)))))));
}

/**
 * A value, of which much is shown on request.
 * @param {string} text
 */
function long(text) {
  if (text.length <= SHOWN) return bdi(text);
  const box = h("span", null, bdi(text.slice(0, SHOWN) + "…"), " ", h("button.button.rest", { type: "button", onclick: () => box.replaceChildren(bdi(text)) },
    "Show all " + count(text.length) + " characters"));
  return box;
}

/**
 * What else this person did.
 * @param {Answer} answer @param {string} person whose page this is
 */
function others({ row, others: rows }, person) {
  if (!row.person_id || row.person_id === person || !rows.length) return null;
  return h("section.others", null, h("h3", null, "This person also"), h("ol", null, fold(rows, new Set()).map((each) => h("li", null,
    shape(each.kind), h("a", { href: to({ open: each.key }) }, bdi(title(each)), each.times > 1 && " × " + count(each.times)), ago(each.at)))));
}
