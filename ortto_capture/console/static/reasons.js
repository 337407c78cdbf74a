/* What happened, and how to mend it, in words. The public answers never say this much. */

// By reason; where two codes share a reason, by both.
const REASONS = {
  "unknown-activity": ["No activity has this id.", "Create it, or correct the spelling: ids match exactly."],
  "disabled": ["Its client-side source is off.", "Switch it on if websites may send it."],
  "archived": ["It is archived.", "Bring it back, or take the call off the page."],
  "system-id": ["System activities cannot be sent by websites.", "Use an id of your own, such as act:cm:login."],
  "person-limit": ["The person's limit is used up.", "By default it opens again at midnight UTC. Raise person_limit, or the definition's own, if that is normal use."],
  "ip-limit": ["The address's limit is used up.", "By default it opens again at the full hour. Offices share one address: raise ip_limit, or the definition's own, if that is normal use."],
  "new-people-limit": ["The address has brought enough new people.", "By default more may come at the full hour. Raise new_people_limit if that is normal use."],
  "unknown-attribute": ["The activity does not declare this attribute.", "Declare it, or set unknown_attributes to \"drop\"."],
  "wrong-value": ["The value does not fit its type.", "Correct the value, or declare the attribute with another type."],
  "missing-attribute": ["A required attribute is missing.", "Send it, or declare it as not required."],
  "too-many-attributes": ["There are too many attributes.", "Send fewer, or raise max_attributes."],
  "bad-attribute/too-large": ["The attributes are too large.", "Send less, or raise max_activity_bytes."],
  "no-session": ["No person was identified.", "Call ap3c.track({email: …}) before ap3c.activity(…)."],
  "person-gone": ["The session's person no longer exists.", "The page forgets the session by itself; the next ap3c.track identifies again."],
  "needs-verified": ["It is taken only of people for whom the host vouches.", "Give CaptureApp(identity=…), or pass capture.sign_identity(email) to ap3c.track as identity."],
  "identity-required": ["Only identity that the host vouches for is accepted here.", "Pass capture.sign_identity(email) to ap3c.track as identity."],
  "bad-session/expired": ["The session has expired.", "The page forgets it by itself; the next ap3c.track identifies again."],
  "bad-session/forged": ["The session was not signed with any of the secret_keys.", "If keys were changed, list the old one after the new one. Without secret_keys every start makes a new one."],
  "bad-identity/expired": ["The identity token has expired.", "Sign one for each page view, or raise max_age of capture.sign_identity."],
  "bad-identity/forged": ["The identity token was not signed with any of the secret_keys.", "Make it with capture.sign_identity, on a host that has the same keys."],
  "unknown-key": ["No source has this capture key.", "Add it to sources, or correct it in ap3c.init."],
  "bad-origin": ["This origin is not among those of the capture key.", "Add it to the source's origins."]
};

// By code, for reasons that are words already.
const CODES = {
  "bad-request": "Correct the member of the request that is named.",
  "bad-json": "Send one JSON object, as JSON.stringify writes it.",
  "too-large": "Send less, or raise max_body.",
  "incomplete": "Now and then it is a visitor who left; often, it is a proxy that cuts bodies.",
  "length-required": "Send a Content-Length.",
  "unsupported-media-type": "Send UTF-8 JSON, neither as a form nor compressed.",
  "method-not-allowed": "Send a POST.",
  "unavailable": "A backend did not do its work. The log says which, and why; clients may try again.",
  "storage-full": "A bound was reached. The log says which one, and how to raise it.",
  "internal": "This is a fault of ours. The log has one line about it."
};

const PLAIN = {
  "too-large": "the body is too large",
  "length-required": "the body's length was not declared",
  "unsupported-media-type": "the body is not labelled as UTF-8 JSON",
  "method-not-allowed": "another method than POST was used"
};

/** What happened to a refused request, as a sentence, and what to do about it. */
export function explain({ code, reason }) {
  const known = REASONS[code + "/" + reason] || REASONS[reason];
  if (known) return known;
  const what = PLAIN[reason] || reason;
  return [what.charAt(0).toUpperCase() + what.slice(1) + ".", CODES[code] || "The answer was " + code + "."];
}

const NOTES = {
  "identity-conflict": "An identifier was left as it was: another person has it, or only the host may change it.",
  "limited-locally": "The rate limiter was away; each process counted by itself meanwhile.",
  "profile-kept": "A change of a known profile was left out: the limit for new people had no room.",
  "ignored": "Given to ap3c.track, not supported, left out",
  "subscriber-failed": "A function that is told of activities raised an exception; the log says which.",
  "subscriber-missed": "A function was not told of an activity: 1,000 were waiting for it.",
  "dropped": "Browsers gave up on activities",
  "behind-proxy": "A proxy was seen that is not accounted for"
};

/** What a note means that was counted beside an outcome. */
export function meaning(note) {
  const [kind, which] = note.split(":");
  return (NOTES[kind] || kind) + (which ? ": " + which + "." : "");
}

export const WARNINGS = {
  "behind-proxy": "Requests come through a proxy, or without an address: all visitors share one bucket of the address limit. Wrap the app in werkzeug's ProxyFix, outside the mount, or give CaptureApp(client_ip=...).",
  "counts-alone": "This server runs several processes and everything is in memory: each process counts alone, limits are multiplied, and this page shows one process at a time. Use backends that share, or a single process."
};
