// A question to the model, which answers with the help of the tools one may use. Each call is shown while
// it runs, with what was asked of it and whether the cache knew.

import { h, part, perFrame, setText } from "../parts/dom.js";
import { stream } from "../parts/api.js";
import { count, dollars, json, milliseconds } from "../parts/format.js";
import { badge } from "../parts/badges.js";

// The talk outlives the page.
const kept = h("div", { class: "talk", role: "log", "aria-label": "Conversation", "aria-live": "polite", tabindex: 0 });

export function start(main) {
  let under = null;
  const hello = h("div", { class: "empty" }, h("h2", null, "Ask about anything your tools can find out"), h("p", null, "Every question stands by itself: the model sees your tools and not the questions before."));
  const question = h("textarea", { rows: 1, "aria-label": "Your question", placeholder: "Which of my repositories changed today?", onkeydown: event => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  } });
  const send = h("button", { class: "primary", type: "submit" }, "Ask");
  const stop = h("button", { type: "button", hidden: true, onclick: () => under?.abort() }, "Stop");
  const form = h("form", { class: "ask-form", onsubmit: event => { event.preventDefault(); ask(); } }, question, h("div", { class: "buttons" }, send, stop));
  main.append(h("div", { class: "ask-page" }, h("h1", null, "Ask"), h("div", { class: "talk-box" }, kept, hello), form));
  hello.hidden = kept.children.length > 0;
  question.focus();

  async function ask() {
    const text = question.value.trim();
    if (!text || under) return;
    hello.hidden = true;
    question.value = "";
    under = new AbortController();
    send.hidden = true;
    stop.hidden = false;
    const said = h("div", { class: "said-text cursor" });
    const tools = h("div", { class: "stack" });
    const account = h("p", { class: "hint" });
    const answer = h("div", { class: "said theirs" }, tools, said, account);
    kept.append(h("div", { class: "said mine" }, text), answer);
    let whole = "";
    const draw = perFrame(() => { setText(said, whole.trimStart()); kept.scrollTop = kept.scrollHeight; });
    draw();
    try {
      await stream("api/v1/chat/ask/stream", { message: text, show_tools: true }, (name, data) => {
        if (name === "token") { whole += data.text; draw(); }
        if (name === "tool") { showTool(tools, data); draw(); }
        if (name === "error") fail(data.error);
        if (name === "done" && data.iterations !== undefined) {
          setText(account, `${count(data.tool_calls)} tool call${data.tool_calls === 1 ? "" : "s"}, ${count(data.tokens_input + data.tokens_output)} tokens, ${dollars(data.cost_usd)}${data.warning ? `. ${data.warning}` : ""}`);
        }
      }, under.signal);
    } catch (failure) {
      fail(failure.name === "AbortError" ? "Stopped." : failure.message);
    } finally {
      under = null;
      said.classList.remove("cursor");
      send.hidden = false;
      stop.hidden = true;
      draw();
      question.focus();
    }
    function fail(why) { answer.append(h("p", { class: "answer bad", role: "alert" }, why)); }
  }

  function showTool(place, call) {
    let box = [...place.children].find(one => one.dataset.call === call.id);
    if (!box) {
      box = h("details", { class: "tool-use", data: { call: call.id } }, h("summary", null, h("span", { "data-part": "state" }), h("b", null, call.tool), h("span", { class: "muted" }, call.server), h("span", { class: "muted number", "data-part": "took" })),
        h("pre", null, json(call.arguments)));
      place.append(box);
    }
    part(box, "state").replaceChildren(badge(call.status));
    setText(part(box, "took"), call.duration_ms === undefined ? "" : `${milliseconds(call.duration_ms)}${call.cache?.hit ? ", from the cache" : ""}`);
  }

  return { stop() { under?.abort(); } };
}
