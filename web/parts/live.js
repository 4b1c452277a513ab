// The one WebSocket of the page. Who wants events subscribes here; the connection comes back by itself,
// names the last event it saw, and gets what it missed, or a snapshot when the daemon's log does not
// reach back that far, which it says.
//
// Coming back: connect → initial_status → subscribe again → resume since the last number → resumed, or a
// snapshot marked resync. Until then events are passed over: `resume` sends them once more, in order.

import { base } from "./api.js";

const delays = [250, 500, 1000, 2000, 4000, 8000, 15000];
/** The daemon says something at least every 20 s; a line that is silent for longer is dead. */
const silence = 70_000;
/** Events of which a page needs every one are rare; a frame's worth is handed over at once. */
const batchMax = 20_000;

class Live extends EventTarget {
  state = "offline";       // offline, connecting, catching-up, live
  /** Of the newest event seen; null before the first connection. */
  sequence = null;
  attempts = 0;
  retryAt = 0;
  resyncs = 0;
  received = 0;
  snapshot = [];
  #socket = null;
  #timer = 0;
  #watchdog = 0;
  #wanted = false;
  #types = new Map();      // type → number of subscribers
  #sent = new Set();
  #takers = new Set();
  #batch = [];
  #isScheduled = false;

  /** `take(events)` gets all events of these types, a frame's worth at a time. Returns the way out. */
  subscribe(types, take) {
    const taker = { types: new Set(types), take };
    this.#takers.add(taker);
    for (const type of types) this.#types.set(type, (this.#types.get(type) ?? 0) + 1);
    this.#subscribeMissing();
    return () => {
      if (!this.#takers.delete(taker)) return;
      for (const type of types) {
        const left = this.#types.get(type) - 1;
        if (left) this.#types.set(type, left); else this.#types.delete(type);
      }
    };
  }

  start() {
    this.#wanted = true;
    if (!this.#socket) this.#connect();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.sequence = null;
    this.#become("offline");
  }

  /** Does not wait for the next attempt. */
  now() {
    if (!this.#wanted || this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** Lets go of the connection as if the network had; it comes back by itself. */
  hangUp() { this.#socket?.close(); }

  #become(state, detail = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail }));
  }

  #connect() {
    const url = new URL("ws", base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#become("connecting");
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#sent = new Set();
    socket.onmessage = message => { if (socket === this.#socket) this.#received(message.data); };
    socket.onclose = close => { if (socket === this.#socket) this.#closed(close); };
    this.#watch();
  }

  #closed(close) {
    this.#socket = null;
    clearTimeout(this.#watchdog);
    if (!this.#wanted) return;
    const delay = delays[Math.min(this.attempts, delays.length - 1)] * (0.75 + Math.random() / 2);
    this.attempts += 1;
    this.retryAt = Date.now() + delay;
    this.#become("offline", { code: close.code, reason: close.reason });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#socket?.close(), silence);
  }

  #send(message) { this.#socket?.send(JSON.stringify(message)); }

  #subscribeMissing() {
    if (this.state !== "live" && this.state !== "catching-up") return;
    const missing = [...this.#types.keys()].filter(type => !this.#sent.has(type));
    if (!missing.length) return;
    for (const type of missing) this.#sent.add(type);
    this.#send({ action: "subscribe", event_types: missing, filters: {} });
  }

  #received(text) {
    if (text === "pong") return;
    let event;
    try { event = JSON.parse(text); } catch { return; }
    this.#watch();
    switch (event.type) {
    case "initial_status": return this.#greeted(event);
    case "resumed": return this.#isLive(false);
    case "subscribed": case "unsubscribed": case "metadata": case "published": return;
    case "blocked": return this.dispatchEvent(new CustomEvent("blocked", { detail: event.message }));
    case "error": return console.warn("the hub refused:", event.error);
    }
    // What comes before `resumed` comes again after it.
    if (this.state !== "live") return;
    if (event.seq !== undefined) {
      if (event.seq <= this.sequence) return;
      this.sequence = event.seq;
    }
    this.received += 1;
    this.#hand(event);
  }

  #greeted(event) {
    this.snapshot = event.mcps;
    this.dispatchEvent(new CustomEvent("snapshot", { detail: event }));
    if (event.resync) {
      this.resyncs += 1;
      this.sequence = event.seq;
      return this.#isLive(true);
    }
    this.state = "catching-up";
    this.#subscribeMissing();
    if (this.sequence === null) {
      this.sequence = event.seq;
      return this.#isLive(false, true);
    }
    this.#become("catching-up");
    this.#send({ action: "resume", since: this.sequence });
  }

  #isLive(isResync, isFirst = false) {
    this.attempts = 0;
    this.#become("live", { isResync, isFirst });
    this.#subscribeMissing();
  }

  #hand(event) {
    this.#batch.push(event);
    if (this.#batch.length >= batchMax) return this.#flush();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const flush = () => { this.#isScheduled = false; this.#flush(); };
    if (document.hidden) setTimeout(flush, 500); else requestAnimationFrame(flush);
  }

  #flush() {
    const batch = this.#batch;
    this.#batch = [];
    for (const taker of [...this.#takers]) {
      const mine = batch.filter(event => taker.types.has(event.topic ?? event.type) || taker.types.has(event.type));
      if (mine.length) taker.take(mine);
    }
  }
}

export const live = new Live();
addEventListener("online", () => live.now());
document.addEventListener("visibilitychange", () => { if (!document.hidden) live.now(); });
