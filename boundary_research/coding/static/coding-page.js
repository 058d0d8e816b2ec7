// The coding page, shared by its two hosts: a page served on its own (served-page.js) and a
// notebook cell (the default export, an anywidget). A host gives `request(method, path, body)`,
// which resolves to { status, content } and rejects when there was no answer.
import { h, newSaveId, pause } from "./elements.js";
import { shell } from "./page-parts.js";
import { coderPage } from "./coder-page.js";
import { adjudicatorPage } from "./adjudicator-page.js";

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
