// @ts-check
/**
 * A definition while it is written: what is proposed, what is compared, what two operators changed.
 *
 * The law of this file: pure functions of values; the server alone decides what a definition may be.
 */

/** @typedef {{key: string, name: string, required: boolean, sensitive: boolean}} Attribute */
/**
 * @typedef {{id: string, name: string, client_side: boolean, attributes: Attribute[],
 *   limits: Record<string, string> | null, unknown_attributes: string, icon: string | null,
 *   archived: boolean, needs: string, shown_as: string | null}} Definition
 */

/** The types of attributes, in plain words, and a value that a feed could show. */
export const TYPES = /** @type {const} */ ([
  ["str", "Text", "…"],
  ["txt", "Long text", "…"],
  ["int", "Whole number", "0"],
  ["bol", "Yes or no", "no"],
  ["dtz", "Date", "2026-01-31"],
  ["tme", "Time", "2026-01-31T12:00:00Z"],
  ["phn", "Telephone number", "+1 555 0100"],
  ["geo", "Place", "…"],
  ["sst", "List of choices", "…"],
  ["stl", "List of texts", "…"],
  ["obj", "Object of any shape", "{}"]
]);

/**
 * The words for the type of an attribute.
 * @param {string} key
 */
export const typeOf = (key) => (TYPES.find(([type]) => type === key.slice(0, 3)) || TYPES[0])[1];

/** @type {Definition} */
export const EMPTY = {
  id: "", name: "", client_side: false, attributes: [], limits: null, unknown_attributes: "reject",
  icon: null, archived: false, needs: "claimed", shown_as: null
};

/**
 * The last part of a proposed id or key: "Added to basket" is `added-to-basket`.
 * @param {string} name
 */
export const slug = (name) => name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
  .replace(/ß/g, "ss").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60).replace(/-+$/, "");

/**
 * @param {string} name
 * @returns {string} nothing, where the name has no letter that an id may have
 */
export const proposedId = (name) => (slug(name) ? "act:cm:" + slug(name) : "");

/**
 * The name that an id was proposed from, or nearly.
 * @param {string} id
 */
export function proposedName(id) {
  const words = id.slice(id.lastIndexOf(":") + 1).replace(/[-_]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {string} type @param {string} name */
export const proposedKey = (type, name) => (slug(name) ? type + ":cm:" + slug(name) : "");

/**
 * How an activity would read in a feed, with harmless values.
 * @param {Definition} definition
 */
export const reads = ({ name, shown_as, attributes }) => (shown_as || name).replace(/\{([^{}]*)\}/g, (whole, key) =>
  attributes.some((each) => each.key === key) ? (TYPES.find(([type]) => type === key.slice(0, 3)) || TYPES[0])[2] : whole);

/** @param {unknown} one @param {unknown} other */
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The members of a definition that an operator changes, in words. */
const MEMBERS = /** @type {const} */ ({
  name: "the name", client_side: "the client-side source", attributes: "the attributes", limits: "the limits",
  unknown_attributes: "what happens to other attributes", icon: "the icon", archived: "whether it is archived",
  needs: "whom it is taken of", shown_as: "how it reads"
});

/**
 * Put together what two operators made of the same definition: nothing that either changed is lost,
 * and where both changed one member, `mine` stays and is named.
 *
 * @param {Definition} base what both began with @param {Definition} mine @param {Definition} theirs
 * @returns {{merged: Definition, taken: string[], both: string[]}} the members that are theirs, and
 *   those that both changed, in words
 */
export function merge(base, mine, theirs) {
  const merged = { ...theirs };
  const taken = [], both = [];
  for (const [member, words] of Object.entries(MEMBERS)) {
    const name = /** @type {keyof typeof MEMBERS} */ (member);
    const changedHere = !same(base[name], mine[name]), changedThere = !same(base[name], theirs[name]);
    if (changedHere) Object.assign(merged, { [name]: mine[name] });
    if (changedThere && changedHere && !same(mine[name], theirs[name])) {
      both.push(typeof theirs[name] === "string" ? `${words} (theirs: “${theirs[name]}”)` : words);
    }
    if (changedThere && !changedHere) taken.push(words);
  }
  return { merged, taken, both };
}
