/* The activity page. Values come from strangers: they reach the page as text and nothing else. */
import { WARNINGS, explain, meaning } from "./reasons.js";

const EVERY = 2000; // milliseconds between two questions
const PATIENCE = 10000; // milliseconds until a question counts as unanswered
const MOST = 500; // rows kept on the page

const byId = (id) => document.getElementById(id);
const feed = byId("feed");
const search = byId("search");
let cursor = "";
let behind = 0; // rows fetched in a row without catching up
let failing = null; // since when, in words
let token = ""; // from the link that was printed at start, where there is one

// Beside the word, a shape of its own for each outcome.
const SHAPES = {
  accepted: "M2 6.5 5 9.5 10 3",
  refused: "M3 3l6 6M9 3l-6 6",
  failed: "M6 2v5M6 9v1"
};
const FAILURES = ["internal", "unavailable", "storage-full"];

/* Words */

const inWords = (value) => typeof value === "string" ? value : JSON.stringify(value);

// Control and direction characters would let a value rearrange the line it stands in.
const visible = (text) => String(text).replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (odd) =>
  odd === "\n" || odd === "\t" ? odd : "\\u{" + odd.codePointAt(0).toString(16) + "}");

const exact = (at) => new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");

function ago(at) {
  const seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
  if (seconds < 60) return seconds + " s ago";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min ago";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h ago";
  return Math.floor(seconds / 86400) + " d ago";
}

const kindOf = (item) => item.kind === "captured"
  ? "accepted" : FAILURES.includes(item.code) ? "failed" : "refused";

function who(item) {
  if (item.person) return item.person;
  // Before row 9 of the checks it is not known yet who it is.
  return ["not-identified", "bad-session", "bad-identity"].includes(item.code) ? "not known" : "–";
}

function about(item) {
  if (item.attributes) {
    return Object.entries(item.attributes)
      .map(([key, value]) => key.split(":").pop() + " " + inWords(value)).join(" · ");
  }
  const what = explain(item)[0];
  return item.field && !what.includes(item.field) ? what.replace(/\.$/, ": ") + item.field : what;
}

/* Elements */

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = visible(text);
  return element;
}

function shape(kind) {
  const NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg");
  const path = document.createElementNS(NS, "path");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[kind]);
  svg.append(path);
  return svg;
}

function detail(item) {
  const box = make("div", "detail");
  if (!item.attributes) box.append(make("p", "", about(item).replace(/\.?$/, ". ") + explain(item)[1]));
  const facts = item.attributes
    ? Object.entries(item.attributes).map(([key, value]) => [key, inWords(value)])
    : [["expected", item.expected], ["reason", item.reason], ["answer", item.code], ["route", item.route]];
  facts.push(
    ["activity", item.activity_id], ["person", item.person], ["assurance", item.assurance],
    ["source", item.source], ["event id", item.event_id],
    ["occurred", item.occurred_at && exact(item.occurred_at)], ["received", exact(item.when)]
  );
  const list = make("dl", "mono");
  facts.filter(([, value]) => value).forEach(([name, value]) => {
    list.append(make("dt", "", name), make("dd", "", value));
  });
  box.append(list);
  return box;
}

function entry(item) {
  const kind = kindOf(item);
  const row = make("button", "row");
  const outcome = make("span", "outcome");
  const time = make("span", "time", ago(item.when));
  const activity = make("span", item.name ? "activity named" : "activity", item.name || "");
  outcome.append(shape(kind), kind);
  time.title = exact(item.when);
  if (item.name) activity.append(" ");
  activity.append(make("span", "id mono", item.activity_id || item.route));
  row.type = "button";
  row.setAttribute("aria-expanded", "false");
  row.append(outcome, time, make("span", "person", who(item)), activity, make("span", "about", about(item)));
  const element = make("li", kind);
  element.append(row);
  element.item = item;
  element.words = [kind, item.code, item.reason, row.textContent].join(" ").toLowerCase();
  row.addEventListener("click", () => toggle(element));
  return element;
}

function toggle(element, open) {
  const row = element.firstChild;
  const shown = row.getAttribute("aria-expanded") === "true";
  if (open === shown) return;
  row.setAttribute("aria-expanded", String(!shown));
  if (shown) element.lastChild.remove();
  else element.append(detail(element.item));
}

/* What the server said */

function show(data) {
  const first = cursor === "";
  if (data.anew) feed.replaceChildren();
  behind = data.more ? behind + data.rows.length : 0;
  // Further behind than the page can hold: it begins again, with the latest.
  cursor = behind < MOST ? data.cursor : "";
  steady(() => {
    data.rows.forEach((item) => {
      item.when = Date.parse(item.received_at || item.at);
      const element = entry(item);
      if (!first) element.classList.add("new");
      place(element);
    });
    while (feed.children.length > MOST) feed.lastChild.remove();
    count(data.counts);
    warn(data.warnings);
    suggest(data.example);
    filter();
  });
}

// Newest first. An answer may bring rows that are older than some that are here.
function place(element) {
  let next = feed.firstChild;
  while (next && next.item.when > element.item.when) next = next.nextSibling;
  feed.insertBefore(element, next);
}

// Nothing may move under the reader's eyes: further down, or in a row that is open.
function steady(change) {
  const rows = Array.from(feed.querySelectorAll("li:not([hidden])"));
  const read = rows.find((each) => each.contains(document.activeElement) || each.children.length > 1) ||
    (scrollY > 0 && rows.find((each) => each.getBoundingClientRect().bottom > 0));
  const before = read && read.getBoundingClientRect().top;
  change();
  if (read && read.isConnected) scrollBy(0, read.getBoundingClientRect().top - before);
}

function count(counts) {
  const sums = { accepted: 0, duplicate: 0, refused: 0, failed: 0 };
  const notes = Object.entries(counts).filter(([code]) => code.startsWith("note:"));
  Object.entries(counts).forEach(([code, number]) => {
    if (/^note:|^identified$|^anonymous$|^opted-out$/.test(code)) return;
    sums[code in sums ? code : kindOf({ code })] += number;
  });
  Object.entries(sums).forEach(([kind, sum]) => {
    const box = document.querySelector("#counts ." + kind);
    box.lastElementChild.textContent = sum.toLocaleString("en");
    box.classList.toggle("zero", sum === 0);
  });
  byId("notes").hidden = notes.length === 0;
  byId("notes").lastElementChild.replaceChildren(...notes.flatMap(([code, number]) =>
    [make("dt", "", number.toLocaleString("en") + " ×"), make("dd", "", meaning(code.slice(5)))]));
}

function warn(warnings) {
  byId("warnings").replaceChildren(...warnings.map((each) => make("p", "", WARNINGS[each] || each)));
}

function suggest(activity) {
  if (!activity) return;
  byId("example").textContent = "<script>\nap3c.track({email: \"user@emaildomain.com\"});\n" +
    "ap3c.activity(" + JSON.stringify(activity, null, 2) + ");\n</script>";
}

function filter() {
  const words = search.value.trim().toLowerCase();
  const rows = Array.from(feed.children);
  rows.forEach((element) => { element.hidden = !element.words.includes(words); });
  byId("empty").hidden = rows.length > 0;
  byId("nomatch").hidden = rows.length === 0 || rows.some((element) => !element.hidden);
  byId("loaded").textContent = rows.length.toLocaleString("en");
}

/* Asking */

function trouble(text) {
  // Only a change is announced.
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

// What is new, or null.
async function ask() {
  let status = 0;
  try {
    const answer = await fetch("api/feed?after=" + encodeURIComponent(cursor), {
      cache: "no-store",
      headers: token ? { Authorization: "Bearer " + token } : {},
      signal: AbortSignal.timeout(PATIENCE)
    });
    status = answer.status;
    const data = answer.ok ? await answer.json() : null;
    if (!data && status !== 304) throw new Error("refused");
    failing = null;
    trouble("");
    return data;
  } catch (error) {
    failing = failing || new Date().toLocaleTimeString("en-GB");
    if (status === 401) trouble("You are signed out. Reload this page to sign in again.");
    else if (status === 404 || status === 403) trouble("This page is not open to you. Open the link that the server printed when it started; or sign in to the site it belongs to, then reload.");
    else if (!navigator.onLine) trouble("You are offline since " + failing + ". New rows come when you are back.");
    else if (status) trouble("Since " + failing + " the server answers " + status + ". Its log says why; this page keeps asking.");
    else trouble("Since " + failing + " the server does not answer. Is it running? This page keeps asking.");
    return null;
  }
}

let timer;

async function poll() {
  clearTimeout(timer);
  if (document.hidden || feed.ariaBusy === "true") return;
  feed.ariaBusy = "true";
  const data = await ask();
  try {
    if (data) show(data);
    feed.querySelectorAll("li:not([hidden])").forEach((element) => {
      element.querySelector(".time").textContent = ago(element.item.when);
    });
  } finally {
    feed.ariaBusy = "false";
    timer = setTimeout(poll, data && data.more ? 0 : EVERY);
  }
}

/* The token. It stands behind the # of the link, which no browser sends to a server. */

const attempt = (action) => {
  try { return action(); } catch { return null; } // storage may be switched off
};

function admit() {
  const given = /^#token=([\w-]+)$/.exec(location.hash);
  if (given) {
    attempt(() => sessionStorage.setItem("ortto-capture-token", given[1]));
    // Neither a bookmark nor a glance over the shoulder takes it along.
    history.replaceState(null, "", location.pathname);
  }
  token = given ? given[1] : attempt(() => sessionStorage.getItem("ortto-capture-token")) || "";
}

/* Hands */

function step(by) {
  const rows = Array.from(feed.querySelectorAll("li:not([hidden]) > .row"));
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
  if (next) next.focus();
}

function escape() {
  if (search.value || document.activeElement === search) {
    search.value = "";
    search.blur();
    filter();
  } else Array.from(feed.children).forEach((element) => toggle(element, false));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { j: () => step(1), k: () => step(-1), "/": () => search.focus() };
  const action = event.key === "Escape" ? escape : document.activeElement !== search && keys[event.key];
  if (!action) return;
  action();
  event.preventDefault();
});
search.addEventListener("input", filter);
document.addEventListener("visibilitychange", poll);
addEventListener("hashchange", () => { admit(); poll(); });
admit();
poll();
