// The codebook beside the narrative.
import { h, refill } from "./elements.js";

const COMMAND_KEYS = "nus"; // none, unclear, skip
const CATEGORY_KEYS = [..."abcdefghijklmnopqrstuvwxyz"].filter((k) => !COMMAND_KEYS.includes(k));
export const COLOURS = 8;

export function codebookIndex(codebook) {
  const byId = new Map();
  codebook.categories.forEach((category, index) => {
    const text = [category.id, category.label, category.definition, category.neighbour_rule,
      ...category.include, ...category.exclude.map((e) => e.text), ...category.indicators,
      ...category.subcodes].join(" ").toLowerCase();
    byId.set(category.id, {
      ...category, index, text, key: CATEGORY_KEYS[index] ?? "",
      tag: CATEGORY_KEYS[index] ?? String(index + 1),
      colour: index % COLOURS, pattern: Math.floor(index / COLOURS) % 3,
    });
  });
  return byId;
}

export function guideList(title, items) {
  if (!items.length) return null;
  return [h("h3", {}, title), h("ul", {}, items.map((item) => h("li", {}, item)))];
}

// One category's entry in the codebook; `show(id)` opens another one.
export function guideEntry(codebook, byId, category, show) {
  const label = (id) => byId.get(id)?.label ?? id;
  // Ids of categories inside a rule's text become their labels, and links.
  const linked = (text) => text.split(/\b([a-z0-9]+(?:_[a-z0-9]+)+)\b/).map((part) =>
    byId.has(part) ? see(part) : part);
  const see = (id) => byId.has(id)
    ? h("a.link", { href: "#", "data-key": `see-${id}`, onclick: (event) => { event.preventDefault(); show(id); } }, label(id))
    : h("em", {}, label(id));
  const levels = Object.entries(codebook.severity_levels);
  const anchors = category.severity ?? {};
  return [
    h("p.definition", {}, category.definition),
    category.neighbour_rule &&
      h("div.rule", {}, h("h3", {}, "Telling neighbours apart"), h("p", {}, linked(category.neighbour_rule))),
    guideList("Include", category.include.map(linked)),
    guideList("Exclude", category.exclude.map((e) =>
      e.see ? [...linked(e.text), " See ", see(e.see)] : linked(e.text))),
    category.levels.length > 0 && [
      h("h3", {}, "Severity"),
      h("dl.severity", {}, category.levels.map((level) => [
        h("dt", {}, String(level)),
        h("dd", {}, anchors[level] ?? levels.find(([l]) => Number(l) === level)?.[1] ?? ""),
      ])),
      category.always_severe.length > 0 &&
        h("p.always", {}, "Always the highest level: ", category.always_severe.join(" ")),
    ],
    guideList("In the text, for example", category.indicators.map((i) => `“${i}”`)),
    category.subcodes.length > 0 &&
      [h("h3", {}, "Subcodes"), h("p.subcodes", {}, category.subcodes.map((s) => s.replaceAll("_", " ")).join(" · "))],
  ];
}

export function guideRules(codebook) {
  return [
    codebook.unit && h("p.definition", {}, h("strong", {}, "Unit. "), codebook.unit),
    guideList("Rules", codebook.rules),
    Object.keys(codebook.severity_levels).length > 0 && [
      h("h3", {}, "Severity"),
      h("dl.severity", {}, Object.entries(codebook.severity_levels).map(([level, text]) =>
        [h("dt", {}, level), h("dd", {}, text)])),
    ],
    Object.keys(codebook.reserved).length > 0 && [
      h("h3", {}, "Without a category"),
      h("dl", {}, Object.entries(codebook.reserved).map(([name, text]) =>
        [h("dt", {}, name), h("dd", {}, text)])),
    ],
    h("p.version", {}, `${codebook.name}, version ${codebook.version}`),
  ];
}

// The codebook's column; returns a function that shows a category (or the rules for null).
export function guidePanel(section, codebook, byId, onshow) {
  const family = new Map(codebook.families.map((f) => [f.id, f.label]));
  let rules = false;
  let shown = null;
  function draw() {
    const category = rules ? null : shown;
    const tab = (text, on, set) => h("button.tab", {
      type: "button", "data-key": `tab-${text}`, "aria-pressed": String(on),
      onclick: () => { rules = set; draw(); },
    }, text);
    refill(section,
      h("div.column-head", {}, h("h2", {}, "Codebook"),
        h("div.tabs", { role: "group", "aria-label": "Show" },
          tab("Category", !rules, false), tab("Rules", rules, true))),
      h("div.scroll", { tabindex: 0, role: "group", "aria-label": "Codebook text" },
        category
          ? [h("p.family", {}, family.get(category.family) ?? ""),
            h("h3.entry", {}, h("kbd", { "aria-hidden": "true" }, category.tag), category.label),
            guideEntry(codebook, byId, category, (id) => { onshow(id); }).flat(Infinity).filter(Boolean)]
          : [!rules && h("p.hint", {}, "Choose a category to read its definition here."),
            guideRules(codebook).flat(Infinity).filter(Boolean)]));
  }
  draw();
  return (id) => {
    const category = byId.get(id) ?? null;
    if (category === shown && !rules) return;
    shown = category;
    rules = false;
    draw();
    section.querySelector(".scroll").scrollTop = 0;
  };
}
