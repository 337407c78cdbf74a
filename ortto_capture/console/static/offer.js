// @ts-check
/**
 * What a question may be made of: activities, their attributes, audiences; and what they are called.
 *
 * The law of this file: attributes are asked for when an activity is chosen, and once.
 */
import { ask, me } from "./core.js";
import { capital } from "./question.js";

/** @typedef {{key: string, name: string, sensitive?: boolean}} Attribute */
/** @typedef {[value: string, words: string, disabled?: boolean]} Choice */
/**
 * What may be chosen. `attributes` answers what is known, and calls `then` when there is more.
 * @typedef {{activities: Choice[], audiences: Choice[], pii: boolean, names: import("./question.js").Names,
 *   attributes: (ids: string[], then: () => void) => Attribute[]}} Offer
 */

/**
 * Ask the server what may be chosen.
 * @param {AbortSignal} gone
 * @returns {Promise<Offer>}
 */
export async function offered(gone) {
  const [{ activities }, { audiences }, { scopes }] = await Promise.all([
    ask("activities?archived=1", { signal: gone }), ask("audiences", { signal: gone }), me()]);
  /** @type {Map<string, Attribute[]>} */
  const known = new Map();
  /** @type {Choice[]} */
  const chosen = activities.map((/** @type {any} */ each) => [each.id, each.name + (each.archived ? " (archived)" : "")]);
  /** @type {Choice[]} */
  const saved = audiences.map((/** @type {any} */ each) => [each.name, each.title]);
  const called = (/** @type {Choice[]} */ choices, /** @type {string} */ value) => (choices.find(([each]) => each === value) || [value, value])[1];
  return {
    activities: chosen, audiences: saved, pii: scopes.includes("pii"),
    attributes: (ids, then) => ids.flatMap((id) => {
      if (!known.has(id) && chosen.some(([each]) => each === id)) {
        known.set(id, []);
        ask(`activities/${encodeURIComponent(id)}`, { signal: gone })
          .then(({ definition }) => { known.set(id, definition.attributes); then(); }, () => known.delete(id));
      }
      return known.get(id) || [];
    }),
    names: {
      activity: (id) => called(chosen, id),
      audience: (name) => called(saved, name),
      attribute: (key) => ([...known.values()].flat().find((each) => each.key === key) || { name: capital(key.replace(/^.*:/, "").replace(/-/g, " ")) }).name,
    },
  };
}
