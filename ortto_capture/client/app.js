/* ap3c: tells the app that serves this page who visits it and what they do. No exception leaves this
   file, success prints nothing, nothing is sent before somebody is identified, order is kept. */
(function () {
  "use strict";

  var MAX_HELD = 100; // activities that wait for somebody to be identified
  var MAX_AGE = 1728e5; // 48 hours in ms: clocks jump
  var CLEARED = { ok: false, code: "cleared" };
  var page = window.ap3c;
  var ap3c = page && typeof page === "object" ? page : {};
  if (ap3c.loaded) return; // the script is in the page twice

  var nonce = (document.currentScript || {}).nonce;
  var key, endpoint, domain, explain;
  var visitor = {}; // another one after clearSession; each call belongs to the one it was made by
  var held = [];
  var line = Promise.resolve(); // each call waits for those before it

  function attempt(action) {
    try {
      return action();
    } catch (error) {
      return null; // the browser denies it, or it was handed something odd
    }
  }

  /* The session: a cookie, else localStorage, else this page's memory. */

  function ours(token) {
    return /^oc1\./.test(token) ? token : null; // Ortto's own cookie has the same name
  }

  function cookie() {
    return document.cookie.split(/; */).map(function (pair) {
      return pair.slice(0, 5) === "ap3c=" && ours(pair.slice(5));
    }).filter(Boolean)[0];
  }

  function stored() {
    return attempt(cookie) || attempt(function () {
      return ours(localStorage.getItem("ap3c"));
    });
  }

  function session(who) {
    return (who === visitor && stored()) || who.token || null;
  }

  function remember(who, token) {
    who.token = token;
    // Nobody returns from having signed out; and the cookie may be Ortto's.
    if (who !== visitor || !(token || stored())) return;
    attempt(function () {
      document.cookie = "ap3c=" + (token || "") + "; path=/; SameSite=Lax; max-age=" +
        (token ? 31536000 : 0) + (domain ? "; domain=" + domain : "") +
        (location.protocol === "https:" ? "; Secure" : "");
    });
    attempt(function () {
      if (token && attempt(cookie) !== token) localStorage.setItem("ap3c", token);
      else localStorage.removeItem("ap3c");
    });
    if (stored()) who.token = null; // so that signing out in another tab counts here
  }

  /* Sending. A post promises {ok, status, code} and never rejects. */

  function post(route, item) {
    item.body.key = key;
    item.body.session = session(item.who);
    return new Promise(function (resolve) {
      resolve(fetch(endpoint + "/-/events/" + route, {
        method: "POST",
        headers: { "Content-Type": "text/plain" }, // elsewhere than here: no preflight
        credentials: "same-origin",
        keepalive: true, // may outlive the page
        body: JSON.stringify(item.body)
      }));
    }).then(function (answer) {
      return answer.json().then(function (data) {
        var outcome = { ok: answer.status === 200, status: answer.status };
        if (data.duplicate) outcome.duplicate = true;
        if (data.error) outcome.code = data.error.code;
        if (route === "track" && outcome.ok) {
          remember(item.who, ours(data.session));
          outcome.identified = !!session(item.who);
        }
        return outcome;
      });
    }).catch(function () {
      return { ok: false, status: 0, code: "unreachable" };
    });
  }

  function deliver(item) {
    if (!session(item.who)) return hold(item);
    item.body.age = Math.min(Math.max(0, Date.now() - item.called), MAX_AGE);
    return post("activity", item).then(function (outcome) {
      if (!/^(bad-session|not-identified)$/.test(outcome.code)) return item.done(outcome);
      // A lost session is not a lost activity.
      remember(item.who, null);
      hold(item);
    });
  }

  function hold(item) {
    if (item.who !== visitor) return item.done(CLEARED);
    held.push(item);
    tell("held", item.body);
    if (held.length > MAX_HELD) held.shift().done({ ok: false, code: "overflow" });
  }

  function identify(item) {
    return post("track", item).then(function (outcome) {
      item.done(outcome);
      if (outcome.identified) {
        return held.splice(0).reduce(function (before, each) {
          return before.then(function () { return deliver(each); });
        }, Promise.resolve());
      }
    });
  }

  function tell(step, body, outcome) {
    if (explain) attempt(function () { explain(step, body, outcome); });
  }

  // One call, in its turn; promises its outcome.
  function call(step, given, callback, work) {
    return new Promise(function (resolve) {
      // A copy, since the page may change its object; what JSON cannot hold shows here.
      var body = attempt(function () { return JSON.parse(JSON.stringify(given)); });
      var item = { body: body, who: visitor, called: Date.now(), done: function (outcome) {
        tell(step, body, outcome);
        resolve(outcome);
        attempt(function () { if (callback) callback(outcome); });
      } };
      if (!body || typeof body !== "object") item.done({ ok: false, code: "not-json" });
      else if (endpoint == null) item.done({ ok: false, code: "no-init" });
      else line = line.then(function () { return work(item); });
    });
  }

  /* What pages call. */

  ap3c.init = function (captureKey, url, options) {
    attempt(function () {
      key = captureKey;
      endpoint = String(url).replace(/\/+$/, "");
      domain = "";
      domain = options.cookieDomains.filter(function (each) {
        return ("." + location.hostname).endsWith(each.replace(/^\.?/, "."));
      })[0];
    });
  };

  ap3c.track = function (fields, callback) {
    ap3c.lastVar = fields;
    return call("track", fields, callback, identify);
  };

  ap3c.activity = function (activity, callback) {
    return call("activity", activity, callback, function (item) {
      // Where there is no randomness, the server makes one.
      item.body.event_id = item.body.event_id || attempt(function () {
        return Array.from(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
          return (byte + 256).toString(16).slice(1);
        }).join("");
      });
      return deliver(item);
    });
  };

  ap3c.getCookie = function () { return session(visitor); };

  ap3c.clearSession = function () {
    visitor.token = session(visitor); // what was called before still goes out in that name
    visitor = {};
    remember(visitor, null);
    held.splice(0).forEach(function (item) { item.done(CLEARED); });
  };

  // debug.js holds the texts, and calls back with the function that prints them.
  ap3c.debug = function (on) {
    explain = typeof on === "function" && on;
    if (on === true) attempt(function () {
      var script = document.createElement("script");
      script.src = endpoint + "/debug.js";
      script.nonce = nonce;
      document.head.append(script);
    });
  };

  /* What was called before this file arrived: first `cmd`, then `act`. */

  function drain(name, run) {
    var queue = ap3c[name] = Array.isArray(ap3c[name]) ? ap3c[name] : [];
    function push(each) {
      attempt(function () { run(each); });
    }
    // The page's own array, which it may hold on to; defined, since Array.prototype may be frozen.
    attempt(function () {
      Object.defineProperty(queue, "push", { value: push, configurable: true });
      queue.splice(0).forEach(push);
    });
  }

  window.ap3c = ap3c;
  ap3c.loaded = true;
  drain("cmd", function (command) { command(); });
  drain("act", function (activity) { ap3c.activity(activity); });
})();
