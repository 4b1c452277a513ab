// What stands around every page: navigation, the state of the connection, who one is. Pages are loaded
// when they are first wanted, get an element to live in, and are ended when another takes their place.

import { h, setText } from "./dom.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { logOut, maySee, mayUse, session } from "./session.js";
import * as theme from "./theme.js";
import { toast } from "./toast.js";

const pages = [
  { id: "servers", title: "Servers" },
  { id: "live", title: "Live", isFor: maySee },
  { id: "flows", title: "Flows" },
  { id: "cache", title: "Cache", isFor: maySee },
  { id: "tools", title: "Tools", isFor: () => mayUse("mcp") },
  { id: "people", title: "People" },
  { id: "system", title: "System" },
  { id: "ask", title: "Ask", isFor: () => mayUse("chat") },
];

export class Shell {
  #app; #leave; #page = null; #name = null; #turn = 0; #tick = 0;
  #onHash = () => this.#go();
  #onState = event => this.#showState(event.detail);

  constructor(app, { leave }) {
    this.#app = app;
    this.#leave = leave;
    this.pages = pages.filter(page => page.isFor?.() ?? true);
  }

  start() {
    this.main = h("main", { id: "main", class: "page", tabindex: "-1" });
    this.#app.replaceChildren(
      h("a", { class: "skip", href: "#main", onclick: event => { event.preventDefault(); this.main.focus(); } }, "Skip to content"),
      this.#header(), this.#navigation(), this.main);
    addEventListener("hashchange", this.#onHash);
    live.addEventListener("state", this.#onState);
    this.#tick = setInterval(() => this.#showState(), 1000);
    this.#showState();
    this.#go();
  }

  stop() {
    removeEventListener("hashchange", this.#onHash);
    live.removeEventListener("state", this.#onState);
    clearInterval(this.#tick);
    this.#page?.stop?.();
    this.#page = null;
    this.#turn += 1;
  }

  #header() {
    this.state = h("span", { class: "state-text" });
    this.chip = h("div", { class: "state", "data-state": "offline" }, h("span", { class: "dot", "aria-hidden": "true" }), this.state);
    this.spoken = h("div", { class: "visually-hidden", role: "status" });
    const themeButton = h("button", { class: "ghost square", onclick: () => paint(theme.next()) });
    const paint = value => {
      themeButton.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[value]));
      themeButton.setAttribute("aria-label", `Colours: ${value}. Change`);
      themeButton.title = `Colours: ${value}`;
    };
    paint(theme.current());
    const role = session.user.role && session.user.role !== session.user.username ? session.user.role : session.permission.dashboard_access;
    return h("header", { class: "top" },
      h("a", { class: "brand", href: "#/servers", "aria-label": "omni2, to the servers" },
        h("img", { src: new URL("../icon.svg", import.meta.url), alt: "", width: 26, height: 26 }), h("span", { class: "brand-name" }, "omni2")),
      this.chip, this.spoken, h("span", { class: "grow" }),
      h("div", { class: "who" }, h("span", { class: "who-name" }, session.user.username), h("span", { class: "who-role" }, role)),
      themeButton,
      session.user.credential === "proxy" ? null : h("button", {
        class: "ghost square", "aria-label": "Log out", title: "Log out",
        onclick: async () => { live.stop(); try { await logOut(); } catch { /* The cookie is dropped either way at the next login. */ } this.#leave(); },
      }, icon("out")));
  }

  #navigation() {
    this.links = new Map(this.pages.map(page => [page.id,
      h("a", { href: `#/${page.id}`, class: "nav-link" }, icon(page.id), h("span", null, page.title))]));
    return h("nav", { class: "side", "aria-label": "Pages" }, h("ul", null, [...this.links.values()].map(link => h("li", null, link))));
  }

  /** The connection, always in sight; changes are spoken as well. */
  #showState(detail) {
    if (!session.permission) return;
    const is = live.state;
    let text;
    if (session.permission.dashboard_access === "none") text = "No live events";
    else if (is === "live") text = "Live";
    else if (is === "catching-up") text = "Catching up…";
    else if (is === "connecting") text = live.attempts ? "Reconnecting…" : "Connecting…";
    else text = `Offline, again in ${Math.max(0, Math.ceil((live.retryAt - Date.now()) / 1000))} s`;
    this.chip.dataset.state = session.permission.dashboard_access === "none" ? "none" : is;
    this.chip.title = live.resyncs ? `Resynchronised ${live.resyncs} times` : "";
    setText(this.state, text);
    if (!detail || detail.isFirst) return;
    if (is === "live") {
      this.#say(detail.isResync
        ? "Connected again. Some events were missed; what is shown was read anew."
        : "Connected again. Nothing was missed.", detail.isResync ? "warn" : "good");
      this.#page?.reconnected?.(detail.isResync);
    } else if (is === "offline" && live.attempts === 1) {
      setText(this.spoken, "The connection to the daemon is lost.");
    }
  }

  #say(text, kind) {
    setText(this.spoken, text);
    toast(text, kind, { isSpoken: false });
  }

  async #go() {
    const [id, ...rest] = decodeURIComponent(location.hash.replace(/^#\/?/, "")).split("/");
    const page = this.pages.find(one => one.id === id);
    if (!page) {
      const wanted = pages.find(one => one.id === id);
      if (wanted) toast(`Your role does not open ${wanted.title}.`, "warn");
      return location.replace(`#/${this.pages[0].id}`);
    }
    if (this.#name === page.id && this.#page) return this.#page.show?.(rest);
    const turn = ++this.#turn;
    this.#page?.stop?.();
    this.#page = null;
    this.#name = page.id;
    for (const [name, link] of this.links) {
      if (name === page.id) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
    this.links.get(page.id).scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${page.title} · omni2`;
    const isFirst = !this.main.firstChild;
    this.main.replaceChildren();
    this.main.dataset.page = page.id;
    try {
      const module = await import(`../pages/${page.id}.js`);
      if (turn !== this.#turn) return;
      this.#page = module.start(this.main, rest) ?? {};
      if (!isFirst) this.main.focus({ preventScroll: true });
    } catch (error) {
      if (turn !== this.#turn) return;
      console.error(error);
      this.main.replaceChildren(h("div", { class: "empty", role: "alert" }, h("h1", null, page.title), h("p", null, `This page could not be opened: ${error.message}`)));
    }
  }
}

