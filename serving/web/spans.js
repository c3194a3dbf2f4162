// Spans of a text. The server counts code points, JavaScript counts UTF-16 units.

/** [start, end) in UTF-16 units for a span in code points; ends beyond the text are cut off. */
export function utf16Span(text, start, end) {
  let units = 0;
  let points = 0;
  while (points < start && units < text.length) {
    units += width(text, units);
    points += 1;
  }
  const from = units;
  while (points < end && units < text.length) {
    units += width(text, units);
    points += 1;
  }
  return { start: from, end: units };
}

/**
 * Where a citation's words stand in the text, in UTF-16 units; null when they are gone. A document
 * that changed since the answer has moved them, so the words themselves decide, not the numbers.
 */
export function quotedSpan(text, { start, end, quote }) {
  const span = utf16Span(text, start, end);
  if (!quote) return span.end > span.start ? span : null;
  if (text.slice(span.start, span.end) === quote) return span;
  const at = text.indexOf(quote);
  return at < 0 ? null : { start: at, end: at + quote.length };
}

function width(text, at) {
  return text.codePointAt(at) > 0xffff ? 2 : 1;
}
