/* What ap3c.debug(true) prints: each step in one line that a person can act on. */
(function () {
  "use strict";

  var texts = {
    "bad-attribute": "an attribute does not fit the definition; the activity page names it",
    "bad-json": "the server could not read it",
    "bad-origin": "this website is not among the origins of its capture key",
    "bad-request": "a member has the wrong shape; the response in the network inspector names it",
    "cleared": "dropped, because clearSession() was called",
    "duplicate": "arrived before, and was stored once",
    "no-init": "call ap3c.init(key, endpoint) first",
    "not-found": "not found, or its client-side source is off",
    "not-identified": "nobody identified yet; call ap3c.track({email}) first",
    "not-json": "not sent: this is no object that JSON can hold",
    "overflow": "dropped, because 100 newer ones are waiting for ap3c.track({email})",
    "rate-limit": "limit reached, try again later",
    "unknown-key": "the server does not know this capture key",
    "unreachable": "no answer from the server; is the endpoint given to ap3c.init right?"
  };

  window.ap3c.debug(function (step, body, outcome) {
    var what = (body && body.activity_id) || step;
    if (step === "held") console.info("ap3c: " + what + ": held, nobody identified yet");
    else if (outcome.duplicate) console.info("ap3c: " + what + ": " + texts.duplicate);
    else if (outcome.ok) {
      console.info("ap3c: " + what + (outcome.identified === false ? ": anonymous" : ": sent"));
    } else console.warn("ap3c: " + what + ": " + (texts[outcome.code] || outcome.code));
  });
})();
