// The daemon itself: health, host, hub, cluster. What a daemon or a role does not tell is left out.

import { h } from "../parts/dom.js";
import { get, text } from "../parts/api.js";
import { live } from "../parts/live.js";
import { mayAdminister, maySee } from "../parts/session.js";
import { bytes, clock, count, date, dollars, moment, percent, span, words } from "../parts/format.js";
import { badge } from "../parts/badges.js";
import { tile } from "../parts/tiles.js";
import { sparkline } from "../parts/chart.js";

const pointsMax = 120;
const kept = { cpu: [], memory: [], metrics: null };

export function start(main) {
  let isStopped = false;
  const tiles = h("div", { class: "tiles" });
  const cards = h("div", { class: "cards-grid" });
  const figures = h("section", { class: "card", hidden: true, "aria-label": "Metrics" });
  const state = h("span");
  const read_at = h("span", { class: "muted" });
  main.append(h("div", { class: "page-head" }, h("h1", null, "System"), state, h("span", { class: "grow" }), read_at,
    h("a", { class: "button", href: "docs", target: "_blank", rel: "noopener" }, "REST reference")), h("div", { class: "stack" }, tiles, cards, figures));

  const quietly = async run => { try { return await run; } catch { return null; } };

  async function read() {
    const [health, info, stats, cluster, hub, cache, metrics] = await Promise.all([
      // A daemon that is degraded says so with 503 and the same body.
      get("health").catch(failure => failure.body?.status ? failure.body : null),
      maySee() ? quietly(get("health/info")) : null,
      maySee() ? quietly(get("api/v1/stats")) : null, maySee() ? quietly(get("api/v1/cluster")) : null,
      mayAdminister() ? quietly(get("api/v1/events/websocket/debug")) : null,
      maySee() ? quietly(get("api/v1/cache/stats")) : null, readMetrics(),
    ]);
    if (isStopped) return;
    draw(health, info, stats, cluster, hub, cache?.data);
    drawMetrics(metrics);
    read_at.textContent = `as of ${clock(new Date())}`;
  }
  /** Not every daemon has a page of metrics; its own description says. */
  let paths = null;
  async function readMetrics() {
    if (!mayAdminister()) return null;
    paths ??= (await quietly(get("openapi.json")))?.paths ?? {};
    return paths["/metrics"] ? quietly(text("metrics")) : null;
  }

  function draw(health, info, stats, cluster, hub, cache) {
    if (!health) {
      state.replaceChildren(badge("unavailable"));
      return;
    }
    state.replaceChildren(badge(health.status));
    const host = kept.metrics;
    tiles.replaceChildren(...[
      tile("Up for", span(health.uptime), `version ${health.version}`),
      health.mcps && tile("Servers", `${count(health.mcps.healthy)} / ${count(health.mcps.configured)}`, "healthy"),
      stats && tile("Tools offered", count(stats.tools), `${count(stats.mcp_sessions)} MCP sessions`),
      stats && tile("Questions today", count(stats.queries_today), `${dollars(stats.cost_today)} spent`),
      stats && tile("People", count(stats.active_users), `of ${count(stats.total_users)} active`),
      hub && tile("Dashboards", count(hub.active_connections), `${count(hub.event_streams)} event streams`),
      host && tile("Host CPU", percent(host.cpu_percent), "", host.cpu_percent / 100),
      host && tile("Host memory", percent(host.memory_percent), `${bytes(host.memory_used_mb * 1048576)} of ${bytes(host.memory_total_mb * 1048576)}`, host.memory_percent / 100),
    ].filter(Boolean));
    cards.replaceChildren(...[
      card("Health", table(["Check", "State", "Seen"], Object.entries(health.checks ?? {}).map(([name, check]) => [words(name), badge(check.status), seen(check)]))),
      info && card("Daemon", facts(daemon(info))),
      hub && card("Event hub", facts(flat({ published: hub.published, deliveries: hub.deliveries, sends: hub.sends, "events per send": hub.sends ? (hub.deliveries / hub.sends).toFixed(2) : "–", "cut sends": hub.cut_sends, resyncs: hub.resyncs, resumed: hub.resumed, stalled: hub.stalled, refused: hub.refused, subscriptions: hub.subscription_stats?.total_subscriptions }))),
      cluster && card("Cluster", facts(flat(cluster))),
      cache && card("Cache memory", facts(flat({ entries: cache.size, "at most": cache.max_size, bytes: bytes(cache.bytes), "hit rate": percent(cache.hit_rate_percent) }))),
      card("This page", facts(flat({ connection: live.state, "last event": live.sequence ?? "–", "events seen": live.received, resyncs: live.resyncs }))),
      kept.cpu.length > 1 && card("Host, last samples", h("div", { class: "stack" },
        h("p", { class: "muted" }, "CPU"), sparkline(kept.cpu, { width: 300, height: 40, max: 100, steps: pointsMax, label: `CPU of the host, now ${percent(kept.cpu.at(-1))}` }),
        h("p", { class: "muted" }, "Memory"), sparkline(kept.memory, { width: 300, height: 40, max: 100, steps: pointsMax, label: `Memory of the host, now ${percent(kept.memory.at(-1))}` }))),
      hub?.connections?.length && card("Connections", table(["Who", "Role", "Subscriptions", "Behind"], hub.connections.slice(0, 50).map(one => [one.user_id, one.user_role, count(one.subscriptions), count(one.behind)]))),
    ].filter(Boolean));
  }

  /** What a check observed, and what is wrong with it. */
  const seen = ({ observedValue, observedUnit, output }) => [
    observedUnit === "bytes" ? bytes(observedValue) : `${typeof observedValue === "number" ? count(observedValue) : observedValue} ${observedUnit ?? ""}`.trim(),
    output ? h("div", { class: "muted" }, output) : "",
  ];
  const daemon = ({ host, version, started_at, database, process }) => [
    ["host", host], ["version", version], ["started", moment(date(started_at))], ["database", database ?? "away"],
    ["CPU time", span(process.cpu_seconds)], ["memory", bytes(process.resident_bytes)], ["threads", count(process.threads)],
    ["descriptors", `${count(process.descriptors)} of ${count(process.descriptors_max)}`],
  ];

  /** Nested objects as rows with dotted names; long lists as their length. */
  function flat(object, prefix = "") {
    return Object.entries(object).flatMap(([name, value]) => {
      if (value === undefined || value === null || value === "") return [];
      const label = prefix + words(name);
      if (Array.isArray(value)) return [[label, value.length > 6 ? `${value.length} entries` : value.map(one => typeof one === "object" ? JSON.stringify(one) : one).join(", ") || "none"]];
      if (typeof value === "object") return flat(value, `${label} · `);
      return [[label, typeof value === "number" ? count(value) : typeof value === "boolean" ? (value ? "yes" : "no") : value]];
    });
  }
  const facts = rows => h("dl", { class: "facts" }, rows.flatMap(([name, value]) => [h("dt", null, name), h("dd", { class: "number" }, String(value))]));
  const card = (title, content) => h("section", { class: "card", "aria-label": title }, h("div", { class: "card-head" }, h("h2", null, title)), h("div", { class: "card-body" }, content));
  const table = (names, rows) => h("div", { class: "table-wrap", tabindex: 0, role: "group", "aria-label": names[0] }, h("table", null, h("thead", null, h("tr", null, names.map(name => h("th", { scope: "col" }, name)))), h("tbody", null, rows.map(row => h("tr", null, row.map(value => h("td", null, value)))))));

  // Prometheus text, where the daemon offers it.
  const filter = h("input", { type: "search", placeholder: "Filter metrics", "aria-label": "Filter metrics", oninput: () => drawMetrics() });
  const metricRows = h("tbody");
  let metrics = [];
  figures.append(h("div", { class: "card-head" }, h("h2", null, "Metrics"), h("span", { class: "grow" }), filter),
    h("div", { class: "table-wrap metrics", tabindex: 0, role: "group", "aria-label": "Metrics" }, h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Name"), h("th", { scope: "col", class: "number" }, "Value"))), metricRows)));
  function drawMetrics(page) {
    if (page) metrics = page.split("\n").filter(line => line && !line.startsWith("#") && !/_bucket[{ ]/.test(line)).map(line => { const cut = line.lastIndexOf(" "); return [line.slice(0, cut), line.slice(cut + 1)]; });
    figures.hidden = metrics.length === 0;
    const wanted = filter.value.trim().toLowerCase();
    metricRows.replaceChildren(...metrics.filter(([name]) => name.toLowerCase().includes(wanted)).slice(0, 400).map(([name, value]) => h("tr", null, h("td", { class: "mono" }, name), h("td", { class: "number mono" }, value))));
  }

  const leave = maySee() ? live.subscribe(["system_metrics"], events => {
    for (const event of events) {
      kept.metrics = event.metrics;
      kept.cpu.push(event.metrics.cpu_percent);
      kept.memory.push(event.metrics.memory_percent);
    }
    for (const list of [kept.cpu, kept.memory]) list.splice(0, Math.max(0, list.length - pointsMax));
  }) : () => {};
  const net = setInterval(read, 5000);
  read();
  return { reconnected: read, stop() { isStopped = true; leave(); clearInterval(net); } };
}
