// Modal dialogs on the browser's own <dialog>: focus stays inside, Escape closes, and comes back to
// where it was.

import { h, uid } from "./dom.js";
import { icon } from "./icons.js";

/** `content` is put below the title; the dialog is removed when it closes. */
export function dialog(title, content, { isWide = false } = {}) {
  const id = uid("dialog");
  const element = h("dialog", { class: isWide ? "wide" : null, "aria-labelledby": id },
    h("div", { class: "dialog-head" }, h("h2", { id }, title),
      h("button", { class: "ghost square", type: "button", "aria-label": "Close", onclick: () => element.close() }, icon("close"))),
    content);
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

/** Resolves to true when the person agrees. */
export function confirm(title, text, word, { isDangerous = true } = {}) {
  return new Promise(resolve => {
    let isAgreed = false;
    const agree = h("button", { class: isDangerous ? "danger" : "primary", type: "button", onclick: () => { isAgreed = true; box.close(); } }, word);
    const box = dialog(title, h("div", { class: "stack" }, h("p", null, text),
      h("div", { class: "buttons end" }, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), agree)));
    box.addEventListener("close", () => resolve(isAgreed));
    agree.focus();
  });
}

/** A form in a dialog: `fields` are elements, `save(data)` may throw, which is shown and keeps it open. */
export function formDialog(title, fields, word, save, options) {
  const problem = h("p", { class: "problem", role: "alert" });
  const submit = h("button", { class: "primary", type: "submit" }, word);
  const form = h("form", { class: "stack", novalidate: true }, fields, problem,
    h("div", { class: "buttons end" }, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), submit));
  form.addEventListener("submit", async event => {
    event.preventDefault();
    problem.textContent = "";
    const invalid = form.querySelector(":invalid");
    if (invalid) {
      problem.textContent = `${invalid.labels?.[0]?.textContent ?? invalid.name}: ${invalid.validationMessage}`;
      return invalid.focus();
    }
    submit.disabled = true;
    try {
      if (await save(form) !== false) box.close();
    } catch (failure) {
      problem.textContent = failure.message;
    } finally {
      submit.disabled = false;
    }
  });
  const box = dialog(title, form, options);
  form.querySelector("input, select, textarea")?.focus();
  return box;
}

/** A label with its control below, and a hint that belongs to it. */
export function field(label, control, hint) {
  control.id ||= uid("field");
  const note = hint ? h("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

export function select(options, value, more = {}) {
  return h("select", more, options.map(one => {
    const [key, label] = Array.isArray(one) ? one : [one, one];
    return h("option", { value: key, selected: String(key) === String(value) }, label);
  }));
}
