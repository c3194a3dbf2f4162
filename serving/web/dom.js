// Builds elements. Text only ever becomes text nodes, so nothing a model or a document says can run.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `el("p", { class: "note", data: { route: "rag" } }, "text", child)`. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** The element with this id; the page's own ids are never missing. */
export function byId(id) {
  return document.getElementById(id);
}

const ICONS = {
  close: "M5 5l10 10M15 5 5 15",
  send: "M10 16V4M4.5 9.5 10 4l5.5 5.5",
  stop: "M6 6h8v8H6z",
  remove: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M8.7 9v4.5M11.3 9v4.5",
};

/** A 20 px line icon; the button around it carries the label. */
export function icon(name) {
  const picture = svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" });
  picture.classList.add("glyph", `glyph-${name}`);
  picture.append(svg("path", { d: ICONS[name] }));
  return picture;
}

/** The mark of the product, which opens and closes while an answer is on its way. */
export function foldingMark() {
  return svg(
    "svg",
    { viewBox: "0 0 32 32", width: 28, height: 28, class: "folding", "aria-hidden": "true" },
    svg("path", { d: "M3 6.5 16 11v16.5L3 23z", class: "fold-left" }),
    svg("path", { d: "M29 6.5 16 11v16.5L29 23z", class: "fold-right" }),
  );
}

function fill(element, { data = {}, on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  Object.assign(element.dataset, data);
  for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
