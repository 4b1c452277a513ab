// Small charts of our own: a line over equal steps, drawn as SVG, with a text that says the same.

import { h } from "./dom.js";

/** `values` may hold nulls: gaps, marked at the bottom. */
export function sparkline(values, { width = 96, height = 24, label = "", min = 0, max, steps } = {}) {
  const known = values.filter(value => value !== null);
  const top = max ?? Math.max(...known, 1e-9) * 1.1;
  const count = Math.max(steps ?? values.length, 2);
  const x = index => (index + count - values.length) / (count - 1) * (width - 4) + 2;
  const y = value => height - 2 - (Math.min(value, top) - min) / (top - min || 1) * (height - 4);
  const lines = [], gaps = [];
  let current = null;
  values.forEach((value, index) => {
    if (value === null) { gaps.push(x(index)); current = null; return; }
    if (!current) lines.push(current = []);
    current.push(`${x(index).toFixed(1)},${y(value).toFixed(1)}`);
  });
  const last = values[values.length - 1];
  return h("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label || "no data" },
    gaps.map(place => h("rect", { class: "spark-gap", x: (place - 1).toFixed(1), y: height - 6, width: 2, height: 5 })),
    lines.map(line => line.length === 1
      ? h("circle", { class: "spark-dot", cx: line[0].split(",")[0], cy: line[0].split(",")[1], r: 1.6 })
      : h("polyline", { class: "spark-line", points: line.join(" ") })),
    last !== null && last !== undefined ? h("circle", { class: "spark-end", cx: x(values.length - 1).toFixed(1), cy: y(last).toFixed(1), r: 2 }) : null);
}

/** A larger one with an area below and its bounds beside it. */
export function chart(values, { label, top, unit = "", format = value => `${Math.round(value)}${unit}`, times = ["", ""], steps }) {
  const known = values.filter(value => value !== null);
  const highest = top ?? Math.max(...known, 1) * 1.1;
  const [width, height] = [600, 120];
  const count = Math.max(steps ?? values.length, 2);
  const x = index => (index + count - values.length) / (count - 1) * width;
  const y = value => height - value / highest * height;
  const runs = [];
  let run = null;
  values.forEach((value, index) => {
    if (value === null) { run = null; return; }
    if (!run) runs.push(run = []);
    run.push([x(index), y(value)]);
  });
  const text = points => points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" ");
  return h("figure", { class: "chart" },
    h("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      [0.25, 0.5, 0.75].map(part => h("line", { class: "chart-grid", x1: 0, x2: width, y1: height * part, y2: height * part })),
      runs.map(points => points.length === 1 ? h("line", { class: "chart-dot", x1: points[0][0], x2: points[0][0], y1: points[0][1], y2: points[0][1] }) : [
        h("path", { class: "chart-area", d: `M${text(points).replaceAll(" ", "L")}L${points.at(-1)[0].toFixed(1)},${height}L${points[0][0].toFixed(1)},${height}Z` }),
        h("polyline", { class: "chart-line", points: text(points) }),
      ])),
    h("div", { class: "chart-scale", "aria-hidden": "true" }, h("span", null, format(highest)), h("span", null, format(highest / 2)), h("span", null, format(0))),
    h("figcaption", { class: "chart-times" }, h("span", null, times[0]), h("span", null, times[1])));
}
