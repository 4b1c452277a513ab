// What requests went through: live for the users who are watched, and what history has.

import { h, keyed, part, perFrame, setText } from "../parts/dom.js";
import { base, get, post, query } from "../parts/api.js";
import { live } from "../parts/live.js";
import { mayAdminister, mayOperate, maySee, myUser, session } from "../parts/session.js";
import { clock, count, date, json, milliseconds, moment, span, words } from "../parts/format.js";
import { field, select } from "../parts/dialog.js";
import { ordered } from "../parts/toast.js";
import { drawTree, extent, failed, legend } from "../parts/flow-tree.js";
import { tabs } from "../parts/tabs.js";

const sessionsMax = 200;

// Outlives the page: flows that went by while another was open.
const seen = { sessions: new Map(), leave: null, topics: "" };

export function start(main) {
  let people = new Map([[0, "operator"]]);
  let watched = [];
  let found = [];
  let chosen = null;
  let isStopped = false;

  const list = h("ul", { class: "picks scroll", "aria-label": "Flows" });
  const none = h("div", { class: "empty" });
  const place = h("div", { class: "card-body stack" });
  const head = h("div", { class: "card-head" });
  const left = tabs("Flows", [
    { id: "live", title: "Live", content: livePanel },
    { id: "history", title: "History", content: historyPanel },
  ], () => { fillPeople(); draw(); });
  const right = h("section", { class: "card aside after", "aria-label": "Chosen flow", "aria-live": "off" }, head, place);
  main.append(h("div", { class: "page-head" }, h("h1", null, "Flows"), legend()),
    h("div", { class: "split even" }, h("section", { class: "card", "aria-label": "Flows" }, left.element, list, none), right));

  // Who is watched

  function livePanel() {
    if (!mayOperate()) {
      return h("div", { class: "card-body" }, h("p", { class: "hint" }, maySee()
        ? "You see your own flows as they happen while an operator watches you; others need a role that operates."
        : "Your own flows are in the history."));
    }
    const user = select([[0, "operator"]], 0, { id: "flow-user" });
    const hours = h("input", { id: "flow-hours", type: "number", min: 0.1, max: 8760, step: "any", value: 1, size: 4 });
    const watchedList = h("ul", { class: "watched", "aria-label": "Watched users" });
    livePanel.user = user;
    livePanel.list = watchedList;
    const form = h("form", { class: "card-body row watch-form", onsubmit: async event => {
      event.preventDefault();
      if (await ordered(event.submitter, () => post(`api/v1/monitoring/enable?ttl_hours=${encodeURIComponent(hours.value)}`, [Number(user.value)]),
        () => `${people.get(Number(user.value))} is watched.`)) readWatched();
    } }, field("Watch", user), field("for hours", hours), h("button", { type: "submit", class: "primary" }, "Start"));
    return h("div", null, form, watchedList);
  }

  function drawWatched() {
    if (!livePanel.list) return;
    keyed(livePanel.list, watched, one => one.user_id, one => h("li", null,
      h("span", { class: "badge good dotted" }, "watched"), h("b", { "data-part": "name" }), h("span", { class: "muted number", "data-part": "left" }), h("span", { class: "grow" }),
      h("button", { class: "small", onclick: async event => {
        if (await ordered(event.currentTarget, () => post("api/v1/monitoring/disable", [one.user_id]), `${people.get(one.user_id) ?? one.user_id} is watched no longer.`)) readWatched();
      } }, "Stop")), (row, one) => {
      setText(part(row, "name"), people.get(one.user_id) ?? `user ${one.user_id}`);
      setText(part(row, "left"), `${span(one.expires_at - Date.now() / 1000)} left`);
    });
  }

  async function readWatched() {
    if (!mayOperate()) return listen([myUser()]);
    try {
      watched = (await get("api/v1/monitoring/list")).monitored_users;
      if (isStopped) return;
      listen([...new Set([...watched.map(one => one.user_id), myUser()])]);
      drawWatched();
      draw();
    } catch (failure) { none.replaceChildren(h("p", null, failure.message)); }
  }

  function listen(users) {
    const topics = users.map(user => `flow:${user}`);
    if (!maySee() || seen.topics === topics.join()) return;
    seen.leave?.();
    seen.topics = topics.join();
    seen.leave = live.subscribe(topics, take);
  }

  function take(events) {
    for (const event of events) {
      let flow = seen.sessions.get(event.session_id);
      if (!flow) {
        flow = { id: event.session_id, user: event.user_id, source: event.source, events: [], at: new Date(Number(event.timestamp) * 1000) };
        seen.sessions.set(flow.id, flow);
        if (seen.sessions.size > sessionsMax) seen.sessions.delete(seen.sessions.keys().next().value);
      }
      if (!flow.events.some(one => one.node_id === event.node_id)) flow.events.push(event);
      flow.source ??= event.source;
    }
    seen.draw?.();
  }

  // History

  function historyPanel() {
    const user = select([[myUser(), session.user.username]], myUser(), { name: "user" });
    const source = select([["", "any"], ["chat", "chat"], ["mcp_gateway", "MCP"], ["rest", "REST"]], "", { name: "source" });
    const checkpoint = select([["", "any"], ["tool_call", "tool call"], ["cache_lookup", "cache lookup"], ["error", "error"], ["auth_check", "auth check"], ["usage_check", "usage check"], ["tool_filter", "tool filter"]], "", { name: "checkpoint" });
    const from = h("input", { type: "datetime-local", name: "from" });
    const to = h("input", { type: "datetime-local", name: "to" });
    const text = h("input", { type: "search", name: "text", placeholder: "tool, server, id" });
    historyPanel.user = user;
    const seconds = input => input.value ? new Date(input.value).getTime() / 1000 : "";
    const form = h("form", { class: "card-body stack", onsubmit: event => { event.preventDefault(); search(event.submitter); } },
      h("div", { class: "fields narrow" }, field("User", user), field("Source", source), field("Passed by", checkpoint), field("Contains", text), field("From", from), field("To", to)),
      h("button", { type: "submit", class: "primary" }, "Search"));
    async function search(button) {
      const answer = await ordered(button, () => get(`api/v1/monitoring/flows/user/${user.value}/sessions` + query({
        limit: 200, source: source.value, checkpoint: checkpoint.value, from: seconds(from), to: seconds(to) })), () => null);
      if (!answer) return;
      const wanted = text.value.trim().toLowerCase();
      found = answer.sessions.map(one => ({ id: one.session_id, user: answer.user_id, source: one.source, events: one.events, at: date(one.started_at), isStored: true }))
        .filter(one => !wanted || JSON.stringify(one).toLowerCase().includes(wanted));
      historyPanel.isAsked = true;
      draw();
    }
    historyPanel.search = search;
    return form;
  }

  // The list and the tree

  const current = () => left.current === "live" ? [...seen.sessions.values()].reverse() : found;
  const title = flow => {
    const calls = flow.events.filter(event => event.event_type === "tool_call");
    const tool = calls.at(-1)?.tool ?? flow.events.findLast(event => event.tool)?.tool;
    return tool ? `${tool}${calls.length > 1 ? ` and ${calls.length - 1} more` : ""}` : words(flow.events.at(-1)?.event_type);
  };

  const draw = perFrame(() => {
    if (isStopped) return;
    const flows = current();
    keyed(list, flows.slice(0, sessionsMax), flow => flow.id, flow => h("li", null, h("button", { onclick: () => { chosen = flow.id; draw(); } },
      h("b", { class: "clip", "data-part": "title" }), h("span", { class: "number muted", "data-part": "time" }),
      h("span", { class: "muted clip", "data-part": "who" }), h("span", { class: "number muted", "data-part": "took" }))), (row, flow) => {
      const isFailed = flow.events.some(failed);
      setText(part(row, "title"), `${isFailed ? "✕ " : ""}${title(flow)}`);
      setText(part(row, "who"), `${people.get(flow.user) ?? `user ${flow.user}`} · ${words(flow.source)} · ${count(flow.events.length)} checkpoints`);
      setText(part(row, "time"), clock(flow.at));
      setText(part(row, "took"), milliseconds(extent(flow.events)));
      row.firstElementChild.setAttribute("aria-pressed", String(flow.id === chosen));
    });
    none.hidden = flows.length > 0;
    if (!flows.length) none.replaceChildren(h("p", null, left.current === "live"
      ? (watched.length ? "Nothing yet. The next request of a watched user appears here." : "Nobody is watched. Start with a user above.")
      : historyPanel.isAsked ? "No flow fits." : "Search to see what was recorded."));
    drawChosen(flows);
  });

  function drawChosen(flows) {
    const flow = flows.find(one => one.id === chosen) ?? (left.current === "live" ? flows[0] : null);
    if (!flow) {
      head.replaceChildren(h("h2", null, "One flow"));
      place.replaceChildren(h("p", { class: "empty" }, "Choose a flow to see its checkpoints."));
      delete place.dataset.flow;
      return;
    }
    if (place.dataset.flow !== flow.id) {
      place.dataset.flow = flow.id;
      place.replaceChildren();
      const tree = h("div", { "data-part": "tree" });
      const raw = h("pre", { class: "code", hidden: true, tabindex: 0, role: "group", "aria-label": "The flow as JSON" });
      head.replaceChildren(h("h2", { "data-part": "title" }), h("span", { class: "muted", "data-part": "facts" }), h("span", { class: "grow" }),
        h("button", { class: "small", "aria-expanded": "false", onclick: async event => {
          const button = event.currentTarget;
          if (raw.hidden) {
            const stored = await get(`api/v1/monitoring/flows/session/${flow.id}`).catch(() => ({ session_id: flow.id, user_id: flow.user, events: flow.events }));
            raw.textContent = json(stored);
          }
          raw.hidden = !raw.hidden;
          button.setAttribute("aria-expanded", String(!raw.hidden));
        } }, "JSON"),
        h("a", { class: "button small", href: new URL(`api/v1/monitoring/flows/session/${flow.id}/export`, base).href, download: `flow-${flow.id}.json` }, "Download"));
      place.append(tree, raw);
    }
    setText(part(head, "title"), title(flow));
    setText(part(head, "facts"), `${people.get(flow.user) ?? `user ${flow.user}`}, ${flow.at ? moment(flow.at) : ""}, ${milliseconds(extent(flow.events))}`);
    drawTree(part(place, "tree"), flow.events);
  }

  async function readPeople() {
    if (!mayOperate()) { people.set(myUser(), session.user.username); return; }
    try {
      const { users } = await get("api/v1/monitoring/users");
      for (const one of users) people.set(one.id, one.full_name ?? one.email ?? `user ${one.id}`);
      if (mayAdminister()) for (const one of (await get("api/v1/users")).users) people.set(one.id, one.name || one.username);
    } catch { /* Numbers do as well as names. */ }
    fillPeople();
    draw();
    drawWatched();
  }

  function fillPeople() {
    for (const control of [livePanel.user, historyPanel.user]) {
      if (!control || control.options.length === people.size) continue;
      control.replaceChildren(...[...people].map(([id, name]) => h("option", { value: id, selected: String(id) === control.value }, name)));
    }
  }

  seen.draw = draw;
  readPeople();
  readWatched();
  draw();
  const ticking = setInterval(drawWatched, 1000);
  const net = setInterval(readWatched, 10_000);
  return { reconnected: readWatched, stop() { isStopped = true; seen.draw = null; clearInterval(ticking); clearInterval(net); } };
}

