// @ts-check
/**
 * The Setup of an activity: code to paste, whether it arrives, its attributes and limits.
 *
 * The law of this file: the code is the server's own, with harmless values; that an activity came
 * through, or was refused, is told without a reload.
 */
import { ask, codeBox, h, me, poll, to } from "../core.js";
import { typeOf } from "../draft.js";
import { toggle } from "../form.js";
import { ago, bdi, count } from "../format.js";
import { explain, HELD } from "../words.js";
import { switchSource, whyNot } from "./activities.js";

/** Seconds between two looks at whether it arrived. */
const EVERY = 2;

/**
 * @param {HTMLElement} body
 * @param {any} kept the answer of `api/activities/{id}`
 * @param {AbortSignal} gone
 */
export async function setup(body, kept, gone) {
  const { definition } = kept, path = "activities/" + encodeURIComponent(definition.id);
  const [reader, { code, schema, limits, close, waiting }] = await Promise.all([me(), ask(path + "/setup", { signal: gone })]);
  const why = whyNot(reader) || (kept.switchable ?? kept.editable ? "" : kept.why_not);
  const arrival = h("div", { role: "status" });
  const off = !definition.client_side && !definition.archived && h("div.notice.warning", null,
    h("strong", null, "Websites may not send it: "), "they are answered 404 until its client-side source is on. ",
    why || h("span.line", null, "Let websites send it ", toggle("Let websites send it", false, (on) => switchSource(definition.id, on))));
  body.replaceChildren(...[
    definition.archived && h("p.notice", null, "It is archived: it is kept with its history, and no longer accepted."),
    off, arrival,
    h("h2", null, "From your pages"),
    codeBox(code.snippet, "1. In the head of every page, once"),
    codeBox(code.page, "2. Where it happens"),
    h("p.quiet", null, HELD),
    h("details", null, h("summary", null, "With the old tracking code"),
      h("p.quiet", null, "It has no shim for activities, so the call waits for the script:"), codeBox(code.old, "Where it happens")),
    h("h2", null, "From your server"),
    codeBox(code.python, "Python, in the program that has the capture"),
    h("div.columns", null,
      h("section", null, h("h2", null, "Limits"), h("table.plain", null, h("tbody", null, limits.map((/** @type {any} */ each) => h("tr", null,
        h("th", { scope: "row" }, each.limit === "person" ? "Each person" : "Each IP address"),
        h("td", null, each.quota), h("td.quiet", null, each.own ? "its own" : "of the account"))))),
      h("p.quiet", null, "Days and hours of limits are those of UTC.")),
      h("section", null, h("h2", null, "Close to a limit today"), close.length
        ? h("table.plain", null, h("tbody", null, close.map((/** @type {any} */ each) => h("tr", null,
          h("th", { scope: "row" }, h("a", { href: to({ page: "person", id: each.person_id }, true) }, bdi(each.person))),
          h("td.number", null, count(each.taken) + " of " + count(each.amount)),
          h("td.number.quiet", null, "opens " + new Date(each.opens_at).toISOString().slice(11, 16) + " UTC")))))
        : h("p.quiet", null, "No person has used four fifths of theirs."))),
    h("h2", null, "Attributes"),
    definition.attributes.length ? h("table.plain.declared", null,
      h("thead", null, h("tr", null, ["Name", "Key", "Type", "Rules"].map((each) => h(each === "Type" ? "th.fold" : "th", { scope: "col" }, each)))),
      h("tbody", null, definition.attributes.map((/** @type {any} */ each) => h("tr", null,
        h("th", { scope: "row" }, bdi(each.name)), h("td", null, h("code", null, each.key)), h("td.fold", null, typeOf(each.key)),
        h("td.quiet", null, [each.required && "required", each.sensitive && "sensitive"].filter(Boolean).join(", "))))))
      : h("p.quiet", null, "It carries none."),
    h("p.quiet", null, definition.unknown_attributes === "drop" ? "Other attributes are left out." : "With other attributes it is refused.",
      definition.needs === "verified" && " It is taken only of people for whom your site vouches."),
    h("details", null, h("summary", null, "JSON Schema"), codeBox(JSON.stringify(schema, null, 2), "Of its attributes"))
  ].filter(/** @returns {each is HTMLElement} */ (each) => each instanceof HTMLElement));
  if (!waiting) return;
  let done = false;
  await poll(async () => {
    if (done) return;
    const { rows } = await ask("feed?activity=" + encodeURIComponent(definition.id), { signal: gone });
    const came = rows.find((/** @type {any} */ each) => each.kind === "accepted"), refused = rows.find((/** @type {any} */ each) => (each.kind === "refused" && !(definition.client_side && each.reason === "disabled")) || each.kind === "failed");
    done = Boolean(came);
    tell(arrival, definition.id, came, refused);
  }, EVERY, gone);
}

/** @param {Element} arrival @param {string} id @param {any} came @param {any} refused */
function tell(arrival, id, came, refused) {
  const state = came ? "came" : refused ? refused.key : "waiting";
  if (arrival.getAttribute("data-state") === state) return;
  arrival.setAttribute("data-state", state);
  const feed = h("a", { href: to({ page: "activity", id, tab: "activity" }, true) }, "See it");
  if (came) {
    const badge = document.querySelector("main .status.setup");
    if (badge) badge.replaceWith(h("span.status.live", null, "Live"));
    arrival.replaceChildren(h("p.notice.good", null, h("strong", null, "The first activity arrived"), " ", ago(came.at), ". ", feed));
  } else if (refused) {
    const [what, remedy] = explain(refused);
    arrival.replaceChildren(h("p.notice.warning", null, h("strong", null, "One was refused, " , ago(refused.at), ": "), what, " ", remedy, " ", feed));
  } else arrival.replaceChildren(h("p.notice.waiting", null, "Waiting for the first activity…"));
}
