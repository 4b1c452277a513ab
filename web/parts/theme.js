// Light, dark, or as the system has it; remembered by the browser.

const order = ["auto", "light", "dark"];
const storage = "omni2.theme";

export function current() {
  const value = localStorage.getItem(storage);
  return order.includes(value) ? value : "auto";
}

export function apply(value = current()) {
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}

export function next() {
  const value = order[(order.indexOf(current()) + 1) % order.length];
  localStorage.setItem(storage, value);
  apply(value);
  return value;
}
