// Markdown inside a block -> nodes. Every character keeps its place in the source, so that spans of
// the source (quoted words, a passage, a citation marker) can be set off exactly.

import { el } from "./dom.js";

const MAX_DEPTH = 6;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0", "#39": "'" };

// Sticky patterns, tried in this order at every special character. Lengths are bounded, so a text
// full of lone asterisks costs no more than a multiple of its length.
const RULES = [
  ["escape", /\\([!-/:-@[-`{-~])/y],
  ["code", /(?<!`)(`{1,3})(?!`)([^\n]{0,400}?[^`\n])\1(?!`)/y],
  ["entity", /&(amp|lt|gt|quot|nbsp|#39);/y],
  ["image", /!\[([^[\]]{0,300})\]\([^()\s]{0,2000}(?:\s+"[^"]{0,300}")?\)/y],
  ["link", /\[([^[\]]{1,500})\]\(<?([^()\s<>]{0,2000})>?(?:\s+"[^"]{0,300}")?\)/y],
  ["address", /<(https?:\/\/[^\s<>]{1,2000})>/y],
  ["break", /<br ?\/?>|(?: {2,}|\\)(?=\n)/y],
  ["strong", /(\*\*|(?<!\w)__)(?=\S)([^]{0,1000}?\S)\1(?!\*)/y],
  ["em", /(\*|(?<!\w)_)(?=[^\s*_])([^]{0,1000}?[^\s])\1(?![*\w])/y],
  ["del", /(~~)(?=\S)([^]{0,1000}?\S)\1/y],
];
const SPECIAL = /[\\`&![<*_~]|(?<! ) {2,}(?=\n)/g;

/**
 * Appends the inline content of one block to `parent`.
 *
 * `lines` are [start, end) spans of `source`: a block's lines without their "> " or indentation.
 * `marks` are { start, end, make() } spans; the first that covers a character wraps it.
 * `links` says whether links may be followed; otherwise they stand as they are written.
 * `literal` takes every character as it stands (code blocks).
 */
export function appendInline(parent, source, lines, { marks, links, literal = false }) {
  const places = [];
  let text = "";
  for (const [index, [start, end]] of lines.entries()) {
    if (index > 0) {
      text += "\n";
      places.push(start - 1);
    }
    text += source.slice(start, end);
    for (let at = start; at < end; at += 1) places.push(at);
  }
  const inline = new Inline(text, places, marks, links);
  if (literal) inline.appendText(parent, 0, text.length);
  else inline.append(parent, 0, text.length, 0);
}

class Inline {
  constructor(text, places, marks, links) {
    this.text = text;
    this.places = places;
    this.marks = marks.filter(({ start, end }) => start <= places.at(-1) && end > places[0]);
    this.links = links;
  }

  append(parent, start, end, depth) {
    let plain = start;
    let at = start;
    while ((at = this.nextSpecial(at, end)) < end) {
      const found = depth < MAX_DEPTH ? this.match(at, end) : null;
      if (found === null) {
        at += 1;
        continue;
      }
      this.appendText(parent, plain, at);
      this.appendFound(parent, found, at, depth);
      at += found[1][0].length;
      plain = at;
    }
    this.appendText(parent, plain, end);
  }

  nextSpecial(at, end) {
    SPECIAL.lastIndex = at;
    const found = SPECIAL.exec(this.text);
    return found === null ? end : Math.min(found.index, end);
  }

  match(at, end) {
    for (const [name, pattern] of RULES) {
      if ((name === "link" || name === "address") && !this.links) continue;
      pattern.lastIndex = at;
      const found = pattern.exec(this.text);
      if (found !== null && at + found[0].length <= end) return [name, found];
    }
    return null;
  }

  appendFound(parent, [name, found], at, depth) {
    const [whole, first, second] = found;
    if (name === "escape") this.appendText(parent, at + 1, at + 2);
    else if (name === "entity") this.appendAs(parent, at, ENTITIES[first]);
    else if (name === "break") parent.append(el("br"));
    else if (name === "image") parent.append(el("span", { class: "muted" }, `[image: ${first || "no description"}]`));
    else if (name === "address") this.appendText(link(parent, first), at + 1, at + whole.length - 1);
    else if (name === "link") this.append(link(parent, second), at + 1, at + 1 + first.length, depth + 1);
    else {
      const child = el(name);
      const inner = at + first.length;
      if (name === "code") this.appendText(child, inner, inner + second.length);
      else this.append(child, inner, inner + second.length, depth + 1);
      parent.append(child);
    }
  }

  /** The plain characters [start, end), in pieces that have the same mark. */
  appendText(parent, start, end) {
    let from = start;
    while (from < end) {
      const mark = this.markAt(from);
      let to = from + 1;
      while (to < end && this.markAt(to) === mark) to += 1;
      appendMarked(parent, this.text.slice(from, to), mark);
      from = to;
    }
  }

  appendAs(parent, at, text) {
    appendMarked(parent, text, this.markAt(at));
  }

  markAt(index) {
    const place = this.places[index];
    return this.marks.find(({ start, end }) => start <= place && place < end);
  }
}

function appendMarked(parent, text, mark) {
  if (mark === undefined) {
    parent.append(text);
    return;
  }
  const wrapper = mark.make();
  wrapper.append(text);
  parent.append(wrapper);
}

function link(parent, address) {
  const safe = /^https?:\/\//i.test(address);
  const child = safe
    ? el("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" })
    : el("span", { class: "dead-link", title: address });
  parent.append(child);
  return child;
}
