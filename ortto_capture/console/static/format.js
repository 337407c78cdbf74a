// @ts-check
/**
 * Numbers, times and foreign text as people read them.
 *
 * The law of this file: a time is shown in the account's time zone where days are counted, in UTC
 * where it is exact; foreign text cannot rearrange the line that it stands in.
 */
import { h } from "./core.js";

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/**
 * 12,345.6
 * @param {number | null | undefined} n
 */
export const count = (n) => (n === null || n === undefined ? "–" : NUMBER.format(n));

/**
 * 12.3K, for an axis.
 * @param {number} n
 */
export const short = (n) => (Math.abs(n) < 10000 ? NUMBER.format(n) : SHORT.format(n));

/**
 * 12 %, 0.4 %
 * @param {number} part @param {number} whole
 */
export function percent(part, whole) {
  const share = whole ? (100 * part) / whole : 0;
  return share.toFixed(share > 0 && share < 9.95 ? 1 : 0) + " %";
}

/**
 * +12 %, −3 %, new
 * @param {number} now @param {number} before
 */
export function change(now, before) {
  if (!before) return now ? "new" : "no change";
  const more = Math.round((100 * (now - before)) / before);
  return more === 0 ? "no change" : (more > 0 ? "+" : "−") + count(Math.abs(more)) + " %";
}

/**
 * 1 person, 2 people
 * @param {number} n @param {string} one @param {string} many
 */
export const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many);

/* Times. Charts come in epoch seconds, everything else in ISO 8601. */

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {number} seconds @param {string} zone @param {Intl.DateTimeFormatOptions} parts */
function formatted(seconds, zone, parts) {
  const name = zone + JSON.stringify(parts);
  const format = formats.get(name) || new Intl.DateTimeFormat("en-GB", { timeZone: zone || "UTC", ...parts });
  formats.set(name, format);
  return format.format(1000 * seconds);
}

/**
 * 26 Nov
 * @param {number} seconds @param {string} [zone]
 */
export const day = (seconds, zone = "UTC") => formatted(seconds, zone, { day: "numeric", month: "short" });

/**
 * 26 Nov 2026
 * @param {number} seconds @param {string} [zone]
 */
export const date = (seconds, zone = "UTC") => formatted(seconds, zone, { day: "numeric", month: "short", year: "numeric" });

/**
 * 14:00
 * @param {number} seconds @param {string} [zone]
 */
export const hour = (seconds, zone = "UTC") => formatted(seconds, zone, { hour: "2-digit", minute: "2-digit" });

/**
 * Nov 2026
 * @param {number} seconds @param {string} [zone]
 */
export const month = (seconds, zone = "UTC") => formatted(seconds, zone, { month: "short", year: "numeric" });

/**
 * A bucket of a chart.
 * @param {number} seconds @param {string | null} by @param {string} [zone]
 */
export const bucket = (seconds, by, zone) => (by === "hour" ? hour : by === "month" ? month : day)(seconds, zone);

/**
 * 2026-11-26 14:03:22.120 UTC
 * @param {string} iso
 */
export const exact = (iso) => new Date(iso).toISOString().replace("T", " ").replace("Z", " UTC");

/** Milliseconds that the server's clock is ahead of this one's. */
let ahead = 0;

/** @param {number} seconds */
function since(seconds) {
  if (seconds < 60) return Math.max(0, Math.floor(seconds)) + " s ago";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min ago";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h ago";
  return Math.floor(seconds / 86400) + " d ago";
}

/** @param {Element} element */
function tick(element) {
  const words = since((Date.now() + ahead - Date.parse(element.getAttribute("datetime") || "")) / 1000);
  if (element.textContent !== words) element.textContent = words;
}

setInterval(() => {
  if (!document.hidden) document.querySelectorAll("time.ago").forEach(tick);
}, 5000);

/**
 * "12 s ago", which goes on counting; the exact time is its title.
 * @param {string | null | undefined} iso @param {string} [now] the server's clock
 */
export function ago(iso, now) {
  if (!iso) return h("span.quiet", null, "never");
  if (now) ahead = Date.parse(now) - Date.now();
  const element = h("time.ago", { datetime: iso, title: exact(iso) });
  tick(element);
  return element;
}

/* Text from outside. */

/**
 * The text with what cannot be seen, or would turn the order of what can, written out: `\u{202e}`.
 * Joiners and marks, which writing and emoji need, stay.
 * @param {unknown} value what is no text is shown as JSON
 */
export const visible = (value) =>
  (typeof value === "string" ? value : JSON.stringify(value) || "").replace(
    /(?![\n\t])[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu,
    (odd) => "\\u{" + (odd.codePointAt(0) || 0).toString(16) + "}");

/**
 * Text from outside as an element: its direction is its own.
 * @param {unknown} value @param {string} [name]
 */
export const bdi = (value, name = "bdi") => h(name, null, visible(value));

/**
 * The value of an attribute.
 * @param {any} value
 */
export function attribute(value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (value === null || value === undefined) return "no value";
  return typeof value === "number" ? count(value) : visible(value);
}
