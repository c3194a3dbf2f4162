// The rows of a Markdown table, as spans of the text they stand in.

const DIVIDER = /^\s*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** Whether a line is the row of dashes under a table's header. */
export function isDivider(line) {
  return line.includes("|") && line.includes("-") && DIVIDER.test(line);
}

/** The [start, end) span of each cell's words in a row. */
export function cellSpans(text, [start, end]) {
  const row = text.slice(start, end);
  const left = /^\s*\|?/.exec(row)[0].length;
  const spans = [];
  let from = start + left;
  for (const cell of splitCells(row.slice(left).replace(/(?<!\\)\|\s*$/, ""))) {
    const lead = cell.length - cell.trimStart().length;
    spans.push([from + lead, from + Math.max(lead, cell.trimEnd().length)]);
    from += cell.length + 1;
  }
  return spans;
}

/** Cells between bars that no backslash escapes. */
function splitCells(row) {
  const cells = [""];
  for (let at = 0; at < row.length; at += 1) {
    if (row[at] === "|") cells.push("");
    else {
      cells[cells.length - 1] += row[at];
      if (row[at] === "\\" && at + 1 < row.length) cells[cells.length - 1] += row[(at += 1)];
    }
  }
  return cells;
}
