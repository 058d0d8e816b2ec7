// One category of a coder's list: tick, severity, evidence.
import { h } from "./elements.js";
import { severityGroup } from "./page-parts.js";

export const NEEDS = {
  decision: "a category, None or Unclear",
  evidence: "evidence selected in the text",
  severity: "a severity",
};

// For buttons that act on the selected text: pressing them must not drop the selection.
export const keepSelection = (event) => event.preventDefault();

export function categoryRow(category, state, acts) {
  const present = Object.hasOwn(state.content.categories, category.id);
  const coded = present ? state.content.categories[category.id] : null;
  const suggestion = state.suggestions?.find((s) => s.category === category.id);
  const needs = state.missing.filter((m) => m.category === category.id).map((m) => NEEDS[m.needs]);
  const id = `br-cat-${category.index}`;
  const name = `severity-${category.index}`;
  return h(`div.category.c${category.colour}${present ? ".present" : ""}${state.active === category.id ? ".active" : ""}`, {
    "data-category": category.id,
    onfocusin: () => { if (state.active !== category.id) acts.activate(category.id); },
  },
  h("div.line", {},
    h("input", {
      type: "checkbox", id, checked: present, "data-key": `box-${category.id}`,
      onchange: () => (present && !state.selection ? acts.take(category.id) : acts.addTo(category.id)),
    }),
    h("label", { for: id }, category.label),
    suggestion && h("span.model", {}, `model ${Math.round(100 * suggestion.probability)}%`),
    h("button.about", {
      type: "button", "data-key": `about-${category.id}`, "aria-label": `Codebook entry: ${category.label}`,
      onclick: () => acts.readAbout(category.id),
    }, "?"),
    h("kbd", { "aria-hidden": "true" }, category.key || "·")),
  present && h("div.details", {},
    severityGroup(category, coded.severity, name, (level) => acts.setSeverity(category.id, level)),
    state.selection && h("button.add", {
      type: "button", "data-key": `add-${category.id}`, onmousedown: keepSelection,
      onclick: () => acts.addTo(category.id),
    }, "+ Add selected text"),
    h("ul.spans", { "aria-label": `Evidence for ${category.label}` }, coded.spans.map(([start, end], index) => {
      const words = acts.quote(state.maps.toUnit[start], state.maps.toUnit[end]);
      return h("li.span", {},
        h("button.quote", {
          type: "button", "data-key": `go-${category.id}-${index}`, title: "Show in the text",
          onclick: () => acts.showSpan(start),
        }, `“${words}”`),
        h("button.remove", {
          type: "button", "data-key": `cut-${category.id}-${index}`,
          "aria-label": `Remove evidence “${words}” from ${category.label}`,
          onclick: () => acts.removeSpan(category.id, index),
        }, "✕"));
    })),
    !coded.spans.length && h("p.empty", {}, `Select text, then press ${category.key.toUpperCase() || "Add"}`),
    needs.length > 0 && h("p.needs", {}, `Needed: ${needs.join("; ")}`)));
}
