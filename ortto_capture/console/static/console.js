/* The activity page. Values come from strangers: they reach the page as text and nothing else. */
(function () {
  "use strict";

  var EVERY = 2000; // milliseconds between two questions
  var MOST = 500; // rows kept on the page
  var byId = document.getElementById.bind(document);
  var feed = byId("feed");
  var search = byId("search");
  var cursor = "";
  var failing = null; // since when, in milliseconds

  // Beside the word, a shape of its own for each outcome.
  var SHAPES = {
    accepted: "M2 6.5 5 9.5 10 3",
    duplicate: "M2 4.5h8M2 7.5h8",
    refused: "M3 3l6 6M9 3l-6 6",
    failed: "M6 2v5M6 9v1"
  };

  // What happened, and how to mend it. The public answers never say this much.
  var REASONS = {
    "unknown-activity": ["No activity has this id.", "Create it, or correct the spelling: ids match exactly."],
    "disabled": ["Its client-side source is off.", "Switch it on if websites may send it."],
    "archived": ["It is archived.", "Bring it back, or take the call off the page."],
    "system-id": ["System activities cannot be sent by websites.", "Use an id of your own, such as act:cm:login."],
    "person-limit": ["The person's limit for today is used up.", "It opens again at midnight UTC. Raise person_limit, or the definition's own, if that is normal use."],
    "ip-limit": ["The address's limit for this hour is used up.", "It opens again at the full hour. Offices share one address: raise ip_limit if that is normal use."],
    "new-people-limit": ["The address has created enough people this hour.", "Raise new_people_limit if that is normal use."],
    "unknown-attribute": ["The activity does not declare this attribute.", "Declare it, or set unknown_attributes to \"drop\"."],
    "wrong-value": ["The value does not fit its type.", "Send what is expected."],
    "missing-attribute": ["A required attribute is missing.", "Send it, or declare it as not required."],
    "too-many-attributes": ["There are too many attributes.", "Send fewer, or raise max_attributes."],
    "too-large": ["The attributes are too large.", "Send less, or raise max_activity_bytes."],
    "no-session": ["Nobody was identified.", "Call ap3c.track({email: …}) before ap3c.activity(…)."],
    "person-gone": ["The session's person no longer exists.", "The page forgets it by itself; the next ap3c.track identifies again."],
    "identity-required": ["Only identity that the host vouches for is accepted here.", "Pass capture.sign_identity(email) to ap3c.track as identity."],
    "expired": ["The token has expired.", "The page forgets it by itself; the next ap3c.track identifies again."],
    "forged": ["The token was not signed by any of the secret_keys.", "If keys were changed, list the old one after the new one."],
    "unknown-key": ["No source has this capture key.", "Add it to sources, or correct it in ap3c.init."],
    "bad-origin": ["This origin is not among those of the capture key.", "Add it to the source's origins."]
  };

  function make(tag, name, text) {
    var element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined && text !== null) element.textContent = text;
    return element;
  }

  function shape(kind) {
    var NS = "http://www.w3.org/2000/svg";
    var svg = document.createElementNS(NS, "svg");
    var path = document.createElementNS(NS, "path");
    svg.setAttribute("viewBox", "0 0 12 12");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", SHAPES[kind]);
    svg.append(path);
    return svg;
  }

  function ago(at) {
    var seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
    if (seconds < 60) return seconds + " s ago";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min ago";
    if (seconds < 86400) return Math.floor(seconds / 3600) + " h ago";
    return Math.floor(seconds / 86400) + " d ago";
  }

  function inWords(value) {
    return typeof value === "string" ? value : JSON.stringify(value);
  }

  // Control and direction characters would let a value rearrange the line it stands in.
  function visible(text) {
    return String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, function (odd) {
      return "\\u" + odd.charCodeAt(0).toString(16).padStart(4, "0");
    });
  }

  function kindOf(item) {
    if (item.attributes) return "accepted";
    return item.code === "internal" || item.code === "unavailable" || item.code === "storage-full" ? "failed" : "refused";
  }

  function about(item) {
    if (item.attributes) {
      return Object.entries(item.attributes).map(function (pair) {
        return pair[0].split(":").pop() + " " + inWords(pair[1]);
      }).join(" · ");
    }
    var text = REASONS[item.reason] ? REASONS[item.reason][0] : item.code + ": " + item.reason;
    return item.field ? text.replace(/\.$/, "") + ": " + item.field : text;
  }

  function facts(item) {
    var pairs = item.attributes ? Object.entries(item.attributes).map(function (pair) {
      return [pair[0], inWords(pair[1])];
    }) : [["answer", item.code], ["field", item.field], ["expected", item.expected], ["route", item.route]];
    return pairs.concat([
      ["activity", item.activity], ["person", item.person], ["assurance", item.assurance],
      ["source", item.source], ["event id", item.event], ["occurred", item.occurred], ["received", item.at]
    ]).filter(function (pair) { return pair[1] !== null && pair[1] !== undefined && pair[1] !== ""; });
  }

  function detail(item) {
    var box = make("div", "detail");
    var reason = REASONS[item.reason];
    if (!item.attributes) box.append(make("p", "", reason ? reason[0] + " " + reason[1] : visible(about(item))));
    var list = make("dl");
    facts(item).forEach(function (pair) {
      list.append(make("dt", "mono", visible(pair[0])), make("dd", "mono", visible(pair[1])));
    });
    box.append(list);
    return box;
  }

  function entry(item) {
    var kind = kindOf(item);
    var row = make("button", "row");
    var outcome = make("span", "outcome");
    var time = make("span", "time", ago(item.when));
    var activity = make("span", "activity", visible(item.name || item.activity || item.route));
    outcome.append(shape(kind), kind);
    time.title = new Date(item.when).toISOString();
    if (item.activity) activity.title = visible(item.activity);
    row.type = "button";
    row.setAttribute("aria-expanded", "false");
    row.append(outcome, time, make("span", "person", visible(item.person || "nobody")), activity,
      make("span", "about", visible(about(item))));
    row.addEventListener("click", function () { toggle(element); });
    var element = make("li", kind);
    element.item = item;
    element.words = [item.person, item.activity, item.name, kind, item.code, item.reason, about(item)].join(" ").toLowerCase();
    element.append(row);
    return element;
  }

  function toggle(element, open) {
    var row = element.firstChild;
    var shown = row.getAttribute("aria-expanded") === "true";
    if (open === shown) return;
    row.setAttribute("aria-expanded", String(!shown));
    if (shown) element.lastChild.remove();
    else element.append(detail(element.item));
  }

  function show(data) {
    var first = cursor === "";
    if (data.cursor.split(":")[0] !== cursor.split(":")[0]) feed.replaceChildren();
    cursor = data.cursor;
    var items = data.captured.concat(data.refused);
    items.forEach(function (item) { item.when = Date.parse(item.at); });
    items.sort(function (a, b) { return a.when - b.when; });
    // Nothing may jump under somebody who reads further down.
    var before = feed.firstChild;
    var top = before && scrollY > 0 ? before.getBoundingClientRect().top : null;
    items.forEach(function (item) {
      var element = entry(item);
      if (!first) element.classList.add("new");
      feed.prepend(element);
    });
    if (top !== null) scrollBy(0, before.getBoundingClientRect().top - top);
    while (feed.children.length > MOST) feed.lastChild.remove();
    count(data.counts);
    if (data.example) {
      byId("example").textContent = "ap3c.track({email: \"user@emaildomain.com\"});\n" +
        "ap3c.activity(" + JSON.stringify(data.example, null, 2) + ");";
    }
    filter();
  }

  function count(counts) {
    var sums = { accepted: 0, duplicate: 0, refused: 0, failed: 0 };
    Object.keys(counts).forEach(function (code) {
      if (/^note:|^identified$|^anonymous$|^opted-out$/.test(code)) return;
      sums[code in sums ? code : kindOf({ code: code })] += counts[code];
    });
    Object.keys(sums).forEach(function (kind) {
      var box = document.querySelector("#counts ." + kind);
      box.lastElementChild.textContent = sums[kind].toLocaleString("en");
      box.classList.toggle("zero", sums[kind] === 0);
    });
  }

  function filter() {
    var words = search.value.trim().toLowerCase();
    var shown = 0;
    Array.from(feed.children).forEach(function (element) {
      element.hidden = words !== "" && !element.words.includes(words);
      shown += element.hidden ? 0 : 1;
    });
    byId("empty").hidden = feed.children.length > 0;
    byId("nomatch").hidden = feed.children.length === 0 || shown > 0;
  }

  function trouble(text) {
    byId("trouble").hidden = !text;
    byId("trouble").textContent = text;
  }

  function ask() {
    return fetch("api/feed?after=" + encodeURIComponent(cursor), { cache: "no-store" }).then(function (answer) {
      if (answer.status === 304) return null;
      if (answer.status === 404 || answer.status === 403) throw new Error("closed");
      if (!answer.ok) throw new Error("status " + answer.status);
      return answer.json();
    }).then(function (data) {
      failing = null;
      trouble("");
      if (data) show(data);
    }).catch(function (error) {
      failing = failing || Date.now();
      if (error.message === "closed") trouble("This page is closed to you now. Sign in again, then reload.");
      else if (!navigator.onLine) trouble("You are offline; new rows come when you are back. The last answer: " + ago(failing) + ".");
      else trouble("The server does not answer as it should (" + error.message + "), first " + ago(failing) + ". Trying again; its log says why.");
    });
  }

  function loop() {
    (document.hidden ? Promise.resolve() : ask()).then(function () {
      document.querySelectorAll("li:not([hidden]) .time").forEach(function (time) {
        time.textContent = ago(Date.parse(time.title));
      });
      setTimeout(loop, EVERY);
    });
  }

  function step(by) {
    var rows = Array.from(feed.querySelectorAll("li:not([hidden]) > .row"));
    var at = rows.indexOf(document.activeElement);
    var next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
    if (next) next.focus();
  }

  search.addEventListener("input", filter);
  document.addEventListener("keydown", function (event) {
    var typing = document.activeElement === search;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (typing || search.value) {
        search.value = "";
        search.blur();
        filter();
      } else Array.from(feed.children).forEach(function (element) { toggle(element, false); });
    } else if (typing) return;
    else if (event.key === "/") search.focus();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else return;
    event.preventDefault();
  });

  loop();
})();
