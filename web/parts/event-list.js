// A list of any length of which only the rows in sight exist, newest on top. Rows are reused as they
// scroll. A listbox to keyboards and screen readers: arrows, Home, End and Page keys choose.

import { h } from "./dom.js";
import { clock, words } from "./format.js";

const height = 30;
const spare = 6;

export class EventList {
  #item; #onchoose; #count = 0; #rows = new Map(); #free = []; #chosen = null; #observer;

  /** `item(place)`: place 0 is the oldest. */
  constructor({ label, item, onchoose }) {
    this.#item = item;
    this.#onchoose = onchoose;
    this.space = h("div", { class: "events-space", role: "presentation" });
    this.element = h("div", { class: "events", role: "listbox", tabindex: 0, "aria-label": label,
      onscroll: () => this.#draw(), onkeydown: event => this.#key(event),
      onclick: event => { const row = event.target.closest(".event"); if (row) this.choose(Number(row.dataset.place)); } }, this.space);
    this.#observer = new ResizeObserver(() => this.#draw());
    this.#observer.observe(this.element);
  }

  stop() { this.#observer.disconnect(); }

  reset(count) {
    this.#count = count;
    this.element.scrollTop = 0;
    this.choose(null);
    this.#draw(true);
  }

  /** `added` rows came on top; who has scrolled down keeps what is in sight. */
  changed(count, added) {
    const shift = count - this.#count;
    const removed = added - shift;
    if (this.#chosen !== null && removed > 0) {
      this.#chosen -= removed;
      if (this.#chosen < 0) { this.#chosen = null; this.#onchoose(null); }
    }
    this.#count = count;
    const top = this.element.scrollTop;
    this.#draw(true);
    if (top > 0 && added > 0) this.element.scrollTop = top + added * height;
  }

  choose(place) {
    this.#chosen = place;
    this.#onchoose(place);
    this.#draw(true);
  }

  #top(place) { return (this.#count - 1 - place) * height; }

  #key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / height) - 1);
    const steps = { ArrowDown: -1, ArrowUp: 1, PageDown: -page, PageUp: page, Home: Infinity, End: -Infinity };
    if (event.key === "Escape" && this.#chosen !== null) return this.choose(null);
    if (!(event.key in steps) || !this.#count) return;
    event.preventDefault();
    const from = this.#chosen ?? this.#count;
    const place = Math.min(this.#count - 1, Math.max(0, from + steps[event.key]));
    const top = this.#top(place);
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    if (top + height > this.element.scrollTop + this.element.clientHeight) this.element.scrollTop = top + height - this.element.clientHeight;
    this.choose(place);
  }

  #draw(isChanged = false) {
    if (isChanged) this.space.style.height = `${this.#count * height}px`;
    const first = Math.max(0, Math.floor(this.element.scrollTop / height) - spare);
    const last = Math.min(this.#count - 1, Math.ceil((this.element.scrollTop + this.element.clientHeight) / height) + spare);
    const wanted = new Map();
    for (let line = first; line <= last; line += 1) {
      const place = this.#count - 1 - line;
      const item = this.#item(place);
      if (item) wanted.set(item, place);
    }
    for (const [item, row] of this.#rows) if (!wanted.has(item)) { this.#rows.delete(item); this.#free.push(row); }
    // In the order of the list, for whoever reads it without seeing where the rows are.
    let next = this.space.firstElementChild;
    for (const [item, place] of wanted) {
      let row = this.#rows.get(item);
      if (!row) {
        row = this.#free.pop() ?? this.#make();
        this.#rows.set(item, row);
        this.#fill(row, item);
      }
      if (row === next) next = next.nextElementSibling; else this.space.insertBefore(row, next);
      row.dataset.place = place;
      row.style.transform = `translateY(${this.#top(place)}px)`;
      row.setAttribute("aria-posinset", this.#count - place);
      row.setAttribute("aria-setsize", this.#count);
      row.setAttribute("aria-selected", String(place === this.#chosen));
      if (place === this.#chosen) this.element.setAttribute("aria-activedescendant", row.id);
    }
    if (this.#chosen === null) this.element.removeAttribute("aria-activedescendant");
    for (const row of this.#free) row.remove();
    this.#free.length = Math.min(this.#free.length, 60);
  }

  #make() { return h("div", { class: "event", role: "option", id: `event-${EventList.last = (EventList.last ?? 0) + 1}` }, h("span"), h("span"), h("span"), h("span")); }

  #fill(row, item) {
    row.className = `event ${item.isMark ? "mark" : item.severity}`;
    const [time, type, server, text] = row.children;
    time.className = "number muted";
    type.className = item.isMark ? "" : "event-type";
    time.textContent = clock(item.time, true);
    type.textContent = item.isMark ? "" : words(item.type);
    server.textContent = item.server;
    text.textContent = item.text;
    if (item.isMark) { type.textContent = item.text; text.textContent = ""; }
  }
}
