// @ts-check
/**
 * The editor of a question and of a condition on people: one for reports and for audiences.
 *
 * The law of this file: what is edited is the question's own JSON, and every change hands out a whole one. It asks the
 * server only for what may be chosen. A control keeps its focus when the editor is drawn again.
 */
import { ask, h, me } from "./core.js";
import * as q from "./question.js";

/** @typedef {import("./question.js").Condition} Condition */
/** @typedef {import("./question.js").Question} Question */
/** @typedef {import("./question.js").Where} Where */
/** @typedef {{key: string, name: string, sensitive?: boolean}} Attribute */
/** @typedef {[value: string, text: string, disabled?: boolean]} Choice */
/**
 * What may be chosen. `attributes` answers what is known, and calls `then` when there is more.
 * @typedef {{activities: Choice[], audiences: Choice[], attributes: (ids: string[], then: () => void) => Attribute[], pii: boolean,
 *   names: import("./question.js").Names}} Offer
 */
/**
 * The editor around one control.
 * @typedef {{offer: Offer, change: (redraw?: boolean) => void, room: () => boolean, roomForWhere: () => boolean}} Around
 */

const MOST_CONDITIONS = 15, MOST_WHERES = 20;

/**
 * Ask the server what may be chosen.
 * @param {AbortSignal} gone
 * @returns {Promise<Offer>}
 */
export async function offered(gone) {
  const [{ activities }, { audiences }, { scopes }] = await Promise.all([
    ask("activities?archived=1", { signal: gone }), ask("audiences", { signal: gone }), me()]);
  /** @type {Map<string, Attribute[] | null>} null while the server is being asked */
  const known = new Map();
  const called = new Map(activities.map((/** @type {any} */ each) => [each.id, each.name]));
  const titles = new Map(audiences.map((/** @type {any} */ each) => [each.name, each.title]));
  const attributes = (/** @type {string[]} */ ids, /** @type {() => void} */ then) => ids.flatMap((id) => {
    if (!known.has(id) && called.has(id)) {
      known.set(id, null);
      ask(`activities/${encodeURIComponent(id)}`, { signal: gone })
        .then((answer) => { known.set(id, answer.definition.attributes); then(); }, () => known.delete(id));
    }
    return known.get(id) ?? [];
  });
  const slug = (/** @type {string} */ key) => q.capital(key.replace(/^.*:/, "").replace(/-/g, " "));
  return {
    activities: activities.map((/** @type {any} */ each) => [each.id, each.archived ? `${each.name} (archived)` : each.name]),
    audiences: audiences.map((/** @type {any} */ each) => [each.name, each.title]),
    attributes, pii: scopes.includes("pii"),
    names: {
      activity: (id) => called.get(id) ?? id,
      attribute: (key) => [...known.values()].flatMap((each) => each ?? []).find((each) => each.key === key)?.name ?? slug(key),
      audience: (name) => titles.get(name) ?? name,
    },
  };
}

// -- one control -------------------------------------------------------------------------------------

/**
 * A list to choose from, as wide as what is chosen.
 * @param {string} name
 * @param {string} label
 * @param {Choice[]} choices
 * @param {string} value
 * @param {(value: string) => void} chosen
 */
function pick(name, label, choices, value, chosen) {
  const all = choices.some(([each]) => each === value) ? choices : [...choices, /** @type {Choice} */ ([value, value || "choose…"])];
  return h("select.pick", { name, "aria-label": label, onchange: (/** @type {Event} */ event) => chosen(written(event)) },
    all.map(([each, text, disabled]) => h("option", { value: each, selected: each === value, disabled }, text)));
}

/**
 * @param {string} name
 * @param {string} label
 * @param {string | number} value
 * @param {(text: string) => void} typed
 * @param {Record<string, any>} [more]
 */
function type(name, label, value, typed, more = {}) {
  return h("input.pick", { name, "aria-label": label, value, autocomplete: "off", oninput: (/** @type {Event} */ event) => typed(written(event)), ...more });
}

/** @param {Event} event */
const written = (event) => /** @type {HTMLInputElement | HTMLSelectElement} */ (event.currentTarget).value;

/**
 * @param {string} name
 * @param {string} text
 * @param {() => void} add
 */
const plus = (name, text, add) => h("button.add", { type: "button", name, onclick: add }, text);

/**
 * @param {string} name
 * @param {string} label
 * @param {() => void} remove
 */
const minus = (name, label, remove) => h("button.remove", { type: "button", name, "aria-label": label, title: label, onclick: remove }, "×");

/**
 * @param {Record<string, string>} words
 * @returns {Choice[]}
 */
const choices = (words) => Object.entries(words);

/**
 * @param {Attribute[]} attributes
 * @param {Offer} offer
 * @returns {Choice[]}
 */
const keys = (attributes, offer) => attributes.map(({ key, name, sensitive }) =>
  [key, sensitive ? `${name} (sensitive)` : name, Boolean(sensitive) && !offer.pii]);

// -- where -------------------------------------------------------------------------------------------

/**
 * @param {Where[]} list
 * @param {string} path
 * @param {string[]} ids
 * @param {Around} around
 */
function wheres(list, path, ids, { offer, change, roomForWhere }) {
  const attributes = offer.attributes(ids, () => change(true));
  const row = (/** @type {Where} */ where, /** @type {number} */ i) => h("span.where", null, i ? "and" : "where",
    pick(`${path}.${i}.attribute`, "Attribute", keys(attributes, offer), where.attribute, (key) => {
      where.attribute = key;
      if (!q.comparisons(key).includes(where.op ?? "is")) where.op = q.comparisons(key)[0];
      where.value = key.startsWith("bol:") && !q.alone(where.op) ? true : undefined;
      change(true);
    }),
    pick(`${path}.${i}.op`, "Comparison", q.comparisons(where.attribute).map((op) => [op, q.OPS[op]]), where.op ?? "is", (op) => {
      const before = [where.value ?? ""].flat();
      where.op = op;
      where.value = q.alone(op) ? undefined : op === "between" ? [before[0], before[1] ?? ""] : op === "one-of" ? before : before[0];
      change(true);
    }),
    value(where, `${path}.${i}.value`, () => change()),
    minus(`${path}.${i}.remove`, "Remove this comparison", () => { list.splice(i, 1); change(true); }));
  const usable = keys(attributes, offer).find(([, , disabled]) => !disabled);
  return [list.map(row), usable && roomForWhere() && plus(`${path}.add`, list.length ? "and…" : "where…", () => {
    list.push({ attribute: usable[0], op: q.comparisons(usable[0])[0], value: usable[0].startsWith("bol:") ? true : undefined });
    change(true);
  })];
}

/**
 * What an attribute is compared with.
 * @param {Where} where
 * @param {string} name
 * @param {() => void} change
 */
function value(where, name, change) {
  const { attribute, op } = where, numeric = attribute.startsWith("int:");
  const typed = (/** @type {string} */ text) => !numeric ? text : text.trim() !== "" && Number.isSafeInteger(Number(text)) ? Number(text) : "";
  const one = (/** @type {any} */ now, /** @type {(value: any) => void} */ set, /** @type {string} */ label, end = "") =>
    type(name + end, label, now ?? "", (text) => { set(typed(text)); change(); }, numeric ? { type: "number", step: 1 } : { type: "text" });
  if (q.alone(op)) return null;
  if (attribute.startsWith("bol:"))
    return pick(name, "Value", [["true", "yes"], ["false", "no"]], String(where.value ?? true), (text) => { where.value = text === "true"; change(); });
  if (op === "one-of") {
    return type(name, "Values, with commas between", [where.value ?? []].flat().join(", "), (text) => {
      where.value = text.split(",").map((each) => typed(each.trim())).filter((each) => each !== "");
      change();
    }, { placeholder: "one, two, …" });
  }
  if (op !== "between") return one(where.value, (now) => { where.value = now; }, "Value");
  const both = /** @type {any[]} */ ([where.value ?? ["", ""]].flat());
  where.value = both;
  return [one(both[0], (now) => { both[0] = now; }, "From"), "and", one(both[1], (now) => { both[1] = now; }, "To", ".1")];
}

// -- conditions on people ----------------------------------------------------------------------------

const GROUPS = { all: "all of these", any: "any of these", none: "none of these" };

/**
 * @param {Condition[]} list
 * @param {number} i
 * @param {string} path
 * @param {number} depth
 * @param {Around} around
 * @returns {Element}
 */
function condition(list, i, path, depth, around) {
  const { change, offer } = around, whole = list[i], inner = whole.not ?? whole;
  const remove = () => { list.splice(i, 1); change(true); };
  const negate = (/** @type {string} */ chosen) => { list[i] = chosen === "no" ? { not: inner } : inner; change(true); };
  const is = whole.not ? "no" : "yes";
  if (inner.in !== undefined) {
    return h("li.condition", null,
      pick(`${path}.not`, "Is or is not in", [["yes", "is in"], ["no", "is not in"]], is, negate),
      pick(`${path}.in`, "Audience", offer.audiences, inner.in, (name) => { inner.in = name; change(true); }),
      minus(`${path}.remove`, "Remove this condition", remove));
  }
  if (inner.did === undefined) return group(list, i, path, depth, around, remove);
  inner.where = inner.where ?? [];
  return h("li.condition", null,
    pick(`${path}.not`, "Has or has not done", [["yes", "has done"], ["no", "has not done"]], is, negate),
    pick(`${path}.did`, "Activity", offer.activities, inner.did, (id) => { inner.did = id; inner.where = []; change(true); }),
    wheres(inner.where, `${path}.where`, [inner.did], around),
    "at least", type(`${path}.at_least`, "How many times, at least", inner.at_least ?? 1, (text) => { inner.at_least = Math.max(1, parseInt(text, 10) || 1); change(); },
      { type: "number", min: 1, max: 1000000, step: 1 }),
    (inner.at_least ?? 1) > 1 ? "times" : "time",
    pick(`${path}.within`, "Within", [["", "at any time"], ...choices(q.LENGTHS).map(([each, text]) => /** @type {Choice} */ ([each, `within ${text}`]))],
      inner.within ?? "", (period) => { inner.within = period || undefined; change(true); }),
    minus(`${path}.remove`, "Remove this condition", remove));
}

/**
 * @param {Condition[]} list
 * @param {number} i
 * @param {string} path
 * @param {number} depth
 * @param {Around} around
 * @param {(() => void) | null} remove
 */
function group(list, i, path, depth, around, remove) {
  const { offer, change, room } = around, whole = list[i], inner = whole.not ?? whole, kind = inner.any ? "any" : "all";
  const each = inner.any ?? inner.all ?? [];
  const shown = /** @type {Choice[]} */ (whole.not && kind === "all" ? [...choices(GROUPS), ["not-all", "not all of these"]] : choices(GROUPS));
  const add = (/** @type {Condition} */ made) => () => { each.push(made); change(true); };
  const first = offer.activities[0]?.[0] ?? "";
  return h(depth ? "li.group" : "div.group", { role: "group", "aria-label": "Conditions" },
    h("div.condition", null, depth ? "for whom" : "People for whom",
      pick(`${path}.kind`, "How the conditions go together", shown, whole.not ? (kind === "any" ? "none" : "not-all") : kind, (chosen) => {
        list[i] = chosen === "all" ? { all: each } : chosen === "any" ? { any: each } : chosen === "none" ? { not: { any: each } } : { not: { all: each } };
        change(true);
      }), depth || each.length !== 1 ? "are true:" : "is true:", remove && minus(`${path}.remove`, "Remove this group", remove)),
    h("ul", null, each.map((_, at) => condition(each, at, `${path}.${at}`, depth + 1, around))),
    room()
      ? h("p.adds", null,
        plus(`${path}.add`, "Has done…", add({ did: first, within: "30d" })),
        plus(`${path}.add-not`, "Has not done…", add({ not: { did: first, within: "30d" } })),
        offer.audiences.length > 0 && plus(`${path}.add-in`, "Is in an audience…", add({ in: offer.audiences[0][0] })),
        depth < 2 && plus(`${path}.add-group`, "Group…", add({ any: [{ did: first, within: "30d" }] })))
      : h("p.quiet", null, `${MOST_CONDITIONS} conditions are the most.`));
}

/**
 * Drop groups that hold nothing, and the outer one when it holds one condition.
 * @param {Condition} whole
 * @returns {Condition | undefined}
 */
function pruned(whole) {
  if (whole.not) {
    const inner = pruned(whole.not);
    return inner && (inner.not ?? { not: inner });
  }
  const name = whole.any ? "any" : "all", list = whole[name];
  if (!list) return whole;
  const kept = list.map(pruned).filter((each) => each !== undefined);
  return kept.length > 1 ? { [name]: kept } : kept[0];
}

// -- the two editors ---------------------------------------------------------------------------------

/**
 * A box that is drawn again without losing the focus.
 * @param {HTMLElement} box
 * @param {() => any[]} make
 */
function drawn(box, make) {
  return () => {
    const active = box.contains(document.activeElement) ? document.activeElement?.getAttribute("name") : null;
    box.replaceChildren(...make().flat(9).filter((each) => each !== null && each !== undefined && each !== false));
    if (!active) return;
    const names = [active, active.replace(/\.\d+\.remove$/, ".add"), active.replace(/\.[^.]+$/, ".add")];
    for (const name of names) {
      const again = /** @type {HTMLElement | null} */ (box.querySelector(`[name="${CSS.escape(name)}"]`));
      if (again) return again.focus();
    }
  };
}

/**
 * @param {Offer} offer
 * @param {(redraw?: boolean) => void} change
 * @param {() => Condition[]} people
 * @param {() => Where[]} own
 * @returns {Around}
 */
const around = (offer, change, people, own) => ({
  offer, change,
  room: () => people().filter((each) => each.did !== undefined || each.in !== undefined).length < MOST_CONDITIONS,
  roomForWhere: () => [...people(), { where: own() }].reduce((sum, each) => sum + (each.where?.length ?? 0), 0) < MOST_WHERES,
});

/** @param {Condition | undefined} people */
const grouped = (people) => {
  const inner = people?.not ?? people;
  return structuredClone(!people ? { all: [] } : inner?.all || inner?.any ? people : { all: [people] });
};

/**
 * The editor of a condition on people.
 * @param {Condition | undefined} first
 * @param {Offer} offer
 * @param {(people: Condition | undefined) => void} changed
 */
export function conditionEditor(first, offer, changed) {
  const root = [grouped(first)], box = h("div.editor");
  const change = (redraw = false) => { if (redraw) redrawn(); changed(q.tidy(pruned(root[0]))); };
  const redrawn = drawn(box, () => [group(root, 0, "people", 0, around(offer, change, () => q.parts(root[0]), () => []), null)]);
  redrawn();
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
  const box = h("div.editor");
  let root = now.people ? [grouped(now.people)] : null;
  const change = (redraw = false) => {
    now.people = root ? pruned(root[0]) : undefined;
    if (redraw) redrawn();
    const { where, ...rest } = now;
    changed(q.tidy(rest.steps || rest.refusals ? rest : { ...rest, where }));
  };
  const inside = around(offer, change, () => root ? q.parts(root[0]) : [], () => now.where);
  /**
   * Set one member and draw again.
   * @param {keyof Question} member
   */
  const set = (member) => (/** @type {string} */ value) => { /** @type {any} */ (now)[member] = value || undefined; change(true); };
  const [only] = offer.activities;

  const kind = () => now.steps ? "steps" : now.refusals ? "refusals" : now.measure ?? "count";
  const chooseKind = (/** @type {string} */ chosen) => {
    const { period } = now, activity = [now.activity ?? now.steps?.[0] ?? []].flat()[0];
    if (chosen === "steps" || chosen === "refusals" || now.steps || now.refusals) {
      for (const member of Object.keys(now)) delete (/** @type {any} */ (now)[member]);
      Object.assign(now, { period, where: [] });
      root = null;
    }
    if (chosen === "steps") now.steps = [activity ?? only?.[0] ?? "", ""];
    else if (chosen === "refusals") now.refusals = "reason";
    else Object.assign(now, { measure: chosen, activity: now.activity ?? activity, attribute: q.ofNumber(chosen) ? now.attribute : undefined });
    change(true);
  };

  const period = () => [
    pick("period", "Period", [...choices(q.PERIODS), ["dates", "from … to …"]], Array.isArray(now.period) ? "dates" : now.period ?? "30d", (chosen) => {
      now.period = chosen === "dates" ? ["", ""] : chosen;
      change(true);
    }),
    Array.isArray(now.period) && ["First day", "Last day"].map((label, i) => type(`period.${i}`, label, (now.period ?? [])[i],
      (text) => { now.period = /** @type {string[]} */ (now.period).map((each, at) => at === i ? text : each); change(); }, { type: "date" })),
  ];

  const steps = (/** @type {string[]} */ list) => [
    list.map((id, i) => h("span.where", null, i ? "then" : "from",
      pick(`steps.${i}`, `Step ${i + 1}`, offer.activities, id, (chosen) => { list[i] = chosen; change(true); }),
      list.length > 2 && minus(`steps.${i}.remove`, `Remove step ${i + 1}`, () => { list.splice(i, 1); change(true); }))),
    list.length < 10 && plus("steps.add", "then…", () => { list.push(""); change(true); }),
    "within", pick("within", "Within", choices(q.LENGTHS), now.within ?? "7d", (chosen) => { now.within = chosen === "7d" ? undefined : chosen; change(true); }),
    "over", period(),
  ];

  const query = () => {
    const ids = [now.activity ?? []].flat(), attributes = offer.attributes(ids, redrawn).filter((each) => q.comparable(each.key));
    const several = Array.isArray(now.activity) && now.activity.join(",");
    return [
      q.ofNumber(now.measure) && ["of", pick("attribute", "Number", keys(attributes.filter((each) => each.key.startsWith("int:")), offer), now.attribute ?? "", set("attribute"))],
      q.ofNumber(now.measure) ? "in" : now.measure === "people" ? "who did" : "of",
      pick("activity", "Activity", [["", "any activity"], ...offer.activities, ...(several ? [/** @type {Choice} */ ([several, ids.map(offer.names.activity).join(", ")])] : [])],
        several || ids[0] || "", (chosen) => {
          if (chosen === several) return;
          Object.assign(now, { activity: chosen || undefined, where: [], attribute: undefined, split_by: now.split_by?.includes(":") ? undefined : now.split_by });
          change(true);
        }),
      wheres(now.where, "where", ids, inside),
      pick("by", "Bucket of time", [["", "in all"], ["hour", "by hour"], ["day", "by day"], ["week", "by week"], ["month", "by month"]], now.by ?? "", set("by")),
      pick("split_by", "Split by", [["", "not split"], ["activity", "split by activity"], ["person", "split by person"], ["source", "split by source"],
        ["assurance", "split by how identity was proved"], ...keys(attributes, offer).map(([key, name, disabled]) => /** @type {Choice} */ ([key, `split by ${name}`, disabled]))],
      now.split_by ?? "", set("split_by")),
      now.split_by && pick("limit", "How many values", ["3", "5", "10", "20", "50", "100"].map((each) => [each, `the first ${each}`]), String(now.limit ?? 10),
        (chosen) => { now.limit = Number(chosen); change(true); }),
      "over", period(),
    ];
  };

  const redrawn = drawn(box, () => [
    h("p.sentence", null, "Show", pick("measure", "What to count", [...choices(q.MEASURES), ["steps", "how many people went"], ["refusals", "refused requests by reason"]], kind(), chooseKind),
      now.steps ? steps(now.steps) : now.refusals ? ["over", period()] : query()),
    !now.steps && !now.refusals && (root
      ? h("div", null, group(root, 0, "people", 0, inside, () => { root = null; change(true); }))
      : h("p.adds", null, plus("people.add", "Only people who…", () => { root = [{ all: [{ did: only?.[0] ?? "", within: "30d" }] }]; change(true); }))),
  ]);
  redrawn();
  return box;
}
