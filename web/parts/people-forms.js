// The dialogs of the people's page. Each resolves to true when something was changed.

import { h } from "./dom.js";
import { get, post, put } from "./api.js";
import { dialog, field, formDialog, select } from "./dialog.js";
import { toast } from "./toast.js";

const opened = make => new Promise(resolve => {
  let isChanged = false;
  make(() => { isChanged = true; }).addEventListener("close", () => resolve(isChanged));
});
const list = text => text.split(",").map(one => one.trim()).filter(Boolean);
const number = control => control.value === "" ? null : Number(control.value);

export function userDialog(user, roles) {
  const username = h("input", { required: true, maxlength: 100, value: user?.username ?? "", autocomplete: "off" });
  const name = h("input", { value: user?.name ?? "" });
  const email = h("input", { type: "email", value: user?.email ?? "" });
  const role = select(roles.map(one => one.name), user?.role ?? roles.find(one => one.name === "viewer")?.name);
  const password = h("input", { type: "password", minlength: 12, maxlength: 200, autocomplete: "new-password" });
  const rate = h("input", { type: "number", min: 0, value: user?.rate_limit_override ?? "" });
  const active = h("input", { type: "checkbox", checked: user?.active ?? true });
  return opened(changed => formDialog(user ? `Edit ${user.username}` : "Add a user", [
    h("div", { class: "fields" }, field("User name", username), field("Role", role), field("Name", name), field("E-mail", email)),
    h("div", { class: "fields" }, field(user ? "New password" : "Password", password, "12 characters at least; empty: none."), field("Requests per hour", rate, "Empty: the role's.")),
    h("label", { class: "check" }, active, "Active"),
  ], user ? "Save" : "Add user", async () => {
    const body = { username: username.value.trim(), role: role.value, name: name.value.trim() || null, email: email.value.trim() || null, active: active.checked, rate_limit_override: number(rate) };
    if (!user && password.value) body.password = password.value;
    if (user) {
      await put(`api/v1/users/${user.id}`, body);
      if (password.value) await post(`api/v1/users/${user.id}/reset-password`, { password: password.value });
    } else await post("api/v1/users", body);
    changed();
    toast(`${body.username} is ${user ? "changed" : "added"}.`);
  }, { isWide: true }));
}

export function roleDialog(role, isTeam) {
  const what = isTeam ? "team" : "role";
  const name = h("input", { required: true, maxlength: isTeam ? 100 : 50, value: role?.name ?? "" });
  const about = h("input", { value: role?.description ?? "" });
  const servers = h("input", { value: role?.mcp_access.join(", ") ?? "*", spellcheck: "false" });
  const rate = h("input", { type: "number", min: 0, value: (isTeam ? role?.team_rate_limit : role?.rate_limit) ?? (isTeam ? "" : 1000) });
  const cost = h("input", { type: "number", min: 0, step: "any", value: (isTeam ? role?.team_cost_limit : role?.cost_limit_daily) ?? (isTeam ? "" : 10) });
  const level = select([["none", "no dashboard"], ["view", "sees"], ["operate", "sees and acts"], ["admin", "administers"]], role?.dashboard_access ?? "view");
  const chat = h("input", { type: "checkbox", checked: role?.omni_services?.includes("chat") ?? true });
  const mcp = h("input", { type: "checkbox", checked: role?.omni_services?.includes("mcp") ?? true });
  const tools = h("textarea", { spellcheck: "false", value: JSON.stringify(role?.tool_restrictions ?? {}, null, 1) });
  return opened(changed => formDialog(role ? `Edit ${role.name}` : `Add a ${what}`, [
    h("div", { class: "fields" }, field("Name", name), field("Description", about)), field("Servers", servers, "Names with commas between them; * for all."),
    h("div", { class: "fields" }, isTeam ? null : field("Dashboard", level), field("Requests per hour", rate), field("Dollars per day", cost)),
    isTeam ? null : field("Tool restrictions", tools, 'By server, such as {"docs": ["search", "read_page"]}. Servers that are not named are not restricted.'),
    isTeam ? null : h("div", { class: "row" }, h("label", { class: "check" }, mcp, "MCP"), h("label", { class: "check" }, chat, "Chat")),
  ], role ? "Save" : `Add ${what}`, async () => {
    const body = { name: name.value.trim(), description: about.value.trim() || null, mcp_access: list(servers.value) };
    if (isTeam) Object.assign(body, { team_rate_limit: number(rate), team_cost_limit: number(cost) });
    else {
      let restrictions;
      try { restrictions = JSON.parse(tools.value || "{}"); } catch { throw new Error("Tool restrictions: this is not JSON."); }
      Object.assign(body, { dashboard_access: level.value, tool_restrictions: restrictions, omni_services: [mcp.checked && "mcp", chat.checked && "chat"].filter(Boolean) });
      if (rate.value !== "") body.rate_limit = number(rate);
      if (cost.value !== "") body.cost_limit_daily = number(cost);
    }
    if (role) await put(`api/v1/${what}s/${role.id}`, body); else await post(`api/v1/${what}s`, body);
    changed();
    toast(`${body.name} is ${role ? "changed" : "added"}.`);
  }, { isWide: true }));
}

export async function limitsDialog(user) {
  let now = {};
  try { now = (await get(`api/v1/users/${user.id}/override`)).override ?? {}; } catch (failure) { toast(failure.message, "bad"); return false; }
  const servers = h("input", { value: (now.mcp_restrictions ?? []).join(", "), spellcheck: "false" });
  const rate = h("input", { type: "number", min: 0, value: now.custom_rate_limit ?? "" });
  const cost = h("input", { type: "number", min: 0, step: "any", value: now.custom_cost_limit ?? "" });
  return opened(changed => formDialog(`Limits of ${user.username}`, [
    h("p", { class: "hint" }, "Taken from this user beyond what role and teams say. Empty: nothing is taken."),
    field("Servers taken away", servers, "Names with commas between them."), h("div", { class: "fields" }, field("Requests per hour", rate), field("Dollars per day", cost)),
  ], "Save", async () => {
    await put(`api/v1/users/${user.id}/override`, { mcp_restrictions: list(servers.value), tool_restrictions: now.tool_restrictions ?? {}, custom_rate_limit: number(rate), custom_cost_limit: number(cost) });
    changed();
    toast(`The limits of ${user.username} are set.`);
  }));
}

export function blockDialog(user) {
  const why = h("input", { maxlength: 500 });
  const message = h("input", { maxlength: 500 });
  const mcp = h("input", { type: "checkbox", checked: true });
  const chat = h("input", { type: "checkbox", checked: true });
  return opened(changed => formDialog(`Block ${user.username}`, [
    h("div", { class: "row" }, h("span", null, "From"), h("label", { class: "check" }, mcp, "MCP"), h("label", { class: "check" }, chat, "Chat")),
    field("Reason", why, "For you and other administrators."), field("What the user is told", message),
  ], "Block", async () => {
    const services = [mcp.checked && "mcp", chat.checked && "chat"].filter(Boolean);
    if (!services.length) throw new Error("Choose what the user is blocked from.");
    await put(`api/v1/iam/chat-config/users/${user.id}/block`, { is_blocked: true, block_reason: why.value.trim() || null, custom_block_message: message.value.trim() || null, blocked_services: services });
    changed();
    toast(`${user.username} is blocked; open sessions end.`);
  }));
}

export function tokenDialog(owner, users) {
  const user = owner ? null : select(users.map(one => [one.id, one.username]), users[0]?.id);
  const name = h("input", { maxlength: 200, placeholder: "laptop" });
  const days = h("input", { type: "number", min: 1, max: 36500, value: 90 });
  return opened(changed => formDialog(owner ? `New token for ${owner.username}` : "New token", [
    user ? field("Owner", user) : null, h("div", { class: "fields" }, field("Name", name), field("Days", days, "Empty: it never ends.")),
  ], "Make", async () => {
    const answer = await post("api/v1/mcp/tokens", { user_id: owner?.id ?? Number(user.value), name: name.value.trim() || null, expires_in_days: number(days) });
    changed();
    showSecret(answer.token);
  }));
}

function showSecret(secret) {
  const text = h("input", { readonly: true, value: secret, "aria-label": "The token", class: "mono secret" });
  dialog("Copy the token now", h("div", { class: "stack" }, h("p", null, "It is not shown again; the daemon keeps only its hash."), h("div", { class: "row" }, text,
    h("button", { class: "primary", type: "button", onclick: async event => {
      try { await navigator.clipboard.writeText(secret); event.target.textContent = "Copied"; } catch { text.select(); }
    } }, "Copy"))));
  text.select();
}
