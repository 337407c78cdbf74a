// @ts-check
/**
 * The attributes of a definition, one row each: name, type, key.
 *
 * The law of this file: a key is proposed from the name until it is typed or saved; the key of an
 * attribute that is saved stays, since it is what pages send.
 */
import { h } from "../core.js";
import { proposedKey, TYPES } from "../draft.js";
import { checkbox, input, select } from "../form.js";

/** @typedef {import("../draft.js").Attribute} Attribute */

/**
 * @param {Attribute[]} begin @param {boolean} saved whether these are saved already
 * @param {(now: Attribute[]) => void} changed told whenever one changes
 */
export function attributesEditor(begin, saved, changed) {
  /** @type {{value: Attribute, row: HTMLElement}[]} */
  const there = [];
  const list = h("ol.attributes", { "aria-label": "Attributes" });
  const tell = () => {
    // An error of the server names an attribute by its place.
    there.forEach(({ row }, index) => row.setAttribute("data-field", "attributes[" + index + "]"));
    changed(there.map(({ value }) => value));
  };

  /** @param {Attribute} value @param {boolean} fixed */
  const add = (value, fixed) => {
    let own = value.key !== "" && value.key !== proposedKey(value.key.slice(0, 3), value.name);
    const propose = () => {
      if (!fixed && !own) value.key = key.value = proposedKey(type.value, name.value);
      tell();
    };
    const name = input({ value: value.name, "aria-label": "Name of the attribute", placeholder: "Name, such as Plan", oninput: () => {
      value.name = name.value;
      propose();
    } });
    const type = select(TYPES.map(([each, words]) => /** @type {[string, string]} */ ([each, words])), value.key.slice(0, 3) || "str", { "aria-label": "Type of the attribute", disabled: fixed, onchange: () => {
      if (own) value.key = key.value = type.value + key.value.slice(3);
      propose();
    } });
    const key = input({ class: "mono", value: value.key, "aria-label": "Key of the attribute", placeholder: "str:cm:plan", readonly: fixed, oninput: () => {
      value.key = key.value;
      own = key.value !== "";
      if (TYPES.some(([each]) => each === key.value.slice(0, 3))) type.value = key.value.slice(0, 3);
      tell();
    } });
    /** @param {"required" | "sensitive"} member @param {string} words @param {string} title */
    const flag = (member, words, title) => h("span", { title }, checkbox(words, value[member], { onchange: (/** @type {Event} */ event) => {
      value[member] = /** @type {HTMLInputElement} */ (event.target).checked;
      tell();
    } }));
    const row = h("li.field", null, name, type, key,
      flag("required", "Required", "An activity without it is refused"),
      flag("sensitive", "Sensitive", "Masked wherever people look"),
      h("button.button.text", { type: "button", "aria-label": "Remove " + (value.name || "this attribute"), onclick: () => {
        const at = there.findIndex((each) => each.row === row);
        there.splice(at, 1);
        row.remove();
        tell();
        const next = there[Math.min(at, there.length - 1)];
        /** @type {HTMLElement | null} */ (next ? next.row.querySelector("input") : more)?.focus();
      } }, "Remove"),
      h("p.wrong", { "aria-live": "polite" }));
    there.push({ value, row });
    list.append(row);
    return name;
  };

  const more = h("button.button", { type: "button", onclick: () => {
    const first = add({ key: "", name: "", required: false, sensitive: false }, false);
    tell();
    first.focus();
  } }, "Add an attribute");
  for (const each of begin) add(each, saved);
  there.forEach(({ row }, index) => row.setAttribute("data-field", "attributes[" + index + "]"));
  return { element: h("div", null, list, more) };
}
