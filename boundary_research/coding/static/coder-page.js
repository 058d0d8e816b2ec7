// The page of a coder: one narrative at a time, with the codebook beside it.
import {
  RETRY_PAUSES, clock, h, newSaveId, pause, plural, readSetting, refill,
} from "./elements.js";
import {
  offsetMaps, paintText, positionAt, readSelection, trimmedSpan, writeSelection,
} from "./narrative-text.js";
import { STATE_LABELS, progressBar, signedOut } from "./page-parts.js";
import { codebookIndex, guidePanel } from "./codebook-panel.js";
import { saver } from "./saving.js";
import { NEEDS, categoryRow, keepSelection } from "./category-row.js";
import { keyHandler } from "./coder-keys.js";
import { showHelp, showList } from "./coder-dialogs.js";

const NOTE_PAUSE = 700;

export function coderPage(page, request, session) {
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
      h("button.primary", { type: "button", onclick: () => showList(page, state, goTo) }, "Look at my narratives")));
    drawState();
    refill(page.footer);
    page.main.querySelector("h2").focus();
  }

  // -- drawing

  const acts = {
    addTo, take, activate, readAbout, setSeverity, removeSpan, quote, showSpan: (start) => showSpan(start),
  };

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
    }, families.has(family) && h("h3", {}, families.get(family)), members.map((category) => categoryRow(category, state, acts)))));
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

  const onkey = keyHandler(state, { page, text, note, search, byId }, {
    noteSelection, clearSelection, submit, undo, skip, move, setVerdict, setSeverity, addTo, take,
    activate, isPresent, showHelp: () => showHelp(page, state),
  });
  page.root.addEventListener("keydown", onkey);

  refill(page.tools,
    phase,
    h("button.plain", { type: "button", onclick: () => showList(page, state, goTo) }, "Narratives"),
    h("button.plain", { type: "button", onclick: () => showHelp(page, state) }, "Help", h("kbd", { "aria-hidden": "true" }, "?")));
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
