/* What ap3c.debug(true) prints: each step in one line that a person can act on. */

const texts = {
  "bad-attribute": "an attribute does not fit the definition; the page Live names it",
  "bad-identity": "the identity token has expired or was not signed by this server; " +
    "with CaptureApp(identity=…) a page gets a new one while its visitor is signed in",
  "bad-json": "the server could not read it",
  "bad-origin": "this website is not among the origins of its capture key",
  "bad-request": "a member has the wrong shape; the response in the network inspector names it",
  "bad-session": "the session is lost; it waits for the next ap3c.track({email})",
  "cleared": "dropped, because clearSession() was called or consent was taken back",
  "duplicate": "arrived before, and was stored once",
  "needs-verified": "the host has to vouch for the person; give CaptureApp(identity=…), " +
    "or an identity token to ap3c.track",
  "not-found": "not found, or its client-side source is off",
  "not-identified": "no person is identified yet; call ap3c.track({email}) first",
  "not-json": "not sent: this is no object that JSON can hold",
  "overflow": "dropped, because too many newer ones are waiting",
  "rate-limit": "limit reached",
  "storage-full": "the server has no room left on its disk",
  "too-large": "not sent: larger than 20,000 characters",
  "unavailable": "the server cannot store at the moment",
  "unknown-key": "the server does not know this capture key",
  "unreachable": "no answer of a capture server; is the endpoint given to ap3c.init right?"
};

// Of a track that asks the host who is signed in.
const asking = {
  "not-found": "the host is not asked; it needs CaptureApp(identity=…), and the endpoint of " +
    "ap3c.init must be on the page's own origin"
};

export default (step, body, outcome) => {
  const what = `ap3c: ${(body && body.activity_id) || step}: `;
  const asks = step === "track" && body && body.identity === "host";
  if (!outcome) console.info(`${what}held: no person is identified yet`);
  else if (outcome.duplicate) console.info(what + texts.duplicate);
  else if (outcome.ok && asks) console.info(what + "no visitor is signed in at the host");
  else if (outcome.ok) console.info(what + (outcome.identified === false ? "anonymous" : "sent"));
  else {
    const wait = outcome.wait ? `, try again in ${outcome.wait} s` : "";
    const queued = outcome.queued ? "; kept, and sent again later" : "";
    const told = asks && asking[outcome.code] || texts[outcome.code] || outcome.code;
    console.warn(what + told + wait + queued);
  }
};
