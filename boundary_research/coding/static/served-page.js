// The page on its own: takes the key from the coder's link and speaks HTTP with the server.
import { mount } from "./coding-page.js";

const STORED = "boundary-research-key";
const TIMEOUT = 15000;

// The key stands in the address's fragment, which is never sent; it is taken out of sight at once
// and kept for this tab, so that reloading the page works.
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(STORED, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(STORED) ?? "";
}

function requester(key) {
  return async (method, path, body) => {
    const response = await fetch(`api/${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    return { status: response.status, content: await response.json() };
  };
}

function start() {
  const root = document.createElement("div");
  document.body.replaceChildren(root);
  mount(root, requester(takeKey()), { titled: true });
}

addEventListener("hashchange", () => {
  if (location.hash.includes("key=")) location.reload();
});
start();
