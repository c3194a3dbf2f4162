// The empty state: what this is, and a few questions to begin with.

import { byId, el } from "./dom.js";

// Questions about the sample documents, each shown while the document that answers it is there.
const SAMPLES = [
  { about: "cabin-baggage", question: "How big may my cabin bag be?" },
  { about: "cancelled-by-meridian", question: "My flight was cancelled. Can I have my money back?" },
  { about: "travelling-with-a-pet", question: "Can I fly with my dog, and what does it cost?" },
  { about: "fare-families-compared", question: "Compare the Light, Classic and Flex fares." },
];

/** Fills the welcome for these documents; null when the list could not be read. */
export function showWelcome(documents, ask) {
  byId("welcome").replaceChildren(
    el("h1", {}, el("span", { class: "first-fold" }, "Facts from your documents."), " ",
      el("span", { class: "second-fold" }, "Words in your voice.")),
    el("p", { class: "lead" }, "Twofold answers questions about your documents and shows you the exact words behind every answer."),
    ...begin(documents, ask),
  );
}

function begin(documents, ask) {
  if (documents === null) return [];
  if (documents.length === 0) {
    return [
      el("p", { class: "lead", data: { part: "how-to-add" } },
        "There are no documents yet. Open Documents above to add files, or run ",
        el("code", {}, "twofold ingest FOLDER"), "."),
    ];
  }
  const fitting = SAMPLES.filter(({ about }) => documents.some(({ source }) => source.includes(about)));
  if (fitting.length === 0) return [];
  return [el("ul", { class: "samples", "aria-label": "Questions to begin with" }, ...fitting.map((sample) => card(sample, ask)))];
}

function card({ question }, ask) {
  return el("li", {}, el("button", { class: "sample", type: "button", on: { click: () => ask(question) } }, question));
}
