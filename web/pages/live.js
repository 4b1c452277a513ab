// Events as they come. They are taken in batches, once per frame, into a bounded history; the list draws
// only the rows in sight. Pausing stops the drawing, not the taking: nothing is lost, and what came
// meanwhile is counted.

import { h, perFrame, settled, setText } from "../parts/dom.js";
import { get } from "../parts/api.js";
import { live } from "../parts/live.js";
import { History } from "../parts/history.js";
import { clock, count, date, json, words } from "../parts/format.js";
import { select } from "../parts/dialog.js";
import { icon } from "../parts/icons.js";
import { EventList } from "../parts/event-list.js";

const standardTypes = ["mcp_status_change", "circuit_breaker_state", "mcp_health_check", "mcp_auto_disabled", "user_login", "user_action",
  "system_health", "component_health", "cache_stats", "cache_invalidated", "prompt_guard_violation", "prompt_guard_user_blocked"];
const everyones = ["health_event", "system_metrics", "ping"];
const quiet = new Set(["ping", "system_metrics"]);
const severities = ["info", "medium", "high", "critical"];
const sizes = [1000, 5000, 20000];
const storage = "omni2.history";

// Outlives the page, so that coming back to it shows what happened meanwhile.
const kept = { history: null, leave: null, types: new Set([...standardTypes, ...everyones]), names: new Set(), filter: { type: "", server: "", severity: "", text: "" } };

function summary(event) {
  const data = event.data ?? event.metrics ?? {};
  switch (event.type) {
  case "mcp_status_change": return `${words(data.old_status)} → ${words(data.new_status)}: ${data.reason ?? ""}`;
  case "circuit_breaker_state": return `${words(data.old_state)} → ${words(data.new_state)}: ${data.message ?? ""}`;
  case "mcp_health_check": return data.response_time_ms === null ? data.reason ?? "no answer" : `${data.response_time_ms} ms, ${data.tool_count} tools`;
  case "system_health": case "system_metrics": return `CPU ${data.cpu_percent} %, memory ${data.memory_percent} %, ${data.active_mcps} servers`;
  case "cache_stats": return `${data.size} entries, ${data.hit_rate_percent} % hits`;
  case "cache_invalidated": return `${data.entries} entries of ${data.tool ?? data.mcp_name ?? "everything"}: ${data.reason ?? ""}`;
  case "health_event": return words(event.event_type);
  case "user_login": return `${data.username} (${data.user_role})`;
  }
  const text = JSON.stringify(data);
  return text.length > 200 ? text.slice(0, 200) + "…" : text;
}

/** What a row shows, worked out once. */
function row(event) {
  const data = event.data ?? {};
  return {
    event, type: event.topic ?? event.type, server: data.mcp_name ?? event.mcp_name ?? "", severity: data.severity ?? (event.type === "health_event" ? "high" : ""),
    time: date(event.timestamp) ?? new Date(), text: summary(event),
  };
}

/** From the login on, so that who opens the page later sees what happened meanwhile. */
export function follow() {
  if (kept.history) return;
  const limit = Number(localStorage.getItem(storage));
  kept.history = new History(sizes.includes(limit) ? limit : 5000);
  kept.listeners = new Set();
  subscribe();
  live.addEventListener("state", event => {
    if (event.detail.isFirst || !kept.history) return;
    if (live.state === "live") mark(event.detail.isResync ? "Connected again; the daemon's log did not reach back, events in between are missing" : "Connected again; nothing was missed");
    else if (live.state === "offline" && live.attempts === 1) mark("The connection is lost");
  });
}

function subscribe() {
  kept.leave?.();
  kept.leave = live.subscribe([...kept.types], events => {
    for (const event of events) {
      if (event.type === "ping") continue;
      const one = row(event);
      if (one.server) kept.names.add(one.server);
      kept.history.push(one);
    }
    for (const listener of kept.listeners) listener(events.length);
  });
}

function mark(text) {
  kept.history.push({ isMark: true, text, time: new Date(), type: "", server: "", severity: "" });
  for (const listener of kept.listeners) listener(0);
}

export function start(main) {
  follow();
  const filter = kept.filter;
  let isPaused = false, waiting = 0, perSecond = 0, sinceTick = 0;

  const matches = one => one.isMark || (
    (filter.type ? one.type === filter.type : !quiet.has(one.type))
    && (!filter.server || one.server === filter.server)
    && (!filter.severity || severities.indexOf(one.severity || "info") >= severities.indexOf(filter.severity))
    && (!filter.text || `${one.type} ${one.server} ${one.text}`.toLowerCase().includes(filter.text)));

  // Controls

  const typeSelect = select([["", "All types"], ...[...kept.types].sort().map(type => [type, words(type)])], filter.type, { "aria-label": "Type", onchange: choose });
  const serverSelect = select([["", "All servers"], ...[...kept.names].sort()], filter.server, { "aria-label": "Server", onchange: choose });
  const severitySelect = select([["", "Any severity"], ["medium", "medium and up"], ["high", "high and up"], ["critical", "critical"]], filter.severity, { "aria-label": "Severity", onchange: choose });
  const text = h("input", { type: "search", class: "search", placeholder: "Search", "aria-label": "Search in events", value: filter.text, oninput: settled(choose) });
  const pauseButton = h("button", { "aria-pressed": "false", onclick: () => pause(!isPaused) }, "Pause");
  const rate = h("span", { class: "muted number" });
  const size = select(sizes.map(one => [one, `keep ${count(one)}`]), kept.history.limit, {
    "aria-label": "Events to keep", onchange: () => {
      localStorage.setItem(storage, size.value);
      const old = kept.history;
      kept.history = new History(Number(size.value));
      for (let place = old.start; place < old.end; place += 1) kept.history.push(old.at(place));
      refilter();
    },
  });
  const more = h("form", { class: "row", onsubmit: event => { event.preventDefault(); add(); } },
    h("input", { name: "type", "aria-label": "Another event type", placeholder: "another type", maxlength: 100, size: 14, spellcheck: "false" }), h("button", { type: "submit" }, "Follow"));
  const detail = h("section", { class: "event-detail", hidden: true, "aria-label": "Chosen event" });
  const none = h("div", { class: "empty" }, h("p", null, "No events yet. What servers, circuits and people do appears here at once."));
  const list = new EventList({ label: "Events, newest first", item: place => kept.history.at(indexes[place]), onchoose: show });

  main.append(h("div", { class: "card live-page" },
    h("div", { class: "card-head" }, h("h1", null, "Live"), rate, h("span", { class: "grow" }), more, size,
      h("button", { onclick: () => { kept.history.clear(); refilter(); } }, "Clear"), pauseButton),
    h("div", { class: "filters", role: "search" }, typeSelect, serverSelect, severitySelect, text),
    h("div", { class: "live-body" }, h("div", { class: "events-box" }, list.element, none), detail)));

  function add() {
    const type = more.elements.type.value.trim();
    if (!type) return;
    kept.types.add(type);
    subscribe();
    more.elements.type.value = "";
    options(typeSelect, [["", "All types"], ...[...kept.types].sort().map(one => [one, words(one)])], filter.type);
  }

  function options(control, list, value) {
    if (control.options.length === list.length) return;
    control.replaceChildren(...list.map(one => {
      const [key, label] = Array.isArray(one) ? one : [one, one];
      return h("option", { value: key, selected: key === value }, label);
    }));
  }

  function choose() {
    Object.assign(filter, { type: typeSelect.value, server: serverSelect.value, severity: severitySelect.value, text: text.value.trim().toLowerCase() });
    refilter();
  }

  // What is shown: places in the history, oldest first. Grows at its end, is cut at its start.
  let indexes = [], upTo = 0;

  function refilter() {
    indexes = [];
    upTo = kept.history.start;
    catchUp();
    list.reset(indexes.length);
    none.hidden = indexes.length > 0;
  }

  function catchUp() {
    const { start, end } = kept.history;
    if (upTo < start) upTo = start;
    for (; upTo < end; upTo += 1) if (matches(kept.history.at(upTo))) indexes.push(upTo);
    let cut = 0;
    while (cut < indexes.length && indexes[cut] < start) cut += 1;
    if (cut > 256 || cut === indexes.length) indexes.splice(0, cut);
    else if (cut) indexes.splice(0, cut);
    return cut;
  }

  const draw = perFrame(() => {
    if (isPaused || !main.isConnected) return;
    const before = indexes.length;
    const cut = catchUp();
    list.changed(indexes.length, indexes.length - before + cut);
    none.hidden = indexes.length > 0;
    options(serverSelect, [["", "All servers"], ...[...kept.names].sort()], filter.server);
  });

  const heard = number => {
    sinceTick += number;
    if (isPaused) waiting += number; else draw();
  };

  function pause(value) {
    isPaused = value;
    pauseButton.setAttribute("aria-pressed", String(value));
    if (!value) { waiting = 0; draw(); }
    tell();
  }

  function tell() {
    setText(pauseButton, isPaused ? `Resume${waiting ? ` (${count(waiting)} waiting)` : ""}` : "Pause");
    setText(rate, `${count(perSecond)}/s · ${count(indexes.length)} shown of ${count(kept.history.length)}`);
  }
  const ticking = setInterval(() => { perSecond = sinceTick; sinceTick = 0; tell(); }, 1000);

  function show(place) {
    const one = place === null ? undefined : kept.history.at(indexes[place]);
    detail.hidden = !one;
    if (!one) return;
    detail.replaceChildren(h("div", { class: "row" }, h("h2", null, one.isMark ? "Connection" : words(one.type)), h("span", { class: "grow" }),
      h("button", { class: "ghost square small", "aria-label": "Close", onclick: () => { list.choose(null); list.element.focus(); } }, icon("close"))),
    h("p", { class: "muted" }, `${clock(one.time, true)}${one.event?.seq ? ` · number ${one.event.seq}` : ""}`), h("p", null, one.text),
    one.event ? h("pre", { class: "code", tabindex: 0, role: "group", "aria-label": "The event as JSON" }, json(one.event)) : "");
  }

  kept.listeners.add(heard);
  refilter();
  tell();
  get("api/v1/events/metadata").then(answer => {
    const found = answer.categories.flatMap(category => category.events.map(event => event.id));
    if (found.every(type => kept.types.has(type))) return;
    for (const type of found) kept.types.add(type);
    subscribe();
    options(typeSelect, [["", "All types"], ...[...kept.types].sort().map(one => [one, words(one)])], filter.type);
  }, () => { /* The standard types are known without it. */ });
  // For tests and the curious: what the page holds.
  main.liveHistory = kept.history;
  return { stop() { kept.listeners.delete(heard); clearInterval(ticking); list.stop(); } };
}
