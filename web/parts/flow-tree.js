// One flow as a tree: each checkpoint below the one that led to it, with a bar that says when it was and
// how long it took.

import { h, keyed, part, setText, vars } from "./dom.js";
import { milliseconds, words } from "./format.js";

const kinds = ["auth_check", "block_check", "usage_check", "mcp_permission_check", "tool_filter", "llm_thinking", "cache_lookup", "circuit_check", "tool_call", "llm_complete", "error"];
const own = new Set(["node_id", "event_type", "parent_id", "timestamp", "duration_ms", "type", "topic", "seq", "user_id", "session_id", "source", "origin"]);

export const legend = () => h("p", { class: "legend", "aria-hidden": "true" }, kinds.map(kind => h("span", { class: `gate-${kind}` }, words(kind))));

const time = event => Number(event.timestamp) * 1000;
const begun = event => time(event) - (event.duration_ms ?? 0);
export const failed = event => event.event_type === "error" || ["failed", "error", "blocked"].includes(event.status) || (event.outcome && !["ok", "success", "hit", "miss", "passed", "cached"].includes(event.outcome));

/** Milliseconds from the first to the last that is known of it. */
export function extent(events) {
  if (!events.length) return 0;
  return Math.max(...events.map(time)) - Math.min(...events.map(begun));
}

/** What a node says besides its name. */
function notes(event) {
  const pairs = [];
  if (event.tool) pairs.push(event.mcp ? `${event.mcp} · ${event.tool}` : event.tool);
  for (const [name, value] of Object.entries(event)) {
    if (own.has(name) || name === "tool" || name === "mcp" || value === null || value === "" || (name === "status" && value === "passed")) continue;
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    pairs.push(`${words(name)}: ${text.length > 80 ? text.slice(0, 80) + "…" : text}`);
  }
  return pairs.join(", ");
}

/** Draws into `place`, keeping the nodes that are there: live, a tree grows and nothing jumps. */
export function drawTree(place, events, label) {
  const ids = new Set(events.map(event => event.node_id));
  const children = new Map();
  const roots = [];
  const sorted = [...events].sort((a, b) => time(a) - time(b));
  for (const event of sorted) {
    if (event.parent_id && ids.has(event.parent_id) && event.parent_id !== event.node_id) {
      if (!children.has(event.parent_id)) children.set(event.parent_id, []);
      children.get(event.parent_id).push(event);
    } else roots.push(event);
  }
  const from = Math.min(...events.map(begun));
  const whole = Math.max(extent(events), 0.001);
  let list = place.querySelector(":scope > ol");
  if (!list) place.append(list = h("ol", { class: "tree", "aria-label": label ?? "Checkpoints" }));
  level(list, roots);

  // The gates follow one another: a chain is drawn as a list, only branches go deeper.
  function level(list, nodes, seen = new Set()) {
    const lines = [];
    const walk = (event, depth) => {
      if (seen.has(event.node_id)) return;
      seen.add(event.node_id);
      lines.push({ event, depth });
      const below = children.get(event.node_id) ?? [];
      const branches = below.length > 1 || ["llm_thinking", "tool_call"].includes(event.event_type) || below.some(one => one.event_type === "tool_call");
      for (const one of below) walk(one, depth + (branches ? 1 : 0));
    };
    for (const event of nodes) walk(event, 0);
    keyed(list, lines, line => line.event.node_id, make, update);
  }

  function make({ event }) {
    return h("li", { class: `node gate-${event.event_type}` },
      h("div", { class: "node-name" }, h("b", null, words(event.event_type)), h("span", { class: "muted", "data-part": "notes" })),
      h("div", { class: "bar", "aria-hidden": "true" }, h("i", { "data-part": "bar" })), h("span", { class: "number", "data-part": "time" }));
  }

  function update(node, { event, depth }) {
    node.classList.toggle("failed", Boolean(failed(event)));
    vars(node, { depth });
    setText(part(node, "notes"), notes(event));
    vars(part(node, "bar"), { from: `${(begun(event) - from) / whole * 98}%`, long: `${(event.duration_ms ?? 0) / whole * 98}%` });
    setText(part(node, "time"), event.duration_ms === undefined ? `+${milliseconds(begun(event) - from)}` : milliseconds(event.duration_ms));
  }
}
