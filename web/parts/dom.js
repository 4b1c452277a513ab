// Elements without a framework: `h` makes one, `keyed` keeps a list in step with its items.
// Text is only ever set as text, so that nothing a server says becomes markup.

const SVG = "http://www.w3.org/2000/svg";
const svgNames = new Set(["svg", "path", "rect", "circle", "g", "line", "polyline", "title"]);
const properties = new Set(["value", "checked", "disabled", "selected", "hidden", "open"]);

/** h("button", {class: "plain", onclick: run, "aria-label": "Close"}, "×") */
export function h(name, options, ...children) {
  const isSVG = svgNames.has(name);
  const element = isSVG ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(options ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "text") element.textContent = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "vars") vars(element, value);
    else if (properties.has(key) && !isSVG) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

/** Custom properties: what CSS needs to know of the data. */
export function vars(element, values) {
  for (const [name, value] of Object.entries(values)) element.style.setProperty(`--${name}`, value);
}

/** Sets text only where it differs, so that selections and screen readers are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes `parent`'s children stand for `items`, in their order, keeping the elements of known keys. */
export function keyed(parent, items, keyOf, make, update) {
  const known = new Map();
  for (const child of parent.children) known.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let element = known.get(key);
    if (element) {
      known.delete(key);
    } else {
      element = make(item);
      element.dataset.key = key;
    }
    update?.(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of known.values()) element.remove();
}

export const part = (element, name) => element.querySelector(`[data-part="${name}"]`);

/** Runs at most once per animation frame, however often it is called; also in a hidden tab, slowly. */
export function perFrame(run) {
  let isDue = false;
  const step = () => {
    if (!isDue) return;
    isDue = false;
    run();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    if (document.hidden) setTimeout(step, 1000);
    else requestAnimationFrame(step);
  };
}

/** Runs once the calls have paused. */
export function settled(run, milliseconds = 150) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), milliseconds);
  };
}

export const uid = (() => {
  let last = 0;
  return (prefix = "id") => `${prefix}-${++last}`;
})();
