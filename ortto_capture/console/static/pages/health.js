// @ts-check
/**
 * Whether everything works: backends, warnings with their remedies, what requests and browsers met with, who changed what.
 *
 * The law of this file: what is wrong stands first and says what to do; a number is never shown without its words.
 */
import { ask, codeBox, h, poll } from "../core.js";
import { shares } from "../chart.js";
import { ago, attribute, bdi, count, date } from "../format.js";
import { explain, meaning, outcome, warning } from "../words.js";

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  document.title = "Health";
  const body = h("div.health");
  main.replaceChildren(h("header.head", null, h("h1", null, "Health")), body);
  /** @type {any} */ let last = null;
  /** @type {any} */ let before = null;
  await poll(async () => {
    const [health, changes] = await Promise.all([ask("health", { signal: gone }), ask("changes", { signal: gone })]);
    if (health === last && changes === before) return;
    last = health;
    before = changes;
    const open = [...body.querySelectorAll("details[open]")].map((each) => each.getAttribute("data-name"));
    body.replaceChildren(...sections(health, changes.changes));
    for (const name of open) body.querySelector(`details[data-name="${name}"]`)?.setAttribute("open", "");
  }, 10, gone);
}

/**
 * @param {any} health
 * @param {any[]} changes
 */
function sections(health, changes) {
  const wrong = health.backends.filter((/** @type {any} */ each) => !each.ok);
  const faults = wrong.length + health.warnings.length;
  const total = sum(health.outcomes);
  return [
    h("p.verdict", { "data-state": wrong.length ? "failed" : faults ? "warned" : "well" },
      wrong.length ? "A backend does not work." : faults ? "It works, and something is to be mended." : "Everything works."),
    health.warnings.map((/** @type {string} */ name) => {
      const [what, remedy] = warning(name);
      return h("section.notice.warning", null, h("p", null, h("strong", null, what)), h("p", null, remedy));
    }),
    h("h2", null, "Backends"),
    h("table.plain", { "aria-label": "Backends" }, h("tbody", null, health.backends.map((/** @type {any} */ each) => h("tr", null,
      h("th", { scope: "row" }, h(`span.status.${each.ok ? "live" : "failed"}`, null, each.name, each.ok ? "" : " fails")),
      h("td", null, h("code", null, each.kind), each.said && h("span.quiet", null, " ", bdi(each.said))))))),
    h("div.columns", null,
      h("section", null, h("h2", null, "What became of requests"),
        h("p.quiet", null, health.since ? ["since ", date(Date.parse(health.since) / 1000, health.time_zone)] : "since the server started"),
        total ? listed(health.outcomes, total, "Outcomes", (code) => outcome(code) || explain({ code, reason: "" })[0]) : h("p.quiet", null, "No request yet.")),
      h("section", null, h("h2", null, "What browsers dropped"),
        h("p.quiet", null, "Activities that did not arrive, as browsers told with the next one."),
        sum(health.dropped) ? listed(health.dropped, sum(health.dropped), "Dropped by browsers", (code) => meaning(`dropped:${code}`)) : h("p.quiet", null, "Nothing.")),
      sum(health.notes) > 0 && h("section", null, h("h2", null, "Noted beside requests"), listed(health.notes, 0, "Notes", meaning)),
      h("section", null, h("h2", null, "Limits"),
        h("p.quiet", null, `What holds unless an activity has its own. Limits are counted in UTC, reports in ${health.time_zone}.`), facts(health.limits)),
      h("section", null, h("h2", null, "Versions"), facts(health.versions)),
      h("section", null, h("h2", null, "Rate limiter"), facts(health.limiter.when_away === "never away" ? { kind: health.limiter.kind } : health.limiter))),
    h("h2", null, "What was changed here"),
    changes.length
      ? h("table.plain", { "aria-label": "Changes" },
        h("thead", null, h("tr", null, h("th", null, "What"), h("th", null, "Who"), h("th", null, "When"))),
        h("tbody", null, changes.slice(0, 50).map((each) => h("tr", null,
          h("th", { scope: "row" }, each.what, " ", h("code", null, bdi(each.which))), h("td", null, bdi(each.who)), h("td", null, ago(each.at))))))
      : h("p.quiet", null, "Nothing yet. Each write in this console is recorded: who, what, when."),
    h("details", { "data-name": "all" }, h("summary", null, "All of it as JSON"), codeBox(JSON.stringify(health, null, 2), "To paste where a fault is reported")),
  ].flat();
}

/** @param {Record<string, number>} numbers */
const sum = (numbers) => Object.values(numbers).reduce((all, each) => all + each, 0);

/**
 * @param {Record<string, number>} numbers
 * @param {number} total
 * @param {string} name
 * @param {(code: string) => string} words
 */
const listed = (numbers, total, name, words) => shares(Object.entries(numbers).filter(([, each]) => each).sort(([, a], [, b]) => b - a)
  .map(([code, value]) => ({ label: h("span", null, words(code), " ", h("code", null, code)), value })), total, name);

/**
 * What a name of the server's means, where it does not say so itself.
 * @type {Record<string, string>}
 */
const NAMES = { ip_limit: "IP address limit", max_body: "bytes of a body", max_attributes: "attributes of an activity", max_activity_bytes: "bytes of an activity",
  retain_activities_days: "activities kept, days", retain_idle_people_days: "idle people kept, days" };

/**
 * Names and values.
 * @param {Record<string, any>} of
 */
const facts = (of) => h("dl.given", null, Object.entries(of).map(([name, value]) => [
  h("dt", null, (NAMES[name] || name).replace(/_/g, " ")), h("dd", null, bdi(typeof value === "number" ? count(value) : attribute(value)))]));
