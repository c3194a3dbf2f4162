// The source panel: a document as readable text, with the passage and the quoted words set off.

import { ApiError, requestJson } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { renderMarkdown } from "./markdown.js";
import { Panel } from "./panel.js";
import { quotedSpan, utf16Span } from "./spans.js";
import { address, day } from "./words.js";

const CHANGED = "The document has changed since this answer was given; the quoted words are no longer in it.";
const PRINTED = /\.(pdf|txt)$/i; // their lines are a printed page's, without blank lines between paragraphs

export class SourcePanel {
  constructor({ fallback, onClose }) {
    this.panel = new Panel(byId("source-panel"), { fallback, onClose });
    this.scroller = byId("source-scroll");
    this.asked = 0;
    byId("close-source").append(icon("close"));
    byId("close-source").addEventListener("click", () => this.panel.close());
  }

  /** Opens a document; `passage_id` and the quoted span are set off where they are given. */
  async open(citation, opener) {
    const asked = (this.asked += 1);
    this.announce(citation.title ?? "Source", "", "Loading…");
    this.panel.open(opener);
    try {
      const found = await load(citation);
      if (asked === this.asked) this.show(found, citation);
    } catch (error) {
      if (asked === this.asked) this.announce("Source", "", error.message);
    }
  }

  /** Closes when this document is the one on show: it was deleted. */
  forget(documentId) {
    if (this.panel.isOpen && byId("source-text").dataset.documentId === documentId) this.panel.close();
  }

  close() {
    this.panel.close();
  }

  announce(title, about, state) {
    byId("source-title").textContent = title;
    byId("source-about").textContent = about;
    byId("source-state").textContent = state;
    byId("source-text").replaceChildren();
  }

  show({ document, stale }, citation) {
    const { text } = document;
    const quote = citation.quote ? quotedSpan(text, citation) : null;
    const passage = document.passage ? utf16Span(text, document.passage.start, document.passage.end) : null;
    const gone = stale || (citation.quote && quote === null);
    const about = [document.collection, day(document.updated_at)].filter(Boolean).join(" · ");
    this.announce(document.title, about, gone ? CHANGED : "");
    const body = byId("source-text");
    body.dataset.documentId = document.id;
    const marks = quote ? [{ ...quote, make: () => el("mark") }] : [];
    body.append(renderMarkdown(text, { marks, passage, printed: PRINTED.test(document.source) }));
    hideRepeatedTitle(body, document.title);
    this.scrollTo(body.querySelector("mark") ?? body.querySelector(".passage, .in-passage"));
  }

  scrollTo(target) {
    if (!target) {
      this.scroller.scrollTop = 0;
      return;
    }
    const above = target.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top;
    this.scroller.scrollTop += above - this.scroller.clientHeight / 3;
  }
}

/** A passage of an older generation is gone; its document may still be there. */
async function load(citation) {
  try {
    return { document: await requestJson(address(citation)), stale: false };
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404 || !citation.passage_id) throw error;
    const document = await requestJson(address({ document_id: citation.document_id }));
    return { document, stale: !citation.quote };
  }
}

function hideRepeatedTitle(body, title) {
  const first = body.querySelector("h3");
  const leads = first !== null && first === body.firstElementChild && !first.querySelector("mark");
  if (leads && first.textContent.trim() === title) first.classList.add("sr-only");
}
