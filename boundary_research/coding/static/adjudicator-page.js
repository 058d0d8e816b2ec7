// The page of an adjudicator: disagreements side by side, with evidence.
import { RETRY_PAUSES, clock, h, newSaveId, pause, refill } from "./elements.js";
import { offsetMaps, paintText } from "./narrative-text.js";
import { progressBar, severityGroup, signedOut } from "./page-parts.js";
import { COLOURS, codebookIndex, guidePanel } from "./codebook-panel.js";

export function adjudicatorPage(page, request, session) {
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
