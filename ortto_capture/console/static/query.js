// @ts-check
/**
 * The editor of a question and of a condition on people: one for reports and for audiences.
 *
 * The law of this file: what is edited is the question's own JSON, and every change hands out a whole one. A control is
 * called by the path of the member that it edits, and keeps its focus when the editor is drawn again.
 */
import { h } from "./core.js";
import { visible } from "./format.js";
import { LENGTHS, MEASURES, OPS, PERIODS, alone, comparable, comparisons, ofNumber, parts, tidy } from "./question.js";

/** @typedef {import("./question.js").Condition} Condition */
/** @typedef {import("./question.js").Question} Question */
/** @typedef {import("./question.js").Where} Where */
/** @typedef {import("./offer.js").Attribute} Attribute */
/** @typedef {import("./offer.js").Choice} Choice */
/** @typedef {import("./offer.js").Offer} Offer */

const MOST_CONDITIONS = 15, MOST_WHERES = 20, MOST_STEPS = 10, DEEPEST = 2;
/** @type {Choice[]} */
const GROUPS = [["all", "all of these"], ["any", "any of these"], ["none", "none of these"]];

/**
 * The editor of a condition on people.
 * @param {Condition | undefined} first
 * @param {Offer} offer
 * @param {(people: Condition | undefined) => void} changed
 */
export function conditionEditor(first, offer, changed) {
  const root = [grouped(first)];
  const { box, draw, group } = editor(offer, () => changed(tidy(pruned(root[0]))), () => [group(root, 0, "people", 0)], root, () => []);
  draw();
  return box;
}

/**
 * The editor of a question.
 * @param {Question} first
 * @param {Offer} offer
 * @param {(question: Question) => void} changed
 */
export function questionEditor(first, offer, changed) {
  const now = /** @type {Question & {where: Where[]}} */ ({ where: [], ...structuredClone(first) });
  /** @type {Condition[]} nothing, or the one condition on people */
  const root = now.people ? [grouped(now.people)] : [];
  const [activity] = offer.activities[0] || [""];
  const done = () => {
    now.people = root.length ? pruned(root[0]) : undefined;
    changed(tidy(now));
  };
  const { box, draw, add, choose, group, pick, remove, type, wheres } = editor(offer, done, () => [
    h("p.sentence", null, "Show", kind(), now.steps ? steps(now.steps) : now.refusals
      ? choose(now, "refusals", "Split by", [["reason", "by reason"], ["activity", "by activity"]]) : query(), h("span.where", null, "over", period())),
    !now.steps && !now.refusals && h("div", null, root.length ? group(root, 0, "people", 0, true)
      : h("p.adds", null, add("people.add", "Only people who…", root, () => ({ all: [{ did: activity, within: "30d" }] })))),
  ], root, () => now.where);

  const kind = () => pick("measure", "What to count", [...Object.entries(MEASURES), ["steps", "how many people went"], ["refusals", "refused requests"]],
    now.steps ? "steps" : now.refusals ? "refusals" : now.measure || "count", (chosen) => {
      const special = chosen === "steps" || chosen === "refusals", begin = (now.steps || [])[0] || [now.activity || activity].flat()[0];
      if (special || now.steps || now.refusals) {
        for (const member of Object.keys(now)) if (member !== "period") delete (/** @type {any} */ (now)[member]);
        Object.assign(now, { where: [] }, special ? {} : { activity: begin });
        root.length = 0;
      }
      if (chosen === "steps") now.steps = [begin, ""];
      else if (chosen === "refusals") now.refusals = "reason";
      else Object.assign(now, { measure: chosen, attribute: ofNumber(chosen) ? now.attribute : undefined });
    });

  const period = () => [
    pick("period", "Period", [...Object.entries(PERIODS), ["dates", "from … to …"]], Array.isArray(now.period) ? "dates" : now.period || "30d",
      (chosen) => { now.period = chosen === "dates" ? ["", ""] : chosen; }),
    Array.isArray(now.period) && now.period.map((day, i, days) =>
      type(`period.${i}`, i ? "Last day" : "First day", day, (text) => { days[i] = text; }, { type: "date" })),
  ];

  const steps = (/** @type {string[]} */ list) => [
    list.map((_, i) => h("span.where", null, i ? "then" : "from", choose(list, i, `Step ${i + 1}`, offer.activities, "", "steps."),
      list.length > 2 && remove(`steps.${i}`, `Remove step ${i + 1}`, list, i))),
    list.length < MOST_STEPS && add("steps.add", "then…", list, () => ""),
    h("span.where", null, "within", choose(now, "within", "Within", Object.entries(LENGTHS), "7d")),
  ];

  const query = () => {
    const ids = [now.activity || []].flat(), several = ids.length > 1 ? ids.join() : "";
    const attributes = offer.attributes(ids, draw).filter(({ key }) => comparable(key));
    return [
      ofNumber(now.measure) && ["of", choose(now, "attribute", "Number", keys(attributes.filter(({ key }) => key.startsWith("int:")), offer))],
      ofNumber(now.measure) ? "in" : now.measure === "people" ? "who did" : "of",
      pick("activity", "Activity", [["", "any activity"], ...offer.activities, ...(several ? [/** @type {Choice} */ ([several, ids.map(offer.names.activity).join(", ")])] : [])],
        several || ids[0] || "", (id) => Object.assign(now, {
          activity: id || undefined, where: [], attribute: undefined, split_by: (now.split_by || "").includes(":") ? undefined : now.split_by })),
      wheres(now.where, "where", ids),
      choose(now, "by", "Bucket of time", [["", "in all"], ...["hour", "day", "week", "month"].map((each) => /** @type {Choice} */ ([each, `by ${each}`]))]),
      choose(now, "split_by", "Split by", [["", "not split"], ["activity", "split by activity"], ["person", "split by person"], ["source", "split by source"],
        ["assurance", "split by how identity was proved"], ...keys(attributes, offer, "split by ")]),
      now.split_by && pick("limit", "How many values", ["5", "10", "20", "50", "100"].map((each) => [each, `the first ${each}`]), String(now.limit || 10),
        (chosen) => { now.limit = Number(chosen); }),
    ];
  };
  draw();
  return box;
}

/**
 * A box of controls, and what its parts are made of.
 * @param {Offer} offer
 * @param {() => void} done something was changed
 * @param {() => any[]} make
 * @param {Condition[]} people the conditions
 * @param {() => Where[]} own the comparisons besides theirs
 */
function editor(offer, done, make, people, own) {
  const box = h("div.editor");
  const controls = () => /** @type {HTMLElement[]} */ ([...box.querySelectorAll("[name]")]);
  const called = (/** @type {Element | null} */ control) => control && box.contains(control) ? control.getAttribute("name") || "" : "";
  /** From a button that added something, focus goes on to that; from one that took it away, to the one that would add it. */
  const draw = () => {
    const before = controls().map(called), active = called(document.activeElement), group = active.replace(/(\.\d+)?\.[^.]+$/, "");
    const wrong = called(box.querySelector("[aria-invalid]"));
    box.replaceChildren(h("div", null, make()));
    const after = controls();
    after.filter((each) => wrong && called(each) === wrong).forEach((each) => each.setAttribute("aria-invalid", "true"));
    if (!active) return;
    const next = (/\.add/.test(active) && after.find((each) => !before.includes(called(each))))
      || after.find((each) => called(each) === active && !active.endsWith(".remove")) || after.find((each) => called(each) === `${group}.add`);
    if (next) next.focus();
  };
  const changed = () => { draw(); done(); };

  /** @type {(name: string, label: string, choices: Choice[], value: string, chosen: (value: string) => void) => HTMLElement} */
  const pick = (name, label, choices, value, chosen) => {
    const all = choices.some(([each]) => each === value) ? choices : [...choices, /** @type {Choice} */ ([value, value || (choices.length ? "choose…" : "none to choose")])];
    return h("select.pick", { name, "aria-label": label, onchange: (/** @type {any} */ { currentTarget }) => { chosen(currentTarget.value); changed(); } },
      all.map(([each, words, disabled]) => h("option", { value: each, selected: each === value, disabled }, visible(words))));
  };
  /** @type {(of: any, member: string | number, label: string, choices: Choice[], usual?: string, path?: string) => HTMLElement} choose a member; what is usual is left out */
  const choose = (of, member, label, choices, usual = "", path = "") =>
    pick(path + member, label, choices, of[member] || usual, (value) => { of[member] = value === usual && !Array.isArray(of) ? undefined : value; });
  /** @type {(name: string, label: string, value: any, typed: (text: string) => void, more?: object) => HTMLElement} */
  const type = (name, label, value, typed, more) => h("input.pick", {
    name, "aria-label": label, value, autocomplete: "off", oninput: (/** @type {any} */ { currentTarget }) => { typed(currentTarget.value); done(); }, ...more });
  /** @type {<T>(name: string, words: string, list: T[], item: () => T) => HTMLElement} */
  const add = (name, words, list, item) => h("button.add", { type: "button", name, onclick: () => { list.push(item()); changed(); } }, words);
  /** @type {(path: string, label: string, list: any[], i: number) => HTMLElement} */
  const remove = (path, label, list, i) =>
    h("button.remove", { type: "button", name: `${path}.remove`, "aria-label": label, title: label, onclick: () => { list.splice(i, 1); changed(); } }, "×");

  /** @type {(list: Where[], path: string, ids: string[]) => any} */
  const wheres = (list, path, ids) => {
    const choices = keys(offer.attributes(ids, draw), offer), [usable] = choices.find(([, , disabled]) => !disabled) || [""];
    const all = [...people.flatMap(parts), { where: own() }].flatMap((each) => each.where || []);
    return [
      list.map((where, i) => {
        const { attribute, op = "is" } = where, at = `${path}.${i}`;
        return h("span.where", null, i ? "and" : "where",
          pick(`${at}.attribute`, "Attribute", choices, attribute, (key) => Object.assign(where, comparison(key, comparisons(key).includes(op) ? op : undefined))),
          pick(`${at}.op`, "Comparison", comparisons(attribute).map((each) => [each, OPS[each]]), op, (next) => {
            const [first = "", second = ""] = [where.value === undefined ? [] : where.value].flat();
            where.op = next;
            where.value = alone(next) ? undefined : next === "between" ? [first, second] : next === "one-of" ? [first] : first;
          }),
          value(where, `${at}.value`), remove(at, "Remove this comparison", list, i));
      }),
      usable && all.length < MOST_WHERES && add(`${path}.add`, list.length ? "and…" : "where…", list, () => comparison(usable)),
    ];
  };

  /** @type {(where: any, name: string) => any} what an attribute is compared with */
  const value = (where, name) => {
    const { attribute, op } = where, number = attribute.startsWith("int:");
    const read = (/** @type {string} */ text) => !number ? text : text.trim() && Number.isSafeInteger(Number(text)) ? Number(text) : "";
    const how = number ? { type: "number", step: 1 } : {};
    if (alone(op)) return null;
    if (attribute.startsWith("bol:"))
      return pick(name, "Value", [["true", "yes"], ["false", "no"]], String(where.value), (text) => { where.value = text === "true"; });
    if (op === "one-of") {
      return type(name, "Values, with commas between", [where.value].flat().join(", "), (text) => {
        where.value = text.split(",").map((each) => read(each.trim())).filter((each) => each !== "");
      }, { placeholder: "one, two, …" });
    }
    if (op !== "between") return type(name, "Value", where.value, (text) => { where.value = read(text); }, how);
    if (!Array.isArray(where.value)) where.value = ["", ""];
    return [0, 1].map((i) => [i ? "and" : "", type(`${name}.${i}`, i ? "To" : "From", where.value[i], (text) => { where.value[i] = read(text); }, how)]);
  };

  /** @type {(list: Condition[], i: number, path: string, depth: number) => Element} */
  const condition = (list, i, path, depth) => {
    const whole = list[i], inner = whole.not || whole, { in: audience, did } = inner;
    if (audience === undefined && did === undefined) return group(list, i, path, depth);
    const verb = audience === undefined ? ["has done", "has not done"] : ["is in", "is not in"];
    const often = inner.at_least || 1, where = inner.where = inner.where || [];
    return h("li.condition", null,
      pick(`${path}.not`, `${verb[0]}, or not`, [["", verb[0]], ["not", verb[1]]], whole.not ? "not" : "", (not) => { list[i] = not ? { not: inner } : inner; }),
      did === undefined ? choose(inner, "in", "Audience", offer.audiences, "", `${path}.`) : [
        pick(`${path}.did`, "Activity", offer.activities, did, (id) => Object.assign(inner, { did: id, where: [] })),
        wheres(where, `${path}.where`, [did]), "at least",
        type(`${path}.at_least`, "How many times, at least", often, (text) => { inner.at_least = Math.max(1, parseInt(text, 10) || 1); }, { type: "number", min: 1, step: 1 }),
        often > 1 ? "times" : "time",
        choose(inner, "within", "Within", [["", "at any time"], ...Object.entries(LENGTHS).map(([each, words]) => /** @type {Choice} */ ([each, `within ${words}`]))], "", `${path}.`)],
      remove(path, "Remove this condition", list, i));
  };

  /** @type {(list: Condition[], i: number, path: string, depth: number, removable?: boolean) => Element} */
  const group = (list, i, path, depth, removable = depth > 0) => {
    const whole = list[i], inner = whole.not || whole, each = inner.any || inner.all || [], kind = whole.not ? (inner.any ? "none" : "not all") : inner.any ? "any" : "all";
    const did = () => ({ did: (offer.activities[0] || [""])[0], within: "30d" });
    const full = people.flatMap(parts).filter((one) => one.did !== undefined || one.in !== undefined).length >= MOST_CONDITIONS;
    const element = h("div.group", { role: "group", "aria-label": "Conditions" },
      h("div.condition", null, depth ? "for whom" : "People for whom",
        pick(`${path}.kind`, "How the conditions go together", kind === "not all" ? [...GROUPS, [kind, "not all of these"]] : GROUPS, kind, (chosen) => {
          list[i] = chosen === "all" ? { all: each } : chosen === "any" ? { any: each } : { not: chosen === "none" ? { any: each } : { all: each } };
        }), "are true:", removable && remove(path, "Remove this group", list, i)),
      h("ul", null, each.map((_, at) => condition(each, at, `${path}.${at}`, depth + 1))),
      full ? h("p.quiet", null, `${MOST_CONDITIONS} conditions are the most.`) : h("p.adds", null,
        add(`${path}.add`, "Has done…", each, did),
        add(`${path}.add-not`, "Has not done…", each, () => ({ not: did() })),
        offer.audiences.length > 0 && add(`${path}.add-in`, "Is in an audience…", each, () => ({ in: offer.audiences[0][0] })),
        depth < DEEPEST && add(`${path}.add-group`, "Group…", each, () => ({ any: [did()] }))));
    return depth ? h("li", null, element) : element;
  };
  return { box, draw, add, choose, group, pick, remove, type, wheres };
}

/** @type {(attribute: string, op?: string) => Where} a comparison that has no value yet */
const comparison = (attribute, op = comparisons(attribute)[0]) => ({
  attribute, op, value: alone(op) ? undefined : attribute.startsWith("bol:") ? true : op === "between" ? ["", ""] : op === "one-of" ? [] : undefined });

/** @type {(attributes: Attribute[], offer: Offer, before?: string) => Choice[]} attributes to choose from */
const keys = (attributes, { pii }, before = "") => attributes.map(({ key, name, sensitive }) =>
  [key, before + name + (sensitive ? " (sensitive)" : ""), Boolean(sensitive) && !pii]);

/** @type {(people: Condition | undefined) => Condition} a copy whose outermost condition is a group */
const grouped = (people) => {
  const { all, any } = (people && people.not) || people || { all: [] };
  return structuredClone(people && (all || any) ? people : { all: people ? [people] : [] });
};

/** @type {(whole: Condition | undefined) => Condition | undefined} without groups that hold nothing or one condition only */
const pruned = (whole) => {
  if (!whole) return whole;
  if (whole.not) {
    const inner = pruned(whole.not);
    return inner && (inner.not || { not: inner });
  }
  const list = whole.any || whole.all;
  if (!list) return whole;
  const kept = list.map(pruned).filter((each) => each !== undefined);
  return kept.length > 1 ? { [whole.any ? "any" : "all"]: kept } : kept[0];
};
