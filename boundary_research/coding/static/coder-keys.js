// The keys of a coder's page; single keys can be switched off in Help.

const SEVERITY_KEYS = "012";

export function keyHandler(state, { page, text, note, search, byId }, acts) {
  const {
    noteSelection, clearSelection, submit, undo, skip, move, setVerdict, setSeverity, addTo, take,
    activate, isPresent, showHelp,
  } = acts;

  // A category's key marks it; with text selected it adds evidence; pressed again it takes it away.
  function pressed(id) {
    if (!state.selection && isPresent(id) && state.active === id) return take(id);
    addTo(id);
    return activate(id);
  }

  return (event) => {
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
  };
}
