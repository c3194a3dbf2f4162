// What the page says about an answer, in plain words.

export const ROUTES = { rag: "Documents", fine_tuned: "Voice", hybrid: "Both" };

export const STAGES = {
  embed: "Embed the question",
  route: "Choose the route",
  search: "Search",
  rerank: "Rerank",
  evidence: "Weigh the evidence",
  prompt: "Build the prompt",
  generate: "Write",
};

const ROUTE_SENTENCES = {
  rag: "Route: documents alone.",
  fine_tuned: "Route: the trained voice alone.",
  hybrid: "Route: documents and the trained voice.",
};

const INTENTS = { factual: "factual", creative: "creative", analysis: "analysis", small_talk: "small talk" };

const MISSING = {
  voice: "No language model is set up, so the words are the documents' own.",
  generator: "The language model did not answer, so the words are the documents' own.",
  citations: "The language model named no sources, so the words are the documents' own.",
  reranker: "The passages stand in the order of the search; the reranker did not run.",
  unit_embedder: "Sentences were chosen by what finds passages; the model for sentences did not run.",
  embedder: "Searched by words alone; the search by meaning was not available.",
  router: "The router was not available, so both ways were open.",
};

/** "Title › Heading › Subheading", each name once. */
export function place({ title, heading_path: path }) {
  return [...new Set([title, ...(path ?? [])].filter(Boolean))].join(" › ");
}

/** Where a document or one of its passages is: the page's own address for it. */
export function address({ document_id: id, passage_id: passage }) {
  const query = passage ? `?passage=${encodeURIComponent(passage)}` : "";
  return `/v1/documents/${encodeURIComponent(id)}${query}`;
}

/** A quote on one line, without the bars and stars of its Markdown. */
export function quoted(quote) {
  const plain = quote.replace(/\s*\|\s*/g, " · ").replace(/\*\*|`/g, "").replace(/\s+/g, " ");
  return `“${plain.replace(/^[\s·]+|[\s·]+$/g, "")}”`;
}

export function milliseconds(ms) {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}

/** Beside the badge: "factual · 93% sure", or that the reader chose the route. */
export function routingShort({ intent, score, forced }) {
  if (forced) return "chosen by you";
  const parts = [INTENTS[intent] ?? intent, score === null || score === undefined ? null : `${percent(score)} sure`];
  return parts.filter(Boolean).join(" · ");
}

/** The same in full, for the tooltip and the details. */
export function routing({ route, intent, score, forced }) {
  const parts = [ROUTE_SENTENCES[route] ?? `Route: ${route}.`];
  if (forced) parts.push("You chose this route.");
  if (intent) parts.push(`Intent: ${INTENTS[intent] ?? intent}.`);
  if (score !== null && score !== undefined) parts.push(`Router's score: ${score.toFixed(2)}.`);
  return parts.join(" ");
}

/** Notes under an answer, each { about, text }. */
export function notes({ degraded = [], outcome, truncated }) {
  const found = degraded
    .filter((part) => part !== "voice" || outcome === "answered") // nothing was quoted instead
    .map((part) => ({ about: part, text: MISSING[part] ?? `Not available: ${part}.` }));
  if (outcome === "small_talk") found.push({ about: outcome, text: "Small talk; no documents were searched." });
  if (truncated) found.push({ about: "length", text: "The answer ends here because it reached its length limit." });
  return found;
}

export function models({ models = {}, adapter }) {
  const named = Object.entries(models).filter(([, name]) => name);
  const parts = named.map(([part, name]) => `${part}: ${name}`);
  if (adapter) parts.push(`adapter: ${adapter}`);
  return parts.join(" · ");
}

/** How a passage was found: its ranks by meaning and by words. */
export function ranks({ dense_rank: dense, bm25_rank: bm25, rerank_score: rerank }) {
  const parts = [];
  if (dense) parts.push(`meaning #${dense}`);
  if (bm25) parts.push(`words #${bm25}`);
  if (rerank !== null && rerank !== undefined) parts.push(`reranker ${rerank.toFixed(2)}`);
  return parts.join(" · ");
}

/** A day in the reader's own form; an empty string for what is not a date. */
export function day(value) {
  const date = new Date(typeof value === "number" ? value * 1000 : (value ?? ""));
  if (Number.isNaN(date.getTime())) return "";
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(date);
}

function percent(score) {
  return `${Math.round(score * 100)}%`;
}
