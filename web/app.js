// The dashboard begins here: who is there, then the page that the address names.

import * as api from "./parts/api.js";
import { resume, session } from "./parts/session.js";
import { live } from "./parts/live.js";
import { showLogin } from "./parts/login.js";
import { Shell } from "./parts/shell.js";
import * as theme from "./parts/theme.js";
import { h } from "./parts/dom.js";

theme.apply();
const app = document.getElementById("app");
let shell = null;

function open() {
  shell = new Shell(app, { leave: () => close("You have logged out.") });
  shell.start();
  if (session.permission.dashboard_access === "none") return;
  live.start();
  import("./pages/live.js").then(page => page.follow());
}

function close(message) {
  if (!shell) return;
  live.stop();
  shell.stop();
  shell = null;
  showLogin(app, { message, entered: open });
}

api.lost.session = () => close("The session has ended. Log in again.");
live.addEventListener("blocked", event => close(event.detail));

async function begin() {
  try {
    if (await resume()) open();
    else showLogin(app, { entered: open });
  } catch (failure) {
    const again = h("button", { class: "primary", onclick: () => { app.replaceChildren(); begin(); } }, "Try again");
    app.replaceChildren(h("main", { class: "login" }, h("div", { class: "card login-card", role: "alert" },
      h("h1", null, "omni2"), h("p", null, failure.message), again)));
  }
}

begin();
