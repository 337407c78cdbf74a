// @ts-check
/**
 * A question as the server takes it: the same in a sentence and in Python.
 *
 * The law of this file: a question is plain JSON whose defaults are left out. Nothing here touches the page or the server.
 */

/** @typedef {string | number | boolean} Scalar */
/** @typedef {{attribute: string, op?: string, value?: Scalar | Scalar[]}} Where */
/**
 * A condition on people: `did`, `in`, `all`, `any` or `not` says which.
 * @typedef {{did?: string, where?: Where[], at_least?: number, within?: string, in?: string,
 *   all?: Condition[], any?: Condition[], not?: Condition}} Condition
 */
/**
 * A query; with `steps` a funnel; with `refusals` the refused requests.
 * @typedef {{activity?: string | string[], measure?: string, attribute?: string, where?: Where[], people?: Condition,
 *   by?: string, split_by?: string, steps?: string[], within?: string, refusals?: string,
 *   period?: string | string[], limit?: number, time_zone?: string}} Question
 */
/**
 * How activities, attributes and audiences are called.
 * @typedef {{activity: (id: string) => string, attribute: (key: string) => string, audience: (name: string) => string}} Names
 */

export const MEASURES = /** @type {Record<string, string>} */ ({
  count: "the count", people: "people", sum: "the sum", average: "the average", minimum: "the smallest", median: "the median",
  p95: "the 95th percentile", maximum: "the largest",
});
export const OPS = /** @type {Record<string, string>} */ ({
  is: "is", "is-not": "is not", "one-of": "is one of", contains: "contains", "starts-with": "starts with", "ends-with": "ends with",
  "greater-than": "is greater than", "less-than": "is less than", "at-least": "is at least", "at-most": "is at most", between: "is between",
  "has-any-value": "has any value", "has-no-value": "has no value",
});
export const PERIODS = /** @type {Record<string, string>} */ ({
  "24h": "24 hours", "7d": "7 days", "30d": "30 days", "90d": "90 days", "12w": "12 weeks", "6m": "6 months", "12m": "12 months", "365d": "a year",
});
/** Lengths of time: months have none. */
export const LENGTHS = Object.fromEntries(Object.entries(PERIODS).filter(([each]) => !each.endsWith("m")));
const UNITS = /** @type {Record<string, string>} */ ({ h: "hours", d: "days", w: "weeks", m: "months" });
const SPLITS = /** @type {Record<string, string>} */ ({ activity: "activity", person: "person", source: "source", assurance: "how identity was proved" });
/** The order of members, which is that of Python. */
const ORDER = "did in all any not steps refusals activity measure attribute op value where people by split_by at_least within period limit time_zone".split(" ");
const DEFAULTS = /** @type {Record<string, any>} */ ({ measure: "count", op: "is", at_least: 1, limit: 10, period: "30d" });
const TEXT = ["is", "is-not", "one-of", "contains", "starts-with", "ends-with"];
const NUMBER = ["is", "is-not", "one-of", "greater-than", "less-than", "at-least", "at-most", "between"];

/**
 * Whether a measure is of a number that activities carry.
 * @param {string} [measure]
 */
export const ofNumber = (measure = "count") => measure !== "count" && measure !== "people";

/**
 * What an attribute of this key may be compared with.
 * @param {string} key
 */
export function comparisons(key) {
  const own = /^(str|txt):/.test(key) ? TEXT : key.startsWith("int:") ? NUMBER : key.startsWith("bol:") ? ["is", "is-not"] : [];
  return [...own, "has-any-value", "has-no-value"];
}

/**
 * Whether values of this attribute can be split by, measured or compared.
 * @param {string} key
 */
export const comparable = (key) => /^(str|txt|int|bol):/.test(key);

/**
 * Whether this comparison takes no value.
 * @param {string} [op]
 */
export const alone = (op = "is") => op.startsWith("has-");

/**
 * A period in words.
 * @param {string | string[]} [period]
 */
export function periodWords(period = "30d") {
  if (Array.isArray(period)) return `${period[0]} to ${period[1]}`;
  return PERIODS[period] ?? period.replace(/[hdwm]$/, (unit) => ` ${UNITS[unit]}`).replace(/^1 (\w+)s$/, "1 $1");
}

/**
 * The next shorter of the usual periods: what to ask when this one takes too long.
 * @param {string | string[]} [period]
 */
export function shorter(period = "30d") {
  const known = ["24h", "7d", "30d", "90d"];
  const days = Array.isArray(period)
    ? (Date.parse(period[1]) - Date.parse(period[0])) / 86400000
    : parseInt(period, 10) * ({ h: 1 / 24, d: 1, w: 7, m: 30 }[period.slice(-1)] ?? 1);
  return known.filter((each) => each !== "24h" && parseInt(each, 10) < days * 0.9).pop() ?? "24h";
}

/**
 * The same question without what says nothing, its members in one order.
 * @template T
 * @param {T} value
 * @returns {T}
 */
export function tidy(value) {
  if (Array.isArray(value)) return /** @type {any} */ (value.map(tidy));
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value)
    .filter(([name, member]) => member !== undefined && member !== null && member !== DEFAULTS[name] && !(name === "where" && !member.length))
    .sort(([a], [b]) => ORDER.indexOf(a) - ORDER.indexOf(b)).map(([name, member]) => [name, tidy(member)]);
  return Object.fromEntries(kept);
}

/**
 * Read a question out of an address; null when it is none.
 * @param {string | undefined} text
 * @returns {any}
 */
export function read(text) {
  try {
    const found = JSON.parse(text ?? "");
    return typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

/**
 * Every condition within one, itself first.
 * @param {Condition | undefined} condition
 * @returns {Condition[]}
 */
export function parts(condition) {
  if (!condition) return [];
  return [condition, ...[...(condition.all ?? []), ...(condition.any ?? []), ...(condition.not ? [condition.not] : [])].flatMap(parts)];
}

/**
 * What has still to be filled in, as a sentence; "" when the question can be asked.
 * @param {Question} question
 */
export function missing(question) {
  const conditions = parts(question.people);
  const wheres = [...(question.where ?? []), ...conditions.flatMap((each) => each.where ?? [])];
  if (question.steps && question.steps.filter(Boolean).length < 2) return "Choose at least two steps.";
  if (question.steps?.includes("") || conditions.some((each) => each.did === "")) return "Choose an activity.";
  if (conditions.some((each) => each.in === "")) return "Choose an audience.";
  if (ofNumber(question.measure) && !question.attribute) return "Choose the number to measure.";
  if (wheres.some((each) => !each.attribute)) return "Choose an attribute.";
  if (wheres.some((each) => !alone(each.op) && lacks(each.value))) return "Give a value to compare with.";
  if (Array.isArray(question.period) && question.period.some((each) => !each)) return "Give both dates.";
  return "";
}

/**
 * @param {any} value
 * @returns {boolean}
 */
const lacks = (value) => value === undefined || value === "" || (Array.isArray(value) && (value.length === 0 || value.some(lacks)));

// -- in words --------------------------------------------------------------------------------------

/**
 * A list as people write it.
 * @param {string[]} each
 * @param {string} [last]
 */
const listed = (each, last = "and") => each.length > 1 ? `${each.slice(0, -1).join(", ")} ${last} ${each[each.length - 1]}` : each.join("");

/**
 * @param {Where} where
 * @param {Names} names
 */
function whereWords({ attribute, op = "is", value }, names) {
  const values = (Array.isArray(value) ? value : [value]).map((each) => each === true ? "yes" : each === false ? "no" : String(each ?? "…"));
  return `${names.attribute(attribute)} ${OPS[op] ?? op}${alone(op) ? "" : ` ${listed(values, op === "between" ? "and" : "or")}`}`;
}

/**
 * @param {Where[] | undefined} wheres
 * @param {Names} names
 */
const wheresWords = (wheres, names) => wheres?.length ? ` where ${listed(wheres.map((each) => whereWords(each, names)))}` : "";

/**
 * What people did who meet a condition.
 * @param {Condition | undefined} condition
 * @param {Names} names
 * @param {boolean} [negated]
 * @returns {string}
 */
export function conditionWords(condition, names, negated = false) {
  if (!condition) return "everyone";
  if (condition.not) return conditionWords(condition.not, names, !negated);
  if (condition.in !== undefined) return `${negated ? "not in" : "in"} ${names.audience(condition.in) || "…"}`;
  if (condition.did !== undefined) {
    const times = condition.at_least ?? 1;
    return `${negated ? "has not done" : "has done"} ${names.activity(condition.did) || "…"}${times > 1 ? ` at least ${times} times` : ""}`
      + `${condition.within ? ` within ${periodWords(condition.within)}` : ""}${wheresWords(condition.where, names)}`;
  }
  const inner = (condition.all ?? condition.any ?? []).map((each) => {
    const text = conditionWords(each, names);
    return (each.not ?? each).did === undefined && (each.not ?? each).in === undefined ? `(${text})` : text;
  });
  const text = inner.join(condition.any ? " or " : " and ");
  return negated ? `not (${text})` : text;
}

/**
 * A question as one sentence, without its end.
 * @param {Question} question
 * @param {Names} names
 */
export function questionWords(question, names) {
  const over = `over ${periodWords(question.period)}`;
  if (question.refusals) return `Refused requests by ${question.refusals}, ${over}`;
  if (question.steps) return `${question.steps.map(names.activity).join(", then ")}, within ${periodWords(question.within ?? "7d")}, ${over}`;
  const ids = question.activity === undefined ? [] : [question.activity].flat();
  const what = ids.length ? listed(ids.map(names.activity), "or") : "any activity";
  const { measure = "count" } = question;
  const start = measure === "people" ? `People who did ${what}` : measure === "count" ? `How often: ${what}`
    : `${capital(MEASURES[measure] ?? measure)} of ${names.attribute(question.attribute ?? "")} in ${what}`;
  return [
    start + wheresWords(question.where, names),
    question.people && `by people: ${conditionWords(question.people, names)}`,
    question.by && `by ${question.by}`,
    question.split_by && `split by ${SPLITS[question.split_by] ?? names.attribute(question.split_by)}`,
    over,
  ].filter(Boolean).join(", ");
}

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// -- in Python -------------------------------------------------------------------------------------

/**
 * A piece of Python: text as it stands, or a call with its members.
 * @typedef {string | {open: string, members: Piece[]}} Piece
 */

/** Columns that a line of Python takes, as the formatters of the language have it. */
const COLUMNS = 88;

/**
 * Python of a piece; what does not fit on a line gets a line for each member.
 * @param {Piece} piece
 * @param {number} [indent]
 * @param {number} [before] columns that are taken already
 * @returns {string}
 */
function python(piece, indent = 0, before = 0) {
  if (typeof piece === "string") return piece;
  const { open, members } = piece;
  const alone = /(^|=)\($/.test(open) && members.length === 1 ? "," : "";
  const flat = `${open}${members.map((each) => python(each, -1)).join(", ")}${alone})`;
  if (indent < 0 || before + flat.length <= COLUMNS) return flat;
  const pad = " ".repeat(indent);
  return `${open}\n${members.map((each) => `${pad}    ${python(each, indent + 4, indent + 5)},\n`).join("")}${pad})`;
}

/**
 * @param {any} value
 * @returns {Piece}
 */
function literal(value) {
  if (Array.isArray(value)) return { open: "(", members: value.map(literal) };
  return value === true ? "True" : value === false ? "False" : value === undefined || value === null ? "None" : JSON.stringify(value);
}

/**
 * @param {string} name
 * @param {Piece} value
 * @returns {Piece}
 */
const member = (name, value) => typeof value === "string" ? `${name}=${value}` : { ...value, open: `${name}=${value.open}` };

/**
 * @param {string} name
 * @param {any[]} first what stands without a name
 * @param {Record<string, any>} rest members; undefined ones are left out
 * @param {Record<string, Piece>} [made] members that are Python already
 */
const call = (name, first, rest, made = {}) => ({
  open: `${name}(`,
  members: [
    ...first.map(literal),
    ...Object.entries(rest).filter(([, value]) => value !== undefined).map(([each, value]) => member(each, literal(value))),
    ...Object.entries(made).map(([each, value]) => member(each, value)),
  ],
});

/**
 * @param {Where[] | undefined} wheres
 * @returns {Record<string, Piece>}
 */
const wherePieces = (wheres) => wheres && wheres.length
  ? { where: { open: "(", members: wheres.map(({ attribute, op, value }) =>
    call("Where", [attribute, op || "is", ...(value === undefined ? [] : [value])], {})) } }
  : {};

/**
 * @param {Condition} condition
 * @returns {Piece}
 */
function conditionPiece({ did, where, at_least, within, in: audience, all, any, not }) {
  if (not) return { open: "Not(", members: [conditionPiece(not)] };
  if (audience !== undefined) return call("In", [audience], {});
  if (did !== undefined) return call("Did", [did], { at_least, within }, wherePieces(where));
  return { open: any ? "Any(" : "All(", members: [{ open: "(", members: (any || all || []).map(conditionPiece) }] };
}

/**
 * @param {Question} question
 * @returns {Piece}
 */
function questionPiece({ steps, refusals, activity, where, people, ...rest }) {
  if (refusals) return call("Refusals", [refusals], rest);
  if (steps) return call("Funnel", [steps], rest);
  return call("Query", activity === undefined ? [] : [activity], rest, { ...wherePieces(where), ...(people && { people: conditionPiece(people) }) });
}

/**
 * The lines of Python that do the same: what they import, and a call with the question or the condition in it.
 * @param {string} method such as `capture.reports.ask`
 * @param {{question: Question} | {condition: Condition}} of
 */
export function pythonOf(method, of) {
  const inner = "question" in of ? questionPiece(tidy(of.question)) : conditionPiece(tidy(of.condition));
  const text = python({ open: `${method}(`, members: [inner] });
  const code = text.replace(/"(\\.|[^"\\])*"/g, "");
  const names = ["All", "Any", "Did", "Funnel", "In", "Not", "Query", "Refusals", "Where"].filter((name) => new RegExp(`\\b${name}\\(`).test(code));
  return `from ortto_capture.reports import ${names.join(", ")}\n\n${text}`;
}
