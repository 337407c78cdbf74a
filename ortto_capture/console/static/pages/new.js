// @ts-check
/**
 * A new activity, or a change of one: name, id, attributes, limits, and how it reads.
 *
 * The law of this file: what was typed is never lost: an error stands beside its field, and what
 * another operator saved meanwhile is put together with it.
 */
import { ApiError, ask, dialog, go, h, me, say, to } from "../core.js";
import { EMPTY, merge, proposedId, proposedName, reads } from "../draft.js";
import { checkbox, field, fieldset, form, input, select, toggle } from "../form.js";
import { bdi } from "../format.js";
import { icon, ICONS } from "../icons.js";
import { attributesEditor } from "./attributes.js";
import { whyNot } from "./activities.js";

/** @typedef {import("../draft.js").Definition} Definition */

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here edit: the id to be changed; id: of a new one, to begin with;
 *   from: the id of a template
 */
export async function show(main, here) {
  document.title = here.edit ? "Edit activity" : "New activity";
  const [reader, stored, templates] = await Promise.all([
    me(), here.edit ? ask("activities/" + encodeURIComponent(here.edit)) : null, here.edit ? null : ask("templates")]);
  const up = h("a.up", { href: here.edit ? to({ page: "activity", id: here.edit, tab: "setup" }, true) : to({ page: "activities" }, true) },
    "← ", stored ? bdi(stored.definition.name) : "Activities");
  const reason = whyNot(reader) || (stored && !stored.editable && stored.why_not);
  if (reason) {
    main.replaceChildren(up, h("h1", null, document.title), h("p.notice", null, reason));
    return;
  }
  const template = templates && templates.templates.find((/** @type {Definition} */ each) => each.id === here.from);
  const begin = stored ? stored.definition : { ...EMPTY, ...template, ...(here.id ? { id: here.id, name: proposedName(here.id) } : {}) };
  delete begin.title;
  main.replaceChildren(up, h("header.head", null, h("h1", null, document.title)),
    ...(templates ? [begins(templates.templates, here.from)] : []), editor(begin, stored && stored.etag, Boolean(here.id)));
  const name = main.querySelector("input");
  if (name && !here.edit) name.focus({ preventScroll: true });
}

/**
 * What to begin with.
 * @param {(Definition & {title: string})[]} templates @param {string | undefined} chosen
 */
const begins = (templates, chosen) => h("nav.choices.templates", { "aria-label": "Begin with" },
  h("a", { href: to({ from: null, id: null }), "aria-current": chosen ? null : "true" }, "Empty"),
  templates.map(({ id, title, icon: name }) => h("a", { href: to({ from: id, id: null }), "aria-current": chosen === id ? "true" : null }, icon(name), title)));

/**
 * The form.
 * @param {Definition} begin @param {string | null} etag the version that is changed; null: it is new
 * @param {boolean} [own] the id is not to follow the name
 */
function editor(begin, etag, own = false) {
  let base = begin;
  /** @type {Definition} what is written so far */
  const draft = { ...begin, attributes: begin.attributes.map((each) => ({ ...each })) };
  let idIsOwn = own || Boolean(begin.id) && begin.id !== proposedId(begin.name);
  const told = h("div", { role: "status" });

  const name = input({ value: draft.name, maxlength: 255, placeholder: "Added to the basket", oninput: () => {
    draft.name = name.value;
    if (!etag && !idIsOwn) draft.id = id.value = proposedId(name.value);
    compose();
  } });
  const id = input({ class: "mono", value: draft.id, maxlength: 100, readonly: Boolean(etag), placeholder: "act:cm:added-to-the-basket", oninput: () => {
    draft.id = id.value;
    idIsOwn = id.value !== "" && id.value !== proposedId(name.value);
    preview();
  } });
  const source = toggle("Websites may send it", draft.client_side, async (on) => { draft.client_side = on; }, ["Off", "On"]);
  const pictures = h("div.icons", { role: "radiogroup", "aria-label": "Icon" }, [null, ...Object.keys(ICONS)].map((each) =>
    h("label", { title: each || "none" },
      h("input", { type: "radio", name: "icon", value: each || "", "aria-label": each || "none", checked: (draft.icon || null) === each, onchange: () => { draft.icon = each; preview(); } }),
      icon(each))));
  const attributes = attributesEditor(draft.attributes, Boolean(etag), (now) => {
    draft.attributes = now;
    reading();
    preview();
  });
  const others = checkbox("Leave out attributes that are not listed, instead of refusing the activity", draft.unknown_attributes === "drop",
    { onchange: (/** @type {Event} */ event) => { draft.unknown_attributes = /** @type {HTMLInputElement} */ (event.target).checked ? "drop" : "reject"; } });
  const vouched = checkbox("Take it only of people for whom your site vouches, such as for a purchase", draft.needs === "verified",
    { onchange: (/** @type {Event} */ event) => { draft.needs = /** @type {HTMLInputElement} */ (event.target).checked ? "verified" : "claimed"; } });
  /** @param {"person" | "ip"} kind */
  const limit = (kind) => {
    const box = input({ value: (draft.limits || {})[kind] || "", placeholder: "as the account", oninput: () => {
      const limits = { ...draft.limits, [kind]: box.value.trim() };
      if (!limits[kind]) delete limits[kind];
      draft.limits = Object.keys(limits).length ? limits : null;
    } });
    return box;
  };

  // How it reads: the name, the name with one attribute, or a text of the operator's own.
  const how = h("div");
  const shown = h("p.preview", { "aria-live": "polite" });
  const preview = () => shown.replaceChildren(icon(draft.icon), bdi(reads(draft) || "…"), h("span.quiet", null, "j•••@e•••.com · 12 s ago"));
  const tail = () => (draft.shown_as && draft.shown_as.startsWith(draft.name + ": {") && /^\{[^{}]*\}$/.test(draft.shown_as.slice(draft.name.length + 2))
    ? draft.shown_as.slice(draft.name.length + 3, -1) : "");
  let way = !draft.shown_as ? "name" : tail() ? "attribute" : "text";
  let chosen = tail();
  let compose = () => preview();
  const reading = () => {
    const keys = draft.attributes.filter((each) => each.key);
    if (!keys.length && way === "attribute") way = "name";
    const which = select(keys.map((each) => /** @type {[string, string]} */ ([each.key, each.name || each.key])), chosen,
      { "aria-label": "Attribute", onchange: () => { chosen = which.value; compose(); } });
    const text = input({ value: draft.shown_as || draft.name, maxlength: 255, "aria-label": "Text", oninput: () => { draft.shown_as = text.value || null; preview(); } });
    compose = () => {
      if (way === "name") draft.shown_as = null;
      if (way === "attribute") draft.shown_as = draft.name + ": {" + which.value + "}";
      preview();
    };
    const options = [["name", "Its name"], ["attribute", "Its name and an attribute"], ["text", "A text of your own"]];
    how.replaceChildren(
      h("div.ways", { role: "radiogroup", "aria-label": "How it reads" }, options.map(([value, words]) =>
        h("label.check", null, h("input", { type: "radio", name: "way", value, checked: way === value, disabled: value === "attribute" && !keys.length, onchange: () => {
          way = value;
          compose();
          reading();
          how.querySelector("input:checked")?.dispatchEvent(new Event("focus"));
          /** @type {HTMLElement | null} */ (how.querySelector("input:checked"))?.focus();
        } }), words))),
      ...(way === "attribute" ? [which] : []),
      ...(way === "text" ? [field("Text", text, { name: "shown_as", hint: keys.length ? ["Insert a value: ", keys.map((each) =>
        h("button.button.text", { type: "button", onclick: () => {
          text.setRangeText("{" + each.key + "}", text.selectionStart || 0, text.selectionEnd || 0, "end");
          draft.shown_as = text.value;
          text.focus();
          preview();
        } }, bdi(each.name || each.key)))] : "An attribute's key in braces stands for its value." })] : []));
    compose();
  };

  const save = async () => {
    const path = etag ? "activities/" + encodeURIComponent(draft.id) : "activities";
    try {
      const answer = await ask(path, etag ? { method: "PUT", body: draft, etag: etag || undefined } : { body: draft });
      say(etag ? "Saved." : answer.definition.name + " is there. Now paste its code.");
      go({ page: "activity", id: answer.definition.id, tab: "setup" }, { fresh: true, replace: true });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 412)) throw error;
      await meanwhile();
    }
  };

  /** Another operator saved it: theirs and mine become one, to be looked at and saved. */
  const meanwhile = async () => {
    const theirs = await ask("activities/" + encodeURIComponent(draft.id));
    const { merged, taken, both } = merge(base, draft, theirs.definition);
    const again = editor(merged, theirs.etag);
    again.rebase(theirs.definition);
    element.replaceWith(again);
    again.prepend(h("div.notice.warning", { role: "alert" }, h("strong", null, "Another operator saved this activity meanwhile. "),
      taken.length ? "Their changes are in the form now: " + taken.join(", ") + ". " : "",
      both.length ? "You both changed " + both.join(", ") + ": yours stand here. " : "",
      "Look at it, and save again."));
    again.scrollIntoView({ block: "start" });
  };

  const archive = async () => {
    const archived = !base.archived;
    const choice = archived ? await dialog({
      title: "Archive " + base.name + "?", body: h("p", null, "It is kept with its history, and no longer accepted: websites are answered 404, and programs are refused. You can bring it back."),
      actions: [{ label: "Archive", kind: "danger" }]
    }) : "";
    if (choice === null) return;
    await ask("activities/" + encodeURIComponent(base.id), { method: "PUT", body: { ...base, archived }, etag: etag || undefined });
    say(archived ? "Archived." : "It is back.");
    go({ page: archived ? "activities" : "activity", id: archived ? null : base.id }, { fresh: true });
  };

  const made = form(save, told,
    h("div.pair", null,
      field("Name", name, { name: "name", hint: "What people read, such as in a feed." }),
      field("Id", id, { name: "id", hint: etag ? "An id never changes." : "What websites send. It never changes." })),
    h("div.line", null, source, h("span.quiet", null, "Websites may send it. While it is off they are answered 404, and only your own server can record it.")),
    fieldset("Attributes", h("p.quiet", null, "What it may carry. Pages name each value by its key."), h("div.field.whole-field", { "data-field": "attributes" }, attributes.element, h("p.wrong", { "aria-live": "polite" })), others),
    fieldset("How it reads", how, pictures, shown),
    fieldset("Limits", h("p.quiet", null, "Left empty, the limits of the account hold. Days and hours are those of UTC."),
      h("div.pair", null,
        field("For each person", limit("person"), { name: "limits.person", hint: "Such as 20/day." }),
        field("For each IP address", limit("ip"), { name: "limits.ip", hint: "Such as 500/hour. An office shares one." })),
      vouched),
    h("div.errors"),
    h("p.actions", null, h("button.button.first", null, etag ? "Save changes" : "Create activity"),
      h("a.button", { href: etag ? to({ page: "activity", id: draft.id, tab: "setup" }, true) : to({ page: "activities" }, true) }, "Cancel"),
      etag && h("button.button" + (base.archived ? "" : ".danger"), { type: "button", onclick: () => archive().catch((error) => say(error.message)) }, base.archived ? "Bring it back" : "Archive")));
  reading();
  preview();
  /** @param {Definition} theirs */
  const rebase = (theirs) => { base = theirs; };
  const element = Object.assign(made, { rebase });
  return element;
}
