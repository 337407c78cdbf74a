/* ap3c: tells the server who visits and what they do.

   The laws of this file. No exception leaves it, and success prints nothing. What a page reports is
   written down before its call returns, and stays until the server has answered for it. Calls leave
   in their order, over pages and tabs. Nothing goes out under a name that was not given for it. */
(() => {
  "use strict";

  const MAX_HELD = 100; // activities in the queue, the oldest go first
  const MAX_CHARS = 65536; // of the queue: localStorage is the page's, too
  const MAX_BYTES = 6e4; // of one call: what `keepalive` and the server take, less the envelope
  const MAX_AGE = 1728e5; // 48 hours in ms
  const MAX_WAIT = 300; // seconds; a server that asks for more is not waited for
  const TIMEOUT = 15e3; // ms for an answer, its body included
  const LEASE = TIMEOUT + 1e3; // ms that one tab may send alone, where there are no Web Locks

  const ap3c = Object(window.ap3c);
  if (ap3c.loaded) return; // in the page twice

  const attempt = (action) => {
    try {
      return action();
    } catch (error) {
      return null; // the browser denies it, or it was handed something odd
    }
  };

  const nonce = attempt(() => document.currentScript.nonce);
  const random = () => Math.random().toString(36).slice(2);
  const me = random();
  const calls = new Map(); // by name in the queue: whom to tell, null when told
  const waiting = []; // for consent, in memory only
  const beaconed = new Set();
  let key, endpoint, domain, explain, decided, timer, running, again, flying;
  let allowed = true;
  let last = 0, made = 0; // for names that sort in the order of the calls
  let failures = 0, pause = 0; // until when this page sends nothing

  /* Storage: localStorage, and for what it refuses this page's memory. One item for each call, so
     that tabs never overwrite each other. */

  const memory = new Map();

  const read = (name) => memory.get(name) || attempt(() => localStorage.getItem(name));

  const write = (name, text) => {
    memory.delete(name);
    attempt(() => text ? localStorage.setItem(name, text) : localStorage.removeItem(name));
    if (text && read(name) !== text) memory.set(name, text);
  };

  const load = (name) => attempt(() => JSON.parse(read(name)));

  const save = (entry) => write(entry.name, JSON.stringify(entry));

  const names = () => [
    ...new Set([...memory.keys(), ...attempt(() => Object.keys(localStorage)) || []])
  ].filter((name) => /^ap3c-/.test(name)).sort();

  const isTrack = (name) => /t$/.test(name);

  // An entry: {name, body, called, token?, of?, quiet?}. `of` names the track that will say whose
  // it is; neither `of` nor `token`: held. A quiet track no longer signs anybody in.
  const queue = () => names().map(load).filter((entry) => entry && entry.body);

  /* The session: a cookie, else storage. */

  // Ortto's own cookie has the same name.
  const ours = (token) => /^oc1\./.test(token) ? token : null;

  const cookie = () => attempt(() => /(?:^|; )ap3c=(oc1\.[^;]*)/.exec(document.cookie)[1]);

  const session = () => allowed && (cookie() || ours(read("ap3c"))) || null;

  const remember = (token) => {
    if (!(token || session())) return; // a cookie to remove may be Ortto's
    const set = (value, age, where) => attempt(() => {
      document.cookie = "ap3c=" + value + "; path=/; SameSite=Lax; max-age=" + age + where +
        (location.protocol === "https:" ? "; Secure" : "");
    });
    const shared = domain ? "; domain=" + domain : "";
    // Both kinds, or one from before `cookieDomains` would be read first.
    set("", 0, "");
    set("", 0, shared);
    if (token) set(token, 31536000, shared);
    if (token && cookie() !== token) write("ap3c", token);
    else if (ours(read("ap3c"))) write("ap3c");
  };

  /* What becomes of a call: {ok, status, code, …}. */

  const tell = (step, body, outcome) => attempt(() => explain(step, body, outcome));

  const finish = (name, outcome) => {
    const done = calls.get(name);
    if (outcome.queued) calls.has(name) && calls.set(name, null);
    else calls.delete(name);
    if (done) done(outcome);
  };

  // Other tabs may have made the call.
  const channel = attempt(() => new BroadcastChannel("ap3c"));
  attempt(() => { channel.onmessage = (event) => attempt(() => finish(...event.data)); });

  const settle = (entry, outcome) => {
    if (!outcome.queued) write(entry.name);
    tell(isTrack(entry.name) ? "track" : "activity", entry.body, outcome);
    if (calls.has(entry.name)) finish(entry.name, outcome);
    else attempt(() => channel.postMessage([entry.name, outcome]));
  };

  const count = (code, times) => {
    const dropped = load("ap3c.dropped") || {};
    dropped[code] = (dropped[code] || 0) + times;
    if (!(dropped[code] > 0)) delete dropped[code];
    write("ap3c.dropped", Object.keys(dropped).length ? JSON.stringify(dropped) : null);
  };

  const drop = (entry, code) => {
    if (!isTrack(entry.name)) count(code, 1);
    settle(entry, { ok: false, code });
  };

  /* Sending. */

  const named = (body) => body.email || body.ei || body.ac || body.identity;

  const text = (entry, more) => JSON.stringify(Object.assign({}, entry.body, {
    age: isTrack(entry.name) ? undefined :
      Math.min(Math.max(0, Date.now() - entry.called), MAX_AGE),
    gpc: attempt(() => navigator.globalPrivacyControl) ? true : undefined
  }, more));

  const url = (entry) => endpoint + "/-/events/" + (isTrack(entry.name) ? "track" : "activity");

  // Promises [outcome, token, seconds to wait].
  const post = async (entry, token) => {
    const dropped = load("ap3c.dropped") || undefined;
    const abort = attempt(() => new AbortController());
    let late;
    const answered = async () => {
      const answer = await fetch(url(entry), {
        method: "POST",
        headers: { "Content-Type": "text/plain" }, // no preflight
        credentials: "same-origin",
        keepalive: true, // may outlive the page
        signal: abort ? abort.signal : undefined,
        body: text(entry, { session: token, dropped })
      });
      const data = await answer.json();
      const outcome = { ok: answer.ok, status: answer.status };
      if (data.duplicate) outcome.duplicate = true;
      if (data.error) outcome.code = data.error.code;
      const wait = +attempt(() => answer.headers.get("Retry-After")) || 0;
      if (outcome.status === 429) outcome.wait = wait;
      if (outcome.status < 500) for (const code in dropped) count(code, -dropped[code]);
      return [outcome, ours(data.session), wait];
    };
    try {
      return await Promise.race([answered(), new Promise((resolve, reject) => {
        late = setTimeout(() => {
          reject();
          attempt(() => abort.abort());
        }, TIMEOUT);
      })]);
    } catch (error) {
      return [{ ok: false, status: 0, code: "unreachable" }, null, 0];
    } finally {
      clearTimeout(late);
    }
  };

  // Promises whether to go on with the next.
  const send = async (entry) => {
    const { name } = entry;
    const token = isTrack(name) ? session() : entry.token;
    flying = name;
    const [outcome, fresh, wait] = await post(entry, token);
    flying = null;
    const { status, code } = outcome;
    if (!status || status > 499 || status === 429 && wait <= MAX_WAIT) {
      outcome.queued = true;
      settle(entry, outcome);
      failures++;
      // Not everybody at once.
      const rest = (0.5 + Math.random() / 2) * Math.min(500 * 2 ** failures, 6e4);
      pause = Date.now() + Math.max(rest, wait * 1e3);
      if (wait) write("ap3c.wait", String(pause)); // for the other tabs and the next page
      return false;
    }
    failures = 0;
    const present = load(name); // or signed out meanwhile, perhaps in another tab
    if (isTrack(name)) identified(entry, present && !present.quiet, token, fresh, outcome);
    else if (present && token && /^(bad-session|not-identified)$/.test(code)) {
      // A lost session is not a lost activity; and another tab may have made a new one.
      if (session() === token) remember(null);
      delete present.token;
      save(present);
      tell("held", entry.body);
    } else if (status === 429) drop(entry, code);
    else settle(entry, outcome);
    return true;
  };

  // `track` was answered: whose is what was called before and after it?
  const identified = (track, current, sent, fresh, outcome) => {
    if (outcome.ok) outcome.identified = !!fresh;
    // Somebody else was named: the old session is nobody's any more, unless it is a newer one.
    const over = (outcome.ok || named(track.body)) && session() === sent;
    if (current && (fresh || over)) remember(fresh);
    write(track.name);
    for (const entry of queue()) {
      const its = entry.of === track.name;
      if (isTrack(entry.name) || entry.token || !(its || current && fresh && !entry.of)) continue;
      delete entry.of;
      if (fresh) entry.token = fresh;
      if (current || fresh) save(entry);
      else settle(entry, { ok: false, code: "cleared" });
    }
    settle(track, outcome);
  };

  const next = () => queue().find((entry) => {
    if (Date.now() - entry.called > MAX_AGE && !calls.has(entry.name)) drop(entry, "expired");
    else return isTrack(entry.name) || entry.token;
  });

  // Milliseconds until the server may be asked again.
  const asked = () => {
    const wait = +read("ap3c.wait") - Date.now();
    return wait > 0 && wait <= MAX_WAIT * 1e3 ? wait : 0; // clocks jump
  };

  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(pump, wait);
  };

  const run = async (mine) => {
    for (let entry; allowed && (entry = next());) {
      const wait = Math.max(asked(), pause - Date.now(), mine());
      if (wait > 0) return later(wait);
      if (!await send(entry)) again = true; // to set the timer
    }
  };

  // Without Web Locks; two tabs that take it at once send twice, and the server stores once.
  const lease = () => {
    const [owner, until] = (read("ap3c.lease") || "").split(" ");
    const wait = owner !== me && until - Date.now();
    if (wait > 0 && wait <= LEASE) return wait;
    write("ap3c.lease", me + " " + (Date.now() + LEASE));
    return 0;
  };

  // One tab sends at a time.
  const pump = async () => {
    again = true;
    if (running) return;
    running = true;
    while (again && endpoint != null && allowed && next()) {
      again = false;
      try {
        await navigator.locks.request("ap3c", () => run(() => 0));
      } catch (error) {
        await run(lease);
        if (/^\S+/.exec(read("ap3c.lease"))[0] === me) write("ap3c.lease");
      }
    }
    running = false;
  };

  // The page goes away: what it called is handed to the browser, and stays in the queue until an
  // answer takes it out. Filter lists block every beacon to another origin.
  const leave = () => attempt(() => {
    if (!allowed || asked() || new URL(endpoint, location.href).origin !== location.origin) return;
    for (const entry of queue()) {
      const { name, of } = entry;
      if (!calls.has(name) || beaconed.has(name) || name === flying) continue;
      const who = of && load(of);
      const person = who && named(who.body) ? who.body : undefined;
      const token = entry.token || (person ? null : (who || isTrack(name)) && session());
      if (!(token || person || isTrack(name))) continue; // held
      if (!navigator.sendBeacon(url(entry), text(entry, { session: token, person }))) return;
      beaconed.add(name);
    }
  });

  const resume = () => {
    pause = 0;
    pump();
  };

  attempt(() => {
    addEventListener("pagehide", leave);
    addEventListener("pageshow", resume);
    addEventListener("online", resume);
    document.addEventListener("visibilitychange", () => document.hidden ? leave() : pump());
  });

  /* Calls. */

  const enqueue = (step, body, called, done) => {
    last = Math.max(last, called);
    const name = "ap3c-" + last.toString(36) + "-" + (1e6 + made++) + "-" + random() +
      "-" + step[0];
    const entry = { name, body, called };
    body.key = key;
    if (step !== "track") {
      body.event_id = body.event_id || name.slice(5);
      // Whoever was named last, or whose session it is; else it waits for the first named after.
      const track = names().filter(isTrack).map(load).filter((each) => each && !each.quiet).pop();
      if (track) entry.of = track.name;
      else entry.token = session();
    }
    calls.set(name, done);
    if (new Blob([JSON.stringify(entry)]).size > MAX_BYTES) return drop(entry, "too-large");
    save(entry);
    if (step !== "track" && !entry.of && !entry.token) tell("held", body);
    for (;;) {
      const all = names();
      const activities = all.filter((each) => !isTrack(each));
      const chars = all.reduce((sum, each) => sum + (read(each) || "").length, 0);
      if (activities.length <= MAX_HELD && all.length <= 2 * MAX_HELD && chars <= MAX_CHARS) break;
      const oldest = activities[0] || all[0];
      drop(load(oldest) || { name: oldest }, "overflow");
    }
    pump();
  };

  // Promises an outcome, and never rejects.
  const call = (step, given, callback) => new Promise((resolve) => {
    // A copy: the page may change its own.
    const body = attempt(() => JSON.parse(JSON.stringify(given)));
    const called = Date.now();
    const done = (outcome) => {
      resolve(outcome);
      attempt(() => callback(outcome));
    };
    const refuse = (code) => {
      const outcome = { ok: false, code };
      tell(step, body, outcome);
      done(outcome);
    };
    if (Object(body) !== body || Array.isArray(body)) refuse("not-json");
    else if (endpoint == null) refuse("no-init");
    else if (allowed) enqueue(step, body, called, done);
    else {
      waiting.push({ go: () => enqueue(step, body, called, done), refuse });
      if (waiting.length > MAX_HELD) waiting.shift().refuse("overflow");
      tell("consent", body);
    }
  });

  /* What pages call. */

  ap3c.init = (captureKey, address, options) => {
    attempt(() => {
      key = captureKey;
      endpoint = String(address).replace(/\/+$/, "");
      if (Object(options).consent === false && !decided) allowed = false;
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

  // What was called by somebody identified, or being identified, still goes out in their name.
  ap3c.clearSession = () => {
    remember(null);
    for (const entry of allowed ? queue() : []) {
      if (isTrack(entry.name)) save(Object.assign(entry, { quiet: true }));
      else if (!entry.token && !entry.of) settle(entry, { ok: false, code: "cleared" });
    }
  };

  ap3c.consent = (given) => {
    decided = true;
    if (!given) {
      remember(null);
      for (const name of names()) settle({ name, body: {} }, { ok: false, code: "cleared" });
      for (const name of ["dropped", "wait", "lease"]) write("ap3c." + name);
    }
    allowed = !!given;
    for (const each of waiting.splice(0)) given ? each.go() : each.refuse("cleared");
    pump();
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
