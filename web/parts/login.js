// The way in: a token, or a name and a password. What it gives is a cookie that scripts cannot read.

import { h } from "./dom.js";
import { logIn } from "./session.js";

export function showLogin(app, { message, entered }) {
  document.title = "Log in · omni2";
  const alert = h("p", { class: "login-message", role: "alert" }, message ?? "");
  const token = field("Token", { name: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const name = field("User name", { name: "username", type: "text", autocomplete: "username", required: true });
  const password = field("Password", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const byToken = h("div", { class: "stack" }, token.row,
    h("p", { class: "hint" }, "The administrator's token is in the daemon's ", h("code", null, "admin-token"), " file; a token of your own works as well."));
  const byPassword = h("div", { class: "stack", hidden: true }, name.row, password.row);
  const submit = h("button", { class: "primary wide", type: "submit" }, "Log in");
  const form = h("form", { class: "stack", novalidate: true }, byToken, byPassword, submit, alert);

  const choices = h("div", { class: "segments", role: "radiogroup", "aria-label": "Log in with" },
    choice("token", "Token", true), choice("password", "Password", false));

  function choice(value, label, checked) {
    const input = h("input", { type: "radio", name: "with", value, checked, onchange: choose });
    return h("label", { class: "segment" }, input, h("span", null, label));
  }
  function choose() {
    byToken.hidden = isPassword();
    byPassword.hidden = !isPassword();
    alert.textContent = "";
    (isPassword() ? name : token).input.focus();
  }
  const isPassword = () => choices.querySelector("input:checked").value === "password";

  form.addEventListener("submit", async event => {
    event.preventDefault();
    const fields = isPassword() ? [name, password] : [token];
    const empty = fields.find(one => !one.input.value.trim());
    if (empty) {
      alert.textContent = `${empty.label} is missing.`;
      return empty.input.focus();
    }
    submit.disabled = true;
    alert.textContent = "";
    try {
      await logIn(isPassword()
        ? { username: name.input.value.trim(), password: password.input.value }
        : { token: token.input.value.trim() });
      for (const one of [token, password]) one.input.value = "";
      entered();
    } catch (failure) {
      alert.textContent = failure.message;
      fields[fields.length - 1].input.select();
    } finally {
      submit.disabled = false;
    }
  });

  app.replaceChildren(h("main", { class: "login" },
    h("div", { class: "card login-card" },
      h("div", { class: "login-brand" }, h("img", { src: new URL("../icon.svg", import.meta.url), alt: "", width: 40, height: 40 }),
        h("div", null, h("h1", null, "omni2"), h("p", { class: "muted" }, "MCP gateway on ", location.host))),
      choices, form)));
  token.input.focus();
}

let last = 0;
function field(label, options) {
  const id = `login-${++last}`;
  const input = h("input", { id, ...options });
  return { label, input, row: h("div", { class: "field" }, h("label", { for: id }, label), input) };
}
