// Short notes that go away by themselves; errors stay until they are read.

import { h } from "./dom.js";
import { icon } from "./icons.js";

let host;

export function toast(text, kind = "good", { isSpoken = true } = {}) {
  if (!host?.isConnected) {
    host = h("div", { class: "toasts", role: "region", "aria-label": "Notes" });
    document.body.append(host);
  }
  const close = h("button", { class: "ghost square small", "aria-label": "Close this note", onclick: () => note.remove() }, icon("close"));
  const note = h("div", { class: `toast ${kind}`, role: isSpoken ? (kind === "bad" ? "alert" : "status") : null }, h("span", null, text), close);
  host.append(note);
  while (host.children.length > 4) host.firstElementChild.remove();
  if (kind !== "bad") setTimeout(() => note.remove(), 6000);
}

/** Runs what an operator ordered; says what came of it. Nothing is swallowed. */
export async function ordered(button, run, done) {
  if (button) button.disabled = true;
  try {
    const answer = await run();
    const text = typeof done === "function" ? done(answer) : done ?? answer?.message;
    if (text) toast(text);
    return answer;
  } catch (failure) {
    toast(failure.message, "bad");
    return null;
  } finally {
    if (button) button.disabled = false;
  }
}
