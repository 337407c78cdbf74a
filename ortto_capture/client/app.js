//# allFunctionsCalledOnLoad
/* Tells the server who visits and what they do. No exception leaves it; a call is kept until it
   was answered. */
((Promise) => {
const MAX_AGE = 1728e5; // 48 h in ms
const MAX_WAIT = 3e5; // ms

const ap3c = Object(window.ap3c);
if (ap3c.loaded) return;

const attempt = (action) => {
  try {
    return action();
  } catch (error) {}
};

// After the page's own code.
const later = (work) => { Promise.resolve().then(work).catch(() => {}); };

const page = "-" + Math.random().toString(36).slice(2);
const calls = {}, done = {}, memory = {}, beaconed = {};
let key, endpoint, domains, channel, explain, line, timer, flying, refused, agreed;
let allowed = true, last = 0, failures = 0;

/* The queue: an item of localStorage for each call; memory before consent. An activity waits for
   the track that it is `of`, else for a session. */

const read = (name) => memory[name] || allowed && attempt(() => localStorage.getItem(name));

const write = (name, text) => {
  delete memory[name];
  if (allowed) attempt(() => localStorage[text ? "setItem" : "removeItem"](name, text));
  if (text && read(name) !== text) memory[name] = text;
};

const load = (name) => attempt(() => JSON.parse(read(name)));

const save = (entry, change) => write(entry.name, JSON.stringify(Object.assign(entry, change)));

const queue = () => Object.keys(memory)
  .concat(allowed && attempt(() => Object.keys(localStorage)) || [])
  .filter((name) => /^ap3c-/.test(name) && !done[name]).sort()
  .map((name) => ({ ...load(name), name })).filter((entry) => entry.body && entry.step);

const isTrack = (entry) => entry.step === "track";

const named = ({ body }) => body.email || body.ei || body.ac || body.identity;

// No tab sends for so long.
const pause = (wait) => write("ap3c.wait", wait && "" + (Date.now() + wait));

/* The session. Ortto's own cookie has the same name. */

const cookie = () => attempt(() => Object(/(?:^|; )ap3c=(oc1\.[^;]*)/.exec(document.cookie))[1]);

const session = () => allowed && [read("ap3c.session"), cookie()]
  .find((token) => /^oc1\./.test(token) && token !== refused) || null;

const remember = (token) => {
  if (!(token || session())) return;
  attempt(() => {
    const domain = [].concat(domains)
      .find((entry) => ("." + location.hostname).endsWith("" + entry)) || "";
    const rest = (/^https/.test(location) ? "; Secure" : "") +
      "; path=/; SameSite=Lax; domain=";
    // An older one would be read first.
    document.cookie = "ap3c=; max-age=0" + rest;
    document.cookie = "ap3c=; max-age=0" + rest + domain;
    if (token) document.cookie = `ap3c=${token}; max-age=31536000` + rest + domain;
  });
  write("ap3c.session", cookie() !== token && token);
};

const tell = ({ step, body }, outcome) => attempt(() => {
  if (explain == null && endpoint != null)
    ap3c.debug(/^\w+:..(localhost|127[.\d]+|\[::1])[:/].*[?&]ap3c_debug\b/.test(location));
  if (explain) explain.then((texts) => texts.default(step, body, outcome)).catch(() => {});
});

const finish = (name, outcome) => {
  attempt(() => calls[name](outcome));
  delete calls[name];
  done[name] = !outcome.queued;
};

const settle = (entry, outcome) => {
  outcome = JSON.parse(JSON.stringify(outcome));
  if (!outcome.queued) write(entry.name);
  tell(entry, outcome);
  attempt(() => channel.postMessage([entry.name, outcome]));
  finish(entry.name, outcome);
};

const release = (track, change) => {
  for (const entry of queue()) if (entry.of === track.name) save(entry, { ...change, of: null });
};

// The next request says so.
const drop = (entry, code, outcome = { ok: false, code }) => {
  const dropped = load("ap3c.dropped") || {};
  dropped[code] = (dropped[code] || 0) + 1;
  write("ap3c.dropped", JSON.stringify(dropped));
  release(entry, { person: entry.body });
  settle(entry, outcome);
};

const clear = (entry, code) => settle(entry, { ok: false, code });

const waits = (entry) => entry.of && load(entry.of);

const tokenOf = (entry) =>
  isTrack(entry) || !(entry.token || entry.person || waits(entry)) ? session() : entry.token;

// Else it is held.
const ready = (entry) => isTrack(entry) || entry.person || tokenOf(entry);

const request = (entry, more) => [endpoint + "/-/events/" + entry.step, JSON.stringify({
  ...entry.body,
  session: named(entry) ? null : tokenOf(entry),
  person: entry.person,
  ...isTrack(entry) || { age: Math.min(Math.max(0, Date.now() - entry.called), MAX_AGE) },
  gpc: navigator.globalPrivacyControl === true || undefined,
  ...more
})];

const send = async (entry) => {
  const token = tokenOf(entry);
  const dropped = load("ap3c.dropped") || undefined;
  let status = 0, wait = 0, data = {};
  try {
    const [address, body] = request(entry, { dropped });
    const answer = await fetch(address, {
      method: "POST",
      keepalive: true,
      signal: attempt(() => AbortSignal.timeout(15e3)),
      body // text/plain: no preflight
    });
    status = answer.status | 0;
    wait = answer.headers.get("Retry-After") * 1e3 || 0;
    data = Object(await answer.json());
  } catch (error) {}
  const { identified, duplicate, error, session: fresh } = data;
  const ok = data.ok === true || identified != null;
  const outcome = {
    ok,
    status,
    code: ok ? undefined : Object(error).code || "unreachable",
    duplicate,
    identified,
    wait: wait / 1e3 || undefined
  };
  const present = load(entry.name);
  if (!ok && !/^4/.test(status) || status === 429 && wait <= MAX_WAIT) {
    outcome.queued = true;
    // Not all at once; others go first.
    pause(Math.min(Math.max(wait, Math.random() * 1e3 * 2 ** failures++), MAX_WAIT));
    if (present) save(present, { token, at: Date.now() });
    return settle(entry, outcome);
  }
  failures = 0;
  pause();
  if (dropped) write("ap3c.dropped");
  const same = session() === token; // unless another tab made one
  const ours = present && !present.quiet;
  if (isTrack(entry)) {
    // Somebody else was named: the old session is nobody's.
    if (ours && (fresh || same && (ok || named(entry)))) remember(fresh);
    release(entry, { token: fresh });
    settle(entry, outcome);
  } else if (ours && token && /^(bad-session|not-identified)$/.test(outcome.code)) {
    if (same) remember(null);
    refused = token;
    save(present, { token: null }); // a lost session is not a lost activity
    tell(entry);
  } else if (status === 429) drop(entry, outcome.code, outcome);
  else settle(entry, outcome);
};

const next = () => {
  let track;
  return queue().filter((entry) => {
    if (Date.now() - entry.called > MAX_AGE && !entry.name.endsWith(page)) drop(entry, "expired");
    else return isTrack(entry) ? !track && (track = entry) : ready(entry);
  }).sort((one, other) => (one.at || 0) - (other.at || 0))[0];
};

const run = async (lock) => {
  for (let entry; allowed && endpoint != null && (entry = next());) {
    const wait = read("ap3c.wait") - Date.now();
    if (wait > 0 && wait <= MAX_WAIT) {
      for (const name in calls) finish(name, { ok: false, queued: true });
      clearTimeout(timer);
      return timer = setTimeout(pump, wait);
    }
    if (!lock) pause(15e3);
    flying = entry.name;
    await send(entry);
    flying = null;
  }
};

// One tab at a time.
const pump = () => {
  if (!line) attempt(() => {
    addEventListener("pagehide", leave);
    addEventListener("visibilitychange", () => document.hidden && leave());
    channel = new BroadcastChannel("ap3c");
    channel.onmessage = (event) => attempt(() => finish(...event.data));
  });
  line = (line || Promise.resolve()).then(() => navigator.locks.request("ap3c", run))
    .catch(() => run()).catch(() => {});
};

// Filter lists block beacons to other origins.
const leave = () => attempt(() => {
  if (flying) pause();
  if (!allowed || (endpoint + "/").replace(location.origin, "")[0] !== "/") return;
  for (const entry of queue()) {
    const { name } = entry;
    if (!name.endsWith(page) || beaconed[name] || name === flying) continue;
    const person = entry.person || Object(waits(entry)).body;
    if (person || ready(entry)) beaconed[name] = navigator.sendBeacon(...request(entry, { person }));
  }
});

const call = (step, given, callback) => new Promise((resolve) => {
  const text = attempt(() => JSON.stringify(given));
  const called = last = Math.max(last + 1, Date.now());
  later(() => {
    const name = "ap3c-" + called + page;
    const body = attempt(() => JSON.parse(text));
    const entry = { name, step, body, called };
    calls[name] = (outcome) => {
      resolve(outcome);
      if (callback) callback(outcome);
    };
    if (Object(body) !== body) return clear(entry, "not-json");
    if (endpoint == null) return clear(entry, "no-init");
    body.key = key;
    if (!isTrack(entry)) {
      body.event_id = body.event_id || name.slice(5);
      const track = queue().filter((entry) => isTrack(entry) && named(entry) && !entry.quiet).pop();
      if (track) entry.of = track.name;
      else if (!(entry.token = session())) tell(entry);
    }
    if (text.length > 2e4) return drop(entry, "too-large");
    save(entry);
    for (let all; (all = queue()).length > 100 || JSON.stringify(all).length > 65536;) {
      const who = all.filter(named).pop();
      drop(all.find((entry) => entry !== who), "overflow");
    }
    pump();
  });
});

ap3c.init = (captureKey, address, options) => {
  attempt(() => {
    options = Object(options);
    endpoint = address && String(address);
    key = captureKey && String(captureKey);
    domains = options.cookieDomains;
    if (!agreed && options.consent === false) allowed = false;
    while (endpoint.endsWith("/")) endpoint = endpoint.slice(0, -1);
  });
  // Of earlier pages.
  setTimeout(() => queue()[0] && pump());
};

ap3c.track = (fields, callback) => {
  ap3c.lastVar = fields;
  return call("track", fields, callback);
};

ap3c.activity = (activity, callback) => call("activity", activity, callback);

ap3c.getCookie = session;

// What was called before goes out in the old name.
ap3c.clearSession = () => later(() => {
  for (const entry of queue()) save(entry, { token: tokenOf(entry), quiet: true });
  for (const entry of queue().filter(isTrack)) release(entry, { person: entry.body });
  remember(null);
  queue().forEach((entry) => ready(entry) || clear(entry, "cleared"));
});

ap3c.consent = (given) => later(() => {
  allowed = true;
  agreed = given;
  const all = queue();
  if (given) {
    all.forEach((entry) => save(entry));
    pump();
  } else {
    remember(null);
    all.forEach((entry) => clear(entry, "cleared"));
    write("ap3c.dropped");
    pause();
    allowed = false;
  }
});

ap3c.debug = (on) => {
  explain = on && import(endpoint + "/debug.js").catch(() => {});
};

// What was called before this file came.
const drain = (name, action) => attempt(() => {
  const list = ap3c[name] = Array.isArray(ap3c[name]) ? ap3c[name] : [];
  const push = (entry) => attempt(() => action(entry));
  // Array.prototype may be frozen.
  Object.defineProperty(list, "push", { value: push, configurable: true });
  list.splice(0).forEach(push);
});

window.ap3c = ap3c;
ap3c.loaded = true;
drain("cmd", (command) => command());
drain("act", (activity) => ap3c.activity(activity));
})(Promise);
