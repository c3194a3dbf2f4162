// Markdown -> elements, made one by one. A small and forgiving reader for documents and answers:
// headings, paragraphs, lists, tables, quotations, code. HTML in the text stays text.

import { el } from "./dom.js";
import { appendInline } from "./inline.js";
import { cellSpans, isDivider } from "./table.js";

const MAX_DEPTH = 8;
const PARAGRAPH_END = 0.75; // of the widest line
const BLANK = /^\s*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const UNDERLINE = /^ {0,3}(=+|-{2,})[ \t]*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+•]|\d{1,9}[.)])( {1,4}|\t|$)/;

/**
 * The elements of a text.
 *
 * `marks` are { start, end, make() } spans of the text (UTF-16 units), set off word by word;
 * `passage` is a { start, end } span that is set off block by block where it covers whole blocks;
 * `links` says whether links may be followed;
 * `printed` takes a line that stops early for the end of its paragraph, as on a printed page.
 */
export function renderMarkdown(text, { marks = [], passage = null, links = true, printed = false } = {}) {
  const soft = passage && { ...passage, make: () => el("span", { class: "in-passage" }) };
  const lines = linesOf(text);
  const shortLine = printed ? PARAGRAPH_END * widest(text, lines) : 0;
  const blocks = new Reader(text, shortLine, { links, marks: soft ? [...marks, soft] : marks }).blocks(lines, 0);
  const fragment = document.createDocumentFragment();
  let band = null;
  for (const block of blocks) {
    if (passage === null || !covers(passage, text, block)) {
      band = null;
      fragment.append(block.node);
      continue;
    }
    if (band === null) fragment.append((band = el("div", { class: "passage" })));
    band.append(block.node);
  }
  return fragment;
}

function linesOf(text) {
  const lines = [];
  for (let start = 0; start <= text.length; ) {
    const found = text.indexOf("\n", start);
    const end = found < 0 ? text.length : found;
    lines.push([start, end]);
    start = end + 1;
  }
  return lines;
}

/** The length of the longest line outside of tables. */
function widest(text, lines) {
  return lines
    .filter(([start, end]) => !text.slice(start, end).includes("|"))
    .reduce((longest, [start, end]) => Math.max(longest, end - start), 0);
}

function covers(passage, text, { start, end }) {
  const words = text.slice(start, end);
  return (
    start + (words.length - words.trimStart().length) >= passage.start &&
    end - (words.length - words.trimEnd().length) <= passage.end
  );
}

class Reader {
  constructor(text, shortLine, inline) {
    this.text = text;
    this.shortLine = shortLine; // a paragraph ends with a line shorter than this
    this.inline = inline;
  }

  line([start, end]) {
    return this.text.slice(start, end);
  }

  /** The blocks of these lines, each { node, start, end } with its span of the text. */
  blocks(lines, depth) {
    const found = [];
    let at = 0;
    while (at < lines.length) {
      if (BLANK.test(this.line(lines[at]))) {
        at += 1;
        continue;
      }
      const [node, next] = this.block(lines, at, depth);
      if (node) found.push({ node, start: lines[at][0], end: lines[next - 1][1] });
      at = next;
    }
    return found;
  }

  /** One block that begins at line `at`: its node and the line after it. */
  block(lines, at, depth) {
    const line = this.line(lines[at]);
    if (FENCE.test(line)) return this.code(lines, at);
    if (HEADING.test(line)) return [this.heading(lines[at]), at + 1];
    if (RULE.test(line)) return [el("hr"), at + 1];
    if (this.opensTable(lines, at)) return this.table(lines, at);
    if (depth < MAX_DEPTH && QUOTE.test(line)) return this.quotation(lines, at, depth);
    if (depth < MAX_DEPTH && ITEM.test(line)) return this.list(lines, at, depth);
    return this.paragraph(lines, at);
  }

  fill(node, lines) {
    appendInline(node, this.text, lines, this.inline);
    return node;
  }

  heading([start, end]) {
    const line = this.line([start, end]);
    const opening = HEADING.exec(line);
    const words = line.slice(opening[0].length).trimEnd().replace(/(?<=^|[ \t])#+$/, "");
    const from = start + opening[0].length;
    return this.fill(headingOf(opening[1].length), [[from, from + words.length]]);
  }

  code(lines, at) {
    const fence = FENCE.exec(this.line(lines[at]))[1];
    let next = at + 1;
    while (next < lines.length && !this.line(lines[next]).trim().startsWith(fence)) next += 1;
    const code = el("code");
    appendInline(code, this.text, lines.slice(at + 1, next), { ...this.inline, literal: true });
    return [el("pre", { tabindex: 0 }, code), Math.min(next + 1, lines.length)];
  }

  quotation(lines, at, depth) {
    let next = at;
    const inner = [];
    while (next < lines.length && QUOTE.test(this.line(lines[next]))) {
      const [start, end] = lines[next];
      inner.push([start + QUOTE.exec(this.line(lines[next]))[0].length, end]);
      next += 1;
    }
    return [el("blockquote", {}, ...this.blocks(inner, depth + 1).map(({ node }) => node)), next];
  }

  list(lines, at, depth) {
    const ordered = /\d/.test(ITEM.exec(this.line(lines[at]))[2]);
    const first = Number.parseInt(ITEM.exec(this.line(lines[at]))[2], 10);
    const list = ordered ? el("ol", { start: first }) : el("ul");
    let next = at;
    while (next < lines.length) {
      const opening = ITEM.exec(this.line(lines[next]));
      if (!opening || /\d/.test(opening[2]) !== ordered || RULE.test(this.line(lines[next]))) break;
      const [inner, after] = this.item(lines, next, opening);
      list.append(this.itemNode(inner, depth));
      next = after;
    }
    return [list, next];
  }

  /** The lines of one list item, without marker and indentation, and the line after it. */
  item(lines, at, opening) {
    const indent = opening[0].length || 1;
    const inner = [[Math.min(lines[at][0] + indent, lines[at][1]), lines[at][1]]];
    let next = at + 1;
    let blank = false;
    for (; next < lines.length; next += 1) {
      const line = this.line(lines[next]);
      const [start, end] = lines[next];
      const spaces = line.length - line.trimStart().length;
      if (BLANK.test(line)) blank = true;
      else if (spaces >= Math.min(indent, 4) || (spaces >= 2 && ITEM.test(line.trimStart()))) blank = false;
      else if (blank || ITEM.test(line) || this.opensBlock(lines, next)) break;
      inner.push([start + Math.min(spaces, indent), end]);
    }
    while (BLANK.test(this.line(lines[next - 1]))) {
      next -= 1;
      inner.pop();
    }
    return [inner, this.skipBlank(lines, next)];
  }

  /** The next item's line where only blank lines lie between, else the line itself. */
  skipBlank(lines, at) {
    let next = at;
    while (next < lines.length && BLANK.test(this.line(lines[next]))) next += 1;
    return next < lines.length && ITEM.test(this.line(lines[next])) ? next : at;
  }

  itemNode(inner, depth) {
    const item = el("li");
    const blocks = this.blocks(inner, depth + 1);
    for (const [index, { node }] of blocks.entries()) {
      if (index === 0 && node.localName === "p") item.append(...node.childNodes);
      else item.append(node);
    }
    return item;
  }

  opensTable(lines, at) {
    if (at + 1 >= lines.length || !this.line(lines[at]).includes("|")) return false;
    return isDivider(this.line(lines[at + 1]));
  }

  table(lines, at) {
    const columns = cellSpans(this.text, lines[at]).length;
    const body = el("tbody");
    let next = at + 2;
    while (next < lines.length && this.line(lines[next]).includes("|")) {
      body.append(this.row(lines[next], "td", columns));
      next += 1;
    }
    const table = el("table", {}, el("thead", {}, this.row(lines[at], "th", columns)), body);
    return [el("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "Table" }, table), next];
  }

  row(line, tag, columns) {
    const cells = cellSpans(this.text, line).slice(0, columns);
    const row = el("tr", {}, ...cells.map((cell) => this.fill(el(tag), [cell])));
    while (row.children.length < columns) row.append(el(tag));
    return row;
  }

  paragraph(lines, at) {
    let next = at + 1;
    while (next < lines.length && !BLANK.test(this.line(lines[next]))) {
      const underline = UNDERLINE.exec(this.line(lines[next]));
      if (underline) {
        const level = underline[1].startsWith("=") ? 1 : 2;
        return [this.fill(headingOf(level), this.trimmed(lines.slice(at, next))), next + 1];
      }
      if (this.opensBlock(lines, next) || this.line(lines[next - 1]).length < this.shortLine) break;
      next += 1;
    }
    return [this.fill(el("p"), this.trimmed(lines.slice(at, next))), next];
  }

  trimmed(lines) {
    return lines.map(([start, end]) => {
      const line = this.line([start, end]);
      return [start + line.length - line.trimStart().length, end];
    });
  }

  /** Whether a paragraph ends before this line. A number opens a list only when it is 1. */
  opensBlock(lines, at) {
    const line = this.line(lines[at]);
    const item = ITEM.exec(line);
    return (
      FENCE.test(line) ||
      HEADING.test(line) ||
      RULE.test(line) ||
      QUOTE.test(line) ||
      (item !== null && item[3] !== "" && (!/\d/.test(item[2]) || Number.parseInt(item[2], 10) === 1)) ||
      this.opensTable(lines, at)
    );
  }
}

/** Headings below the page's own h1 and h2; the class keeps the level the text gave. */
function headingOf(level) {
  return el(`h${Math.min(level + 2, 6)}`, { class: `level-${level}` });
}
