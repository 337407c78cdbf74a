// @ts-check
/**
 * Questions that the server has to count for, in turn.
 *
 * The law of this file: one tab has one such question under way, because the server counts one at a time; where another
 * tab is being counted for, this one waits as long as it is told.
 */
import { ApiError, ask, h, problem } from "./core.js";

/** How often a busy server is asked again. */
const ATTEMPTS = 20;
/** @type {Promise<unknown>} */
let last = Promise.resolve();

/**
 * Ask when everything before has been answered.
 * @param {string} path below `api/`
 * @param {any} body sent by POST; undefined for a GET
 * @param {AbortSignal} gone
 * @returns {Promise<any>} as `ask`; rejects when the page was left
 */
export function counted(path, body, gone) {
  const mine = last.then(() => patient(path, body, gone));
  last = mine.catch(() => null);
  return mine;
}

/**
 * @param {string} path
 * @param {any} body
 * @param {AbortSignal} gone
 */
async function patient(path, body, gone) {
  for (let attempt = 1; ; attempt += 1) {
    if (gone.aborted) throw new DOMException("This page was left.", "AbortError");
    try {
      return await ask(path, { body, signal: gone });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "busy" || attempt === ATTEMPTS) throw error;
      const wait = 1000 * Math.max(0.2, error.retryAfter);
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

/**
 * Why a question was not answered; what cannot be asked says what would be right.
 * @param {unknown} error
 * @returns {Node}
 */
export const refusal = (error) => error instanceof ApiError && error.code === "bad-query"
  ? h("section.problem", { role: "alert" }, h("h2", null, "This cannot be asked."), h("p", null, "What can: ", String(error.expected || error.message), "."))
  : problem(error);
