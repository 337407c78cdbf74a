// @ts-check
/**
 * Who reads: the page that asks for a token.
 *
 * The law of this file: a token goes into this tab's storage and into the Authorization header, and
 * nowhere else; no form is sent with it and no address holds it.
 */
import { ApiError, ask, go, h } from "../core.js";
import { field, form, input } from "../form.js";
import { keepToken, token } from "../server.js";

/** @type {Record<string, string>} */
const WHY = {
  "bad-token": "This token is not known here, or it was removed.",
  "signed-out": "You are signed out. Sign in to the site that the console belongs to, then reload this page."
};

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here why: the code of what was refused
 */
export async function show(main, here) {
  document.title = "Console";
  const given = input({ type: "password", name: "token", required: true, placeholder: "oct_…" });
  const entry = form(async () => {
    const before = token();
    keepToken(given.value.trim());
    try {
      await ask("me");
    } catch (error) {
      keepToken(before);
      if (!(error instanceof ApiError && error.status === 401)) throw error;
      throw new ApiError(401, { code: error.code, field: "token", message: WHY["bad-token"] }, 0);
    }
    // The address is still that of the page that was asked for.
    go(here.page === "token" ? { page: null } : {}, { replace: true });
  },
  field("Token", given, { name: "token", error: WHY[here.why] }),
  h("div.errors"),
  h("p.actions", null, h("button.button.first", null, "Open the console")));
  main.replaceChildren(h("section.empty", null, h("h1", null, "Who reads?"),
    h("p", null, "The console shows what people do on your website, so it asks for a token."), entry,
    h("h2", null, "Where to get one"),
    h("p", null, "Make one on the server; it is printed once, and only its hash is stored:"),
    h("pre", { tabindex: "0", "aria-label": "Command" }, h("code", null, "ortto-capture token new --scope read --scope write --name Jo")),
    h("p.quiet", null, "A link that serve or demo printed has one in it. The token stays in this tab until it is closed.")));
  given.focus();
}
