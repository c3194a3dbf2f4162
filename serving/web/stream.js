// Reads an answer as it arrives: bytes -> lines -> server-sent events -> text and its evidence.

import { ApiError } from "./api.js";

const CUT_OFF = "The connection ended before the answer was complete.";

/**
 * The data of each server-sent event. Chunks may end anywhere: inside a character, a line or an
 * event; lines may end in LF, CR or CRLF.
 */
export async function* events(body) {
  let data = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length) yield data.join("\n");
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
  if (data.length) yield data.join("\n");
}

/**
 * Reads the chat completion to its end, calling `onText(soFar)` as text arrives.
 * Returns { content, annotations, twofold, truncated }; throws ApiError for an error inside the stream.
 */
export async function readAnswer(body, onText) {
  const answer = { content: "", annotations: [], twofold: null, truncated: false };
  let complete = false;
  for await (const data of events(body)) {
    if (data === "[DONE]") return answer;
    const chunk = parse(data);
    if (chunk.error) throw new ApiError(chunk.error.message || CUT_OFF);
    if (chunk.twofold) answer.twofold = chunk.twofold;
    const choice = chunk.choices?.[0];
    if (choice?.delta?.annotations) answer.annotations = choice.delta.annotations;
    if (choice?.finish_reason) complete = true;
    if (choice?.finish_reason === "length") answer.truncated = true;
    if (choice?.delta?.content) {
      answer.content += choice.delta.content;
      onText(answer.content);
    }
  }
  if (!complete) throw new ApiError(CUT_OFF);
  return answer;
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new ApiError("The server sent something that is not an answer.");
  }
}

async function* lines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      for (let end; (end = lineEnd(rest, done)) !== null; rest = rest.slice(end.next)) {
        yield rest.slice(0, end.at);
      }
      if (done) break;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {}); // an aborted body refuses; there is nothing left to free
  }
}

function lineEnd(text, done) {
  const at = text.search(/[\r\n]/);
  if (at < 0) return null;
  if (text[at] === "\n") return { at, next: at + 1 };
  if (at + 1 === text.length && !done) return null; // the LF of a CRLF may be in the next chunk
  return { at, next: text[at + 1] === "\n" ? at + 2 : at + 1 };
}
