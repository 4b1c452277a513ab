// Every tool of every server in one search; one of them with a form out of its schema, to try it.

import { h, keyed, settled, setText } from "../parts/dom.js";
import { get, post } from "../parts/api.js";
import { live } from "../parts/live.js";
import { count, json, milliseconds, span } from "../parts/format.js";
import { schemaForm } from "../parts/schema-form.js";

export function start(main, [wantedServer, wantedTool]) {
  let tools = [], isStopped = false;
  let chosen = wantedTool ? `${wantedServer}/${wantedTool}` : null;

  const summary = h("span", { class: "muted", role: "status" });
  const search = h("input", { type: "search", class: "search", placeholder: "Search names and descriptions", "aria-label": "Search tools", oninput: settled(() => draw(), 60) });
  const list = h("ul", { class: "picks scroll", "aria-label": "Tools" });
  const none = h("div", { class: "empty" });
  const right = h("section", { class: "card aside after", "aria-label": "Chosen tool" });
  main.append(h("div", { class: "page-head" }, h("h1", null, "Tools"), summary, h("span", { class: "grow" }), search),
    h("div", { class: "split even" }, h("section", { class: "card", "aria-label": "Tools" }, list, none), right));
  right.append(h("p", { class: "empty" }, "Choose a tool to see what it takes, and to try it."));

  async function read() {
    try {
      const answer = await get("api/v1/mcp/tools/list");
      if (isStopped) return;
      tools = Object.entries(answer.data.servers).flatMap(([server, list]) => list.map(tool => ({ ...tool, server, key: `${server}/${tool.name}` })));
      draw();
      const tool = tools.find(one => one.key === chosen);
      if (tool && right.dataset.tool !== chosen) show(tool);
    } catch (failure) {
      none.hidden = false;
      none.replaceChildren(h("p", null, failure.message));
    }
  }

  function draw() {
    const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const fits = tool => { const text = `${tool.server} ${tool.name} ${tool.title ?? ""} ${tool.description ?? ""}`.toLowerCase(); return words.every(word => text.includes(word)); };
    const shown = tools.filter(fits);
    const items = [];
    let server = null;
    for (const tool of shown) {
      if (tool.server !== server) { server = tool.server; items.push({ key: `${server}/`, head: server, number: shown.filter(one => one.server === server).length }); }
      items.push(tool);
    }
    keyed(list, items, item => item.key, item => item.head !== undefined
      ? h("li", { class: "group-head" }, h("b", null, item.head), h("span", { class: "number" }))
      : h("li", null, h("button", { onclick: () => show(tools.find(one => one.key === item.key)) },
        h("b", { class: "clip" }, item.name), h("span"), h("span", { class: "muted clip" }, item.description ?? ""))), (row, item) => {
      if (item.head !== undefined) setText(row.lastChild, String(item.number));
      else row.firstChild.setAttribute("aria-pressed", String(item.key === chosen));
    });
    setText(summary, tools.length ? `${words.length ? `${count(shown.length)} of ` : ""}${count(tools.length)} tools of ${new Set(tools.map(one => one.server)).size} servers` : "");
    none.hidden = shown.length > 0;
    none.replaceChildren(h("p", null, tools.length ? "No tool fits." : "No server offers a tool that you may use."));
  }

  function show(tool) {
    chosen = tool.key;
    right.dataset.tool = chosen;
    history.replaceState(null, "", `#/tools/${encodeURIComponent(tool.server)}/${encodeURIComponent(tool.name)}`);
    draw();
    const form = schemaForm(tool.inputSchema);
    const problem = h("p", { class: "problem", role: "alert" });
    const result = h("div", { class: "result", role: "region", "aria-label": "Result", "aria-live": "polite" });
    const button = h("button", { class: "primary", type: "submit" }, "Call");
    const hints = Object.entries(tool.annotations ?? {}).filter(([name, value]) => value === true && name.endsWith("Hint")).map(([name]) => name.slice(0, -4).replace(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`));
    right.replaceChildren(
      h("div", { class: "card-head" }, h("h2", null, tool.title ?? tool.name), hints.map(text => h("span", { class: `badge ${text.startsWith("destr") ? "warn" : "info"}` }, text)), h("span", { class: "grow" }), h("code", { class: "muted" }, `${tool.server}__${tool.name}`)),
      h("div", { class: "card-body stack" },
        tool.description ? h("p", { class: "prose" }, tool.description) : null,
        h("form", { class: "stack", novalidate: true, onsubmit: event => { event.preventDefault(); call(); } }, form.element, problem, h("div", { class: "buttons" }, button)),
        result,
        h("details", null, h("summary", null, "Schema"), h("pre", { class: "code", tabindex: 0, role: "group", "aria-label": "The tool's schema" }, json(tool.inputSchema ?? {})))));
    if (matchMedia("(max-width: 1100px)").matches) right.scrollIntoView({ block: "start" });

    async function call() {
      problem.textContent = "";
      let args;
      try { args = form.read(); } catch (error) { problem.textContent = error.message; return; }
      button.disabled = true;
      const began = performance.now();
      try {
        const answer = await post("api/v1/mcp/tools/call", { server: tool.server, tool: tool.name, arguments: args });
        drawResult(answer, performance.now() - began);
      } catch (failure) {
        drawResult({ success: false, error: failure.body?.error && failure.body.result === null ? failure.body.error : failure.message }, performance.now() - began);
      } finally {
        button.disabled = false;
      }
    }

    function drawResult(answer, took) {
      const cache = answer.cache;
      result.replaceChildren(
        h("div", { class: "facts-row" },
          h("span", { class: `badge dotted ${answer.success ? "good" : "bad"}` }, answer.success ? "success" : "error"),
          h("span", { class: `badge ${cache?.hit ? "info" : ""}`, "data-part": "cached" }, cache?.hit ? `from the cache, ${milliseconds(cache.age_ms)} old, for ${span(cache.expires_in_ms / 1000)}` : "from the server"),
          h("span", { class: "muted number" }, `${milliseconds(took)} round trip`)),
        answer.success ? "" : h("p", { class: "answer bad" }, answer.error ?? "The tool failed."),
        ...(answer.result?.content ?? []).map(content),
        answer.result?.structuredContent ? h("details", null, h("summary", null, "Structured"), code(json(answer.result.structuredContent), "Structured result")) : "",
        answer.result ? h("details", null, h("summary", null, "Whole result"), code(json(answer.result), "Whole result")) : "");
    }
  }

  const code = (text, label) => h("pre", { class: "code", tabindex: 0, role: "group", "aria-label": label }, text);
  function content(item) {
    if (item.type === "text") {
      let text = item.text;
      try { text = json(JSON.parse(text)); } catch { /* It is text. */ }
      return code(text, "Text");
    }
    if (item.type === "image" && /^image\/(png|jpeg|gif|webp)$/.test(item.mimeType)) return h("img", { src: `data:${item.mimeType};base64,${item.data}`, alt: "Image of the result" });
    return code(json({ ...item, data: item.data ? `${item.data.length} characters` : undefined }), item.type);
  }

  const leave = live.subscribe(["mcp_status_change"], settled(() => read(), 300));
  read();
  return { reconnected: read, stop() { isStopped = true; leave(); } };
}
