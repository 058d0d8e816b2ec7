// Making elements, and small things that every part needs.

// h("button.primary", { onclick, "aria-label": text }, children)
export function h(selector, properties = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// Replaces an element's children and gives the focus back to the one with the same data-key.
export function refill(element, ...children) {
  const focused = element.getRootNode().activeElement;
  const key = element.contains(focused) ? focused.dataset.key : undefined;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key === undefined) return;
  const again = [...element.querySelectorAll("[data-key]")].find((e) => e.dataset.key === key);
  again?.focus({ preventScroll: true });
}

export const newSaveId = () =>
  [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
export const clock = (iso) =>
  new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

export const RETRY_PAUSES = [500, 1000, 2000, 4000];

export function readSetting(name) {
  try { return localStorage.getItem(`boundary-research-${name}`); } catch { return null; }
}
export function writeSetting(name, value) {
  try { localStorage.setItem(`boundary-research-${name}`, value); } catch { /* kept for this visit */ }
}
