/* ap3c: tells the server who visits and what they do. No exception leaves this file, success prints
   nothing; a call is kept from before it returns until its answer; calls leave in their order. */
(() => {
  "use strict";

  const MAX_HELD = 100; // calls
  const MAX_CHARS = 65536;
  const MAX_BYTES = 6e4; // of one call: as `keepalive` has it
  const MAX_AGE = 1728e5; // 48 hours in ms
  const MAX_WAIT = 3e5;
  const TIMEOUT = 15e3; // ms

  const ap3c = Object(window.ap3c);
  if (ap3c.loaded) return; // in the page twice

  const attempt = (action) => {
    try {
      return action();
    } catch (error) {
      return null; // denied, or odd
    }
  };

  const nonce = attempt(() => document.currentScript.nonce);
  const calls = new Map(); // whom to tell, by the entry's name
  const beaconed = new Set();
  let key, endpoint, domain, explain, decided, timer, flying;
  let allowed = true, last = 0, made = 0, failures = 0;
  let line = Promise.resolve();

  /* The queue: an item of localStorage per call, as tabs share it; in memory what that refuses, and
     all before consent. An entry's `token` comes from the track `of`; with neither it is held. */

  const memory = {};

  const read = (name) => memory[name] || allowed && attempt(() => localStorage.getItem(name));

  const write = (name, text) => {
    delete memory[name];
    if (allowed) attempt(() =>
      text ? localStorage.setItem(name, text) : localStorage.removeItem(name));
    if (text && read(name) !== text) memory[name] = text;
  };

  const load = (name) => attempt(() => JSON.parse(read(name)));

  const save = (entry) => write(entry.name, JSON.stringify(entry));

  const queue = () => Object.keys({ ...memory, ...(allowed && attempt(() => localStorage)) })
    .filter((name) => /^ap3c-/.test(name)).sort().map(load).filter((entry) => entry && entry.body);

  // Ortto's own cookie has the same name.
  const ours = (token) => /^oc1\./.test(token) ? token : null;

  const cookie = () => attempt(() => /(?:^|; )ap3c=(oc1\.[^;]*)/.exec(document.cookie)[1]);

  const session = () => allowed && (cookie() || ours(read("ap3c"))) || null;

  const remember = (token) => {
    if (!(token || session())) return; // a cookie to remove may be Ortto's
    const set = (value, age, where) => attempt(() => {
      document.cookie = `ap3c=${value}; path=/; SameSite=Lax; max-age=${age}${where}` +
        (location.protocol === "https:" ? "; Secure" : "");
    });
    const shared = domain ? "; domain=" + domain : "";
    // Both kinds: one from before `cookieDomains` would be read first.
    set("", 0, "");
    set("", 0, shared);
    if (token) set(token, 31536000, shared);
    if (token && cookie() !== token) write("ap3c", token);
    else if (ours(read("ap3c"))) write("ap3c");
  };

  const tell = (entry, outcome) => attempt(() => explain(entry.step, entry.body, outcome));

  const finish = (name, outcome) => {
    attempt(() => calls.get(name)(outcome));
    if (!outcome.queued) calls.delete(name);
  };

  // Other tabs may have made the call.
  const channel = attempt(() => new BroadcastChannel("ap3c"));
  attempt(() => { channel.onmessage = (event) => finish(...event.data); });

  const settle = (entry, outcome) => {
    if (!outcome.queued) write(entry.name);
    tell(entry, outcome);
    attempt(() => channel.postMessage([entry.name, outcome]));
    finish(entry.name, outcome);
  };

  // Given up, and reported with the next request.
  const drop = (entry, code, outcome = { ok: false, code }) => {
    const dropped = load("ap3c.dropped") || {};
    dropped[code] = (dropped[code] || 0) + 1;
    write("ap3c.dropped", JSON.stringify(dropped));
    settle(entry, outcome);
  };

  /* Sending. */

  const named = ({ body }) => body.email || body.ei || body.ac || body.identity;

  const url = (entry) => endpoint + "/-/events/" + entry.step;

  const text = (entry, more) => JSON.stringify({
    ...entry.body,
    age: entry.step === "track" ? undefined :
      Math.min(Math.max(0, Date.now() - entry.called), MAX_AGE),
    gpc: navigator.globalPrivacyControl || undefined,
    ...more
  });

  const send = async (entry) => {
    const { name } = entry;
    const track = entry.step === "track";
    const token = track ? session() : entry.token;
    const dropped = load("ap3c.dropped") || undefined;
    let outcome = { ok: false, status: 0, code: "unreachable" };
    let fresh = null, wait = 0;
    flying = name;
    try {
      const answer = await fetch(url(entry), {
        method: "POST",
        keepalive: true, // may outlive the page
        signal: attempt(() => AbortSignal.timeout(TIMEOUT)) || undefined,
        body: text(entry, { session: token, dropped }) // as text/plain: no preflight
      });
      const data = await answer.json();
      const { ok, status } = answer;
      fresh = ours(data.session);
      outcome = { ok, status };
      if (data.duplicate) outcome.duplicate = true;
      if (data.error) outcome.code = data.error.code;
      wait = answer.headers.get("Retry-After") * 1e3 || 0;
      if (wait) outcome.wait = wait / 1e3;
    } catch (error) { /* none of ours */ }
    flying = null;
    const { ok, status, code } = outcome;
    if (!status || status > 499 || status === 429 && wait <= MAX_WAIT) {
      outcome.queued = true;
      if (wait) beaconed.add(name);
      // Not everybody at once; for other tabs and the next page, too.
      wait = Math.max(wait, Math.random() * Math.min(1e3 * 2 ** failures++, 6e4));
      write("ap3c.wait", "" + (Date.now() + wait));
      return settle(entry, outcome);
    }
    failures = 0;
    if (dropped) write("ap3c.dropped");
    const present = load(name); // or signed out meanwhile
    const same = session() === token; // or another tab made a new one
    if (track) {
      const current = present && !present.quiet;
      if (ok) outcome.identified = !!fresh;
      // Once somebody else was named, the old session is nobody's.
      if (current && (fresh || same && (ok || named(entry)))) remember(fresh);
      for (const each of queue()) {
        const its = each.of === name;
        if (each.step === "track" || each.token || !its && (each.of || !current || !fresh)) continue;
        delete each.of;
        each.token = fresh;
        if (!fresh && current) tell(each);
        if (current || fresh) save(each);
        else settle(each, { ok: false, code: "cleared" });
      }
    } else if (present && /^(bad-session|not-identified)$/.test(code)) {
      if (same) remember(null);
      present.token = null; // a lost session is not a lost activity
      save(present);
      return tell(entry);
    }
    if (status === 429) drop(entry, code, outcome);
    else settle(entry, outcome);
  };

  const next = () => queue().find((entry) => {
    if (Date.now() - entry.called < MAX_AGE || calls.has(entry.name)) {
      return entry.step === "track" || entry.token;
    }
    drop(entry, "expired");
  });

  const run = async () => {
    for (let entry; allowed && endpoint != null && (entry = next());) {
      const wait = read("ap3c.wait") - Date.now();
      if (wait > 0 && wait <= MAX_WAIT) { // clocks jump
        clearTimeout(timer);
        timer = setTimeout(pump, wait);
        return;
      }
      await send(entry);
    }
  };

  // One tab sends at a time; without Web Locks several may, and the server stores once.
  const pump = () => {
    line = line.then(() => navigator.locks.request("ap3c", run)).catch(run).catch(() => {});
  };

  // The page goes away. What beacons carry stays queued; to other origins filter lists block them.
  const leave = () => attempt(() => {
    if (!allowed || new URL(endpoint, location).origin !== location.origin) return;
    for (const entry of queue()) {
      const { name, step } = entry;
      if (!calls.has(name) || beaconed.has(name) || name === flying) continue;
      const track = entry.of && load(entry.of);
      const person = track && named(track) ? track.body : undefined;
      const token = entry.token || !person && (entry.of || step === "track") && session();
      if (!token && !person && step !== "track") continue; // held
      const body = text(entry, { session: token || null, person });
      if (navigator.sendBeacon(url(entry), body)) beaconed.add(name);
    }
  });

  attempt(() => {
    addEventListener("pagehide", leave);
    addEventListener("pageshow", pump);
    addEventListener("online", pump);
    document.addEventListener("visibilitychange", () => document.hidden && leave());
  });

  // One call, in its turn; promises its outcome.
  const call = (step, given, callback) => new Promise((resolve) => {
    // A copy: the page may change its own.
    const body = attempt(() => JSON.parse(JSON.stringify(given)));
    const called = Date.now();
    last = Math.max(last, called);
    // In the order of the calls, and never twice.
    const name = ["ap3c", last, 1e6 + made++, Math.random().toString(36).slice(2)].join("-");
    const entry = { name, step, body, called };
    calls.set(name, (outcome) => {
      calls.set(name);
      resolve(outcome);
      callback(outcome);
    });
    const code = Object(body) !== body ? "not-json" : endpoint == null && "no-init";
    if (code) return settle(entry, { ok: false, code });
    const all = queue();
    body.key = key;
    if (step === "activity") {
      body.event_id = body.event_id || name.slice(5);
      const track = all.filter((each) => each.step === "track" && !each.quiet).pop();
      if (track) entry.of = track.name;
      else entry.token = session();
      if (!track && !entry.token) tell(entry);
    }
    if (new Blob([JSON.stringify(entry)]).size > MAX_BYTES) return drop(entry, "too-large");
    save(entry);
    all.push(entry);
    while (all.length > MAX_HELD || JSON.stringify(all).length > MAX_CHARS) {
      const oldest = all.findIndex((each) => each.step === "activity");
      drop(all.splice(Math.max(oldest, 0), 1)[0], "overflow");
    }
    pump();
  });

  /* What pages call. */

  ap3c.init = (captureKey, address, options) => {
    attempt(() => {
      key = captureKey;
      endpoint = String(address).replace(/\/+$/, "");
      if (!decided && Object(options).consent === false) allowed = false;
      if (/^(localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname) &&
        /[?&]ap3c_debug\b/.test(location.search)) ap3c.debug(true);
    });
    domain = attempt(() =>
      options.cookieDomains.find((each) => ("." + location.hostname).endsWith(each)));
    pump(); // what earlier pages left
  };

  ap3c.track = (fields, callback) => {
    ap3c.lastVar = fields;
    return call("track", fields, callback);
  };

  ap3c.activity = (activity, callback) => call("activity", activity, callback);

  ap3c.getCookie = session;

  // Calls of somebody identified, or being identified, still go out in their name.
  ap3c.clearSession = () => {
    remember(null);
    for (const entry of queue()) {
      if (entry.step === "track") save(Object.assign(entry, { quiet: true }));
      else if (!entry.token && !entry.of) settle(entry, { ok: false, code: "cleared" });
    }
  };

  ap3c.consent = (given) => {
    decided = true;
    const all = queue();
    if (given) {
      allowed = true;
      for (const entry of all) {
        if (entry.step === "activity" && !entry.of) entry.token = entry.token || session();
        save(entry);
      }
      pump();
    } else {
      remember(null);
      for (const entry of all) settle(entry, { ok: false, code: "cleared" });
      ["dropped", "wait"].forEach((name) => write("ap3c." + name));
      allowed = false;
    }
  };

  // debug.js holds the texts, and calls back with the function that prints them.
  ap3c.debug = (on) => {
    explain = on;
    if (on === true) attempt(() => {
      const script = document.createElement("script");
      script.src = endpoint + "/debug.js";
      script.nonce = nonce;
      document.head.append(script);
    });
  };

  /* What was called before this file arrived: first `cmd`, then `act`. */

  const drain = (name, action) => attempt(() => {
    const list = ap3c[name] = Array.isArray(ap3c[name]) ? ap3c[name] : [];
    const push = (each) => attempt(() => action(each));
    // Not a new array, the page may hold this one; not assigned, Array.prototype may be frozen.
    Object.defineProperty(list, "push", { value: push, configurable: true });
    list.splice(0).forEach(push);
  });

  window.ap3c = ap3c;
  ap3c.loaded = true;
  drain("cmd", (command) => command());
  drain("act", (activity) => ap3c.activity(activity));
})();
