// @ts-check
/**
 * What happened to a request, and how to mend it, in words: reasons, codes, notes, warnings.
 *
 * The law of this file: sentences only, for operators; the public answers never say this much. What has no sentence
 * here is shown as the server has it, and a test sees to it that there is none of these.
 */

/** @typedef {Readonly<Record<string, string>>} Words */

/**
 * By reason; where two codes share a reason, by both: [what happened, what to do].
 * @type {Readonly<Record<string, readonly [string, string]>>}
 */
const REASONS = {
  "unknown-activity": ["No activity has this id.", "Create it, or correct the spelling: ids match exactly."],
  "disabled": ["Its client-side source is off.", "Switch it on if websites may send it."],
  "archived": ["It is archived.", "Bring it back, or take the call off the page."],
  "system-id": ["System activities cannot be sent by websites.", "Use an id of your own, such as act:cm:login."],
  "person-limit": ["The person's limit is used up.", "If this is normal use, raise person_limit, or the limit of the activity itself."],
  "ip-limit": ["The IP address's limit is used up.", "An office shares one. If this is normal use, raise ip_limit, or the limit of the activity itself."],
  "new-people-limit": ["The IP address has brought as many new people as it may.", "If this is normal use, raise new_people_limit."],
  "unknown-attribute": ["The activity does not declare this attribute.", "Declare it, or let the activity drop what is not declared."],
  "wrong-value": ["The value does not fit its type.", "Correct the value, or declare the attribute with another type."],
  "missing-attribute": ["A required attribute is missing.", "Send it, or declare it as not required."],
  "too-many-attributes": ["There are too many attributes.", "Send fewer, or raise max_attributes."],
  "bad-attribute/too-large": ["The attributes are too large.", "Send less, or raise max_activity_bytes."],
  "no-session": ["No person was identified.", "Call ap3c.track({email: …}) before ap3c.activity(…)."],
  "person-gone": ["The session's person no longer exists.", "Nothing is to be done: the page forgets the session, and the next ap3c.track identifies again."],
  "needs-verified": ["It is taken only of people for whom the host vouches.", "Give CaptureApp(identity=…), or pass capture.sign_identity(email) to ap3c.track as identity."],
  "identity-required": ["Only identity that the host vouches for is accepted here.", "Give CaptureApp(identity=…), or pass capture.sign_identity(email) to ap3c.track as identity."],
  "bad-session/expired": ["The session has expired.", "Nothing is to be done: the page forgets it, and the next ap3c.track identifies again."],
  "bad-session/forged": ["The session was not signed with any of the secret_keys.", "If the keys were changed, list the old one after the new one. Without secret_keys, every start makes a new one."],
  "bad-identity/expired": ["The identity token has expired.", "Sign one for each page view, or raise max_age of capture.sign_identity."],
  "bad-identity/forged": ["The identity token was not signed with any of the secret_keys.", "Make it with capture.sign_identity, on a host that has the same keys."],
  "unknown-key": ["No source has this capture key.", "Add it to sources, or correct it in ap3c.init."],
  "bad-origin": ["This origin is not among those of the capture key.", "Add it to the source's origins."]
};

/**
 * What a code means where its reason says no more: [what happened, what to do].
 * @type {Readonly<Record<string, readonly [string, string]>>}
 */
const CODES = {
  "bad-request": ["A member of the request has the wrong shape.", "Correct the member that is named."],
  "bad-json": ["The body is not one strict JSON object.", "Send one JSON object, as JSON.stringify writes it."],
  "bad-attribute": ["An attribute does not fit the definition.", "Send what is expected."],
  "bad-session": ["The session token is not valid.", "The page forgets it; the next ap3c.track identifies again."],
  "bad-identity": ["The identity token is not valid.", "Make it with capture.sign_identity."],
  "not-identified": ["No person was identified.", "Call ap3c.track({email: …}) before ap3c.activity(…)."],
  "not-found": ["There is no such activity for websites.", "Create it, or correct the spelling: ids match exactly."],
  "rate-limit": ["A limit is used up.", "If this is normal use, raise the limit."],
  "too-large": ["The body is too large.", "Send less, or raise max_body."],
  "incomplete": ["The body did not arrive whole.", "Now and then it is a visitor who left. Often, it is a proxy that cuts bodies."],
  "length-required": ["The body's length was not declared.", "Send a Content-Length."],
  "unsupported-media-type": ["The body is not labelled as UTF-8 JSON.", "Send UTF-8 JSON, neither as a form nor compressed."],
  "method-not-allowed": ["Another method than POST was used.", "Send a POST."],
  "unavailable": ["A backend did not do its work.", "The log says which one, and why. Browsers try again by themselves."],
  "storage-full": ["A bound of the storage was reached.", "The log says which one, and how to raise it."],
  "internal": ["This is a fault of ortto_capture.", "The log has one line about it."]
};

/** What a page must do besides; without it nothing arrives, and nothing is refused. */
export const HELD = "A browser holds activities back until the visitor is known: by your login, or by ap3c.track({email: …}).";

/** @type {Words} */
const OUTCOMES = {
  "accepted": "Stored.",
  "duplicate": "The same event came again. It was stored once, and counted once.",
  "identified": "A page told who its visitor is.",
  "anonymous": "A page asked who its visitor is, and no person was identified.",
  "opted-out": "The visitor's browser asks not to be tracked (Global Privacy Control), so nothing was stored."
};

/** @type {Words} */
const NOTES = {
  "identity-conflict": "An identifier was left as it was: another person has it, or only the host may change it",
  "limited-locally": "The rate limiter was away; each process counted by itself meanwhile",
  "profile-kept": "A change of a known profile was left out: the limit for new people had no room",
  "ignored": "Given to ap3c.track, not supported, left out",
  "subscriber-failed": "A function that is told of activities raised an exception; the log says which",
  "subscriber-missed": "A function was not told of an activity: 1,000 were waiting for it",
  "dropped": "A browser gave up on an activity",
  "behind-proxy": "A proxy was seen that is not accounted for"
};

/**
 * Why a browser gave up on an activity.
 * @type {Words}
 */
const DROPPED = {
  "overflow": "too many newer ones were waiting there",
  "expired": "it had waited for too long",
  "rate-limit": "a limit was used up",
  "refused": "it was refused",
  "not-found": "no such activity may be sent by websites",
  "bad-attribute": "an attribute did not fit the definition",
  "other": "another reason, such as an activity of more than 20,000 characters"
};

/**
 * What an operator should mend: [what is wrong, what to do].
 * @type {Readonly<Record<string, readonly [string, string]>>}
 */
const WARNINGS = {
  "behind-proxy": ["Requests come through a proxy, or without an address: all visitors share one bucket of the address limit.", "Wrap the app in werkzeug's ProxyFix, outside the mount, or give CaptureApp(client_ip=…)."],
  "counts-alone": ["This server runs several processes and everything is in memory: each process counts alone, limits are multiplied, and this page shows one process at a time.", "Use backends that share, or a single process."]
};

/**
 * How a person's identity was proved: a word, and what it means.
 * @type {Readonly<Record<string, readonly [string, string]>>}
 */
const ASSURANCE = {
  "claimed": ["Claimed", "A page said so, and any visitor could."],
  "verified": ["Verified", "The host vouched for it."]
};

/**
 * @template T
 * @param {Readonly<Record<string, T>>} table @param {string} name
 * @returns {T | undefined}
 */
const known = (table, name) => Object.prototype.hasOwnProperty.call(table, name) ? table[name] : undefined;

/** @param {string} text */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, ".");

/**
 * What happened to a refused request, as a sentence, and what to do about it.
 * @param {{code: string, reason?: string | null}} refused @returns {readonly [string, string]}
 */
export function explain({ code, reason }) {
  const precise = known(REASONS, `${code}/${reason}`) || known(REASONS, reason || "");
  if (precise) return precise;
  const usual = known(CODES, code);
  // Some reasons are a phrase already.
  if (reason && reason !== code) return [sentence(reason), usual ? usual[1] : `The answer was ${code}.`];
  return usual || [sentence(code), ""];
}

/**
 * What an outcome means that is no refusal.
 * @param {string} outcome
 */
export const outcome = (outcome) => known(OUTCOMES, outcome) || "";

/**
 * What a note means that was counted beside an outcome, such as `dropped:overflow`.
 * @param {string} note
 */
export function meaning(note) {
  const [kind, which] = note.split(":");
  const why = kind === "dropped" && which ? known(DROPPED, which) || which : which;
  return sentence((known(NOTES, kind) || kind) + (why ? ": " + why : ""));
}

/**
 * How a person's identity was proved: a word, and what it means.
 * @param {string} name @returns {readonly [string, string]}
 */
export const assurance = (name) => known(ASSURANCE, name) || [name, ""];

/**
 * What is wrong, and what to do.
 * @param {string} name @returns {readonly [string, string]}
 */
export const warning = (name) => known(WARNINGS, name) || [name, ""];
