// The narrative: offsets, selection, and painting spans without changing a character.
import { h } from "./elements.js";

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

export function trimmedSpan(text, start, end) {
  while (start < end && /\s/.test(text[start])) start += 1;
  while (end > start && /\s/.test(text[end - 1])) end -= 1;
  return end > start ? { start, end } : null;
}

export function unitsBefore(root, node, offset) {
  const range = document.createRange();
  range.setStart(root, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}

export function positionAt(root, unit) {
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

export function readSelection(root) {
  const owner = root.getRootNode();
  const selection = (owner.getSelection ? owner : document).getSelection();
  if (!selection?.anchorNode || !root.contains(selection.anchorNode)) return null;
  if (!root.contains(selection.focusNode)) return null;
  const anchor = unitsBefore(root, selection.anchorNode, selection.anchorOffset);
  const focus = unitsBefore(root, selection.focusNode, selection.focusOffset);
  return { anchor, focus };
}

export function writeSelection(root, { anchor, focus }) {
  const [a, i] = positionAt(root, anchor);
  const [b, j] = positionAt(root, focus);
  document.getSelection().setBaseAndExtent(a, i, b, j);
}

// Fills `root` with the text, cut at every edge of a span. `layers` are spans in UTF-16 units:
// { start, end, colour, pattern, tag, strong }. The text itself is not changed by a character.
export function paintText(root, text, layers) {
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
