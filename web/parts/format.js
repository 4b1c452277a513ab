// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en");
export const count = value => whole.format(value ?? 0);

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 ms";
  if (value < 1) return `${Math.max(1, Math.round(value * 1000))} µs`;
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
}

/** 3 d 4 h, 2 h 5 min, 40 s */
export function span(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  const [d, hours, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d) return `${d} d ${hours} h`;
  if (hours) return `${hours} h ${m} min`;
  if (m) return `${m} min ${s} s`;
  return `${s} s`;
}

export const percent = value => `${(value ?? 0).toFixed(value && value < 99.95 ? 1 : 0)} %`;
export const dollars = value => value === null || value === undefined ? "–" : `$${value.toFixed(value && value < 0.1 ? 4 : 2)}`;

/** The daemon writes UTC, with or without its Z. */
export function date(text) {
  if (text === null || text === undefined || text === "") return null;
  if (typeof text === "number") return new Date(text * 1000);
  const value = new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : text + "Z");
  return Number.isNaN(value.getTime()) ? null : value;
}

const two = number => String(number).padStart(2, "0");
export function clock(value, withMilliseconds = false) {
  if (!value) return "–";
  const text = `${two(value.getHours())}:${two(value.getMinutes())}:${two(value.getSeconds())}`;
  return withMilliseconds ? `${text}.${String(value.getMilliseconds()).padStart(3, "0")}` : text;
}
export function moment(value) {
  if (!value) return "–";
  const day = `${value.getFullYear()}-${two(value.getMonth() + 1)}-${two(value.getDate())}`;
  return `${day} ${clock(value)}`;
}
export function ago(value, now = Date.now()) {
  if (!value) return "never";
  const seconds = (now - value.getTime()) / 1000;
  if (seconds < 2) return "now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return moment(value);
}

/** `circuit_open` → `circuit open` */
export const words = text => String(text ?? "").replaceAll("_", " ");
export const json = value => JSON.stringify(value, null, 2);
