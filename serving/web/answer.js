// One answer on the page: its text as it arrives, then where it came from.

import { el, foldingMark, svg } from "./dom.js";
import { renderMarkdown } from "./markdown.js";
import { utf16Span } from "./spans.js";
import * as words from "./words.js";

const MARKER = /\[(\d{1,2})\]/g;

/**
 * An answer's element and the steps of its life: text(soFar)*, then finish(answer) or stop().
 * `openSource(citation, opener)` is called when a reader follows a citation.
 */
export class AnswerView {
  constructor(openSource) {
    this.openSource = openSource;
    this.body = el("div", { class: "answer-text", data: { part: "text" } });
    this.waiting = el("p", { class: "waiting" }, foldingMark(), el("span", { class: "sr-only" }, "Working on an answer"));
    this.element = el("article", { class: "turn answer", "aria-busy": "true", data: { state: "waiting" } }, this.waiting, this.body);
    this.frame = 0;
  }

  text(soFar) {
    this.waiting.remove();
    this.element.dataset.state = "streaming";
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.render(soFar, placeholders(soFar)));
  }

  /** `forced` says that the reader chose the route. */
  finish({ content, annotations, twofold, truncated }, { forced }) {
    this.settle("done");
    const citations = twofold?.citations ?? [];
    this.render(content, this.markers(content, annotations, citations));
    if (twofold === null) return;
    this.element.dataset.route = twofold.route;
    this.element.dataset.outcome = twofold.outcome;
    this.append(
      citations.length ? this.sources(distinct(citations)) : null,
      notes({ ...twofold, truncated }),
      this.evidence({ ...twofold, forced }),
    );
  }

  /** The reader stopped the answer, or an error cut it off: what has arrived stays. */
  stop(content, note) {
    this.settle("stopped");
    if (!content && !note) {
      this.element.remove();
      return;
    }
    this.render(content, placeholders(content));
    if (note) this.append(el("ul", { class: "notes" }, el("li", {}, note)));
  }

  settle(state) {
    cancelAnimationFrame(this.frame);
    this.waiting.remove();
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", "false");
  }

  append(...parts) {
    this.element.append(...parts.filter((part) => part !== null));
  }

  render(content, marks) {
    this.body.replaceChildren(renderMarkdown(content, { marks, links: false }));
  }

  /**
   * Citation markers as buttons. The annotations say where they are, in code points, and come in
   * the order of the citations: a number that is used twice may stand for different words.
   */
  markers(content, annotations, citations) {
    const marks = [];
    for (const [index, { url_citation: place }] of annotations.entries()) {
      const span = utf16Span(content, place.start_index, place.end_index);
      const number = Number(content.slice(span.start, span.end).replace(/\D/g, ""));
      const paired = citations[index]?.marker === number ? citations[index] : undefined;
      const citation = paired ?? citations.find(({ marker }) => marker === number);
      if (citation) marks.push({ ...span, make: () => this.marker(citation) });
    }
    return marks;
  }

  marker(citation) {
    const label = `Source ${citation.marker}: ${words.place(citation)}`;
    return el("button", {
      class: "marker",
      type: "button",
      title: words.place(citation),
      "aria-label": label,
      data: { marker: citation.marker },
      on: { click: (event) => this.openSource(citation, event.currentTarget) },
    });
  }

  sources(citations) {
    return el("ol", { class: "sources", "aria-label": "Sources" }, ...citations.map((citation, index) => this.source(citation, citations[index - 1])));
  }

  /** One quoted place; another quotation from the passage above it need not name it again. */
  source(citation, above) {
    const follow = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab or window, as asked
      event.preventDefault();
      this.openSource(citation, event.currentTarget);
    };
    const quote = citation.quote ? el("span", { class: "source-quote" }, words.quoted(citation.quote)) : null;
    return el(
      "li",
      {},
      el(
        "a",
        { class: "source", href: words.address(citation), data: { marker: citation.marker }, on: { click: follow } },
        el("span", { class: "source-number", "aria-hidden": "true" }, String(citation.marker)),
        citation.passage_id === above?.passage_id ? null : el("span", { class: "source-place" }, words.place(citation)),
        quote,
      ),
    );
  }

  /** The badge, and behind it how the answer came about: stages, passages, models. */
  evidence(twofold) {
    const total = twofold.timings_ms?.total;
    const read = (twofold.passages ?? []).map((passage) => this.passage(passage));
    return el(
      "details",
      { class: "evidence", data: { part: "evidence" } },
      el(
        "summary",
        { title: words.routing(twofold) },
        el("span", { class: "badge", data: { part: "badge", route: twofold.route } }, words.ROUTES[twofold.route] ?? twofold.route),
        el("span", { class: "routing", data: { part: "routing" } }, words.routingShort(twofold)),
        total === undefined ? null : el("span", { class: "total" }, words.milliseconds(total)),
      ),
      el("p", { class: "muted" }, words.routing(twofold)),
      stages(twofold.timings_ms ?? {}),
      read.length ? el("h3", {}, "Passages read") : null,
      read.length ? el("ol", { class: "passages" }, ...read) : null,
      el("p", { class: "muted models" }, words.models(twofold)),
    );
  }

  passage(passage) {
    const open = (event) => this.openSource({ ...passage, quote: "", start: 0, end: 0 }, event.currentTarget);
    return el(
      "li",
      {},
      el(
        "button",
        { class: "plain", type: "button", on: { click: open } },
        el("span", { class: "place" }, words.place(passage)),
        el("span", { class: "muted" }, words.ranks(passage)),
      ),
    );
  }
}

/** Each quoted place once, in the order of the answer. */
function distinct(citations) {
  const seen = new Map(citations.map((citation) => [`${citation.marker} ${citation.start} ${citation.end}`, citation]));
  return [...seen.values()];
}

/** While the text streams its markers look as they will, but lead nowhere yet. */
function placeholders(content) {
  return [...content.matchAll(MARKER)].map((found) => ({
    start: found.index,
    end: found.index + found[0].length,
    make: () => el("span", { class: "marker" }),
  }));
}

function notes(twofold) {
  const lines = words.notes(twofold).map((note) => el("li", { data: { note: note.about } }, note.text));
  return lines.length ? el("ul", { class: "notes" }, ...lines) : null;
}

/** One row per stage, its bar placed where the stage ran. */
function stages(timings) {
  const { total, first_text: firstText, ...ran } = timings;
  const sum = Object.values(ran).reduce((before, ms) => before + ms, 0);
  const whole = Math.max(total ?? 0, sum, 0.001);
  let at = 0;
  const rows = Object.entries(ran).map(([name, ms]) => {
    const row = stage(name, ms, at / whole, ms / whole);
    at += ms;
    return row;
  });
  const first = firstText === undefined ? null : el("p", { class: "muted" }, `First words after ${words.milliseconds(firstText)}.`);
  return el("div", { class: "stages", data: { part: "stages" } }, el("ul", { "aria-label": "Time each stage took" }, ...rows), first);
}

function stage(name, ms, from, share) {
  const bar = svg("rect", { x: from * 100, y: 0, width: Math.max(share * 100, 0.6), height: 6, rx: 0.4 });
  return el(
    "li",
    { data: { stage: name } },
    el("span", {}, words.STAGES[name] ?? name),
    svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", class: "bar", "aria-hidden": "true" }, bar),
    el("span", { class: "ms" }, words.milliseconds(ms)),
  );
}
