// @ts-check
/**
 * What the pages ask the server, once or again and again.
 *
 * The law of this file: the token leaves in the Authorization header alone; what was answered is
 * asked for again with its ETag; a page that is hidden, or gone, asks nothing.
 */

const TOKEN = "ortto-capture-token";
/** Milliseconds until a question counts as unanswered. */
const PATIENCE = 20000;
/** Seconds between two attempts while the server is away, at most. */
const RARELY = 60;
/** Answers that are kept for their ETag. */
const KEPT = 60;

/** The token, for this tab, where storage is switched off. */
let held = "";
/** @type {Map<string, {etag: string, body: any}>} */
const answered = new Map();
/** @type {Promise<Me> | null} */
let reader = null;

/**
 * Who reads, and what the server lets them do.
 * @typedef {{scopes: string[], who: string, time_zone: string, now: string, endpoint: string,
 *   snippet: string, keys: string[], definitions: {writable: boolean, reason: string}, version: string,
 *   sources: {key: string, name: string}[]}} Me
 */

/** The server's refusal, or its silence: then `status` is 0. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, message?: string, field?: string, expected?: any}} said
   * @param {number} retryAfter seconds, or 0
   */
  constructor(status, said, retryAfter) {
    super(said.message || "The server answered " + status + ".");
    this.status = status;
    this.code = said.code || "";
    this.field = said.field || "";
    this.expected = said.expected;
    this.retryAfter = retryAfter;
  }
}

/** @returns {string} the token of this tab, or nothing */
export function token() {
  try {
    return sessionStorage.getItem(TOKEN) || held;
  } catch {
    return held;
  }
}

/**
 * Keep a token for this tab, or forget it.
 * @param {string} given
 */
export function keepToken(given) {
  held = given;
  reader = null;
  answered.clear();
  try {
    if (given) sessionStorage.setItem(TOKEN, given);
    else sessionStorage.removeItem(TOKEN);
  } catch { /* Storage is switched off: the token lives as long as the page. */ }
}

/**
 * Take the token out of the address, where no bookmark and no glance finds it.
 * @returns {boolean}
 */
export function admit() {
  const given = /^#token=([\w-]+)$/.exec(location.hash);
  if (!given) return false;
  keepToken(given[1]);
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

/**
 * Ask the API. A GET that is answered with 304 returns the very same object as before.
 *
 * @param {string} path below `api/`
 * @param {{method?: string, body?: any, signal?: AbortSignal, etag?: string}} [how] with a `body`
 *   the method is POST unless another is given; `etag` is the version to be changed, and "" says
 *   that there must be none yet
 * @returns {Promise<any>} the JSON that was answered; rejects with an ApiError
 */
export async function ask(path, how = {}) {
  const { body, signal, etag, method = body === undefined ? "GET" : "POST" } = how;
  const last = answered.get(path);
  const response = await answerOf(path, method, body, signal, etag);
  if (response.status === 304 && last) return last.body;
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) {
    throw new ApiError(response.status, (answer && answer.error) || {}, Number(response.headers.get("Retry-After")) || 0);
  }
  const version = response.headers.get("ETag");
  if (method === "GET" && version) {
    answered.delete(path);
    answered.set(path, { etag: version, body: answer });
    if (answered.size > KEPT) answered.delete(answered.keys().next().value || "");
  }
  return answer;
}

/**
 * A file of the API, such as a CSV: a link would not carry the token.
 * @param {string} path below `api/` @param {string} name of the file
 */
export async function download(path, name) {
  const response = await answerOf(path, "GET", undefined, undefined, undefined);
  if (!response.ok) {
    const answer = await response.json().catch(() => null);
    throw new ApiError(response.status, (answer && answer.error) || {}, 0);
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), PATIENCE);
}

/**
 * @param {string} path @param {string} method @param {any} body
 * @param {AbortSignal | undefined} signal @param {string | undefined} etag
 */
async function answerOf(path, method, body, signal, etag) {
  /** @type {Record<string, string>} */
  const headers = {};
  const last = answered.get(path);
  if (token()) headers.Authorization = "Bearer " + token();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag === "") headers["If-None-Match"] = "*";
  else if (etag) headers["If-Match"] = etag.startsWith('"') ? etag : '"' + etag + '"';
  else if (method === "GET" && last) headers["If-None-Match"] = last.etag;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE);
  const stop = () => late.abort();
  if (signal) signal.addEventListener("abort", stop);
  try {
    return await fetch("api/" + path, {
      method, headers, cache: "no-store", signal: late.signal,
      body: body === undefined ? undefined : JSON.stringify(body)
    });
  } catch (error) {
    if (signal && signal.aborted) throw error;
    throw new ApiError(0, {
      code: navigator.onLine ? "no-answer" : "offline",
      message: navigator.onLine ? "The server does not answer. Is it running?" : "This machine is offline."
    }, 0);
  } finally {
    clearTimeout(timer);
    if (signal) signal.removeEventListener("abort", stop);
  }
}

/**
 * Who reads. It is asked once.
 * @returns {Promise<Me>}
 */
export function me() {
  if (!reader) {
    const asked = ask("me");
    reader = asked;
    asked.catch(() => { if (reader === asked) reader = null; });
  }
  return reader;
}

/**
 * Whether the reader has a scope.
 * @param {string} scope
 */
export const can = async (scope) => (await me()).scopes.includes(scope);

/**
 * Say at the top of the page how fresh it is.
 * @param {"" | "live" | "away" | "paused"} fresh
 */
export function freshness(fresh) {
  const dot = document.getElementById("connection");
  if (!dot || dot.getAttribute("data-state") === fresh) return;
  const words = { "": "", live: "Up to date", away: "Offline, trying again", paused: "Paused" };
  dot.setAttribute("data-state", fresh);
  dot.textContent = words[fresh];
}

/**
 * Ask again every `seconds`: not in a tab that is hidden, more rarely while the server is away.
 * What a later turn cannot mend by waiting (a refusal) is told to the page's frame, and ends it.
 *
 * @param {() => Promise<unknown>} once what to ask and show; it may throw what `ask` throws
 * @param {number} seconds @param {AbortSignal} gone the page was left
 * @returns {Promise<void>} when the first turn is over; rejects when that one failed
 */
export async function poll(once, seconds, gone) {
  let failures = 0, timer = 0, asking = false;
  const turn = async () => {
    clearTimeout(timer);
    if (gone.aborted || document.hidden || asking) return;
    let wait = seconds;
    asking = true;
    try {
      await once();
      failures = 0;
      if (!gone.aborted) freshness("live");
    } catch (error) {
      if (gone.aborted) return;
      if (!passing(error)) {
        dispatchEvent(new CustomEvent("page-failed", { detail: error }));
        return;
      }
      failures += 1;
      freshness("away");
      wait = Math.max(error instanceof ApiError ? error.retryAfter : 0, seconds * 2 ** failures);
    } finally {
      asking = false;
    }
    if (!gone.aborted) timer = window.setTimeout(turn, 1000 * Math.min(RARELY, wait));
  };
  gone.addEventListener("abort", () => clearTimeout(timer));
  document.addEventListener("visibilitychange", turn, { signal: gone });
  addEventListener("online", turn, { signal: gone });
  await once();
  if (gone.aborted) return;
  freshness("live");
  timer = window.setTimeout(turn, 1000 * seconds);
}

/**
 * Whether waiting may mend it: silence, a fault of the server, too many questions.
 * @param {unknown} error
 */
export const passing = (error) =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
