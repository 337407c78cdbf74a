// @ts-check
/**
 * One person: who it is, what they did, and what may be done about what is kept.
 *
 * The law of this file: what cannot be undone is said in full before it is done, and is confirmed by
 * what only a reader who means this very person can write.
 */
import { ApiError, ask, can, dialog, download, h, problem, say, to } from "../core.js";
import { field, input, mark } from "../form.js";
import { ago, bdi, count, plural } from "../format.js";
import { figure, list, whole } from "../table.js";
import { assurance } from "../words.js";
import { pressed } from "./detail.js";
import { kindOf, nameOf } from "./people.js";
import { stream } from "./stream.js";

/** @typedef {import("./people.js").Person} Person */
/** @typedef {import("./rows.js").Row} Row */
/** @typedef {{activity_id: string, name: string | null, count: number, first: string, last: string}} Did */

/** @type {ReturnType<typeof page> | null} the page, while it is there */
let kept = null;

/** @param {HTMLElement} main @param {Record<string, string>} here @param {AbortSignal} gone */
export async function show(main, here, gone) {
  if (!kept || kept.id !== here.id || !main.contains(kept.root)) {
    document.title = "Person";
    kept = page(here.id || "");
    main.replaceChildren(kept.root);
    await kept.load(gone);
  }
  await kept.show(here, gone);
}

/** @param {string} id */
function page(id) {
  const api = "people/" + encodeURIComponent(id);
  const timeline = stream("What this person did, newest first", { person: id });
  const head = h("div"), root = h("div.person", null, head);
  /** @type {Row[]} */
  let items = [];
  let before = "";

  const older = async () => {
    try {
      const answer = await ask(api + "/timeline?" + new URLSearchParams({ before }));
      items = [...items, ...answer.rows];
      before = answer.before;
      timeline.draw(items);
      foot();
    } catch (error) {
      timeline.foot.replaceChildren(problem(error, () => { void older(); }));
    }
  };
  const foot = () => timeline.foot.replaceChildren(
    before ? h("button.button", { type: "button", onclick: older }, "Load older")
      : h("p.quiet", null, items.length ? "That is all that is kept." : "Nothing is kept of what this person did."));

  /** @param {Person} person @param {{pii: boolean, erase: boolean}} may */
  const drawHead = (person, may) => {
    const name = nameOf(person), [proved, meaning] = assurance(person.assurance);
    document.title = person.person;
    head.replaceChildren(
      h("p.crumbs", null, h("a.up", { href: to({ page: "people" }, true) }, "← People")),
      h("header.head", null,
        h("div", null, h("h1", null, bdi(name)), h("p.line", null, h("code", null, bdi(person.person_id)))),
        h("p.actions", null,
          may.pii && person.masked && h("button.button", { type: "button", title: "That you looked is recorded.", onclick: pressed(async () => {
            drawHead((await ask("unmask", { body: { person_id: id } })).person, may);
            say("Shown, and recorded.");
          }) }, "Show masked values"),
          may.pii && h("button.button", { type: "button", title: "That you exported is recorded.", onclick: pressed(() => download(api + "/export", "person-" + id + ".json")) }, "Export"),
          may.erase && h("button.button.danger", { type: "button", onclick: () => erase(person) }, "Erase person"))),
      h("dl.figures", null,
        figure("Activities", count(person.activities)), figure("Last seen", ago(person.last_seen)),
        figure("First identified", ago(person.created_at)),
        figure("Identity", proved, meaning)),
      h("dl.known", null, person.identifiers.map(({ kind, value }) => [h("dt", null, kindOf(kind)), h("dd", null, bdi(value))])),
      h("p.hint", { hidden: may.pii || !person.masked }, "Values are masked. To see them, and to export, a reader needs the scope pii."));
  };

  /** @param {Person} person */
  const erase = async (person) => {
    const typed = input({ name: "confirm", onkeydown: (/** @type {KeyboardEvent} */ event) => {
      // The first button of a dialog is the one that cancels.
      const button = event.key === "Enter" && typed.form && typed.form.querySelector(".danger");
      if (!(button instanceof HTMLElement)) return;
      event.preventDefault();
      button.click();
    } });
    const box = field("Type the person's address or id, in full", typed);
    /** @type {{activities: number, complete: boolean} | null} */
    let done = null;
    await dialog({
      title: "Erase this person",
      body: h("div.erasing", null,
        h("p", null, h("strong", null, bdi(person.person)), " will be erased, with all identifiers, ", plural(person.activities, "activity", "activities"), ", and what was counted for limits."),
        h("p", null, "Refused requests stay, without the person. Reports and audiences count as if the person had never been there."),
        h("p", null, "This cannot be undone. That it was done is recorded, without the address."), box),
      actions: [{ label: "Erase person", kind: "danger", run: async () => {
        mark(box, "");
        try {
          done = await ask(api + "/erase", { body: { confirm: typed.value.trim() } });
        } catch (error) {
          if (!(error instanceof ApiError && error.code === "bad-confirmation")) throw error;
          mark(box, "This is neither the address nor the id of this person.");
          typed.focus();
          return false;
        }
        return true;
      } }]
    });
    if (done) erased(done);
  };

  /** @param {{activities: number, complete: boolean}} done */
  const erased = ({ activities, complete }) => {
    kept = null;
    document.title = "Erased";
    const heading = h("h1", { tabindex: "-1" }, "This person is erased");
    root.replaceChildren(h("p.crumbs", null, h("a.up", { href: to({ page: "people" }, true) }, "← People")), heading,
      h("p", null, plural(activities, "activity was", "activities were"), " removed, with all identifiers."),
      h("p", null, complete ? "Nothing of this person can be read in the store any more." : "Another connection was reading at that moment: the removed bytes are overwritten with the next change of the store."));
    heading.focus();
  };

  return {
    id, root,
    /** @param {AbortSignal} gone */
    async load(gone) {
      /** @type {[{person: Person, did: Did[]}, {rows: Row[], before: string}, boolean, boolean]} */
      const [{ person, did }, rows, pii, mayErase] = await Promise.all([
        ask(api, { signal: gone }), ask(api + "/timeline", { signal: gone }), can("pii"), can("erase")]);
      if (gone.aborted) return;
      ({ rows: items, before } = rows);
      drawHead(person, { pii, erase: mayErase });
      const table = list({
        label: "What this person did, by activity",
        columns: [{ name: "Activity" }, { name: "Times", kind: "number small" }, { name: "First", kind: "number middle fold" }, { name: "Last", kind: "number middle" }],
        key: (/** @type {Did} */ each) => each.activity_id,
        cells: (each) => [
          [whole(to({ page: "activity", id: each.activity_id }, true), bdi(each.name || each.activity_id)), " ", h("code.fold", null, bdi(each.activity_id))],
          count(each.count), ago(each.first), ago(each.last)]
      });
      table.show(did);
      root.replaceChildren(head, h("section", { hidden: !did.length }, h("h2", null, "What they did"), table.element),
        h("section", null, h("h2", null, "Timeline"), timeline.root));
      timeline.draw(items);
      foot();
    },
    /** @param {Record<string, string>} here @param {AbortSignal} gone */
    show: (here, gone) => timeline.show(here.open, gone)
  };
}
