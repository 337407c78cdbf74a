// @ts-check
/**
 * Forms: labelled inputs, with what is wrong beside what is wrong.
 *
 * The law of this file: every input has a label; an error is tied to its input for eyes and ears;
 * no form is sent by the browser.
 */
import { ApiError, h, problem, say } from "./core.js";
import { visible } from "./format.js";

let last = 0;

/** @param {Record<string, any>} given attributes @returns {HTMLInputElement} */
export const input = (given) => /** @type {HTMLInputElement} */ (h("input", { autocomplete: "off", spellcheck: "false", ...given }));

/**
 * @param {readonly (readonly [string, string])[]} options value and words
 * @param {string} value the one that is chosen
 * @param {Record<string, any>} [given] attributes
 * @returns {HTMLSelectElement}
 */
export const select = (options, value, given) => /** @type {HTMLSelectElement} */ (
  h("select", given, options.map(([each, words]) => h("option", { value: each, selected: each === value }, visible(words)))));

/**
 * A label, its input, a hint, and room for an error.
 * @param {string} label
 * @param {HTMLElement} control an input, select or textarea
 * @param {{hint?: import("./core.js").Child, error?: string, name?: string}} [more] name: the member
 *   that an error of the server names
 */
export function field(label, control, more = {}) {
  const { hint, error, name } = more;
  const id = control.id || "f" + ++last;
  const wrong = h("p.wrong", { id: id + "-wrong", "aria-live": "polite" });
  control.id = id;
  control.setAttribute("aria-describedby", (hint ? id + "-hint " : "") + id + "-wrong");
  const box = h("div.field", { "data-field": name }, h("label", { for: id }, label), control,
    hint && h("p.hint", { id: id + "-hint" }, hint), wrong);
  if (error) mark(box, error);
  return box;
}

/** @param {Element} box of `field` @param {string} error "" for none */
export function mark(box, error) {
  const wrong = box.querySelector(":scope > .wrong"), control = box.querySelector(":scope > :is(input, select, textarea)");
  if (wrong) wrong.textContent = error;
  if (control && error) control.setAttribute("aria-invalid", "true");
  else if (control) control.removeAttribute("aria-invalid");
}

/**
 * The field of a member, or of what it is a part of: `attributes[2].key` is in that of `attributes[2]`.
 * @param {Element} form @param {string} member
 * @returns {Element | undefined}
 */
function placeOf(form, member) {
  const boxes = [...form.querySelectorAll("[data-field]")];
  for (let name = member; name; name = name.replace(/(?:\.|\[|^)[^.[]*$/, "")) {
    const found = boxes.find((box) => box.getAttribute("data-field") === name);
    if (found) return found;
  }
}

/**
 * Put an error where it belongs: beside the field that it names, else below all of them.
 * @param {Element} form in it a `.errors` for what belongs to no field
 * @param {unknown} error null takes away all errors
 */
export function showError(form, error) {
  const rest = form.querySelector(".errors");
  if (rest) rest.replaceChildren();
  form.querySelectorAll(".field").forEach((box) => mark(box, ""));
  if (!error) return;
  const named = error instanceof ApiError && placeOf(form, error.field);
  if (named && error instanceof Error) {
    mark(named, error.message);
    const control = named.querySelector("input, select, textarea");
    if (control instanceof HTMLElement) control.focus();
  } else if (rest) {
    rest.replaceChildren(problem(error));
    rest.scrollIntoView({ block: "nearest" });
  }
}

/**
 * Inputs that belong together.
 * @param {string} legend @param {...import("./core.js").Child} children
 */
export const fieldset = (legend, ...children) => h("fieldset", null, h("legend", null, legend), ...children);

/** @param {string} label @param {boolean} checked @param {Record<string, any>} [given] */
export const checkbox = (label, checked, given) =>
  h("label.check", null, h("input", { type: "checkbox", checked, ...given }), h("span", null, label));

/**
 * A switch. It turns at once, and back when the change fails.
 * @param {string} label @param {boolean} on
 * @param {((on: boolean) => Promise<unknown>) | null} change null: it cannot be changed here
 * @param {[string, string]} [words] beside it: off, on
 */
export function toggle(label, on, change, words = ["Off", "On"]) {
  const said = h("span", null, words[on ? 1 : 0]);
  /** @param {boolean} now */
  const turn = (now) => {
    button.setAttribute("aria-checked", String(now));
    said.textContent = words[now ? 1 : 0];
  };
  const button = h("button.switch", { type: "button", role: "switch", "aria-checked": String(on), "aria-label": label, disabled: !change, onclick: async () => {
    if (!change || button.getAttribute("aria-busy")) return;
    const now = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-busy", "true");
    turn(now);
    try {
      await change(now);
    } catch (error) {
      turn(!now);
      say(error instanceof Error ? "This stays as it was: " + error.message : "This stays as it was.");
    } finally {
      button.removeAttribute("aria-busy");
    }
  } }, said);
  return button;
}

/**
 * A form whose button says what it does. While it works the button waits; errors go to their fields.
 * @param {() => unknown} done what to do; may be async @param {...import("./core.js").Child} children
 */
export function form(done, ...children) {
  const element = h("form", { novalidate: true, onsubmit: async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const button = event.submitter instanceof HTMLButtonElement ? event.submitter : null;
    showError(element, null);
    if (button) button.disabled = true;
    try {
      await done();
    } catch (error) {
      showError(element, error);
    } finally {
      if (button) button.disabled = false;
    }
  } }, ...children);
  return element;
}
