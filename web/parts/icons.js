// Line icons of the navigation and of small buttons, drawn on a grid of 20.

import { h } from "./dom.js";

const paths = {
  servers: "M3 4h14v5H3zM3 11h14v5H3zM6 6.500h.01M6 13.500h.01",
  live: "M2 10h3l2.500-6 4 12 2.500-6h4",
  flows: "M5 3v8a3 3 0 0 0 3 3h7M5 7h10M12.500 4.500 15 7l-2.500 2.500M12.500 11.500 15 14l-2.500 2.500",
  cache: "M11 2 4 11h5l-1 7 8-10h-5z",
  tools: "M12.500 3a4 4 0 0 0-3.700 5.500L3 14.300 5.700 17l5.800-5.800A4 4 0 0 0 17 7.500l-2.500 1.500-2-2L14 4.500A4 4 0 0 0 12.500 3z",
  people: "M7 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.500c.500-3 2.500-4.500 5-4.500s4.500 1.500 5 4.500M13 3.800a3 3 0 0 1 0 5.400M14.500 12.300c2 .500 3.100 2 3.500 4.200",
  system: "M3 3.500h14v10H3zM7 17h6M10 13.500V17M6 8.500h2l1.500-2 2 4 1.200-2H14",
  ask: "M3 4h14v10H9l-4 3v-3H3zM7 8h6M7 10.800h4",
  moon: "M16.500 12A7 7 0 0 1 8 3.500a7 7 0 1 0 8.500 8.500z",
  sun: "M10 6.500a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM10 2v1.500M10 16.500V18M2 10h1.500M16.500 10H18M4.300 4.300l1.100 1.100M14.600 14.600l1.100 1.100M4.300 15.700l1.100-1.100M14.600 5.400l1.100-1.100",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  out: "M8 3H4v14h4M12 6l4 4-4 4M16 10H8",
  plus: "M10 4v12M4 10h12",
  close: "M5 5l10 10M15 5 5 15",
  menu: "M3 5h14M3 10h14M3 15h14",
};

export function icon(name) {
  return h("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" }, h("path", { d: paths[name] }));
}
