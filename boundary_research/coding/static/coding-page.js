// The coding page, shared by its two hosts: a page served on its own (served-page.js) and a
// notebook cell (the default export, an anywidget). A host gives `request(method, path, body)`,
// which resolves to { status, content } and rejects when there was no answer.

const SEVERITY_KEYS = "012";
const COMMAND_KEYS = "nus";
const CATEGORY_KEYS = [..."abcdefghijklmnopqrstuvwxyz"].filter((k) => !COMMAND_KEYS.includes(k));
const COLOURS = 8;
const NOTE_PAUSE = 700;
const RETRY_PAUSES = [500, 1000, 2000, 4000];
const STATE_LABELS = {
  untouched: "Not started",
  open: "In work",
  skipped: "Skipped",
  submitted: "Submitted",
};
const NEEDS = {
  decision: "a category, None or Unclear",
  evidence: "evidence selected in the text",
  severity: "a severity",
};

// ---------------------------------------------------------------------------------- elements

// h("button.primary", { onclick, "aria-label": text }, children)
function h(selector, properties = {}, ...children) {
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
function refill(element, ...children) {
  const focused = element.getRootNode().activeElement;
  const key = element.contains(focused) ? focused.dataset.key : undefined;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key === undefined) return;
  const again = [...element.querySelectorAll("[data-key]")].find((e) => e.dataset.key === key);
  again?.focus({ preventScroll: true });
}

const newSaveId = () =>
  [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
const clock = (iso) =>
  new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// ------------------------------------------------------------------------------ text offsets

// The store counts Unicode code points; JavaScript counts UTF-16 units. These maps go both ways;
// a position in the middle of a surrogate pair counts as the pair's start.
export function offsetMaps(text) {
  const toPoint = new Uint32Array(text.length + 1);
  const toUnit = [];
  let unit = 0;
  for (const character of text) {
    for (let i = 0; i < character.length; i += 1) toPoint[unit + i] = toUnit.length;
    toUnit.push(unit);
    unit += character.length;
  }
  toPoint[text.length] = toUnit.length;
  toUnit.push(text.length);
  return { toPoint, toUnit };
}

function trimmedSpan(text, start, end) {
  while (start < end && /\s/.test(text[start])) start += 1;
  while (end > start && /\s/.test(text[end - 1])) end -= 1;
  return end > start ? { start, end } : null;
}

function unitsBefore(root, node, offset) {
  const range = document.createRange();
  range.setStart(root, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}

function positionAt(root, unit) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let left = unit;
  let last = null;
  while (walker.nextNode()) {
    last = walker.currentNode;
    if (left <= last.length) return [last, left];
    left -= last.length;
  }
  return last ? [last, last.length] : [root, 0];
}

function readSelection(root) {
  const owner = root.getRootNode();
  const selection = (owner.getSelection ? owner : document).getSelection();
  if (!selection?.anchorNode || !root.contains(selection.anchorNode)) return null;
  if (!root.contains(selection.focusNode)) return null;
  const anchor = unitsBefore(root, selection.anchorNode, selection.anchorOffset);
  const focus = unitsBefore(root, selection.focusNode, selection.focusOffset);
  return { anchor, focus };
}

function writeSelection(root, { anchor, focus }) {
  const [a, i] = positionAt(root, anchor);
  const [b, j] = positionAt(root, focus);
  document.getSelection().setBaseAndExtent(a, i, b, j);
}

// Fills `root` with the text, cut at every edge of a span. `layers` are spans in UTF-16 units:
// { start, end, colour, pattern, tag, strong }. The text itself is not changed by a character.
function paintText(root, text, layers) {
  const edges = new Set([0, text.length]);
  for (const { start, end } of layers) edges.add(start).add(end);
  const cuts = [...edges].sort((a, b) => a - b);
  const pieces = [];
  for (let i = 0; i + 1 < cuts.length; i += 1) {
    const piece = text.slice(cuts[i], cuts[i + 1]);
    const over = layers.filter((l) => l.start <= cuts[i] && l.end >= cuts[i + 1]);
    if (!over.length) {
      pieces.push(document.createTextNode(piece));
      continue;
    }
    const strong = over.find((layer) => layer.strong);
    const mark = h(`mark.c${(strong ?? over[0]).colour}${strong ? ".strong" : ""}`, {
      "data-tag": over.filter((l) => l.start === cuts[i]).map((l) => l.tag).join(" ") || undefined,
    }, piece);
    // One line under the text for each category, in its colour and pattern.
    over.slice(0, 4).forEach((layer, row) => {
      mark.style.setProperty(`--line${row}`, `var(--pattern${layer.pattern}-${layer.colour})`);
      mark.style.setProperty(`--height${row}`, "2.5px");
    });
    mark.style.setProperty("padding-bottom", `${1 + 3.5 * Math.min(over.length, 4)}px`);
    pieces.push(mark);
  }
  root.replaceChildren(...pieces);
}

// --------------------------------------------------------------------------- parts of the page

function shell(root, titled, session) {
  const announcer = h("div.hidden", { role: "status", "aria-live": "polite" });
  const status = h("span.status", { "data-state": "idle" });
  const alert = h("div.alert", { role: "alert" });
  const progress = h("div.so-far");
  const tools = h("div.tools");
  const header = h("header.top", {},
    h("div.study", {},
      h("h1", {}, session.study),
      h("span.who", {}, `${session.role === "coder" ? "Coder" : "Adjudicator"} ${session.coder_id}`)),
    progress, status, tools);
  const main = h("main.body");
  const footer = h("footer.actions", { "aria-label": "Actions" });
  const frame = h("div.frame", {}, header, alert, main, footer, announcer);
  root.classList.add("br-coding");
  root.replaceChildren(frame);
  if (titled) document.title = `${session.study} – coding page`;
  return {
    root, frame, progress, tools, main, footer, alert, status,
    announce: (text) => { announcer.textContent = text; },
    setStatus: (state, text) => { status.dataset.state = state; status.textContent = text; },
    setAlert: (...content) => { alert.replaceChildren(...content.filter(Boolean)); },
  };
}

function dialog(page, title, ...content) {
  const id = `br-${newSaveId()}`;
  const opener = page.root.getRootNode().activeElement;
  const box = h("dialog", { "aria-labelledby": id },
    h("div.dialog-head", {}, h("h2", { id }, title),
      h("button.quiet", { type: "button", "aria-label": "Close", onclick: () => box.close() }, "✕")),
    ...content);
  box.addEventListener("close", () => { box.remove(); opener?.focus?.(); });
  page.frame.append(box);
  box.showModal();
  return box;
}

function codebookIndex(codebook) {
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

function guideList(title, items) {
  if (!items.length) return null;
  return [h("h3", {}, title), h("ul", {}, items.map((item) => h("li", {}, item)))];
}

// One category's entry in the codebook; `show(id)` opens another one.
function guideEntry(codebook, byId, category, show) {
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

function guideRules(codebook) {
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
function guidePanel(section, codebook, byId, onshow) {
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

function severityGroup(category, value, name, onchange) {
  if (!category.levels.length) return null;
  return h("div.levels", { role: "radiogroup", "aria-label": `Severity of ${category.label}` },
    h("span.levels-label", { "aria-hidden": "true" }, "Severity"),
    category.levels.map((level) => h("label.level", { title: category.severity?.[level] ?? "" },
      h("input", {
        type: "radio", name, value: String(level), checked: value === level,
        "data-key": `${name}-${level}`, onchange: () => onchange(level),
      }), h("span", {}, String(level)))));
}

function progressBar(page, done, total, what) {
  const bar = h("div.bar", {
    role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": total,
    "aria-valuenow": done, "aria-valuetext": `${done} of ${total} ${what}`,
  }, h("span.fill"));
  bar.firstChild.style.setProperty("width", `${total ? (100 * done) / total : 0}%`);
  page.progress.replaceChildren(bar, h("span.count", { "aria-hidden": "true" }, `${done} of ${total} ${what}`));
}

// -------------------------------------------------------------------------------------- saving

// Sends changes one after the other, each until it is answered: a change whose answer got lost is
// sent again with the same save_id, which the store saves once.
function saver(request, page, { onsaved, onrefused, onlost }) {
  const jobs = [];
  let running = null;

  async function send(job) {
    for (let attempt = 0; ; attempt += 1) {
      page.setStatus("saving", "Saving…");
      let answer = null;
      try {
        answer = await request(job.method, job.path, { ...job.body, expected: job.expected() });
      } catch { /* no answer: tried again below */ }
      if (answer && answer.status < 500) return answer;
      page.setStatus("failed", "Not saved – trying again. Keep this page open.");
      if (attempt === 0) page.announce("Not saved. Trying again.");
      await pause(RETRY_PAUSES[Math.min(attempt, RETRY_PAUSES.length - 1)]);
    }
  }

  async function run() {
    while (jobs.length) {
      const job = jobs[0];
      const answer = await send(job);
      jobs.shift();
      if (answer.status === 200) {
        onsaved(answer.content, jobs.length === 0);
      } else if (answer.status !== 422) {
        for (const dropped of jobs.splice(0)) dropped.resolve({ status: 0, content: {} });
        await onlost(answer);
      } else if (!jobs.length) {
        onrefused();
      }
      job.resolve(answer);
    }
    running = null;
  }

  return {
    pending: () => jobs.length > 0,
    add(method, path, body, expected) {
      return new Promise((resolve) => {
        jobs.push({ method, path, body: { ...body, save_id: newSaveId() }, expected, resolve });
        running ??= run();
      });
    },
    async settle() { while (running) await running; },
  };
}

// --------------------------------------------------------------------------------- coders' page

function coderPage(page, request, session) {
  const { codebook } = session;
  const byId = codebookIndex(codebook);
  const families = new Map(codebook.families.map((f) => [f.id, f.label]));
  const state = {
    items: session.items, position: null, narrative: "", shown: "", maps: null, content: null,
    revision: null, saved: null, recorded: "untouched", canUndo: false, active: null,
    selection: null, query: "", suggestions: null, keys: readSetting("keys") !== "off", missing: [], busy: false,
  };

  // -- the page's fixed elements

  const heading = h("h2");
  const stateBadge = h("span.badge");
  const text = h("div.text", {
    role: "textbox", "aria-multiline": "true", "aria-readonly": "true", tabindex: 0,
    contenteditable: "true", spellcheck: "false", inputmode: "none", "data-key": "text",
    "data-gramm": "false", autocapitalize: "off", translate: "no",
  });
  const textLabel = `br-${newSaveId()}`;
  heading.id = textLabel;
  text.setAttribute("aria-labelledby", textLabel);
  const evidenceBar = h("div.evidence-bar", { role: "group", "aria-label": "Selected text" });
  const note = h("textarea", { rows: 2, id: `${textLabel}-note`, maxlength: 20000 });
  const reader = h("section.reader", { "aria-label": "Narrative" },
    h("div.column-head", {}, heading, stateBadge),
    h("div.scroll.paper", {}, text),
    evidenceBar,
    h("div.note", {}, h("label", { for: note.id }, "Note"), note));
  const search = h("input.search", {
    type: "search", placeholder: "Search the codebook  ( / )", "aria-label": "Search the codebook",
    autocomplete: "off",
  });
  const found = h("p.found", { role: "status" });
  const list = h("div.list");
  const verdicts = h("div.verdicts", { role: "group", "aria-label": "Without a category" });
  const chooser = h("section.chooser", { "aria-label": "Categories" },
    h("div.column-head", {}, h("h2", {}, "Categories"), search), found,
    h("div.scroll", {}, list), verdicts);
  const guide = h("section.guide", { "aria-label": "Codebook" });
  const showGuide = guidePanel(guide, codebook, byId, (id) => activate(id));
  const phase = h("span.phase");
  function showPhase(assisted) {
    phase.classList.toggle("assisted", assisted);
    phase.textContent = assisted ? "Assisted" : "Blind";
    phase.title = assisted
      ? "A model’s suggestions are shown; this is recorded with every coding."
      : "You see no other coder’s work and no model’s output.";
  }
  showPhase(session.phase === "assisted");

  // -- saving

  let noteTimer = null;
  const saving = saver(request, page, {
    onsaved(answer, last) {
      adopt(answer, false);
      if (last) showSaved();
    },
    onrefused: () => showSaved(),
    async onlost(answer) {
      if (answer.status === 401) return signedOut(page);
      await open(state.position);
      page.setAlert(answer.status === 409
        ? "This narrative was changed in another window. The newest saved state is shown."
        : `The last change was not saved: ${answer.content.error ?? "it was refused"}`);
      return undefined;
    },
  });

  function adopt(answer, withContent) {
    state.revision = answer.revision;
    state.saved = answer.saved_at;
    state.recorded = answer.state;
    state.canUndo = answer.can_undo;
    if (withContent) {
      state.content = answer.content;
      note.value = answer.content.note;
    }
    const item = state.items.find((i) => i.position === state.position);
    if (item) item.state = answer.state;
    drawState();
  }

  function showSaved() {
    if (noteTimer) return;
    page.setStatus(state.saved ? "saved" : "idle", state.saved ? `Saved ${clock(state.saved)}` : "Nothing to save yet");
  }

  const path = () => `narratives/${state.position}`;
  const save = (recordedAs) =>
    saving.add("PUT", path(), { content: structuredClone(state.content), state: recordedAs }, () => state.revision);

  // Changes the coding, shows it and saves it; the page says "saved" when the store has it.
  function change(message, edit) {
    if (!state.content || state.busy) return;
    edit(state.content);
    state.missing = [];
    page.setAlert();
    page.announce(message);
    save("open");
    draw();
  }

  note.addEventListener("input", () => {
    page.setStatus("saving", "Saving…");
    clearTimeout(noteTimer);
    noteTimer = setTimeout(saveNote, NOTE_PAUSE);
  });
  note.addEventListener("blur", saveNote);
  function saveNote() {
    clearTimeout(noteTimer);
    noteTimer = null;
    if (!state.content || note.value === state.content.note) return;
    state.content.note = note.value;
    save("open");
  }
  async function settled() {
    saveNote();
    await saving.settle();
  }

  // -- decisions

  const label = (id) => byId.get(id).label;
  const isPresent = (id) => Object.hasOwn(state.content?.categories ?? {}, id);
  const quote = (start, end) => {
    const words = state.narrative.slice(start, end).replace(/\s+/g, " ");
    return words.length > 46 ? `${words.slice(0, 30)}…${words.slice(-14)}` : words;
  };

  function addTo(id) {
    const span = state.selection;
    const points = span && [state.maps.toPoint[span.start], state.maps.toPoint[span.end]];
    const had = isPresent(id);
    if (had && !points) return;
    state.active = id;
    state.selection = null;
    showGuide(id);
    change(points ? `Evidence added to ${label(id)}.` : `${label(id)} present.`, (content) => {
      content.verdict = "";
      content.categories[id] ??= { severity: null, spans: [] };
      const { spans } = content.categories[id];
      const same = points && spans.some(([s, e]) => s === points[0] && e === points[1]);
      if (points && !same) {
        spans.push(points);
        spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      }
    });
    collapseSelection();
  }

  function take(id) {
    change(`${label(id)} taken away.`, (content) => { delete content.categories[id]; });
  }

  function removeSpan(id, index) {
    change(`Evidence removed from ${label(id)}.`, (content) => {
      content.categories[id].spans.splice(index, 1);
    });
    boxOf(id)?.focus({ preventScroll: true });
  }

  function setSeverity(id, level) {
    if (!byId.get(id).levels.includes(level)) {
      page.announce(`${label(id)} has no severity ${level}.`);
      return;
    }
    change(`Severity ${level}, ${label(id)}.`, (content) => { content.categories[id].severity = level; });
  }

  function setVerdict(verdict) {
    const on = state.content.verdict !== verdict;
    const dropped = Object.keys(state.content.categories).length;
    const words = verdict === "none" ? "None: no category applies." : "Unclear: too thin to decide.";
    change(on ? words : "Verdict taken away.", (content) => {
      content.verdict = on ? verdict : "";
      if (on) content.categories = {};
    });
    if (on && dropped) page.setAlert(`${words} ${plural(dropped, "category").replace("categorys", "categories")} taken away; Undo brings back.`);
  }

  const rowOf = (id) => list.querySelector(`[data-category="${CSS.escape(id)}"]`);
  const boxOf = (id) => list.querySelector(`[data-key="box-${CSS.escape(id)}"]`);

  // Makes a category the active one. The list is not drawn again, since this happens in the middle
  // of clicks and focus changes on its elements.
  function activate(id) {
    state.active = id;
    showGuide(id);
    if (!rowOf(id) && state.query) { search.value = state.query = ""; drawList(); }
    for (const row of list.querySelectorAll(".category")) row.classList.toggle("active", row.dataset.category === id);
    rowOf(id)?.scrollIntoView({ block: "nearest" });
    drawText();
  }

  function readAbout(id) {
    activate(id);
    guide.scrollIntoView({ block: "nearest" });
    guide.querySelector(".scroll").focus({ preventScroll: true });
  }

  // While a narrative is being submitted, left or undone, it takes no other change.
  async function alone(action) {
    if (state.busy) return;
    state.busy = note.readOnly = true;
    try { await action(); } finally { state.busy = note.readOnly = false; }
  }
  let undos = 0;
  function undo() {
    // Pressed again while an undo is on its way, it counts.
    if (!state.busy || undos) undos += 1;
    alone(async () => {
      try { for (; undos; undos -= 1) await undoNow(); } finally { undos = 0; }
    });
  }
  const skip = () => alone(skipNow);
  const submit = () => alone(submitNow);
  const move = (step) => alone(() => moveNow(step));
  const goTo = (position) => alone(() => open(position));

  async function undoNow() {
    await settled();
    if (!state.canUndo) return;
    const answer = await saving.add("POST", `${path()}/undo`, {}, () => state.revision);
    if (answer.status !== 200) return;
    adopt(answer.content, true);
    page.announce("Undone.");
    page.setAlert();
    state.missing = [];
    draw();
  }

  async function skipNow() {
    await settled();
    const answer = await save("skipped");
    if (answer.status === 200) await goOn("Skipped. ");
  }

  async function submitNow() {
    await settled();
    const answer = await save("submitted");
    if (answer.status === 422) {
      state.missing = answer.content.missing;
      draw();
      page.setAlert(h("strong", {}, "Not submitted yet. "), missingText(state.missing));
      const first = state.missing[0].category;
      if (first) activate(first);
    } else if (answer.status === 200) {
      await goOn("Submitted. ");
    }
  }

  function missingText(missing) {
    return `Still needed: ${missing.map(({ category, needs }) =>
      category ? `${NEEDS[needs]} for ${label(category)}` : NEEDS[needs]).join("; ")}.`;
  }

  // -- moving

  async function goOn(said) {
    const here = state.items.findIndex((i) => i.position === state.position);
    const ahead = [...state.items.slice(here + 1), ...state.items.slice(0, here)];
    const next = ahead.find((i) => i.state === "untouched" || i.state === "open")
      ?? ahead.find((i) => i.state === "skipped")
      ?? (state.items[here].state === "submitted" ? null : state.items[here]);
    if (!next) return finished();
    await open(next.position);
    page.announce(`${said}Narrative ${next.position} of ${state.items.length}.`);
    return undefined;
  }

  async function moveNow(step) {
    const index = state.items.findIndex((i) => i.position === state.position) + step;
    if (state.items[index]) await open(state.items[index].position);
  }

  let opening = 0;
  async function open(position) {
    await (saving.pending() && state.position !== position ? settled() : (saveNote(), undefined));
    if (state.position !== position) await saving.settle();
    const turn = (opening += 1);
    let answer = null;
    for (let attempt = 0; !answer; attempt += 1) {
      try {
        answer = await request("GET", `narratives/${position}`);
        if (answer.status >= 500) answer = null;
      } catch { /* tried again below */ }
      if (!answer) {
        page.setStatus("failed", "No connection – trying again");
        await pause(RETRY_PAUSES[Math.min(attempt, RETRY_PAUSES.length - 1)]);
      }
    }
    if (turn !== opening) return;
    if (answer.status === 401) { signedOut(page); return; }
    const got = answer.content;
    Object.assign(state, {
      position, narrative: got.narrative, active: null, selection: null, missing: [],
      suggestions: got.suggestions ?? null,
      // A lone carriage return would be shown as a blank; as a line feed it keeps every offset.
      shown: got.narrative.replace(/\r(?!\n)/g, "\n"), maps: offsetMaps(got.narrative),
    });
    heading.textContent = `Narrative ${position} of ${state.items.length}`;
    heading.append(h("span.id", {}, got.incident_id));
    page.setAlert();
    showPhase(state.suggestions !== null);
    if (page.main.firstChild !== reader) page.main.replaceChildren(reader, chooser, guide);
    adopt(got, true);
    showSaved();
    showGuide(null);
    draw();
    text.parentElement.scrollTop = 0;
    text.focus({ preventScroll: true });
    writeSelection(text, { anchor: 0, focus: 0 });
  }

  function finished() {
    state.content = null;
    page.main.replaceChildren(h("section.done", { "aria-label": "Finished" },
      h("h2", { tabindex: -1 }, "All narratives are submitted"),
      h("p", {}, `Thank you. All ${state.items.length} of your narratives are coded and saved. You may close this window, or look at a narrative again.`),
      h("button.primary", { type: "button", onclick: showList }, "Look at my narratives")));
    drawState();
    refill(page.footer);
    page.main.querySelector("h2").focus();
  }

  // -- drawing

  function categoryRow(category) {
    const present = isPresent(category.id);
    const coded = present ? state.content.categories[category.id] : null;
    const suggestion = state.suggestions?.find((s) => s.category === category.id);
    const needs = state.missing.filter((m) => m.category === category.id).map((m) => NEEDS[m.needs]);
    const id = `br-cat-${category.index}`;
    const name = `severity-${category.index}`;
    return h(`div.category.c${category.colour}${present ? ".present" : ""}${state.active === category.id ? ".active" : ""}`, {
      "data-category": category.id,
      onfocusin: () => { if (state.active !== category.id) activate(category.id); },
    },
    h("div.line", {},
      h("input", {
        type: "checkbox", id, checked: present, "data-key": `box-${category.id}`,
        onchange: () => (present && !state.selection ? take(category.id) : addTo(category.id)),
      }),
      h("label", { for: id }, category.label),
      suggestion && h("span.model", {}, `model ${Math.round(100 * suggestion.probability)}%`),
      h("button.about", {
        type: "button", "data-key": `about-${category.id}`, "aria-label": `Codebook entry: ${category.label}`,
        onclick: () => readAbout(category.id),
      }, "?"),
      h("kbd", { "aria-hidden": "true" }, category.key || "·")),
    present && h("div.details", {},
      severityGroup(category, coded.severity, name, (level) => setSeverity(category.id, level)),
      state.selection && h("button.add", {
        type: "button", "data-key": `add-${category.id}`, onmousedown: keepSelection,
        onclick: () => addTo(category.id),
      }, "+ Add selected text"),
      h("ul.spans", { "aria-label": `Evidence for ${category.label}` }, coded.spans.map(([start, end], index) => {
        const words = quote(state.maps.toUnit[start], state.maps.toUnit[end]);
        return h("li.span", {},
          h("button.quote", {
            type: "button", "data-key": `go-${category.id}-${index}`, title: "Show in the text",
            onclick: () => showSpan(start),
          }, `“${words}”`),
          h("button.remove", {
            type: "button", "data-key": `cut-${category.id}-${index}`,
            "aria-label": `Remove evidence “${words}” from ${category.label}`,
            onclick: () => removeSpan(category.id, index),
          }, "✕"));
      })),
      !coded.spans.length && h("p.empty", {}, `Select text, then press ${category.key.toUpperCase() || "Add"}`),
      needs.length > 0 && h("p.needs", {}, `Needed: ${needs.join("; ")}`)));
  }

  function drawList() {
    const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    const matching = [...byId.values()].filter((c) => words.every((w) => c.text.includes(w)));
    found.textContent = words.length
      ? `${matching.length} of ${byId.size} categories match` : "";
    const groups = new Map();
    for (const category of matching) {
      if (!groups.has(category.family)) groups.set(category.family, []);
      groups.get(category.family).push(category);
    }
    refill(list, [...groups].map(([family, members]) => h("div.family-group", {
      role: "group", "aria-label": families.get(family) ?? "Categories",
    }, families.has(family) && h("h3", {}, families.get(family)), members.map(categoryRow))));
  }

  function drawVerdicts() {
    const button = (verdict, words, key) => h("button.verdict", {
      type: "button", "data-key": `verdict-${verdict}`, title: codebook.reserved[verdict] ?? "",
      "aria-pressed": String(state.content?.verdict === verdict), onclick: () => setVerdict(verdict),
    }, words, h("kbd", { "aria-hidden": "true" }, key));
    refill(verdicts, button("none", "None applies", "n"), button("unclear", "Unclear", "u"));
  }

  function drawText() {
    const held = readSelection(text);
    const layers = [...byId.values()].filter((c) => isPresent(c.id)).flatMap((category) =>
      state.content.categories[category.id].spans.map(([start, end]) => ({
        start: state.maps.toUnit[start], end: state.maps.toUnit[end], colour: category.colour,
        pattern: category.pattern, tag: category.tag, strong: category.id === state.active,
      })));
    paintText(text, state.shown, layers);
    if (held && text.getRootNode().activeElement === text) writeSelection(text, held);
    drawSelection();
  }

  // Keeps the selected text in sight while the focus is elsewhere (where the browser can).
  function drawSelection() {
    if (globalThis.Highlight && CSS.highlights) {
      CSS.highlights.delete("br-selected");
      if (state.selection) {
        const range = new Range();
        range.setStart(...positionAt(text, state.selection.start));
        range.setEnd(...positionAt(text, state.selection.end));
        CSS.highlights.set("br-selected", new Highlight(range));
      }
    }
    const active = state.active && byId.get(state.active);
    if (!state.selection) {
      refill(evidenceBar, h("p.hint", {}, "Select words as evidence, then press a category’s key or tick it."));
      return;
    }
    refill(evidenceBar,
      h("p.selected", {}, "Selected: ", h("q", {}, quote(state.selection.start, state.selection.end))),
      active && h("button.add", {
        type: "button", "data-key": "add-active", onmousedown: keepSelection, onclick: () => addTo(active.id),
      }, `Add to ${active.label}`),
      h("button.quiet", { type: "button", "data-key": "clear", onclick: clearSelection }, "Clear"));
  }

  function drawState() {
    const done = state.items.filter((i) => i.state === "submitted").length;
    progressBar(page, done, state.items.length, "submitted");
    stateBadge.dataset.state = state.recorded;
    stateBadge.textContent = STATE_LABELS[state.recorded];
    for (const button of page.footer.querySelectorAll("[data-key=undo]")) button.disabled = !state.canUndo;
  }

  function drawFooter() {
    const index = state.items.findIndex((i) => i.position === state.position);
    const button = (kind, key, words, action, properties = {}) =>
      h(`button.${kind}`, { type: "button", "data-key": key, onclick: action, ...properties }, words);
    refill(page.footer,
      h("div.group", {},
        button("plain", "previous", "‹ Previous", () => move(-1), { disabled: index <= 0 }),
        button("plain", "next", "Next ›", () => move(1), { disabled: index >= state.items.length - 1 })),
      h("div.group", {},
        button("plain", "undo", "Undo", undo, { disabled: !state.canUndo, title: "Ctrl+Z" }),
        button("plain", "skip", ["Skip for now", h("kbd", { "aria-hidden": "true" }, "s")], skip),
        button("primary", "submit", ["Submit and go on", h("kbd", { "aria-hidden": "true" }, "Ctrl ↵")], submit)));
  }

  function draw() {
    if (!state.content) return;
    drawText();
    drawList();
    drawVerdicts();
    drawState();
    drawFooter();
  }

  // -- selecting text

  const keepSelection = (event) => event.preventDefault();
  chooser.addEventListener("mousedown", (event) => {
    if (state.selection && event.target !== search) event.preventDefault();
  });
  function noteSelection() {
    const held = readSelection(text);
    if (!held || !state.content) return;
    const span = trimmedSpan(state.shown, Math.min(held.anchor, held.focus), Math.max(held.anchor, held.focus));
    if (span && span.end < state.maps.toUnit.at(-1) && state.maps.toUnit[state.maps.toPoint[span.end]] !== span.end) span.end += 1;
    const same = span?.start === state.selection?.start && span?.end === state.selection?.end;
    if (same) return;
    const was = Boolean(state.selection);
    state.selection = span;
    drawSelection();
    if (was !== Boolean(span)) drawList();
  }
  document.addEventListener("selectionchange", noteSelection);
  function collapseSelection() {
    const held = readSelection(text);
    if (held && text.getRootNode().activeElement === text) writeSelection(text, { anchor: held.focus, focus: held.focus });
    else if (held) document.getSelection().removeAllRanges();
    drawSelection();
  }
  function clearSelection() {
    state.selection = null;
    collapseSelection();
    drawList();
    text.focus({ preventScroll: true });
  }
  function showSpan(start) {
    const [node] = positionAt(text, state.maps.toUnit[start] + 1);
    const mark = node.parentElement;
    mark.scrollIntoView({ block: "center" });
    mark.classList.add("flash");
    setTimeout(() => mark.classList.remove("flash"), 1200);
  }
  // The text has a caret for choosing evidence by keyboard, and cannot be edited.
  text.addEventListener("beforeinput", (event) => event.preventDefault());
  // Without this, pressing the mouse on selected words would drag them, not begin a new selection.
  text.addEventListener("mousedown", (event) => {
    if (state.selection && !event.shiftKey && event.button === 0) document.getSelection().removeAllRanges();
  });
  text.addEventListener("drop", (event) => event.preventDefault());
  text.addEventListener("input", drawText);
  text.addEventListener("compositionend", drawText);

  // -- keys

  search.addEventListener("input", () => { state.query = search.value; drawList(); });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      list.querySelector("input[type=checkbox]")?.focus();
    } else if (event.key === "Escape") {
      event.preventDefault();
      search.value = state.query = "";
      drawList();
      text.focus({ preventScroll: true });
    }
  });
  guide.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.active) boxOf(state.active)?.focus();
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.type !== "checkbox") return;
    event.preventDefault();
    const boxes = [...list.querySelectorAll("input[type=checkbox]")];
    boxes[boxes.indexOf(event.target) + step]?.focus();
  });

  function onkey(event) {
    if (!state.content || page.frame.querySelector("dialog[open]") || event.isComposing) return undefined;
    noteSelection();
    const typing = event.target === note || event.target === search;
    const modified = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const act = (action) => { event.preventDefault(); action(); };
    if (modified && key === "Enter") return act(submit);
    if (modified && key === "z" && !typing) return act(undo);
    if (modified || event.altKey || typing) return undefined;
    if (key === "Escape") return state.selection ? act(clearSelection) : undefined;
    if (key === "Enter" && event.target === text) return act(() => { if (state.active && state.selection) addTo(state.active); });
    if (!state.keys || event.repeat) return undefined;
    if (key === "/") return act(() => { search.focus(); search.select(); });
    if (key === "?") return act(showHelp);
    if (key === "n") return act(() => setVerdict("none"));
    if (key === "u") return act(() => setVerdict("unclear"));
    if (key === "s") return act(skip);
    if (key === "-") return act(() => move(-1));
    if (key === "+") return act(() => move(1));
    if (SEVERITY_KEYS.includes(key) && state.active && isPresent(state.active)) return act(() => setSeverity(state.active, Number(key)));
    const category = [...byId.values()].find((c) => c.key && c.key === key);
    return category ? act(() => pressed(category.id)) : undefined;
  }
  // A category's key marks it; with text selected it adds evidence; pressed again it takes it away.
  function pressed(id) {
    if (!state.selection && isPresent(id) && state.active === id) return take(id);
    addTo(id);
    return activate(id);
  }
  page.root.addEventListener("keydown", onkey);

  // -- dialogs

  function showHelp() {
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

  function showList() {
    const box = dialog(page, "My narratives", h("ol.items", {}, state.items.map((item) => h("li", {},
      h("button.item", {
        type: "button", "data-state": item.state, "aria-current": item.position === state.position ? "true" : undefined,
        onclick: async () => { box.close(); await goTo(item.position); },
      }, h("span.number", {}, String(item.position)), h("span.id", {}, item.incident_id),
      h("span.badge", { "data-state": item.state }, STATE_LABELS[item.state]))))));
  }

  refill(page.tools,
    phase,
    h("button.plain", { type: "button", onclick: showList }, "Narratives"),
    h("button.plain", { type: "button", onclick: showHelp }, "Help", h("kbd", { "aria-hidden": "true" }, "?")));
  const onleave = (event) => { if (saving.pending() || noteTimer) event.preventDefault(); };
  addEventListener("beforeunload", onleave);
  if (!state.items.length) {
    page.main.replaceChildren(h("section.done", {}, h("h2", {}, "No narratives are assigned to you yet")));
  } else if (session.resume === null) finished();
  else goTo(session.resume);
  return () => {
    document.removeEventListener("selectionchange", noteSelection);
    removeEventListener("beforeunload", onleave);
    page.root.removeEventListener("keydown", onkey);
  };
}

function readSetting(name) {
  try { return localStorage.getItem(`boundary-research-${name}`); } catch { return null; }
}
function writeSetting(name, value) {
  try { localStorage.setItem(`boundary-research-${name}`, value); } catch { /* kept for this visit */ }
}

function signedOut(page) {
  page.main.replaceChildren(h("section.done", {}, h("h2", {}, "This link is no longer valid"),
    h("p", {}, "Ask the study’s lead for a new one. Everything shown as saved is safe.")));
  refill(page.footer);
}

// ---------------------------------------------------------------------------- adjudicators' page

function adjudicatorPage(page, request, session) {
  const { codebook } = session;
  const byId = codebookIndex(codebook);
  const state = { queue: session.queue, index: 0, item: null, maps: null, active: null, drafts: new Map() };
  const heading = h("h2", { id: "br-narrative" });
  const text = h("div.text", { tabindex: 0, role: "group", "aria-labelledby": "br-narrative", translate: "no" });
  const legend = h("div.legend", { "aria-label": "Coders", role: "group" });
  const reader = h("section.reader", { "aria-label": "Narrative" }, h("div.column-head", {}, heading),
    h("div.scroll.paper", {}, text), legend);
  const cards = h("div.cards");
  const judge = h("section.judge", { "aria-label": "Disagreements" },
    h("div.column-head", {}, h("h2", {}, "Disagreements")), h("div.scroll", {}, cards));
  const guide = h("section.guide", { "aria-label": "Codebook" });
  const showGuide = guidePanel(guide, codebook, byId, (id) => showGuide(id));
  const kinds = {
    presence: "Present or absent?", severity: "Which severity?", unclear: "Present, or too thin to decide?",
  };

  async function ask(method, path, body) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const answer = await request(method, path, body);
        if (answer.status < 500) return answer;
      } catch { /* tried again below */ }
      page.setStatus("failed", "No connection – trying again. Keep this page open.");
      await pause(RETRY_PAUSES[Math.min(attempt, RETRY_PAUSES.length - 1)]);
    }
  }

  async function open(index) {
    state.index = index;
    const entry = state.queue[index];
    const answer = await ask("GET", `disagreements?incident_id=${encodeURIComponent(entry.incident_id)}`);
    if (answer.status === 401) { signedOut(page); return; }
    if (answer.status !== 200) { page.setAlert(answer.content.error); return; }
    adopt(answer.content);
    const first = state.item.questions.find((q) => !q.decision) ?? state.item.questions[0];
    draw();
    activate(first.category);
    page.setStatus("idle", "");
    text.parentElement.scrollTop = 0;
    heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }

  function adopt(item) {
    state.item = item;
    state.maps = offsetMaps(item.narrative);
    state.queue[state.index].n_open = item.questions.filter((q) => !q.decision).length;
    heading.replaceChildren(`Narrative ${state.index + 1} of ${state.queue.length}`, h("span.id", {}, item.incident_id));
    if (page.main.firstChild !== reader) page.main.replaceChildren(reader, judge, guide);
    refill(legend, item.coders.map((coder, i) => h("span.coder", {},
      h(`span.swatch.k${i % COLOURS}`, { "aria-hidden": "true" }, coder.label.at(-1)), coder.label,
      coder.content.note ? h("span.coder-note", {}, ` noted: ${coder.content.note}`) : null)));
  }

  function activate(category) {
    state.active = category;
    showGuide(category);
    for (const element of cards.children) {
      element.classList.toggle("active", element.dataset.category === category);
      if (element.dataset.category === category) element.scrollIntoView({ block: "nearest" });
    }
    drawText();
  }

  const unitSpan = ([start, end]) => [state.maps.toUnit[start], state.maps.toUnit[end]];
  function drawText() {
    const layers = state.item.coders.flatMap((coder, i) =>
      (coder.content.categories[state.active]?.spans ?? []).map(unitSpan).map(([start, end]) => ({
        start, end, colour: i % COLOURS, pattern: i % 3, tag: coder.label.at(-1), strong: false,
      })));
    paintText(text, state.item.narrative.replace(/\r(?!\n)/g, "\n"), layers);
    text.querySelector("mark")?.scrollIntoView({ block: "nearest" });
  }

  function sideBySide(question) {
    return h("div.sides", {}, state.item.coders.map((coder, i) => {
      const coded = coder.content.categories[question.category];
      const unclear = coder.content.verdict === "unclear";
      const said = coded ? "Present" : unclear ? "Unclear" : "Absent";
      return h("div.side", {},
        h("h4", {}, h(`span.swatch.k${i % COLOURS}`, { "aria-hidden": "true" }, coder.label.at(-1)), coder.label),
        h("p.said", { "data-said": said }, said, coded && coded.severity !== null && ` · severity ${coded.severity}`),
        coded?.spans.map((span) => h("blockquote", {}, state.item.narrative.slice(...unitSpan(span)))));
    }));
  }

  function draftOf(question) {
    const key = `${state.item.incident_id}\n${question.category}`;
    if (!state.drafts.has(key)) {
      state.drafts.set(key, question.decision ? { ...question.decision } : { present: null, severity: null, reason: "" });
    }
    return state.drafts.get(key);
  }

  function card(question, number) {
    const category = byId.get(question.category);
    const draft = draftOf(question);
    const name = `decision-${category.index}`;
    const choice = (present, words) => h("label.choice", {},
      h("input", {
        type: "radio", name, checked: draft.present === present, "data-key": `${name}-${present}`,
        onchange: () => { draft.present = present; if (!present) draft.severity = null; draw(); },
      }), h("span", {}, words));
    const reason = h("textarea", {
      rows: 2, id: `br-reason-${category.index}`, "data-key": `reason-${category.index}`, required: true, maxlength: 5000,
      value: draft.reason, oninput: () => { draft.reason = reason.value; },
    });
    return h(`article.card${state.active === question.category ? ".active" : ""}`, {
      "data-category": category.id, "aria-label": category.label, onfocusin: () => { if (state.active !== question.category) activate(question.category); },
    },
    h("div.card-head", {},
      h("h3", {}, h("button.link", { type: "button", "data-key": `card-${category.index}`, onclick: () => activate(question.category) }, category.label)),
      h("span.badge", { "data-state": question.decision ? "submitted" : "open" }, question.decision ? "Decided" : `Open ${number}`)),
    h("p.kind", {}, kinds[question.kind]),
    sideBySide(question),
    h("fieldset.decision", {}, h("legend", {}, "Decision"),
      choice(true, "Present"), choice(false, "Absent"),
      draft.present ? severityGroup(category, draft.severity, `final-${category.index}`, (level) => { draft.severity = level; draw(); }) : null),
    h("label.reason", { for: reason.id }, "Reason"), reason,
    h("button.primary", { type: "button", "data-key": `decide-${category.index}`, onclick: () => decide(question) },
      question.decision ? "Change decision" : "Save decision"));
  }

  async function decide(question) {
    const draft = draftOf(question);
    const category = byId.get(question.category);
    const lacks = draft.present === null ? "Choose present or absent."
      : draft.present && category.levels.length && draft.severity === null ? "Choose a severity."
        : !draft.reason.trim() ? "Give a reason." : "";
    if (lacks) { page.setAlert(`${category.label}: ${lacks}`); return; }
    page.setAlert();
    page.setStatus("saving", "Saving…");
    const answer = await ask("POST", "decisions", {
      incident_id: state.item.incident_id, category: question.category, present: draft.present,
      severity: draft.severity, reason: draft.reason, save_id: newSaveId(),
    });
    if (answer.status === 401) { signedOut(page); return; }
    if (answer.status !== 200) {
      page.setStatus("failed", "Not saved");
      page.setAlert(answer.content.error);
      return;
    }
    adopt(answer.content);
    page.setStatus("saved", `Saved ${clock(new Date())}`);
    page.announce(`Decision on ${category.label} saved.`);
    const next = state.item.questions.find((q) => !q.decision);
    draw();
    activate(next ? next.category : question.category);
  }

  function draw() {
    refill(cards, state.item.questions.map((q, i) => card(q, i + 1)));
    const total = state.queue.reduce((sum, entry) => sum + entry.n_questions, 0);
    const open_ = state.queue.reduce((sum, entry) => sum + entry.n_open, 0);
    progressBar(page, total - open_, total, "decided");
    const step = (words, key, to) => h("button.plain", {
      type: "button", "data-key": key, disabled: !state.queue[to], onclick: () => open(to),
    }, words);
    const nextOpen = state.queue.findIndex((entry, i) => i !== state.index && entry.n_open > 0);
    refill(page.footer,
      h("div.group", {}, step("‹ Previous", "previous", state.index - 1), step("Next ›", "next", state.index + 1)),
      h("div.group", {}, nextOpen >= 0
        ? h("button.primary", { type: "button", "data-key": "open", onclick: () => open(nextOpen) }, "Next undecided narrative")
        : h("span.hint", {}, open_ ? "" : "Every disagreement is decided.")));
  }

  if (state.queue.length) {
    open(Math.max(0, state.queue.findIndex((entry) => entry.n_open > 0)));
  } else {
    page.main.replaceChildren(h("section.done", {}, h("h2", {}, "Nothing to decide yet"),
      h("p", {}, "A narrative comes here when all its coders have submitted it and they disagree. Reload the page to look again.")));
  }
  return () => {};
}

// --------------------------------------------------------------------------------------- hosts

export async function mount(root, request, { titled = false } = {}) {
  root.classList.add("br-coding");
  const wait = h("p.wait", { role: "status" }, "Loading…");
  root.replaceChildren(h("main", {}, wait));
  for (;;) {
    let answer = null;
    try { answer = await request("GET", "session"); } catch { /* tried again below */ }
    if (answer?.status === 200) {
      const page = shell(root, titled, answer.content);
      return (answer.content.role === "coder" ? coderPage : adjudicatorPage)(page, request, answer.content);
    }
    if (answer && answer.status < 500) {
      root.replaceChildren(h("main.done", {}, h("h1", {}, "This link does not work"),
        h("p", {}, "Open the whole link that you were given. If it is old, ask the study’s lead for a new one.")));
      return () => {};
    }
    wait.textContent = "No connection – trying again…";
    await pause(1500);
  }
}

const ANSWER_TIMEOUT = 15000;

// In a notebook the page speaks with the kernel, which answers each message by its id.
function kernelRequester(model) {
  const waiting = new Map();
  model.on("msg:custom", (message) => {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  return (method, path, body) => new Promise((resolve, reject) => {
    const id = newSaveId();
    const timer = setTimeout(() => { waiting.delete(id); reject(new Error("no answer")); }, ANSWER_TIMEOUT);
    waiting.set(id, (message) => { clearTimeout(timer); resolve(message); });
    model.send({ id, method, path, body: body ?? {} });
  });
}

async function render({ model, el }) {
  const root = document.createElement("div");
  root.classList.add("br-in-notebook");
  // The notebook's own shortcuts must not act on keys pressed in the page.
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(root);
  return mount(root, kernelRequester(model));
}

export default { render };
