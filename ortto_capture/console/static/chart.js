// @ts-check
/**
 * Charts: bars, a line, a sparkline, shares. Each answers one question.
 *
 * The law of this file: every chart begins at zero, has two series at most, draws a bucket that is
 * not over yet open, and carries its values as text: a summary for ears, a table for eyes.
 */
import { h, s } from "./core.js";
import { bdi, count, percent, short } from "./format.js";

/**
 * One step of a chart.
 * @typedef {{label: string, value: number | null, second?: number | null, before?: number | null,
 *   partial?: boolean, href?: string}} Point
 * `second` is stacked on a bar, and a line of its own beside a line; `before` is the value of the
 * period before; `partial`: the bucket is not over yet; a `href` makes a bar a link.
 */
/**
 * @typedef {{name: string, unit?: string, second?: string, before?: string, height?: number,
 *   format?: (n: number) => string}} How
 * `name` says what is drawn; `unit`, `second` and `before` head the columns of the table.
 */

const LEFT = 48, RIGHT = 4, TOP = 20, BOTTOM = 24;
/** Pixels that a label below the chart needs. */
const LABEL = 76;

/**
 * The next round number from there: 1, 2, 2.4, 3, 4, 5, 6, 8 times a power of ten.
 * @param {number} most
 */
export function ceiling(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, Number.MIN_VALUE)));
  return ([1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8].find((n) => n * power >= most) || 10) * power;
}

/**
 * How values become heights.
 * @param {Point[]} points @param {boolean} stacked @param {number} width @param {number} height
 */
function scale(points, stacked, width, height) {
  const values = points.flatMap(({ value, second, before }) =>
    stacked ? [(value || 0) + (second || 0), before || 0] : [value || 0, second || 0, before || 0]);
  const most = Math.max(...values, 0), least = Math.min(...values, 0);
  const top = most > 0 ? ceiling(most) : least < 0 ? 0 : 1, bottom = least < 0 ? -ceiling(-least) : 0;
  const tall = height - TOP - BOTTOM, step = (width - LEFT - RIGHT) / Math.max(1, points.length);
  const whole = values.every(Number.isInteger);
  return {
    step,
    ticks: [bottom, (bottom + top) / 2, top].filter((tick) => !whole || Number.isInteger(tick)),
    /** @param {number} index */
    x: (index) => LEFT + index * step,
    /** @param {number} value */
    y: (value) => TOP + tall * (1 - (value - bottom) / (top - bottom))
  };
}

/**
 * A figure that is drawn anew when its width changes, with the values as a table.
 * @param {Point[]} points @param {How} how @param {(width: number, height: number) => Element} draw
 */
function figure(points, how, draw) {
  const { name, unit = name, second, before } = how;
  const format = how.format || count;
  const values = h("details.values", { ontoggle: () => {
    if (values.children.length > 1) return;
    values.append(h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "When"), [unit, second, before].map((each) => each && h("th.number", { scope: "col" }, each)))),
      h("tbody", null, points.map((point) => h("tr", null,
        h("th", { scope: "row" }, point.label, point.partial && " (not over yet)"),
        [point.value, second && (point.second ?? null), before && (point.before ?? null)].map((value) =>
          value !== undefined && value !== "" && h("td.number", null, value === null ? "–" : format(value))))))));
  } }, h("summary", null, "Values as a table"));
  const chart = h("figure.chart", null, values);
  let drawn = 0;
  new ResizeObserver(([{ contentRect }]) => {
    const width = Math.round(contentRect.width);
    if (width <= LEFT + RIGHT || width === drawn) return;
    drawn = width;
    if (chart.firstElementChild !== values) chart.firstElementChild?.remove();
    chart.prepend(draw(width, how.height || (width < 600 ? 168 : 208)));
  }).observe(chart);
  return chart;
}

/**
 * What a chart says to ears.
 * @param {Point[]} points @param {How} how
 */
function summary(points, { name, format = count }) {
  const known = points.filter((point) => point.value !== null);
  if (!known.length) return name + ": no values.";
  const best = known.reduce((a, b) => (/** @type {number} */ (b.value) > /** @type {number} */ (a.value) ? b : a));
  const last = known[known.length - 1];
  return `${name}: most ${format(best.value || 0)} (${best.label}), last ${format(last.value || 0)} (${last.label}); ${points.length} in all.`;
}

/** @param {ReturnType<typeof scale>} at @param {Point[]} points @param {number} width @param {number} height */
function axes({ ticks, x, y, step }, points, width, height) {
  const room = Math.max(LABEL, ...points.map(({ label }) => 8 * label.length + 8));
  const every = Math.ceil(points.length / Math.max(1, Math.floor((width - LEFT) / room)));
  return [
    ticks.map((tick) => [
      s(tick === 0 ? "line.grid.zero" : "line.grid", { x1: LEFT, x2: width, y1: y(tick), y2: y(tick) }),
      s("text.axis", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick))]),
    points.map(({ label }, index) => index % every === 0 &&
      s("text.axis", { x: Math.min(Math.max(x(index) + step / 2, room / 2 - 16), width - room / 2 + 16), y: height - 6, "text-anchor": "middle" }, label))];
}

/** @param {Point} point @param {How} how */
function title({ label, value, second, before, partial }, how) {
  const format = how.format || count;
  return s("title", null, [
    label + ": " + (value === null ? "nothing" : format(value)),
    second ? `${how.second || "besides"} ${format(second)}` : "",
    before === undefined || before === null ? "" : `${how.before || "before"} ${format(before)}`,
    partial ? "not over yet" : ""
  ].filter(Boolean).join(", "));
}

/**
 * A bar between two values, its far end rounded.
 * @param {number} x @param {number} wide @param {number} from @param {number} to
 */
function bar(x, wide, from, to) {
  const edge = Math.min(2, wide / 3, Math.abs(from - to)), down = to > from ? 1 : -1;
  return `M${x} ${from}V${to - down * edge}q0 ${down * edge} ${edge} ${down * edge}h${wide - 2 * edge}q${edge} 0 ${edge} ${-down * edge}V${from}z`;
}

/**
 * Bars from zero.
 * @param {Point[]} points @param {How} how
 */
export function bars(points, how) {
  const format = how.format || count;
  const best = points.reduce((a, { value }, index) => ((value || 0) > (points[a].value || 0) ? index : a), 0);
  return figure(points, how, (width, height) => {
    const at = scale(points, true, width, height), { x, y, step } = at;
    const wide = Math.max(1, Math.min(40, step * 0.72));
    const roomy = step > 44;
    return s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(points, how) },
      axes(at, points, width, height),
      points.map((point, index) => {
        const left = x(index) + (step - wide) / 2, value = point.value || 0, second = point.second || 0;
        const marked = value !== 0 && (roomy || index === best);
        const body = [
          title(point, how),
          s("rect.reach", { x: x(index), y: TOP, width: step, height: height - TOP - BOTTOM }),
          value !== 0 && s(point.partial ? "path.bar.open" : "path.bar", { d: bar(left, wide, y(0), y(value)) }),
          second > 0 && s("path.bar.second", { d: bar(left, wide, y(value) - (value ? 1 : 0), y(value + second) - (value ? 1 : 0)) }),
          Boolean(point.before) &&
            s("line.before", { x1: left - 2, x2: left + wide + 2, y1: y(point.before || 0), y2: y(point.before || 0) }),
          marked && s("text.mark", {
            x: Math.min(Math.max(left + wide / 2, LEFT + 16), width - 16), "text-anchor": "middle",
            y: value < 0 ? y(value) + 16 : y(Math.max(value + second, point.before || 0)) - 6
          }, format(value), second > 0 && s("tspan", null, " +" + format(second)))];
        return point.href ? s("a.step", { href: point.href }, body) : s("g.step", null, body);
      }));
  });
}

/**
 * A line from zero; a value that is null leaves a gap.
 * @param {Point[]} points @param {How} how
 */
export function line(points, how) {
  const format = how.format || count;
  return figure(points, how, (width, height) => {
    const at = scale(points, false, width, height), { x, y, step } = at;
    /** @param {(point: Point) => number | null | undefined} of @param {(point: Point, index: number) => boolean} [only] */
    const path = (of, only = () => true) => {
      let pen = "";
      return points.map((point, index) => {
        const value = of(point);
        pen = value === null || value === undefined || !only(point, index) ? "" : pen ? "L" : "M";
        return pen && `${pen}${(x(index) + step / 2).toFixed(1)} ${y(value || 0).toFixed(1)}`;
      }).join("");
    };
    /** @param {Point} _ @param {number} index */
    const over = (_, index) => !points[index].partial;
    /** @param {Point} _ @param {number} index */
    const going = (_, index) => !!points[index].partial || (index + 1 < points.length && !!points[index + 1].partial);
    const known = points.map((point, index) => ({ ...point, index })).filter((point) => point.value !== null);
    const last = known[known.length - 1];
    return s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(points, how) },
      axes(at, points, width, height),
      how.before && s("path.earlier", { d: path((point) => point.before) }),
      how.second && s("path.other", { d: path((point) => point.second) }),
      s("path.curve", { d: path((point) => point.value, over) }),
      s("path.curve.open", { d: path((point) => point.value, going) }),
      last && s(last.partial ? "circle.end.open" : "circle.end", { cx: x(last.index) + step / 2, cy: y(last.value || 0), r: 3.5 }),
      last && s("text.mark", { x: Math.min(x(last.index) + step / 2, width - 4), y: y(last.value || 0) - 8, "text-anchor": "end" }, format(last.value || 0)),
      points.map((point, index) => s("g.step", null, title(point, how), s("rect.reach", { x: x(index), y: TOP, width: step, height: height - TOP - BOTTOM }))));
  });
}

/**
 * Days as small bars; the last is not over yet.
 * @param {number[]} values @param {string} name
 */
export function spark(values, name, width = 148, height = 22) {
  const most = Math.max(1, ...values), step = width / Math.max(1, values.length), foot = height - 1;
  /** @param {number} value @param {number} index */
  const one = (value, index) => {
    const tall = value > 0 ? Math.max(1.5, (value / most) * (height - 2)) : 0;
    return tall ? `M${(index * step).toFixed(1)} ${foot}v${(-tall).toFixed(1)}h${(step - 1.5).toFixed(1)}V${foot}z` : "";
  };
  const past = values.slice(0, -1), said = values.some(Boolean) ? values.join(", ") : "nothing";
  return s("svg.spark", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": name + ": " + said },
    s("line.grid", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }),
    s("path.bar", { d: past.map(one).join("") }),
    s("path.now", { d: one(values[values.length - 1] || 0, past.length) }));
}

/**
 * Values with their shares of a whole, the bar behind the words.
 * @param {{label: string | Node, value: number, href?: string}[]} parts
 * @param {number} total of which they are parts; 0 draws no percentages
 * @param {string} name @param {(n: number) => string} [format]
 */
export function shares(parts, total, name, format = count) {
  const most = Math.max(1e-9, ...parts.map(({ value }) => value));
  return h("table.shares", { "aria-label": name }, h("tbody", null, parts.map(({ label, value, href }) => {
    const words = typeof label === "string" ? bdi(label) : label;
    return h("tr", null,
      h("th", { scope: "row" },
        s("svg.behind", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { width: Math.max(0, (100 * value) / most), height: 1 })),
        href ? h("a", { href }, words) : words),
      h("td.number", null, format(value)),
      total > 0 && h("td.number.quiet", null, percent(value, total)));
  })));
}
