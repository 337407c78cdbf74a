/* ap3c: tells the server who visits and what they do. No exception leaves this file, success prints
   nothing, no activity is sent before somebody is identified, order is kept. */
(() => {
  "use strict";

  const MAX_HELD = 100; // activities that wait for somebody to be identified
  const MAX_AGE = 1728e5; // 48 hours in ms: clocks jump
  const ap3c = Object(window.ap3c);
  if (ap3c.loaded) return; // in the page twice

  const held = [];
  let key, endpoint, domain, explain;
  let visitor = {}; // whose calls these are; another one after clearSession
  let line = Promise.resolve(); // each call waits for those before it

  const attempt = (action) => {
    try {
      return action();
    } catch (error) {
      return null; // the browser denies it, or it was handed something odd
    }
  };

  const nonce = attempt(() => document.currentScript.nonce);

  /* The session: a cookie, else localStorage, else this page's memory. */

  // Ortto's own cookie has the same name.
  const ours = (token) => /^oc1\./.test(token) && token;

  const cookie = () => attempt(() => /(?:^|; )ap3c=(oc1\.[^;]*)/.exec(document.cookie)[1]);

  const stored = () => cookie() || attempt(() => ours(localStorage.getItem("ap3c")));

  const session = (who) => who === visitor && stored() || who.token || null;

  const remember = (who, token) => {
    who.token = token;
    // Only the present visitor's; and a cookie to remove may be Ortto's.
    if (who !== visitor || !(token || stored())) return;
    attempt(() => {
      document.cookie = "ap3c=" + (token || "") + "; path=/; SameSite=Lax; max-age=" +
        (token ? 31536000 : 0) + (domain ? "; domain=" + domain : "") +
        (location.protocol === "https:" ? "; Secure" : "");
    });
    attempt(() => {
      if (token && cookie() !== token) localStorage.setItem("ap3c", token);
      else localStorage.removeItem("ap3c");
    });
    if (stored()) who.token = null; // another tab may sign out
  };

  /* Sending: promises of an outcome, {ok, status, code}, which never reject. */

  const post = async (route, item) => {
    try {
      item.body.key = key;
      item.body.session = session(item.who);
      const answer = await fetch(endpoint + "/-/events/" + route, {
        method: "POST",
        headers: { "Content-Type": "text/plain" }, // no preflight
        credentials: "same-origin",
        keepalive: true, // may outlive the page
        body: JSON.stringify(item.body)
      });
      const data = await answer.json();
      const outcome = { ok: answer.ok, status: answer.status };
      if (data.duplicate) outcome.duplicate = true;
      if (data.error) outcome.code = data.error.code;
      if (route === "track" && outcome.ok) {
        remember(item.who, ours(data.session));
        outcome.identified = !!session(item.who);
      }
      return outcome;
    } catch (error) {
      return { ok: false, status: 0, code: "unreachable" };
    }
  };

  const deliver = async (item) => {
    const body = item.body;
    if (!session(item.who)) return hold(item);
    // Where there is no randomness, the server makes one.
    body.event_id = body.event_id || attempt(() =>
      crypto.getRandomValues(new Uint32Array(4)).join("-"));
    body.age = Math.min(Math.max(0, Date.now() - item.called), MAX_AGE);
    const outcome = await post("activity", item);
    if (!/^(bad-session|not-identified)$/.test(outcome.code)) return item.done(outcome);
    remember(item.who, null); // a lost session is not a lost activity
    hold(item);
  };

  const hold = (item) => {
    if (item.who !== visitor) return item.done({ ok: false, code: "cleared" });
    held.push(item);
    tell("held", item.body);
    if (held.length > MAX_HELD) held.shift().done({ ok: false, code: "overflow" });
  };

  const identify = async (item) => {
    const outcome = await post("track", item);
    item.done(outcome);
    if (outcome.identified) for (const each of held.splice(0)) await deliver(each);
  };

  const tell = (step, body, outcome) => attempt(() => explain(step, body, outcome));

  // One call, in its turn; promises its outcome.
  const call = (step, given, callback, work) => new Promise((resolve) => {
    // A copy: the page may change its own.
    const body = attempt(() => JSON.parse(JSON.stringify(given)));
    const done = (outcome) => {
      tell(step, body, outcome);
      resolve(outcome);
      attempt(() => callback(outcome));
    };
    const item = { body, done, who: visitor, called: Date.now() };
    if (Object(body) !== body) done({ ok: false, code: "not-json" });
    else if (endpoint == null) done({ ok: false, code: "no-init" });
    else line = line.then(() => work(item));
  });

  /* What pages call. */

  ap3c.init = (captureKey, url, options) => {
    attempt(() => {
      key = captureKey;
      endpoint = String(url).replace(/\/+$/, "");
      domain = options.cookieDomains.find((each) => ("." + location.hostname).endsWith(each));
    });
  };

  ap3c.track = (fields, callback) => {
    ap3c.lastVar = fields;
    return call("track", fields, callback, identify);
  };

  ap3c.activity = (activity, callback) => call("activity", activity, callback, deliver);

  ap3c.getCookie = () => session(visitor);

  ap3c.clearSession = () => {
    visitor.token = session(visitor); // earlier calls still go out in this name
    visitor = {};
    remember(visitor, null);
    held.splice(0).forEach(hold);
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

  const drain = (name, run) => attempt(() => {
    const queue = ap3c[name] = Array.isArray(ap3c[name]) ? ap3c[name] : [];
    const push = (each) => attempt(() => run(each));
    // Not a new array, the page may hold this one; not assigned, Array.prototype may be frozen.
    Object.defineProperty(queue, "push", { value: push, configurable: true });
    queue.splice(0).forEach(push);
  });

  window.ap3c = ap3c;
  ap3c.loaded = true;
  drain("cmd", (command) => command());
  drain("act", (activity) => ap3c.activity(activity));
})();
