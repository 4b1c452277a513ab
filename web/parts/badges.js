// States as coloured words. The word says it; the colour only helps.

import { h } from "./dom.js";
import { words } from "./format.js";

const kinds = {
  healthy: "good", closed: "good", success: "good", passed: "good", pass: "good", connected: "good", hit: "good", running: "info", active: "good",
  loading: "info", half_open: "warn", warn: "warn", unknown: "", degraded: "warn", disconnected: "bad", unhealthy: "bad", circuit_open: "bad",
  open: "bad", disabled: "", inactive: "", failed: "bad", fail: "bad", error: "bad", blocked: "bad", denied: "bad", unavailable: "bad", starting: "info",
};

export const kindOf = word => kinds[word] ?? "";
export function badge(word, kind = kindOf(word), label = words(word)) {
  return h("span", { class: `badge dotted ${kind}` }, label);
}
export function setBadge(element, word, label = words(word)) {
  const name = `badge dotted ${kindOf(word)}`;
  if (element.className !== name) element.className = name;
  if (element.textContent !== label) element.textContent = label;
}
