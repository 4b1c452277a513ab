// Adding and editing a server: how it is reached, what may be cached. Secrets go in and never come back.

import { h } from "./dom.js";
import { post, put } from "./api.js";
import { field, formDialog, select } from "./dialog.js";
import { milliseconds, count } from "./format.js";
import { toast } from "./toast.js";

/** Resolves to `{id}` of what was saved, or null. */
export function serverDialog(server) {
  return new Promise(resolve => {
    let saved = null;
    const isStdio = server?.protocol === "stdio";
    const name = h("input", { name: "name", required: true, maxlength: 100, value: server?.name ?? "", autocomplete: "off", spellcheck: "false" });
    const transport = select([["http-streamable", "Streamable HTTP"], ["sse", "SSE (older servers)"], ["stdio", "stdio (a program on this host)"]],
      server?.protocol === "stdio" ? "stdio" : server?.protocol === "sse" ? "sse" : "http-streamable", { name: "protocol", disabled: Boolean(server && isStdio) });
    const url = h("input", { name: "url", type: "text", inputmode: "url", maxlength: 500, placeholder: "https://tools.example.org/mcp", value: server && !isStdio ? server.url : "", spellcheck: "false" });
    const command = h("input", { name: "command", placeholder: "/usr/bin/mcp-server-git --repository /srv/git", value: "", spellcheck: "false" });
    const description = h("input", { name: "description", value: server?.description ?? "" });
    const policy = select([["off", "off"], ["read_only", "tools that declare themselves read-only"], ["listed", "listed tools only"]], server?.omni2?.cache_policy ?? "off", { name: "policy" });
    const ttl = h("input", { name: "ttl", type: "number", min: 1, max: 86400, value: server?.omni2?.ttl ?? 300 });
    const timeout = h("input", { name: "timeout", type: "number", min: 5, max: 300, value: server?.timeout_seconds ?? 30 });
    const retries = h("input", { name: "retries", type: "number", min: 1, max: 10, value: server?.max_retries ?? 2 });
    const login = select([["", server?.has_auth_config ? "as it is" : "none"], ["bearer", "bearer token"], ["api_key", "key in a header"]], "", { name: "auth" });
    const header = h("input", { name: "header", value: "X-API-Key" });
    const secret = h("input", { name: "secret", type: "password", autocomplete: "off" });
    const urlRow = field("Address", url), commandRow = field("Command", command, isStdio ? "Leave it empty to keep the command." : "The program and its arguments, with spaces between them.");
    const secretRow = field("Secret", secret), headerRow = field("Header", header);
    const found = h("p", { class: "answer", role: "status", hidden: true });
    const probe = h("button", { type: "button", onclick: () => discover() }, "Try the address");
    const probeRow = h("div", { class: "stack" }, h("div", { class: "row" }, probe,
      h("span", { class: "hint" }, "Inside your own network it needs [MCP] DiscoverPrivate=yes; adding does not.")), found);

    function adapt() {
      const byProgram = transport.value === "stdio";
      urlRow.hidden = probeRow.hidden = byProgram;
      commandRow.hidden = !byProgram;
      url.required = !byProgram;
      command.required = byProgram && !isStdio;
      headerRow.hidden = login.value !== "api_key";
      secretRow.hidden = !login.value;
      secret.required = Boolean(login.value);
    }
    transport.addEventListener("change", adapt);
    login.addEventListener("change", adapt);
    adapt();

    const authentication = () => {
      if (login.value === "bearer") return { auth_type: "bearer", auth_config: { token: secret.value } };
      if (login.value === "api_key") return { auth_type: "api_key", auth_config: { header_name: header.value, api_key: secret.value } };
      return {};
    };

    async function discover() {
      found.hidden = false;
      found.className = "answer";
      found.textContent = "Asking…";
      probe.disabled = true;
      try {
        const answer = await post("api/v1/mcp/servers/discover", { url: url.value.trim(), protocol: transport.value, timeout_seconds: 10, ...authentication() });
        found.className = `answer ${answer.success ? "good" : "bad"}`;
        found.textContent = answer.success
          ? `It answered in ${milliseconds(answer.response_time_ms)}: ${count(answer.tools_count)} tools, ${count(answer.prompts_count)} prompts, ${count(answer.resources_count)} resources.`
          : answer.error ?? "It did not answer.";
      } catch (failure) {
        found.className = "answer bad";
        found.textContent = failure.message;
      } finally {
        probe.disabled = false;
      }
    }

    const fields = [
      h("div", { class: "fields" }, field("Name", name, "Its tools are offered as NAME__TOOL."), field("Protocol", transport)),
      urlRow, commandRow, probeRow, field("Description", description),
      h("div", { class: "fields" }, field("Cache results of", policy), field("for seconds", ttl), field("Seconds per call", timeout), field("Attempts", retries)),
      h("div", { class: "fields" }, field("Log in with", login), headerRow, secretRow),
    ];

    const box = formDialog(server ? `Edit ${server.name}` : "Add a server", fields, server ? "Save" : "Add server", async () => {
      const body = {
        name: name.value.trim(), description: description.value.trim() || null,
        timeout_seconds: Number(timeout.value), max_retries: Number(retries.value),
        omni2: { ...(server?.omni2 ?? {}), cache_policy: policy.value, ttl: Number(ttl.value) }, ...authentication(),
      };
      if (policy.value === "off") delete body.omni2.ttl;
      if (transport.value === "stdio") {
        const [program, ...args] = command.value.trim().split(/\s+/);
        if (program) Object.assign(body, { protocol: "stdio", command: program, args });
      } else {
        Object.assign(body, { url: url.value.trim(), protocol: transport.value });
      }
      const answer = server ? await put(`api/v1/mcp/servers/${server.id}`, body) : await post("api/v1/mcp/servers", body);
      saved = { id: answer.server.id };
      toast(answer.message);
    }, { isWide: true });
    box.addEventListener("close", () => resolve(saved));
  });
}
