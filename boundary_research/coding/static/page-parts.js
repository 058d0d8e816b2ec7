// Parts that coders' and adjudicators' pages share: frame, dialogs, severity, progress.
import { h, newSaveId, refill } from "./elements.js";

export const STATE_LABELS = {
  untouched: "Not started",
  open: "In work",
  skipped: "Skipped",
  submitted: "Submitted",
};

export function shell(root, titled, session) {
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

export function dialog(page, title, ...content) {
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

export function severityGroup(category, value, name, onchange) {
  if (!category.levels.length) return null;
  return h("div.levels", { role: "radiogroup", "aria-label": `Severity of ${category.label}` },
    h("span.levels-label", { "aria-hidden": "true" }, "Severity"),
    category.levels.map((level) => h("label.level", { title: category.severity?.[level] ?? "" },
      h("input", {
        type: "radio", name, value: String(level), checked: value === level,
        "data-key": `${name}-${level}`, onchange: () => onchange(level),
      }), h("span", {}, String(level)))));
}

export function progressBar(page, done, total, what) {
  const bar = h("div.bar", {
    role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": total,
    "aria-valuenow": done, "aria-valuetext": `${done} of ${total} ${what}`,
  }, h("span.fill"));
  bar.firstChild.style.setProperty("width", `${total ? (100 * done) / total : 0}%`);
  page.progress.replaceChildren(bar, h("span.count", { "aria-hidden": "true" }, `${done} of ${total} ${what}`));
}

export function signedOut(page) {
  page.main.replaceChildren(h("section.done", {}, h("h2", {}, "This link is no longer valid"),
    h("p", {}, "Ask the study’s lead for a new one. Everything shown as saved is safe.")));
  refill(page.footer);
}
