// All servers at a glance; one of them, with everything an operator may do to it, beside.

import { h, keyed, part, setText, perFrame } from "../parts/dom.js";
import { get, post, put, remove } from "../parts/api.js";
import { live } from "../parts/live.js";
import { mayAdminister, mayOperate, maySee } from "../parts/session.js";
import { badge, setBadge } from "../parts/badges.js";
import { ago, date, milliseconds, clock, words, count } from "../parts/format.js";
import { sparkline } from "../parts/chart.js";
import { ordered } from "../parts/toast.js";
import { confirm } from "../parts/dialog.js";
import { serverDialog } from "../parts/server-form.js";
import { icon } from "../parts/icons.js";

const latenciesMax = 60;
const types = ["mcp_status_change", "circuit_breaker_state", "mcp_health_check", "mcp_auto_disabled", "health_event"];

export function start(main, [wanted]) {
  let servers = [];
  let chosen = wanted ? Number(wanted) : null;
  let isReading = false, isStale = false, isStopped = false;
  const logs = new Map();

  // The page

  const summary = h("span", { class: "muted", role: "status" });
  const search = h("input", { type: "search", class: "search", placeholder: "Filter by name or address", "aria-label": "Filter servers", oninput: () => draw() });
  const body = h("tbody");
  const none = h("div", { class: "empty", hidden: true });
  const aside = h("section", { class: "aside card", hidden: true, "aria-label": "Chosen server" });
  main.append(
    h("div", { class: "page-head" }, h("h1", null, "Servers"), summary, h("span", { class: "grow" }), search,
      mayOperate() ? h("button", { onclick: event => ordered(event.currentTarget, () => post("api/v1/mcp/tools/reload"), "All servers are being reloaded.") }, "Reload all") : null,
      mayAdminister() ? h("button", { class: "primary", onclick: () => edit(null) }, icon("plus"), "Add server") : null),
    h("div", { class: "split" },
      h("section", { class: "card", "aria-label": "Servers" },
        h("div", { class: "table-wrap" }, h("table", { class: "cards" },
          h("thead", null, h("tr", null, ["Server", "State", "Circuit", "Latency", "Tools", "Checked"].map((text, index) =>
            h("th", { scope: "col", class: index === 4 ? "number" : null }, text)))), body)), none),
      aside));

  // Reading

  async function read() {
    if (isReading) { isStale = true; return; }
    isReading = true;
    try {
      const answer = await get("api/v1/mcp/tools/servers?include_health=true");
      if (isStopped) return;
      servers = answer.data.servers;
      for (const server of servers) server.latencies = server.latency_ms ?? [];
      draw();
    } catch (failure) {
      if (!servers.length) problem(failure.message);
    } finally {
      isReading = false;
      if (isStale) { isStale = false; readSoon(); }
    }
  }
  let timer = 0;
  const readSoon = () => { clearTimeout(timer); timer = setTimeout(read, 120); };

  function problem(text) {
    none.hidden = false;
    none.replaceChildren(h("p", null, text), h("button", { onclick: read }, "Try again"));
  }

  function take(events) {
    let needsReading = false;
    for (const event of events) {
      const data = event.data ?? {};
      const server = servers.find(one => one.name === (data.mcp_name ?? event.mcp_name));
      if (!server) { needsReading = true; continue; }
      switch (event.type) {
      case "mcp_health_check":
        server.health_status = data.health_status;
        server.last_health_check = event.timestamp;
        server.latencies = [...server.latencies, data.response_time_ms].slice(-latenciesMax);
        server.health = { ...server.health, healthy: data.response_time_ms !== null, error: data.reason, response_time_ms: data.response_time_ms };
        if (data.tool_count !== null) server.health.tool_count = data.tool_count;
        if (server.id === chosen) logs.delete(chosen);
        break;
      case "mcp_status_change":
        server.health_status = data.new_status;
        needsReading = true;
        break;
      case "circuit_breaker_state":
        server.circuit_state = data.new_state;
        server.health = { ...server.health, circuit_state: data.new_state };
        needsReading = true;
        break;
      default: needsReading = true;
      }
    }
    draw();
    if (needsReading) readSoon();
  }

  // Drawing

  const state = server => server.enabled ? server.health_status : "disabled";
  const circuit = server => server.health?.circuit_state ?? server.circuit_state;
  const lastLatency = server => server.latencies.findLast(value => value !== null) ?? server.health?.response_time_ms;

  const draw = perFrame(() => {
    if (isStopped) return;
    const text = search.value.trim().toLowerCase();
    const shown = servers.filter(one => !text || `${one.name} ${one.url} ${one.description ?? ""}`.toLowerCase().includes(text))
      .sort((a, b) => a.name.localeCompare(b.name));
    keyed(body, shown, one => one.id, makeRow, updateRow);
    const healthy = servers.filter(one => one.enabled && one.health_status === "healthy").length;
    const enabled = servers.filter(one => one.enabled).length;
    setText(summary, servers.length ? `${healthy} of ${enabled} healthy${servers.length > enabled ? `, ${servers.length - enabled} disabled` : ""}` : "");
    none.hidden = shown.length > 0;
    if (!shown.length) none.replaceChildren(...(servers.length
      ? [h("p", null, "No server fits this filter.")]
      : [h("h2", null, "No servers yet"), h("p", null, mayAdminister() ? "Add the first one, or name a file in [MCP] ImportFile=." : "None that you may see.")]));
    drawChosen();
  });

  function makeRow(server) {
    const name = h("button", { class: "link", "data-part": "name", onclick: event => { event.stopPropagation(); choose(server.id, true); } });
    return h("tr", { class: "choice", onclick: () => choose(server.id) },
      h("td", { class: "lead" }, h("div", { class: "server-name" }, name, h("span", { class: "muted clip", "data-part": "url" }))),
      h("td", null, h("span", { "data-part": "state" })),
      h("td", { "data-label": "Circuit" }, h("span", { "data-part": "circuit" })),
      h("td", { "data-label": "Latency" }, h("div", { class: "latency" }, h("div", { "data-part": "spark" }), h("span", { class: "number", "data-part": "latency" }))),
      h("td", { class: "number", "data-part": "tools", "data-label": "Tools" }),
      h("td", { class: "muted nowrap", "data-part": "checked", "data-label": "Checked" }));
  }

  function updateRow(row, server) {
    row.classList.toggle("chosen", server.id === chosen);
    setText(part(row, "name"), server.name);
    part(row, "name").setAttribute("aria-expanded", String(server.id === chosen));
    setText(part(row, "url"), address(server));
    part(row, "url").title = address(server);
    setBadge(part(row, "state"), state(server));
    setBadge(part(row, "circuit"), circuit(server));
    const key = server.latencies.join();
    const spark = part(row, "spark");
    if (spark.dataset.values !== key) {
      spark.dataset.values = key;
      spark.replaceChildren(sparkline(server.latencies, { steps: 30, label: latencyText(server) }));
    }
    setText(part(row, "latency"), milliseconds(lastLatency(server)));
    setText(part(row, "tools"), server.health?.tool_count == null ? "–" : count(server.health.tool_count));
    setText(part(row, "checked"), ago(date(server.last_health_check)));
  }

  function latencyText(server) {
    const known = server.latencies.filter(value => value !== null);
    const failed = server.latencies.length - known.length;
    if (!server.latencies.length) return `${server.name}: not checked yet`;
    return `${server.name}: last ${server.latencies.length} checks, ${known.length ? `${milliseconds(Math.min(...known))} to ${milliseconds(Math.max(...known))}` : "none answered"}${failed ? `, ${failed} failed` : ""}`;
  }

  const address = server => server.url;

  // One server

  function choose(id, isByButton = false) {
    chosen = chosen === id && isByButton ? null : id;
    history.replaceState(null, "", chosen ? `#/servers/${chosen}` : "#/servers");
    aside.replaceChildren();
    draw();
    if (chosen && mayOperate()) readLog(chosen);
  }

  async function readLog(id) {
    try {
      const answer = await get(`api/v1/mcp/servers/${id}/logs`);
      logs.set(id, answer.logs);
    } catch (failure) {
      logs.set(id, failure.status === 403 ? [] : [{ event_type: failure.message, timestamp: null, status: "error" }]);
    }
    draw();
  }

  function drawChosen() {
    const server = servers.find(one => one.id === chosen);
    aside.hidden = !server;
    if (!server) return aside.replaceChildren();
    if (aside.dataset.server !== String(server.id) || !aside.firstChild) {
      aside.dataset.server = server.id;
      aside.replaceChildren(...makeDetail(server));
      if (mayOperate()) readLog(server.id);
    } else if (mayOperate() && !logs.has(server.id)) {
      logs.set(server.id, []);
      readLog(server.id);
    }
    setText(part(aside, "title"), server.name);
    setBadge(part(aside, "state"), state(server));
    part(aside, "actions").replaceChildren(...actions(server));
    part(aside, "facts").replaceChildren(...facts(server));
    const key = server.latencies.join();
    const spark = part(aside, "spark");
    if (spark.dataset.values !== key) {
      spark.dataset.values = key;
      spark.replaceChildren(h("p", { class: "muted" }, latencyText(server).replace(`${server.name}: `, "Latency, ")),
        sparkline(server.latencies, { width: 340, height: 46, steps: latenciesMax, label: latencyText(server) }));
    }
    const entries = (logs.get(server.id) ?? []).slice(0, 12);
    keyed(part(aside, "log"), entries, one => one.id ?? one.event_type, logEntry);
  }

  function makeDetail(server) {
    return [
      h("div", { class: "card-head" }, h("h2", { "data-part": "title" }, server.name), h("span", { "data-part": "state" }), h("span", { class: "grow" }),
        h("button", { class: "ghost square small", "aria-label": "Close", onclick: () => choose(server.id, true) }, icon("close"))),
      h("div", { class: "card-body stack" },
        h("div", { class: "buttons", "data-part": "actions" }),
        h("div", { "data-part": "answer", role: "status" }),
        h("dl", { class: "facts", "data-part": "facts" }),
        h("div", { "data-part": "spark", class: "wide-spark" }),
        mayOperate() ? h("div", null, h("h3", null, "Last checks"), h("ul", { class: "log", "data-part": "log" })) : h("ul", { "data-part": "log", hidden: true })),
    ];
  }

  function logEntry(entry) {
    return h("li", { title: entry.error_message ?? "" }, h("span", { class: "muted number" }, clock(date(entry.timestamp))),
      badge(entry.status), h("span", { class: "clip" }, entry.error_message ?? words(entry.event_type)),
      h("span", { class: "number" }, entry.response_time_ms === null || entry.response_time_ms === undefined ? "" : milliseconds(entry.response_time_ms)));
  }

  function facts(server) {
    const rows = [
      ["Address", h("code", null, address(server))],
      ["Protocol", server.protocol],
      server.description ? ["About", server.description] : null,
      ["Circuit", h("span", null, words(circuit(server)), server.health?.retry_after_seconds ? `, again in ${server.health.retry_after_seconds} s` : "")],
      ["Failures", `${server.consecutive_failures} in a row, ${server.failure_cycle_count} of ${server.max_failure_cycles} cycles`],
      server.health?.error ? ["Error", h("span", { class: "problem" }, server.health.error)] : null,
      server.auto_disabled_reason ? ["Disabled", server.auto_disabled_reason] : null,
      ["Cache", server.omni2?.cache_policy ? `${words(server.omni2.cache_policy)}${server.omni2.ttl ? `, ${server.omni2.ttl} s` : ""}` : "off"],
      ["Limits", `${server.timeout_seconds} s per call, ${server.max_retries} attempts`],
      ["Login", server.has_auth_config ? words(server.auth_type) : "none"],
    ];
    return rows.filter(Boolean).flatMap(([name, value]) => [h("dt", null, name), h("dd", null, value)]);
  }

  function actions(server) {
    const list = [];
    const act = (label, run, options = {}) => list.push(h("button", { class: options.class, onclick: event => told(event.currentTarget, run) }, label));
    if (mayOperate() && server.enabled) {
      act("Check now", async () => {
        const answer = await post(`api/v1/mcp/servers/${server.id}/health-check`);
        const result = answer.health_result;
        return result.healthy
          ? [`It answered in ${milliseconds(result.response_time_ms)} with ${count(result.tool_count)} tools.`, true]
          : [`It did not answer: ${result.error}`, false];
      });
      act("Reload", async () => [(await post(`api/v1/mcp/tools/reload?mcp_name=${encodeURIComponent(server.name)}`)).message, true]);
      act("Reset circuit", async () => [(await post(`api/v1/circuit-breaker/mcp/${server.id}/reset`)).message, true]);
    }
    if (mayOperate()) {
      if (server.enabled) act("Disable", async () => { await put(`api/v1/mcp/servers/${server.id}`, { status: "inactive" }); return [`${server.name} is disabled.`, true]; });
      else act("Enable", async () => [(await post(`api/v1/circuit-breaker/mcp/${server.id}/enable`)).message, true], { class: "primary" });
    }
    if (mayAdminister()) {
      list.push(h("button", { onclick: () => edit(server) }, "Edit"));
      list.push(h("button", { class: "danger", onclick: () => forget(server) }, "Remove"));
    }
    return list.length ? list : [h("p", { class: "hint" }, maySee() ? "Your role sees and does not act." : "Your role does not act on servers.")];
  }

  /** What the daemon, and behind it the server, answered to an order. */
  async function told(button, run) {
    const place = part(aside, "answer");
    place.replaceChildren(h("p", { class: "answer" }, "Asking…"));
    button.disabled = true;
    let text, isGood;
    try {
      [text, isGood] = await run();
    } catch (failure) {
      [text, isGood] = [failure.message, false];
    }
    place.replaceChildren(h("p", { class: `answer ${isGood ? "good" : "bad"}` }, `${clock(new Date())} ${text}`));
    logs.delete(chosen);
    readSoon();
  }

  async function edit(server) {
    const saved = await serverDialog(server);
    if (!saved) return;
    chosen = saved.id ?? chosen;
    aside.replaceChildren();
    read();
  }

  async function forget(server) {
    if (!await confirm(`Remove ${server.name}?`, "Its tools are gone at once for everybody, with its cached results and its health log.", "Remove")) return;
    // Nothing more is asked about one that goes.
    chosen = null;
    draw();
    await ordered(null, () => remove(`api/v1/mcp/servers/${server.id}`));
    read();
  }

  const leave = live.subscribe(types, take);
  const net = setInterval(read, 15_000);
  const ticking = setInterval(draw, 1000);
  read();
  return {
    reconnected: () => read(),
    show: ([id]) => { chosen = id ? Number(id) : null; aside.replaceChildren(); draw(); },
    stop() { isStopped = true; leave(); clearInterval(net); clearInterval(ticking); clearTimeout(timer); },
  };
}
