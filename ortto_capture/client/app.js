/* ap3c: tells the app that serves this page who visits it and what they do. No exception leaves this
   file, success prints nothing, nothing is sent before somebody is identified, order is kept. */
(function () {
  "use strict";

  var MAX_HELD = 100; // activities that wait for somebody to be identified
  var page = window.ap3c;
  var ap3c = page && typeof page === "object" ? page : {};
  if (ap3c.loaded) return; // the script is in the page twice

  var nonce = (document.currentScript || {}).nonce;
  var key, endpoint, domain, memory, explain;
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

  function session() {
    return attempt(cookie) || attempt(function () {
      return ours(localStorage.getItem("ap3c"));
    }) || memory || null;
  }

  function remember(token) {
    if (!token && !session()) return; // the cookie may be Ortto's
    memory = token;
    attempt(function () {
      document.cookie = "ap3c=" + (token || "") + "; path=/; SameSite=Lax; max-age=" +
        (token ? 31536000 : 0) + (domain ? "; domain=" + domain : "") +
        (location.protocol === "https:" ? "; Secure" : "");
    });
    attempt(function () {
      if (token && attempt(cookie) !== token) localStorage.setItem("ap3c", token);
      else localStorage.removeItem("ap3c");
    });
  }

  /* Sending. A post promises {ok, status, code} and never rejects. */

  function post(route, body) {
    body.key = key;
    body.session = session();
    return new Promise(function (resolve) {
      resolve(fetch(endpoint + "/-/events/" + route, {
        method: "POST",
        headers: { "Content-Type": "text/plain" }, // elsewhere than here: no preflight
        credentials: "same-origin",
        keepalive: true, // may outlive the page
        body: JSON.stringify(body)
      }));
    }).then(function (answer) {
      return answer.json().then(function (data) {
        var outcome = { ok: answer.status === 200, status: answer.status };
        if (data.duplicate) outcome.duplicate = true;
        if (data.error) outcome.code = data.error.code;
        if (route === "track" && outcome.ok) {
          remember(ours(data.session));
          outcome.identified = !!memory;
        }
        return outcome;
      });
    }).catch(function () {
      return { ok: false, status: 0, code: "unreachable" };
    });
  }

  function deliver(item) {
    if (!session()) return hold(item);
    item.body.age = Math.max(0, Date.now() - item.called);
    return post("activity", item.body).then(function (outcome) {
      if (!/^(bad-session|not-identified)$/.test(outcome.code)) return item.done(outcome);
      // A lost session is not a lost activity.
      remember(null);
      hold(item);
    });
  }

  function hold(item) {
    held.push(item);
    tell("held", item.body);
    if (held.length > MAX_HELD) held.shift().done({ ok: false, code: "overflow" });
  }

  function identify(item) {
    return post("track", item.body).then(function (outcome) {
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
      var item = { body: body, called: Date.now(), done: function (outcome) {
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
    key = captureKey;
    endpoint = String(url).replace(/\/+$/, "");
    domain = attempt(function () {
      return options.cookieDomains.filter(function (each) {
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
      item.body.event_id = item.body.event_id ||
        Array.from(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
          return (byte + 256).toString(16).slice(1);
        }).join("");
      return deliver(item);
    });
  };

  ap3c.getCookie = session;

  ap3c.clearSession = function () {
    remember(null);
    held.splice(0).forEach(function (item) { item.done({ ok: false, code: "cleared" }); });
  };

  // debug.js holds the texts, and calls back with the function that prints them.
  ap3c.debug = function (on) {
    explain = typeof on === "function" && on;
    if (on !== true) return;
    var script = document.createElement("script");
    script.src = endpoint + "/debug.js";
    script.nonce = nonce;
    document.head.append(script);
  };

  /* What was called before this file arrived: first `cmd`, then `act`. */

  function drain(name, run) {
    var waiting = ap3c[name];
    function push(each) {
      attempt(function () { run(each); });
    }
    // Not by assignment: the page may have frozen Array.prototype.
    ap3c[name] = Object.defineProperty([], "push", { value: push });
    if (Array.isArray(waiting)) waiting.forEach(push);
  }

  window.ap3c = ap3c;
  ap3c.loaded = true;
  drain("cmd", function (command) { command(); });
  drain("act", function (activity) { ap3c.activity(activity); });
})();
