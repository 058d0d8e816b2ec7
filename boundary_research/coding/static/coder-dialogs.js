// A coder's dialogs: the keys, and the list of her narratives.
import { h, writeSetting } from "./elements.js";
import { STATE_LABELS, dialog } from "./page-parts.js";

export function showHelp(page, state) {
  const toggle = h("input", { type: "checkbox", checked: state.keys, id: "br-keys", onchange: () => {
    state.keys = toggle.checked;
    writeSetting("keys", state.keys ? "on" : "off");
  } });
  const row = (keys, words) => [h("dt", {}, keys.map((k) => h("kbd", {}, k))), h("dd", {}, words)];
  dialog(page, "Keys and rules", h("div.help", {},
    h("dl.keys", {},
      row(["⇧ →", "⇧ Ctrl →"], "Select text in the narrative by character or word (or with the mouse)"),
      row(["a", "…"], "Mark a category, or give it the selected text; again to take it away"),
      row(["0", "1", "2"], "Severity of the category just marked"),
      row(["n"], "None applies"), row(["u"], "Unclear"), row(["s"], "Skip for now and come back"),
      row(["Ctrl Enter"], "Submit and go on"), row(["Ctrl Z"], "Undo, as far back as you like"),
      row(["-", "+"], "Previous, next narrative"), row(["/"], "Search the codebook"),
      row(["Esc"], "Drop the selection"), row(["Tab"], "Go from part to part; ↑ ↓ between categories")),
    h("p", {}, toggle, h("label", { for: "br-keys" }, " Single-key shortcuts")),
    h("p.hint", {}, "Every change is saved at once. “Saved” means that it is on disk. You see no other coder’s work.")));
}

export function showList(page, state, goTo) {
  const box = dialog(page, "My narratives", h("ol.items", {}, state.items.map((item) => h("li", {},
    h("button.item", {
      type: "button", "data-state": item.state, "aria-current": item.position === state.position ? "true" : undefined,
      onclick: async () => { box.close(); await goTo(item.position); },
    }, h("span.number", {}, String(item.position)), h("span.id", {}, item.incident_id),
    h("span.badge", { "data-state": item.state }, STATE_LABELS[item.state]))))));
}
