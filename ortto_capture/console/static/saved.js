// @ts-check
/**
 * What reports and audiences share: they are saved under a name, and removed.
 *
 * The law of this file: a name in an address is made once, from the title, and stays; what was changed meanwhile by
 * another reader is not written over.
 */
import { ApiError, ask, dialog, go, h, say } from "./core.js";
import { slug } from "./draft.js";
import { field, input, mark } from "./form.js";
import { bdi } from "./format.js";

/** @typedef {{name: string, title: string, etag: string, problem?: string}} Saved */

/**
 * The one of this name, if a name is given.
 * @template {Saved} T
 * @param {T[]} all
 * @param {string | undefined} name
 */
export function named(all, name) {
  const found = all.find((each) => each.name === name);
  if (name && !found) throw new ApiError(404, { code: "not-found", message: `Nothing is saved as ${name}.` }, 0);
  return found;
}

/**
 * Ask for a title, save, and show what is saved.
 * @param {"report" | "audience"} what
 * @param {Saved | undefined} saved what it was made of
 * @param {string} proposed a title
 * @param {object} content what is saved besides
 */
export async function save(what, saved, proposed, content) {
  const title = input({ value: saved ? saved.title : proposed.slice(0, 80), maxlength: 200 });
  const called = field("Name", title, { hint: "People read it in lists. You can change it later." });
  let name = "";
  const put = async (/** @type {string} */ as, /** @type {string} */ etag) => {
    const words = title.value.trim();
    mark(called, words ? "" : "Give it a name.");
    if (!words) return false;
    await ask(`${what}s/${as}`, { method: "PUT", body: { title: words, ...content }, etag });
    name = as;
    return true;
  };
  /** @type {{label: string, kind?: "first", run: () => unknown}[]} */
  const actions = [{ label: saved ? "Save as new" : "Save", run: () => put(slug(title.value) || `saved-${Date.now().toString(36)}`, "") }];
  if (saved) actions.unshift({ label: "Save", run: () => put(saved.name, saved.etag) });
  actions[0].kind = "first";
  await dialog({ title: `Save ${what}`, body: called, actions });
  if (!name) return;
  say("Saved.");
  go({ page: what, name }, { fresh: true, replace: true });
}

/** @type {(saved: Saved | undefined, what: string) => Node | string} what is wrong with what is stored, if anything */
export const unreadable = (saved, what) => saved && saved.problem
  ? h("p.notice.warning", null, `What is stored of this ${what} cannot be read: `, bdi(saved.problem), `. Saving replaces it.`) : "";

/**
 * Remove it, if the reader means it, and go to the others.
 * @param {"report" | "audience"} what
 * @param {Saved} saved
 * @param {string} words what that does
 */
export async function remove(what, { name, title, etag }, words) {
  const done = await dialog({ title: `Delete “${title}”?`, body: h("p", null, words), actions: [
    { label: `Delete ${what}`, kind: "danger", run: () => ask(`${what}s/${name}`, { method: "DELETE", etag }) }] });
  if (done) go({ page: `${what}s` }, { fresh: true });
}
