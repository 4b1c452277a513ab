// Tabs as screen readers and keyboards know them: arrows move, each controls its panel.

import { h, uid } from "./dom.js";

/** `list` of `{id, title, content()}`; content is made when it is first shown. */
export function tabs(label, list, onchange = () => {}) {
  const state = { current: null };
  const panel = h("div");
  const buttons = list.map(one => h("button", { class: "tab", role: "tab", id: uid("tab"), type: "button", onclick: () => open(one.id) }, one.title));
  const panels = new Map();
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": label, onkeydown: event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const index = list.findIndex(one => one.id === state.current);
    const next = (index + step + list.length) % list.length;
    open(list[next].id);
    buttons[next].focus();
  } }, buttons);

  function open(id) {
    state.current = id;
    list.forEach((one, index) => {
      const isOpen = one.id === id;
      buttons[index].setAttribute("aria-selected", String(isOpen));
      buttons[index].tabIndex = isOpen ? 0 : -1;
      if (isOpen && !panels.has(id)) {
        const content = h("div", { role: "tabpanel", id: uid("panel"), "aria-labelledby": buttons[index].id }, one.content());
        buttons[index].setAttribute("aria-controls", content.id);
        panels.set(id, content);
        panel.append(content);
      }
      if (panels.has(one.id)) panels.get(one.id).hidden = !isOpen;
    });
    onchange(id);
  }
  state.element = h("div", null, bar, panel);
  state.open = open;
  queueMicrotask(() => { if (!state.current) open(list[0].id); });
  return state;
}
