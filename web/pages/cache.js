// What the cache saves: its hit rate over time, what lies in it, and how to be rid of it.

import { h, keyed, part, perFrame, setText } from "../parts/dom.js";
import { get, post, query, remove } from "../parts/api.js";
import { live } from "../parts/live.js";
import { mayAdminister, mayOperate } from "../parts/session.js";
import { ago, bytes, clock, count, date, json, percent, span } from "../parts/format.js";
import { chart } from "../parts/chart.js";
import { ordered } from "../parts/toast.js";
import { confirm, dialog } from "../parts/dialog.js";
import { tile } from "../parts/tiles.js";

const pointsMax = 360;
const interval = 5000;
// Outlives the page.
const kept = { points: [], last: null };

export function start(main) {
  let statistics = null, entries = [], isStopped = false, chosen = "";

  const tiles = h("div", { class: "tiles" });
  const place = h("div", { class: "card-body" });
  const groups = h("tbody");
  const rows = h("tbody");
  const none = h("div", { class: "empty" });
  const title = h("h2", null, "Entries");
  main.append(
    h("div", { class: "page-head" }, h("h1", null, "Cache"), h("span", { class: "grow" }),
      mayOperate() ? h("button", { class: "danger", onclick: event => forget(event.currentTarget, {}) }, "Invalidate everything") : null),
    h("div", { class: "stack" }, tiles,
      h("section", { class: "card", "aria-label": "Hit rate" }, h("div", { class: "card-head" }, h("h2", null, "Hit rate"), h("span", { class: "muted" }, "of the calls in each five seconds")), place),
      mayOperate() ? h("div", { class: "split even cache-split" },
        h("section", { class: "card", "aria-label": "By tool" }, h("div", { class: "card-head" }, h("h2", null, "By server and tool")),
          h("div", { class: "table-wrap" }, h("table", null, h("thead", null, h("tr", null, h("th", { scope: "col" }, "Tool"), h("th", { scope: "col", class: "number" }, "Entries"), h("th", { scope: "col", class: "number" }, "Size"), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Actions")))), groups))),
        h("section", { class: "card", "aria-label": "Entries" }, h("div", { class: "card-head" }, title),
          h("div", { class: "table-wrap" }, h("table", { class: "cards" }, h("thead", null, h("tr", null, ["Key", "Hits", "Size", "Stored", "Expires", "Scope"].map((text, index) => h("th", { scope: "col", class: index === 1 || index === 2 ? "number" : null }, text)), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Actions")))), rows)), none))
        : h("p", { class: "hint" }, "Entries are what others asked: your role sees the figures.")));

  async function read() {
    try {
      const answer = await get("api/v1/cache/stats");
      if (isStopped) return;
      take(answer.data);
      if (mayOperate()) {
        entries = (await get("api/v1/cache/entries" + query({ limit: 1000 }))).data;
      }
      draw();
    } catch (failure) {
      if (!statistics) place.replaceChildren(h("p", { class: "empty" }, failure.message));
    }
  }

  function take(value) {
    statistics = value;
    const before = kept.last;
    kept.last = { hits: value.hits, misses: value.misses };
    if (!before) return;
    const hits = value.hits - before.hits, misses = value.misses - before.misses;
    // A restart counts from nothing; a time without calls has no rate.
    const rate = hits < 0 || hits + misses === 0 ? null : hits / (hits + misses) * 100;
    kept.points.push({ at: new Date(), rate });
    if (kept.points.length > pointsMax) kept.points.shift();
  }

  const draw = perFrame(() => {
    if (isStopped || !statistics) return;
    const asked = statistics.hits + statistics.misses;
    tiles.replaceChildren(
      tile("Hit rate", percent(statistics.hit_rate_percent), `${count(statistics.hits)} of ${count(asked)} asked`),
      tile("Entries", count(statistics.size), `of ${count(statistics.max_size)} at most`, statistics.size / statistics.max_size),
      tile("Size", bytes(statistics.bytes), "in shared memory"),
      tile("Sibling hits", count(statistics.sibling_hits), "read by other processes"),
      tile("Evicted", count(statistics.evictions), `${count(statistics.expirations)} expired`),
      tile("Invalidated", count(statistics.invalidations), ""));
    const points = kept.points;
    place.replaceChildren(points.some(point => point.rate !== null)
      ? chart(points.map(point => point.rate), { label: `Hit rate since ${clock(points[0].at)}, now ${percent(points.findLast(point => point.rate !== null).rate)}`, top: 100, unit: " %", times: [clock(points[0].at), "now"], steps: Math.max(points.length, 24) })
      : h("p", { class: "empty" }, "No calls since this page was opened. The curve begins with the next one."));
    if (mayOperate()) drawEntries();
  });

  function drawEntries() {
    const byTool = new Map();
    for (const entry of entries) {
      const key = `${entry.server}\n${entry.tool}`;
      const group = byTool.get(key) ?? { key, server: entry.server, tool: entry.tool, entries: 0, bytes: 0 };
      group.entries += 1;
      group.bytes += entry.bytes;
      byTool.set(key, group);
    }
    if (chosen && !byTool.has(chosen)) chosen = "";
    keyed(groups, [...byTool.values()].sort((a, b) => b.entries - a.entries), group => group.key, group => h("tr", { class: "choice", onclick: () => { chosen = chosen === group.key ? "" : group.key; draw(); } },
      h("td", null, h("button", { class: "link", "data-part": "pick" }, group.tool), h("div", { class: "muted" }, group.server)),
      h("td", { class: "number", "data-part": "entries" }), h("td", { class: "number nowrap", "data-part": "bytes" }),
      h("td", null, h("button", { class: "small", "aria-label": `Invalidate ${group.tool} of ${group.server}`, onclick: event => { event.stopPropagation(); forget(event.currentTarget, { server: group.server, tool: group.tool }); } }, "Invalidate"))), (row, group) => {
      row.classList.toggle("chosen", group.key === chosen);
      part(row, "pick").setAttribute("aria-pressed", String(group.key === chosen));
      setText(part(row, "entries"), count(group.entries));
      setText(part(row, "bytes"), bytes(group.bytes));
    });
    const shown = entries.filter(entry => !chosen || `${entry.server}\n${entry.tool}` === chosen);
    setText(title, chosen ? `Entries of ${chosen.split("\n")[1]}` : entries.length === 1000 ? "The 1,000 used last" : "Entries");
    keyed(rows, shown.slice(0, 200), entry => entry.key, entry => h("tr", null,
      h("td", { class: "lead" }, mayAdminister() ? h("button", { class: "link mono", title: entry.key, onclick: () => show(entry) }, entry.key.slice(0, 12)) : h("code", { title: entry.key }, entry.key.slice(0, 12)), h("div", { class: "muted clip" }, `${entry.server} · ${entry.tool}`)),
      h("td", { class: "number", "data-part": "hits", "data-label": "Hits" }), h("td", { class: "number nowrap", "data-label": "Size" }, bytes(entry.bytes)),
      h("td", { class: "nowrap muted", "data-part": "stored", "data-label": "Stored" }), h("td", { class: "nowrap", "data-part": "left", "data-label": "Expires" }),
      h("td", { "data-label": "Scope" }, entry.scope), h("td", null, h("button", { class: "small", "aria-label": `Forget ${entry.key.slice(0, 12)}`, onclick: async event => {
        if (await ordered(event.currentTarget, () => remove(`api/v1/cache/entries/${entry.key}`), "The entry is forgotten.")) read();
      } }, "Forget"))), (row, entry) => {
      setText(part(row, "hits"), count(entry.hits));
      setText(part(row, "stored"), ago(date(entry.stored_at)));
      setText(part(row, "left"), `in ${span((date(entry.expires_at) - Date.now()) / 1000)}`);
    });
    none.hidden = shown.length > 0;
    none.replaceChildren(h("p", null, "The cache is empty. Servers opt in with a cache policy; then repeated read-only calls end up here."));
  }

  async function show(entry) {
    const answer = await ordered(null, () => get(`api/v1/cache/entries/${entry.key}`), () => null);
    if (answer) dialog(`${entry.server} · ${entry.tool}`, h("pre", { class: "code", tabindex: 0, role: "group", "aria-label": "The kept result" }, json(answer.value)), { isWide: true });
  }

  async function forget(button, what) {
    const name = what.tool ? `${what.tool} of ${what.server}` : "everything";
    if (!what.tool && !await confirm("Invalidate everything?", "The next call of each tool goes to its server again.", "Invalidate")) return;
    if (await ordered(button, () => post("api/v1/cache/invalidate" + query(what)), answer => `${count(answer.invalidated)} entries of ${name} are forgotten.`)) read();
  }

  let timer = 0;
  const leave = live.subscribe(["cache_invalidated"], () => { clearTimeout(timer); timer = setTimeout(read, 200); });
  const net = setInterval(read, interval);
  read();
  return { reconnected: read, stop() { isStopped = true; leave(); clearInterval(net); clearTimeout(timer); } };
}
