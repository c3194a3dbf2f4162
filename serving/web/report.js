// The report of a decision: the recommendation with its reasons, then a card for each section.

import { el, svg } from "./dom.js";

/** The elements of a reply of POST /v1/decide that was asked for its `report`. */
export function showReport({ decision, report }) {
  return [summary(decision), el("div", { class: "cards" }, ...report.map(card))];
}

function summary({ recommendation, route, reasons, warnings, conflicts }) {
  return el("section", { class: "card verdict", data: { route } },
    el("p", { class: "eyebrow" }, "Recommendation"),
    el("h2", { data: { part: "recommendation" } }, recommendation),
    items(reasons),
    ...warnings.map((text) => notice("warning", text, [])),
    ...conflicts.map(({ text, possible_with: remedies }) => notice("conflict", text, remedies)));
}

function notice(kind, text, remedies) {
  return el("div", { class: `notice ${kind}` },
    el("p", {}, el("strong", {}, `${kind.toUpperCase()}: `), text),
    remedies.length ? el("p", {}, "Possible with:") : null,
    items(remedies));
}

function card({ title, drawing, items: listed, table, notes }) {
  return el("section", { class: "card" },
    el("h3", {}, title),
    items(listed),
    drawing ? picture(drawing) : null,
    table.length ? grid(table) : null,
    ...notes.map((note) => el("p", { class: "muted" }, note)));
}

function items(texts) {
  return texts.length ? el("ul", {}, ...texts.map((text) => el("li", {}, text))) : null;
}

/** The first row is the head. */
function grid([head, ...rows]) {
  return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" },
    el("table", {},
      el("thead", {}, el("tr", {}, ...head.map((cell) => el("th", { scope: "col" }, cell)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell, place) =>
        place ? el("td", {}, cell) : el("th", { scope: "row" }, cell)))))));
}

/** Shapes as the server describes them: tag, attributes, children. */
function picture(shape) {
  if (typeof shape === "string") return shape;
  return svg(shape.tag, shape.attributes, ...shape.children.map(picture));
}
