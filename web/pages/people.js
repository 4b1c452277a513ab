// Who may come in and what they may do: for administrators everybody, for the others themselves.

import { h, settled } from "../parts/dom.js";
import { get, put, remove } from "../parts/api.js";
import { mayAdminister, session } from "../parts/session.js";
import { ago, count, date, dollars, moment, words } from "../parts/format.js";
import { badge } from "../parts/badges.js";
import { meter } from "../parts/tiles.js";
import { ordered } from "../parts/toast.js";
import { confirm, dialog } from "../parts/dialog.js";
import { tabs } from "../parts/tabs.js";
import { blockDialog, limitsDialog, roleDialog, tokenDialog, userDialog } from "../parts/people-forms.js";
import { icon } from "../parts/icons.js";

export function start(main) {
  let isStopped = false;
  main.append(h("div", { class: "page-head" }, h("h1", null, "People")));
  const panels = {};
  const page = { users: [], roles: [], teams: [], tokens: [], blocks: [], usage: new Map() };

  const list = mayAdminister()
    ? [["users", "Users"], ["roles", "Roles"], ["teams", "Teams"], ["tokens", "Tokens"], ["blocks", "Blocks"], ["audit", "Audit"], ["me", "Me"]]
    : [["me", "Me"], ["tokens", "Tokens"]];
  const bar = tabs("People", list.map(([id, title]) => ({ id, title, content: () => panels[id] = h("div", { class: "people-panel" }, h("p", { class: "empty" }, "Reading…")) })), () => read());
  main.append(h("div", { class: "card" }, bar.element));

  async function read() {
    try {
      if (mayAdminister()) {
        const [users, roles, teams, tokens, blocks, usage] = await Promise.all(["users", "roles", "teams", "mcp/tokens", "blocks", "usage"].map(path => get(`api/v1/${path}`)));
        Object.assign(page, { users: users.users, roles: roles.roles, teams: teams.teams, tokens: tokens.tokens, blocks: blocks.blocks });
        page.usage = new Map(usage.usage.map(one => [one.user_id, one]));
        if (bar.current === "audit") page.audit = (await get("api/v1/audit?limit=200")).audit;
      } else if (session.user.id !== null) {
        page.tokens = (await get("api/v1/mcp/tokens")).tokens;
      }
      if (bar.current === "me") page.me = await get("api/v1/auth/me");
      if (!isStopped) draw();
    } catch (failure) {
      panels[bar.current]?.replaceChildren(h("p", { class: "empty", role: "alert" }, failure.message));
    }
  }

  const name = id => page.users.find(one => one.id === id)?.username ?? (id === session.user.id ? session.user.username : `user ${id}`);
  const drawers = { users: drawUsers, roles: drawRoles, teams: drawTeams, tokens: drawTokens, blocks: drawBlocks, audit: drawAudit, me: drawMe };
  const draw = () => panels[bar.current]?.replaceChildren(...drawers[bar.current]());

  const tools = (...children) => h("div", { class: "filters" }, children);
  const add = (label, run) => h("button", { class: "primary", onclick: run }, icon("plus"), label);
  const empty = text => h("p", { class: "empty" }, text);
  const small = (label, run, more) => h("button", { class: `small ${more ?? ""}`, onclick: run }, label);
  function table(heads, rows, whenEmpty) {
    if (!rows.length) return empty(whenEmpty);
    return h("div", { class: "table-wrap" }, h("table", { class: "cards" },
      h("thead", null, h("tr", null, heads.map(head => h("th", { scope: "col" }, head || h("span", { class: "visually-hidden" }, "Actions"))))),
      h("tbody", null, rows.map(row => h("tr", null, row.map((value, index) => h("td", { class: index === 0 ? "lead" : null, "data-label": index && heads[index] ? heads[index] : null }, h("div", null, value))))))));
  }
  const after = async opened => { if (await opened) read(); };
  async function sure(title, text, word, run) { if (await confirm(title, text, word) && await ordered(null, run)) read(); }

  // Users

  let wanted = "";
  function drawUsers() {
    const search = h("input", { type: "search", class: "search", placeholder: "Filter", "aria-label": "Filter users", value: wanted, oninput: settled(() => { wanted = search.value; rows.replaceChildren(list()); }) });
    const rows = h("div");
    const list = () => table(["User", "Role", "Used this hour", "Spent today", "State", ""],
      page.users.filter(one => `${one.username} ${one.name ?? ""} ${one.email ?? ""} ${one.role}`.toLowerCase().includes(wanted.toLowerCase())).map(userRow), page.users.length ? "Nobody fits." : "Nobody yet besides the operator.");
    rows.append(list());
    return [tools(search, h("span", { class: "grow" }), add("Add user", () => after(userDialog(null, page.roles)))), rows];
  }

  function userRow(one) {
    const use = page.usage.get(one.id) ?? {};
    return [
      [h("b", null, one.username), h("div", { class: "muted clip" }, [one.name, one.email].filter(Boolean).join(" · "))],
      one.role ?? "none", used(use.requests_last_hour, use.rate_limit, count), used(use.cost_today, use.cost_limit_daily, dollars),
      one.is_blocked ? badge("blocked") : badge(one.active ? "active" : "inactive"),
      h("div", { class: "buttons" }, small("Edit", () => after(userDialog(one, page.roles))), small("Limits", () => after(limitsDialog(one))),
        small("Token", () => makeToken(one)), small(one.is_blocked ? "Unblock" : "Block", () => one.is_blocked
          ? ordered(null, () => put(`api/v1/iam/chat-config/users/${one.id}/block`, { is_blocked: false }), `${one.username} is let in again.`).then(read) : after(blockDialog(one))),
        small("May do", () => permissions(one)),
        small("Delete", () => sure(`Delete ${one.username}?`, "Tokens, sessions and memberships end at once.", "Delete", () => remove(`api/v1/users/${one.id}`)), "danger")),
    ];
  }

  const used = (value, limit, format) => value === undefined ? "–" : h("div", { class: "used" }, h("span", { class: "number" }, `${format(value)}${limit === null || limit === undefined ? "" : ` of ${format(limit)}`}`),
    limit ? meter(value / limit, `${Math.round(value / limit * 100)} % used`) : null);

  async function permissions(one) {
    const answer = await ordered(null, () => get(`api/v1/permissions/${one.id}`), () => null);
    if (answer) dialog(`What ${one.username} may do`, permissionFacts(answer.permission));
  }
  function permissionFacts(permission) {
    const rows = [["Servers", permission.mcp_access.includes("*") ? "all" : permission.mcp_access.join(", ") || "none"], ["Denied", permission.mcp_denied?.join(", ")],
      ["Tools", Object.keys(permission.tool_restrictions ?? {}).length ? h("code", null, JSON.stringify(permission.tool_restrictions)) : "all of them"],
      ["Services", permission.omni_services.join(", ") || "none"], ["Dashboard", permission.dashboard_access],
      ["Requests per hour", permission.rate_limit === null ? "no limit" : count(permission.rate_limit)], ["Per day", permission.cost_limit_daily === null ? "no limit" : dollars(permission.cost_limit_daily)]];
    return h("dl", { class: "facts" }, rows.filter(([, value]) => value).flatMap(([label, value]) => [h("dt", null, label), h("dd", null, value)]));
  }

  // Roles and teams

  function drawRoles() {
    return [tools(h("span", { class: "grow" }), add("Add role", () => after(roleDialog(null, false)))),
      table(["Role", "Servers", "Dashboard", "Per hour", "Per day", "Services", ""], page.roles.map(one => [
        [h("b", null, one.name), h("div", { class: "muted clip" }, one.description ?? "")], one.mcp_access.join(", ") || "none", one.dashboard_access, count(one.rate_limit), dollars(one.cost_limit_daily),
        one.omni_services?.join(", ") ?? "all", h("div", { class: "buttons" }, small("Edit", () => after(roleDialog(one, false))),
          one.name === "super_admin" ? null : small("Delete", () => sure(`Delete the role ${one.name}?`, "Only a role that nobody has can go.", "Delete", () => remove(`api/v1/roles/${one.id}`)), "danger"))]), "No roles.")];
  }

  function drawTeams() {
    return [tools(h("span", { class: "grow" }), add("Add team", () => after(roleDialog(null, true)))),
      table(["Team", "Servers", "Members", "Per hour", "Per day", ""], page.teams.map(one => [
        [h("b", null, one.name), h("div", { class: "muted clip" }, one.description ?? "")], one.mcp_access.join(", ") || "none", members(one), one.team_rate_limit === null ? "–" : count(one.team_rate_limit), dollars(one.team_cost_limit),
        h("div", { class: "buttons" }, small("Edit", () => after(roleDialog(one, true))), small("Delete", () => sure(`Delete the team ${one.name}?`, "Its members keep what their roles give.", "Delete", () => remove(`api/v1/teams/${one.id}`)), "danger"))]), "No teams. A team narrows what its members' roles give.")];
  }
  function members(team) {
    const others = page.users.filter(one => !team.members.includes(one.id));
    const join = h("select", { "aria-label": `Add to ${team.name}`, class: "small-select", onchange: () => join.value && ordered(join, () => put(`api/v1/teams/${team.id}/members/${join.value}`), "Added.").then(read) },
      h("option", { value: "" }, "add…"), others.map(one => h("option", { value: one.id }, one.username)));
    return h("div", { class: "chips" }, team.members.map(id => h("span", { class: "badge" }, name(id), h("button", { class: "ghost square small chip-x", "aria-label": `Take ${name(id)} out of ${team.name}`, onclick: () => ordered(null, () => remove(`api/v1/teams/${team.id}/members/${id}`), "Taken out.").then(read) }, icon("close")))), others.length ? join : null);
  }

  // Tokens, blocks, audit, me

  function drawTokens() {
    const owners = mayAdminister() ? page.users : session.user.id === null ? [] : [session.user];
    return [tools(h("p", { class: "hint" }, "Tokens let MCP clients and scripts in. Each is shown once."), h("span", { class: "grow" }), owners.length ? add("New token", () => makeToken(owners.length === 1 ? owners[0] : null)) : null),
      table(["Token", "Owner", "Made", "Last used", "Expires", ""], page.tokens.map(one => [h("b", null, one.name ?? `token ${one.id}`), one.username ?? name(one.user_id), moment(date(one.created_at)), ago(date(one.last_used_at)),
        one.expired ? badge("expired", "bad") : one.expires_at ? moment(date(one.expires_at)) : "never",
        small("Revoke", () => sure(`Revoke ${one.name ?? `token ${one.id}`}?`, "What it opened ends at once.", "Revoke", () => remove(`api/v1/mcp/tokens/${one.id}`)), "danger")]), "No tokens.")];
  }
  async function makeToken(owner) { await after(tokenDialog(owner, page.users)); }

  function drawBlocks() {
    return [table(["User", "From", "Since", "Why", ""], page.blocks.map(one => [h("b", null, name(one.user_id)), one.blocked_services.join(", ") || "everything", moment(date(one.blocked_at)), one.block_reason ?? "–",
      small("Unblock", () => ordered(null, () => put(`api/v1/iam/chat-config/users/${one.user_id}/block`, { is_blocked: false }), `${name(one.user_id)} is let in again.`).then(read))]), "Nobody is blocked.")];
  }

  function drawAudit() {
    return [table(["What", "Who", "When", "Outcome", "From", "Why"], (page.audit ?? []).map(one => [[h("b", null, one.action), h("div", { class: "muted clip" }, one.target ?? "")], one.actor, moment(date(one.timestamp)),
      h("span", null, badge(one.outcome, one.outcome === "denied" ? "bad" : "good"), one.repeated > 1 ? ` × ${count(one.repeated)}` : ""), one.ip_address ?? "–", words(one.reason ?? "")]), "Nothing was recorded yet.")];
  }

  function drawMe() {
    const me = page.me;
    if (!me) return [empty("Reading…")];
    return [h("div", { class: "card-body stack" }, h("h2", null, me.user.name || me.user.username),
      h("p", { class: "muted" }, `${me.user.role}, logged in by ${words(me.user.credential)}`),
      h("dl", { class: "facts" }, h("dt", null, "Used this hour"), h("dd", null, used(me.usage.requests_last_hour, me.usage.rate_limit, count)), h("dt", null, "Spent today"), h("dd", null, used(me.usage.cost_today, me.usage.cost_limit_daily, dollars))),
      h("h3", null, "What you may do"), permissionFacts(me.permission))];
  }

  return { reconnected: read, stop() { isStopped = true; } };
}

