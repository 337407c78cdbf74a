//# allFunctionsCalledOnLoad
/*
 * (The line above tells Chromium to compile all functions beside the download, instead of each on
 * the page's own thread when it is first called. It works in the first line only.)
 *
 * The browser client of ortto_capture: the global `ap3c`.
 *
 * A page calls `ap3c.track` (who visits) and `ap3c.activity` (what they do). Each call becomes an
 * entry of a queue, which localStorage keeps until the server has answered for it. No exception
 * leaves this file, and nothing is printed when all goes well.
 *
 * Lines that hold a comment only, and indentation, are removed when the server reads this file.
 */
// Promise is the one of now: a page may put another in its place later.
((Promise) => {
const HOUR = 3600e3;

// The oldest age of an activity that the server takes.
const MAX_AGE = 48 * HOUR;

// No server can ask a page to wait longer, ms.
const MAX_WAIT = 300e3;

// An answer that takes longer is lost, and a tab that holds the lock for longer is stuck, ms.
const ANSWER_WITHIN = 15e3;
const LOCK_WITHIN = 20e3;

// Of the calls that wait for one endpoint, and of one call; sizes in characters.
const MAX_CALLS = 100;
const MAX_SIZE = 65536;
const MAX_CALL_SIZE = 2e4;

const ap3c = Object(window.ap3c);

// A page must not notice what fails here; it has no value.
const attempt = (action) => {
  try {
    return action();
  } catch (error) {
    return undefined;
  }
};

// A second code on the page has brought this file again.
if (ap3c.loaded) return attempt(ap3c.load);

const soon = (work) => { Promise.resolve().then(work).catch(() => {}); };

// Tells this page's entries from those of other pages.
const random = () => Math.random().toString(36).slice(2);
const page = "-" + random();

// What the page was last initialised with, and everything so far, by endpoint: `key`, `endpoint`,
// and the `identity` of its visitor.
let current = {}, cookieDomains;
const endpoints = {};

// A frame without an address of its own, as about:srcdoc, has that of its parent.
const pageOrigin = () => /^http/.test(location) ? location.origin : origin;

// Pages that write an endpoint differently, or have a <base>, mean the same.
const absolute = (address) => address
  .replace(/\/+$/, "")
  .replace(/^\/\//, location.protocol + "//")
  .replace(/^(?=\/|$)/, pageOrigin());

const ourEndpoints = () => Object.keys(endpoints).map(absolute);

// Without consent nothing is stored or sent. Once the visitor was asked, no later `init` counts.
let denied;

// Between `pagehide` and, when the visitor comes back, `pageshow`.
let going;

// Until then, the page may be about to go: the cookies may be those of the next page already.
let doubtful;

// Loads the texts of `debug`; false without.
let explain;

// There was something to keep. Before, a page only looks at what others have written.
let begun;

// Of an entry that this page or another one will send later.
const KEPT = { ok: false, queued: true };

/*
 * Storage
 *
 * What this page has written is in its memory too. Where localStorage is denied, full or broken,
 * that stands in for it. And a page may clear localStorage while calls wait, as log-in and log-out
 * code does: then all is written again. But an item is also gone when another tab has removed it,
 * because it was sent. The item `ap3c.storage`, a mark with a random value, tells the two apart: it
 * is gone, or another one, only if all was cleared.
 */

const MARK = "ap3c.storage";
const memory = {};
let mark, broken;

// What of it localStorage has taken: it may be full.
const taken = {};

const stored = (name) => attempt(() => localStorage.getItem(name));

const read = (name) => !broken && stored(name) || memory[name];

const load = (name) => attempt(() => JSON.parse(read(name)));

const write = (name, text, isShared = true) => {
  const differs = () => stored(name) && stored(name) !== text;
  delete memory[name];
  if (text) memory[name] = text;
  attempt(() => text && isShared && localStorage.setItem(name, text));
  // An older text is worse than none.
  if (differs()) attempt(() => localStorage.removeItem(name));
  if (differs()) broken = true;
  taken[name] = text && stored(name) === text;
  if (!text) delete taken[name];
};

const restore = () => {
  const found = stored(MARK);
  const cleared = !found || found !== mark;
  if (cleared) write(MARK, mark = found || "-" + random());
  Object.keys(memory).filter((name) => !stored(name)).forEach((name) => {
    if (isPrivate(Object(load(name)))) return;
    // A session that was cleared is one that was ended.
    const isSession = /^ap3c\.session /.test(name);
    if (!taken[name] || cleared && !isSession) return write(name, memory[name]);
    delete memory[name];
    // Unless the other tab's own words arrive until then.
    setTimeout(finish, 1e3, name, KEPT);
  });
};

const storedNames = () => Object.keys(memory)
  .concat(attempt(() => Object.keys(localStorage)) || [])
  .filter((name, index, all) => /^ap3c[-.]/.test(name) && all.indexOf(name) === index);

/*
 * Session
 *
 * The token that `track` was answered with. It belongs to the endpoint that gave it, and two
 * endpoints may share an origin and so its one cookie. Hence `ap3c.session <endpoint>` says which
 * token is whose; with the word "alone" when the cookie does not hold it, because the browser takes
 * no cookies or the other endpoint has taken it. A token that stands nowhere else was given to a
 * page of another sub-domain, and is ours as well. Ortto's own cookie has the same name, but no
 * token like ours.
 */

// A token that the server has refused, and that this page may be unable to remove.
let refused;

const cookie = () => attempt(() => Object(/(?:^|; )ap3c=(oc1\.[^;]*)/.exec(document.cookie))[1]);

const wordsOf = (name) => (read(name) || "").split(" ");

// The item of another endpoint whose token the cookie holds.
const itemOfOther = (own) => storedNames().find((name) =>
  /^ap3c\.session /.test(name) && name !== own && wordsOf(name)[0] === cookie());

const session = (address) => {
  if (denied) return null;
  const own = "ap3c.session " + address;
  const [kept, alone] = wordsOf(own);
  const shared = cookie();
  // The cookie's, also one that no item names; but its own where the cookie is none, or another's.
  const isOurs = !alone && (shared === kept || !itemOfOther(own));
  const token = isOurs ? shared : kept;
  return /^oc1\./.test(token) && token !== refused ? token : null;
};

const remember = (address, token) => {
  const own = "ap3c.session " + address;
  const other = itemOfOther(own);
  if (token && other) write(other, cookie() + " alone");
  if (token || session(address) === cookie()) attempt(() => {
    const domain = [].concat(cookieDomains)
      .find((entry) => ("." + location.hostname).endsWith("" + entry)) || "";
    const rest = (/^https/.test(location) ? "; Secure" : "") + "; path=/; SameSite=Lax; domain=";
    // One that was written without the domain would be read first.
    document.cookie = "ap3c=; max-age=0" + rest;
    document.cookie = `ap3c=${token}; max-age=` + (token ? 31536000 : 0) + rest + domain;
  });
  write(own, token && token + (cookie() === token ? "" : " alone"));
};

const endSession = (address) => {
  remember(address, null);
  // The cookie may be one that this page cannot remove.
  refused = session(address) || refused;
};

/*
 * Queue
 *
 * A queue entry is one call: JSON in localStorage, under a name of its own, since tabs share the
 * storage and nothing locks it. Its members:
 *
 *   name      "ap3c-<number><page>": its page knows it by the end
 *   order     greater than that of every call that waited when it was made; no clock decides
 *   called    when the page made the call, by the device's clock, ms
 *   step      "track" or "activity": also the last part of the route
 *   key       the key, and
 *   endpoint  the absolute URL that the page reported to when it made the call
 *   body      what the page passed, an activity with its event_id
 *
 * Whose an activity is, decided when it is called and at the latest when a person is identified:
 *
 *   token     the session in which it was called, or the first one after it
 *   waitsFor  the name of the track that was called before it and is not answered yet
 *   person    the fields of a track: it travels with them when it cannot wait for the answer
 *
 * An activity with none of these is held until a person is identified. A track whose `identity` is
 * "host" asks the host who is signed in. It has the first three, too: what goes on where no visitor
 * is. Until the answer it is private, as are the activities that wait for it: they stand in this
 * page's memory only. To another page, the host may give another name. What happened since:
 *
 *   signedOut the page has called `clearSession` after it, or a later track has overtaken it: what
 *             it is answered is no session of this browser's any more
 *   refused   the server has refused this track's identity token: its page was cached for longer
 *             than that is good. The same page, and no other, asks the host for a new one
 *   renewed   it has got a new one
 *   tries     how often it was sent; what failed goes behind the others
 *   until     when it may be sent again, because a limit was reached
 */

// What the page does when an entry comes to something, by the entry's name.
const callbacks = {};

const finish = (name, outcome) => {
  attempt(() => callbacks[name](outcome));
  delete callbacks[name];
};

const isMine = ({ name }) => name.endsWith(page);

const isTrack = ({ step }) => step === "track";

const isNamed = (entry) => {
  const { email, ei, ac, identity } = Object(entry.body);
  return isTrack(entry) && (email || ei || Object(ac).length || identity);
};

const isOpen = (entry) => isTrack(entry) && Object(entry.body).identity === "host";

const asksHost = (entry) => isOpen(entry) ||
  isTrack(entry) && entry.refused && !entry.renewed && isMine(entry);

// The track that it waits for, while that is under way.
const trackOf = (entry) => entry.waitsFor && load(entry.waitsFor);

const isPrivate = (entry) => isOpen(entry) || isOpen(Object(trackOf(entry)));

const sizeOf = (entry) => JSON.stringify(entry).length;

const save = (entry, change) => {
  Object.assign(entry, change);
  write(entry.name, JSON.stringify(entry), !isPrivate(entry));
};

// What waits for an endpoint, oldest first. What lies in localStorage is data: it may be anything.
const queue = (address) => {
  if (begun) restore();
  return storedNames()
    .map((name) => ({ ...load(name), name }))
    .filter(({ step, body, endpoint, order }) =>
      /^(track|activity)$/.test(step) && body && endpoint === address &&
        Number.isSafeInteger(order))
    .sort((one, other) => one.order - other.order);
};

const tell = ({ step, body }, outcome) => attempt(() => {
  if (explain == null)
    ap3c.debug(/^\w+:..(localhost|127[.\d]+|\[::1])[:/].*[?&]ap3c_debug\b/.test(location));
  if (explain) explain().then((texts) => texts.default(step, body, outcome)).catch(() => {});
});

// The page that made the entry may be another tab, which hears of it as a `storage` event.
const settle = (entry, outcome) => {
  outcome = JSON.parse(JSON.stringify(outcome));
  tell(entry, outcome);
  if (!outcome.queued) {
    if (!isMine(entry)) write(entry.name, JSON.stringify({ outcome }));
    write(entry.name);
  }
  finish(entry.name, outcome);
};

const hear = ({ key: name, newValue }) => attempt(() => {
  // What another tab has written is newer than this page's memory.
  if (memory[name] && (newValue || name[4] === ".")) memory[name] = newValue;
  const { outcome, tries, refused } = JSON.parse(newValue);
  if (outcome) delete memory[name];
  if (outcome || tries) finish(name, outcome || KEPT);
  // It may be ready, and the other tab about to close.
  if (isMine({ name })) wake(refused ? 0 : 1e3);
});

// The next request tells the server how many there were.
const drop = (entries, code, outcome = { ok: false, code }) => {
  if (!entries[0]) return;
  const name = "ap3c.dropped " + entries[0].endpoint;
  const counts = Object(load(name));
  write(name, JSON.stringify({ ...counts, [code]: (counts[code] || 0) + entries.length }));
  release(entries.filter(isNamed), ({ body }) => ({ person: body }));
  for (const entry of entries) settle(entry, outcome);
};

// What is too much: the oldest go first, but who it was is kept longest.
const surplus = (all) => {
  const who = all.filter(isNamed).pop();
  let size = 0, count = 0;
  return all.filter((entry) => entry !== who).concat(who || []).reverse().filter((entry) => {
    if (!entry.step) return false;
    size += sizeOf(entry);
    count++;
    return count > MAX_CALLS || size > MAX_SIZE;
  });
};

/*
 * Who an activity belongs to
 *
 * To the person whom the page named last before it, and, if there was none, to the first one who is
 * identified after it. Hence an activity that is called while a track waits for its answer waits
 * too, and no session that was there before is used for it, whatever becomes of the track.
 */

const isHeld = (entry) => !isTrack(entry) && !entry.token && !entry.person && !trackOf(entry);

const tokenOf = (entry) => entry.token ||
  (isTrack(entry) && !entry.signedOut || isHeld(entry)) && session(entry.endpoint) || null;

const isReady = (entry) => isTrack(entry) || entry.person || tokenOf(entry);

const clear = (entry) => settle(entry, { ok: false, code: "cleared" });

// Tracks have come to something: what waited for one is told whose it is, or is held.
const release = (tracks, changeOf) => {
  if (tracks[0]) for (const entry of queue(tracks[0].endpoint)) {
    const held = isHeld(entry);
    const track = tracks.find(({ name, order }) =>
      entry.waitsFor === name || held && entry.order < order);
    if (!track) continue;
    save(entry, { waitsFor: null, ...changeOf(track) });
    if (entry.signedOut && isHeld(entry)) clear(entry);
  }
};

// For `clearSession`. What was called before it goes out in the old name. What is held goes to the
// person who is being identified, if a track is under way, and else nowhere.
const forget = (address, token) => {
  const all = queue(address);
  for (const entry of all) {
    const isNext = (other) => isNamed(other) && !other.signedOut && other.order > entry.order;
    const track = all.find(isNext);
    if (!isHeld(entry)) save(entry, { token: tokenOf(entry) });
    else if (token || track) save(entry, { token, waitsFor: Object(track).name });
    else clear(entry);
  }
  for (const entry of queue(address)) save(entry, { signedOut: true });
  endSession(address);
};

/*
 * Sending
 */

const pause = (address, until) => write("ap3c.wait " + address, until && "" + until);

// How long until then. A time from before the device's clock was set is no reason to wait.
const waitUntil = (time) => {
  const wait = time - Date.now();
  return wait > 0 && wait <= MAX_WAIT ? wait : 0;
};

const request = (entry, more) => [entry.endpoint + "/-/events/" + entry.step, JSON.stringify({
  ...entry.body,
  key: entry.key,
  session: isNamed(entry) ? null : tokenOf(entry),
  person: entry.person,
  age: isTrack(entry) ? undefined : Math.min(Math.max(0, Date.now() - entry.called), MAX_AGE),
  gpc: navigator.globalPrivacyControl === true || undefined,
  ...more
})];

// Only what a capture server says is final. A proxy answers with a 404 or a 403 of its own while
// the app behind it restarts, a hotel's network with a 200.
const isFinal = ({ status, code, wait }) =>
  /^4/.test(status) && code && code !== "incomplete" && (status !== 429 || wait * 1e3 > MAX_WAIT);

// The host's answer to a track that asked it. With a token, the track is what is to be sent next.
const hearHost = (entry, identity, outcome) => {
  if (identity) return save(entry, {
    body: { ...entry.body, identity },
    renewed: entry.refused,
    until: null,
    waitsFor: null
  });
  // A session that a log-in has vouched for ends with it. Another tab may have a new one by now.
  const { endpoint: address, token, person, waitsFor } = entry;
  const ended = identity === null && /\..+\.v\./.test(token);
  if (ended && session(address) === token) endSession(address);
  // Else all goes on as though the host had not been asked.
  release([entry], () => ({ token: ended ? null : token, person, waitsFor }));
  settle(entry, { ...outcome, identified: !!session(address) });
};

// After a log-out the host may name the next person, even if it was asked before: a browser adds the
// cookies late.
const abandon = (entry) => queue(entry.endpoint)
  .filter(({ waitsFor }) => waitsFor === entry.name)
  .concat(entry)
  .forEach(clear);

const flying = {};
let failures = 0;

const send = async (entry) => {
  const { name, endpoint: address } = entry;
  const asks = asksHost(entry);
  if (asks && entry.signedOut) return abandon(entry);
  const token = tokenOf(entry);
  const isLast = isMine(entry) ? entry.renewed : entry.refused;
  const dropped = !asks && load("ap3c.dropped " + address) || undefined;
  let status = 0, wait, data;
  flying[name] = true;
  try {
    const [url, body] = asks ? [address + "/-/identity"] : request(entry, { dropped });
    const asked = fetch(url, {
      method: body ? "POST" : "GET",
      cache: "no-store",
      keepalive: true,
      signal: attempt(() => AbortSignal.timeout(ANSWER_WITHIN)),
      // Text goes as text/plain, which needs no preflight.
      body
    });
    // WebKit does not end what was under way when the visitor followed a link to a download.
    const late = new Promise((done, fail) => { setTimeout(fail, ANSWER_WITHIN); });
    const answer = await Promise.race([asked, late]);
    status = answer.status | 0;
    wait = +answer.headers.get("Retry-After") || undefined;
    data = await answer.json();
  } catch (error) {
    // The server is away, or is none.
  }
  delete flying[name];
  // The consent was taken back meanwhile, and with it the entry.
  if (denied) return;
  // The lock may have been let go meanwhile: then the loop in `deliver` has ended, and does not see
  // what this answer makes ready.
  wake();

  const { identified, duplicate, session: fresh, identity, error } = Object(data);
  const { code } = Object(error);
  const ok = asks
    ? identity === null || /^oi1\./.test(identity)
    : identified != null || Object(data).ok === true;
  let outcome = { ok, status, code, identified, duplicate, wait };
  restore();
  // Gone, if another tab has settled it; else perhaps changed, by `clearSession`.
  const present = load(name);
  Object.assign(entry, present);
  // It is asked again if the page stays.
  if (asks && waitUntil(doubtful)) return;

  if (!ok && !isFinal(outcome)) {
    // Not all visitors at once.
    const backoff = Math.max(wait * 1e3 || 0, Math.random() * 1e3 * 2 ** failures++);
    const until = Math.min(backoff, MAX_WAIT) + Date.now();
    const limited = !asks && status === 429 && code;
    if (!limited) pause(address, until);
    if (present) save(entry, {
      tries: (entry.tries || 0) + 1,
      token: isTrack(entry) ? entry.token : token,
      until: limited && until
    });
    return settle(entry, { ...outcome, code: code || "unreachable", queued: true });
  }

  failures = 0;
  pause(address);
  if (asks) {
    if (!present) return;
    if (entry.signedOut) return abandon(entry);
    if (identity || isOpen(entry)) return hearHost(entry, identity, outcome);
    outcome = { ok: false, status: 401, code: "bad-identity" };
  }
  if (dropped) write("ap3c.dropped " + address);
  // Unless another tab made a session meanwhile.
  const same = session(address) === token;
  const isCurrent = present && !entry.signedOut;
  if (isTrack(entry)) {
    // Once the page has named another person, the old session is used no more, even if the server
    // has refused the new one.
    if (isCurrent && (fresh || same && (ok || isNamed(entry)))) remember(address, fresh);
    if (isCurrent && code === "bad-identity" && !isLast) {
      tell(entry, { ...outcome, queued: true });
      // Other tabs leave it to its page for a moment.
      return save(entry, { refused: true, until: Date.now() + 1e3 });
    }
    // An older one that was overtaken changes the session no more.
    if (isNamed(entry)) for (const other of queue(address))
      if (isNamed(other) && other.order < entry.order) save(other, { signedOut: true });
    release([entry], () => ({ token: fresh }));
  } else if (isCurrent && token && /^(bad-session|not-identified)$/.test(code)) {
    if (same) remember(address, null);
    refused = token;
    tell(entry);
    // A lost session is not a lost activity.
    return save(entry, { token: null });
  }
  if (status === 429) drop([entry], code, outcome);
  else settle(entry, outcome);
};

const putOff = (entry) => waitUntil(asksHost(entry) ? doubtful : entry.until);

// The entry to send now. Tracks keep their order; what failed goes behind the others.
const next = (address) => {
  if (denied || going || document.prerendering) return;
  const paused = waitUntil(read("ap3c.wait " + address));
  let track;
  return queue(address).filter((entry) => {
    // No page waits for a server that is away.
    if ((paused || track && putOff(track)) && !isHeld(entry)) finish(entry.name, KEPT);
    if (isTrack(entry) && track || !isReady(entry)) return false;
    // What some firewall never lets through holds up the others for a while only.
    if (isTrack(entry) && !(entry.tries > 5)) track = entry;
    const wait = paused || putOff(entry);
    if (wait) wake(wait);
    return !wait && !flying[entry.name];
  }).sort((one, other) => (one.tries || 0) - (other.tries || 0))[0];
};

/*
 * One tab at a time
 *
 * Calls leave in order, and a server that comes back is not met by all tabs at once. The lock is
 * held for one request.
 *
 * It is never asked for while the page is going. Firefox grants it to the page that it has frozen
 * for "Back", and every other tab of the origin would wait until that page is shown again. So it is
 * asked for in a task of its own (`wake`), which a page that is going does not come to; and a page
 * that goes gives up its place in the line, and the lock.
 *
 * Nor is it waited for without end: a tab that stands in a debugger, or behind an `alert()`, keeps
 * it. Then, and where there are no locks (pages without https), a time in localStorage, the lease,
 * stands in for it. Tabs may see that late; what two of them send, the server stores once.
 */

// While this page delivers to an endpoint: what ends the wait for the lock, and the lock.
const giveUp = {};
const letGo = {};

const doAll = (actions) => Object.values(actions).forEach(attempt);

const sendNext = async (address, leased) => {
  const entry = next(address);
  if (entry && leased) pause(address, Date.now() + ANSWER_WITHIN);
  if (entry) await send(entry);
};

const oneTabAtATime = async (address) => {
  let patience;
  try {
    const waiting = new AbortController();
    giveUp[address] = () => waiting.abort();
    patience = setTimeout(giveUp[address], LOCK_WITHIN);
    await navigator.locks.request("ap3c " + address, { signal: waiting.signal }, () => {
      clearTimeout(patience);
      return Promise.race([sendNext(address), new Promise((done) => { letGo[address] = done; })]);
    });
  } catch (error) {
    clearTimeout(patience);
    await sendNext(address, true);
  }
};

const delivering = {};

const deliver = async (address) => {
  if (delivering[address]) return;
  delivering[address] = true;
  try {
    while (next(address)) {
      begun = true;
      await oneTabAtATime(address);
    }
  } finally {
    delivering[address] = false;
  }
};

// Delivers, in a task of its own.
let timer, due = Infinity;
const wake = (wait = 0) => {
  const now = Date.now();
  // Unless the clock was set, or the computer has slept, since.
  if (due > now && due <= now + wait) return;
  due = now + wait;
  clearTimeout(timer);
  timer = setTimeout(() => {
    due = Infinity;
    listen();
    ourEndpoints().forEach((address) => soon(() => deliver(address)));
  }, wait);
};

/*
 * Leaving
 *
 * A beacon outlives its page. No page hears its answer, so the entry stays, and a later page sends
 * it once more: the server knows the event_id. Filter lists block beacons to other origins.
 */

const isOtherOrigin = (address) => !(address + "/").startsWith(pageOrigin() + "/");

const beaconed = {};

const ourEntries = () => [].concat(...ourEndpoints().map(queue)).filter(isMine);

const leave = () => {
  if (denied || document.prerendering) return;
  ourEntries().forEach((entry) => attempt(() => {
    const { name, endpoint: address } = entry;
    // Without locks: the others need not wait for the end of the lease.
    if (flying[name]) return pause(address);
    const person = entry.person || Object(trackOf(entry)).body;
    if (beaconed[name] || putOff(entry) || !person && !isReady(entry)) return;
    // Without a name it would be of the visitor who is signed in when it leaves the browser: in
    // Firefox and WebKit, that is the next one where a page is left by signing in.
    if (isPrivate(entry)) return;
    const [url, body] = request(entry, { person });
    beaconed[name] = isOtherOrigin(address)
      ? fetch(url, { method: "POST", keepalive: true, body }).catch(() => {})
      : navigator.sendBeacon(url, body);
  }));
};

// Not while the page loads.
let listening;

const listen = () => {
  if (listening) return;
  listening = true;
  addEventListener("storage", hear);
  addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("pagehide", () => {
    going = true;
    leave();
    doAll(giveUp);
    doAll(letGo);
  });
  // Firefox keeps no page that holds a lock, and looks before `pagehide`.
  addEventListener("beforeunload", () => {
    doubtful = Date.now() + 5e3;
    doAll(letGo);
  });
  addEventListener("pageshow", ({ persisted }) => {
    going = doubtful = false;
    // Another person may have signed in meanwhile.
    if (persisted) {
      ourEntries().filter(isPrivate).forEach(clear);
      Object.values(endpoints).filter(({ identity }) => identity === "host").forEach(identify);
    }
    wake();
  });
};

/*
 * API
 *
 * A call copies its argument and lets the page go on. A microtask, after the page's own code, makes
 * entries of all calls together. Until the first `init`, without consent, and while the page is
 * prerendered and may never be seen, calls wait in the page's memory.
 */

let calls = [], scheduled = false, last = 0;

// An entry is written when all calls are accepted, for many may be too many.
const accept = (entry, waiting) => {
  const { all, token } = waiting;
  const { body } = entry;
  if (Object(body) !== body) return settle(entry, { ok: false, code: "not-json" });
  if (sizeOf(entry) > MAX_CALL_SIZE) {
    // Another person was named, though the server will not hear who.
    if (isNamed(entry)) {
      waiting.track = waiting.token = null;
      remember(entry.endpoint, null);
    }
    return drop([entry], "too-large");
  }
  entry.order = waiting.last = (waiting.last || 0) + 1;
  const { track } = waiting;
  const asks = isOpen(entry);
  if (isNamed(entry)) waiting.track = entry;
  if (!isTrack(entry)) body.event_id = body.event_id || entry.name.slice(5);
  if (!isTrack(entry) || asks) {
    if (track) {
      entry.waitsFor = track.name;
      // A track of another page is written again with this activity.
      if (!isMine(track)) {
        memory[track.name] = read(track.name);
        taken[track.name] = true;
      }
    } else if (!(entry.token = token) && !asks) tell(entry);
  }
  all.push(entry);
};

const keep = ({ all }) => {
  const dropped = surplus(all);
  all.forEach((entry) =>
    isMine(entry) && !memory[entry.name] && !dropped.includes(entry) && save(entry));
  drop(dropped, "overflow");
};

const flush = () => {
  scheduled = false;
  if (current.endpoint == null || denied || document.prerendering) {
    const dropped = surplus(calls);
    dropped.forEach(({ name }) => finish(name, { ok: false, code: "overflow" }));
    calls = calls.filter((call) => !dropped.includes(call));
    return;
  }
  const queues = {};
  calls.splice(0).forEach((call) => attempt(() => {
    listen();
    begun = true;
    const address = call.endpoint = absolute(call.endpoint);
    if (!queues[address]) {
      const all = queue(address);
      const { order } = Object(all[all.length - 1]);
      const track = all.filter((entry) => isNamed(entry) && !entry.signedOut).pop();
      queues[address] = { all, last: order, track, token: sessionNow[address] || session(address) };
    }
    if (call.step) return accept(call, queues[address]);
    keep(queues[address]);
    forget(address, queues[address].token);
    delete queues[address];
    delete sessionNow[address];
  }));
  Object.values(queues).forEach(keep);
  if (going) leave();
  wake();
};

// The session in which a task made its first call, by endpoint. The same task may delete all
// cookies, as log-out code does.
let sessionNow = {};

const add = (step, given, callback, { key, endpoint } = current) => attempt(() => {
  const address = absolute(endpoint || "");
  if (!scheduled) sessionNow = { [address]: session(address) };
  const called = Date.now();
  last = Math.max(last + 1, Math.floor(called));
  const name = "ap3c-" + last + page;
  if (callback) callbacks[name] = callback;
  const body = attempt(() => JSON.parse(JSON.stringify(given)));
  calls.push({ name, called, step, key, endpoint, body });
  if (!scheduled) soon(flush);
  scheduled = true;
});

// Of a place where the page's visitor is known to the host.
const identify = (place) => {
  const { identity } = place;
  if (identity) add("track", { identity }, null, place);
};

const call = (step, given, callback) => new Promise((resolve) => {
  add(step, given, (outcome) => {
    resolve(outcome);
    if (callback) callback(outcome);
  });
});

ap3c.init = (captureKey, address, options) => {
  attempt(() => {
    options = Object(options);
    cookieDomains = options.cookieDomains || cookieDomains;
    if (options.consent === false && denied == null) denied = true;
    const endpoint = "" + address;
    if (endpoint && endpoint[0] !== "/" && !endpoint.startsWith("http")) return;
    const key = captureKey && "" + captureKey;
    const { identity } = { ...endpoints[endpoint], ...options };
    current = endpoints[endpoint] = { key, endpoint, identity };
    for (const call of calls) if (call.endpoint == null) Object.assign(call, { key, endpoint });
    if (options.identity) identify(current);
  });
  // What was called before, and what earlier pages left.
  if (calls.length) soon(flush);
  wake();
};

ap3c.track = (fields, callback) => {
  ap3c.lastVar = fields;
  return call("track", fields, callback);
};

ap3c.activity = (activity, callback) => call("activity", activity, callback);

ap3c.getCookie = () => session(absolute(current.endpoint || ""));

ap3c.clearSession = () => {
  delete current.identity;
  add();
};

// At once, between what the page has called before it and what it calls after it in the same task.
ap3c.consent = (given) => attempt(() => {
  if (!given) attempt(flush);
  denied = false;
  if (!given) {
    const cleared = { ok: false, code: "cleared" };
    calls = [];
    Object.keys(callbacks).forEach((name) => finish(name, cleared));
    storedNames().forEach((name) => write(name));
    remember(absolute(current.endpoint || ""), null);
    denied = true;
    Object.values(endpoints).forEach(identify);
  }
  soon(flush);
});

ap3c.debug = (on) => {
  explain = on && (() => import(absolute(current.endpoint || "") + "/debug.js"));
};

// A queue of the tracking code: what is in it, and what will be.
const drain = (name, action) => attempt(() => {
  const list = ap3c[name] = Array.isArray(ap3c[name]) ? ap3c[name] : [];
  const push = (...all) => all.forEach((each) => attempt(() => action(each)));
  // Array.prototype may be frozen.
  Object.defineProperty(list, "push", { value: push, configurable: true });
  push(...list.splice(0));
});

window.ap3c = ap3c;
ap3c.load = () => {
  drain("cmd", (command) => command());
  drain("act", (activity) => ap3c.activity(activity));
  // A tag without inline code says in its attributes what `init` is to be given. To look at an
  // element costs a page more than all else that loading does.
  if (current.endpoint != null) return;
  const tag = Object(Object(document.currentScript).dataset);
  if (tag.endpoint != null) ap3c.init(tag.key, tag.endpoint, { identity: tag.identity });
};
ap3c.loaded = true;
ap3c.load();
if (document.prerendering) document.addEventListener("prerenderingchange", flush);
})(Promise);
