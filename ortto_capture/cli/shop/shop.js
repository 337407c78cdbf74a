/* The shop: it reports what its visitors do, as any website would. */
(function () {
  "use strict";

  var byId = document.getElementById.bind(document);
  var plan = null;

  var HELD = { code: "held until you sign in" };
  // Reported with a session of which the server has not been asked since.
  var unsure = [];

  function report(activity) {
    var known = !ap3c.loaded || ap3c.getCookie();
    if (!known) answer(activity.activity_id, HELD);
    send(activity);
    if (known && unsure.push(activity.activity_id) === 1) check();
  }

  // A demo that was started anew does not know the sessions of the one before, and the client then
  // holds what was reported until the next visitor signs in.
  function check() {
    ap3c.track({}).then(function (outcome) {
      var held = unsure.splice(0);
      if (outcome.identified !== false) return;
      greet("");
      held.forEach(function (what) { answer(what, HELD); });
    });
  }

  function send(activity) {
    ap3c.activity(activity).then(function (outcome) { answer(activity.activity_id, outcome); });
  }

  // What the website's own page never needs to show: here it is the point.
  function answer(what, outcome) {
    var line = document.createElement("li");
    var verdict = document.createElement("b");
    // What has no status was not sent yet, and stays in the queue.
    verdict.textContent = outcome.status ? outcome.status + " " + (outcome.code || "ok") : outcome.code || "sent later";
    line.className = outcome.ok ? "ok" : "";
    line.append(what, verdict);
    document.querySelectorAll("#answers .none").forEach(function (none) { none.remove(); });
    byId("answers").prepend(line);
    while (byId("answers").children.length > 14) byId("answers").lastChild.remove();
  }

  function greet(words) {
    // What has the focus may be hidden now: it goes to what stands in its place.
    var focused = byId("account").contains(document.activeElement) ||
      byId("signed-in").contains(document.activeElement);
    byId("account").hidden = !!words;
    byId("signed-in").hidden = !words;
    byId("who").textContent = words;
    if (focused) byId(words ? "sign-out" : "email").focus();
  }

  byId("account").addEventListener("submit", function (event) {
    var email = byId("email").value;
    event.preventDefault();
    ap3c.track({ email: email }).then(function (outcome) {
      answer("track", outcome);
      if (outcome.ok) greet("Hello, " + email);
    });
    send({ activity_id: "act:cm:login", attributes: { "str::email": email } });
  });

  byId("sign-out").addEventListener("click", function () {
    ap3c.clearSession();
    greet("");
  });

  byId("plans").addEventListener("change", function (event) {
    plan = { name: event.target.value, price: Number(event.target.dataset.price) };
    byId("basket").textContent = plan.name + ", $" + plan.price + " a month";
    byId("buy").disabled = false;
    byId("thanks").textContent = "";
    report({ activity_id: "act:cm:plan-chosen", attributes: { "str:cm:plan": plan.name, "int:cm:price": plan.price } });
  });

  byId("buy").addEventListener("click", function () {
    byId("thanks").textContent = "Thank you. Your first beans leave on Tuesday.";
    report({
      activity_id: "act:cm:purchase",
      attributes: { "str:cm:plan": plan.name, "int:cm:price": plan.price, "bol:cm:gift": byId("gift").checked }
    });
  });

  var tries = {
    good: function () { report({ activity_id: "act:cm:cup-poured" }); },
    off: function () { report({ activity_id: "act:cm:refund-issued" }); },
    unknown: function () { report({ activity_id: "act:cm:wish-list" }); },
    type: function () {
      report({ activity_id: "act:cm:purchase", attributes: { "str:cm:plan": "Pot", "int:cm:price": "twelve" } });
    },
    many: function () {
      for (var cup = 0; cup < 12; cup++) report({ activity_id: "act:cm:round-poured" });
    }
  };

  document.querySelectorAll("[data-try]").forEach(function (button) {
    button.addEventListener("click", function () {
      tries[button.dataset.try]();
    });
  });

  // The link that the demo prints carries the console's token behind the #.
  byId("console").hash = location.hash;

  ap3c.cmd.push(function () {
    if (!ap3c.getCookie()) return;
    ap3c.track({}).then(function (outcome) {
      // A server that cannot be asked now is asked at the first press.
      if (outcome.identified || outcome.queued) greet("Welcome back");
    });
  });
})();
