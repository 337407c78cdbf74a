// @ts-check
/**
 * All saved audiences, each with how many people are in it now.
 *
 * The law of this file: counts are asked one after the other, because the server counts one at a time.
 */
import { ask, empty, h, to } from "../core.js";
import { bdi, count } from "../format.js";
import { offered } from "../offer.js";
import { conditionWords } from "../question.js";
import { list, whole } from "../table.js";
import { counted } from "../counting.js";

/** @typedef {{name: string, title: string, people: any, etag: string}} Audience */

/**
 * @param {HTMLElement} main
 * @param {import("../core.js").Here} here
 * @param {AbortSignal} gone
 */
export async function show(main, here, gone) {
  document.title = "Audiences";
  const [{ names }, { audiences }] = await Promise.all([offered(gone), ask("audiences", { signal: gone })]);
  const made = () => h("a.button.first", { href: to({ page: "audience" }, true) }, "New audience");
  const head = h("header.head", null, h("h1", null, "Audiences"), made());
  if (!audiences.length) {
    main.replaceChildren(head, empty("No audiences",
      h("p", null, "An audience is a condition on people, such as: has signed up, and has not bought anything within 30 days."),
      h("p", null, "It is counted anew each time, so it is always exact. Reports can be limited to it."), made()));
    return;
  }
  /** @type {Map<string, HTMLElement>} where each count comes */
  const cells = new Map(audiences.map((/** @type {Audience} */ { name }) => [name, h("span", null, "…")]));
  const { element, show: fill } = list({
    label: "Audiences", columns: [{ name: "Audience" }, { name: "People", kind: "number small" }], key: (/** @type {Audience} */ each) => each.name,
    cells: (each) => [
      [whole(to({ page: "audience", name: each.name }, true), bdi(each.title)),
        h("span.fold.quiet", null, each.people ? bdi(conditionWords(each.people, names)) : "cannot be read any more")],
      cells.get(each.name)],
  });
  fill(audiences);
  main.replaceChildren(head, element);
  for (const { name, people } of audiences) {
    const cell = /** @type {HTMLElement} */ (cells.get(name));
    try {
      const answer = await counted("audiences/count", { people }, gone);
      cell.replaceChildren(count(answer.count));
    } catch (error) {
      if (gone.aborted) return;
      cell.replaceChildren(h("span.quiet", { title: error instanceof Error ? error.message : "" }, "not counted"));
    }
  }
}
