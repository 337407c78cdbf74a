// @ts-check
/**
 * People: find one by address or id; who was there last.
 *
 * The law of this file: an address is sent in a body, when the reader says so, and never stands in
 * an address: it would end in histories and logs. The page of a person is named by the person's id.
 */
import { ask, codeBox, empty, go, h, me, to } from "../core.js";
import { field, form, input } from "../form.js";
import { ago, bdi, count, plural } from "../format.js";
import { list, whole } from "../table.js";
import { assurance } from "../words.js";

/**
 * @typedef {{person_id: string, person: string, identifiers: {kind: string, value: string}[],
 *   first: string | null, last: string | null, assurance: string, created_at: string,
 *   activities: number, more: boolean, last_seen: string | null, masked: boolean}} Person
 */

/** What kinds of identifiers are called. */
const KINDS = /** @type {Record<string, string>} */ ({ email: "address", ei: "external id" });

/** @param {string} kind */
export const kindOf = (kind) => KINDS[kind] || kind;

/** @param {Person} person */
export const nameOf = ({ first, last, person }) => [first, last].filter(Boolean).join(" ") || person;

/** @param {HTMLElement} main @param {Record<string, string>} here @param {AbortSignal} gone */
export async function show(main, here, gone) {
  document.title = "People";
  const search = input({ type: "search", placeholder: "visitor@example.com", maxlength: 254 });
  const said = h("p.hint", { role: "status" });
  const table = list({
    label: "People",
    columns: [{ name: "Person" }, { name: "Also known by", kind: "fold" }, { name: "Identity", kind: "small fold" }, { name: "Activities", kind: "number small fold" }, { name: "Last seen", kind: "number middle" }],
    key: (/** @type {Person} */ each) => each.person_id,
    cells: (each) => [
      whole(to({ page: "person", id: each.person_id }, true), bdi(nameOf(each))),
      each.identifiers.filter(({ value }) => value !== nameOf(each)).map(({ kind, value }, index) => [index > 0 && ", ", h("span.quiet", null, kindOf(kind)), " ", bdi(value)]),
      assurance(each.assurance)[0], count(each.activities) + (each.more ? "+" : ""), ago(each.last_seen)]
  });
  const place = h("div"), heading = h("h2", null, "Active last");

  /** @param {Person[]} people */
  const draw = (people) => {
    table.show(people);
    place.replaceChildren(heading, table.element);
  };
  const find = async () => {
    const text = search.value.trim();
    if (!text) return latest();
    /** @type {{people: Person[]}} */
    const { people } = await ask("people", { body: { find: text }, signal: gone });
    if (people.length === 1) return go({ page: "person", id: people[0].person_id }, { fresh: true });
    said.textContent = people.length ? plural(people.length, "person", "people") + " found." : "No person has this address or id. They match exactly.";
    heading.textContent = "Found";
    if (people.length) draw(people);
    return undefined;
  };
  const latest = async () => {
    const { people } = await ask("people", { signal: gone });
    said.textContent = "";
    heading.textContent = "Active last";
    if (people.length) return draw(people);
    return place.replaceChildren(empty("No person is known yet.",
      h("p", null, "A page tells who its visitor is, with the address that a form was sent with or that your login knows."),
      h("p", null, h("a", { href: to({ page: "live" }, true) }, "Watch what arrives")),
      codeBox((await me()).snippet, "In the head of every page, once"),
      codeBox('ap3c.track({"email": "user@emaildomain.com"});', "Where the visitor says who they are")));
  };

  main.replaceChildren(
    h("header.head", null, h("h1", null, "People")),
    form(find, h("div.find", { role: "search" }, field("Find by e-mail address or id", search), h("button.button.first", null, "Find")), h("div.errors")),
    said, place);
  await latest();
}
