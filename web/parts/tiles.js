// One figure with its name, and how full it is where it has a bound.

import { h } from "./dom.js";

export function tile(label, value, note, part) {
  return h("div", { class: "tile" }, h("div", { class: "tile-label" }, label), h("div", { class: "tile-value" }, value),
    part === undefined ? null : meter(part, `${label}: ${Math.round(part * 100)} %`), note ? h("div", { class: "tile-note" }, note) : null);
}

export function meter(part, label) {
  const share = Math.min(1, Math.max(0, part || 0));
  return h("div", { class: `meter ${share > 0.95 ? "bad" : share > 0.8 ? "warn" : ""}`, role: "img", "aria-label": label }, h("i", { vars: { part: `${share * 100}%` } }));
}
