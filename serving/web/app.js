// The conversation: a question goes out, the answer comes in, and both are remembered.

import { AnswerView } from "./answer.js";
import { ApiError, request } from "./api.js";
import { DocumentsPanel } from "./documents.js";
import { byId, el, icon } from "./dom.js";
import { SourcePanel } from "./source.js";
import { readAnswer } from "./stream.js";
import { showWelcome } from "./welcome.js";

const AUTOMATIC = "twofold";
const MAX_ROWS = 8;
const NEAR_END_PX = 120;
const QUESTION_MARGIN_PX = 16;
const TWO_COLUMNS = matchMedia("(min-width: 960px) and (max-width: 1199px)");
const DOCUMENT_PATH = /^\/v1\/documents\/([^/]+)$/;

const question = byId("question");
const conversation = byId("conversation");
const scroller = byId("scroller");

let history_ = []; // the messages the server is sent with the next question
let running = null; // the AbortController of the answer on its way

const source = new SourcePanel({ fallback: question, onClose: leaveDocumentAddress });
const documents = new DocumentsPanel({
  fallback: question,
  openDocument,
  onChange: (list) => showWelcome(list, ask),
  onDelete: (id) => source.forget(id),
});

async function ask(text) {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  const chosen = model();
  const asked = [...history_, { role: "user", content: text }];
  const view = new AnswerView(openDocument);
  let received = "";
  begin(text, view);
  try {
    const body = JSON.stringify({ model: chosen, messages: asked, stream: true });
    const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
    const response = await request("/v1/chat/completions", { method: "POST", headers, body, signal });
    const answer = await readAnswer(response.body, (soFar) => {
      received = soFar;
      keepingEndInView(() => view.text(soFar));
    });
    keepingEndInView(() => view.finish(answer, { forced: chosen !== AUTOMATIC }));
    remember(asked, answer.content);
    say("Answer complete.");
  } catch (error) {
    if (conversation.contains(view.element)) settle(error, { view, text, asked, received });
  } finally {
    if (running?.signal === signal) {
      running = null;
      showRunning(false);
    }
  }
}

function begin(text, view) {
  byId("welcome").hidden = true;
  conversation.append(el("article", { class: "turn asked" }, el("p", {}, text)), view.element);
  showRunning(true);
  say("Working on an answer.");
  scroller.scrollTop = scrollTarget();
}

/** The answer did not come to its end: the reader stopped it, or something failed. */
function settle(error, { view, text, asked, received }) {
  if (error.name === "AbortError") {
    view.stop(received, "Stopped.");
    if (received) remember(asked, received);
    say("Stopped.");
    return;
  }
  if (!(error instanceof ApiError)) console.error(error);
  const message = error instanceof ApiError ? error.message : "The page could not show this answer.";
  keepingEndInView(() => {
    view.stop(received, "");
    conversation.append(problem(message, text));
  });
}

function problem(message, text) {
  const again = el("button", { class: "quiet", type: "button", data: { action: "again" } }, "Try again");
  const element = el("div", { class: "turn problem", role: "alert" }, el("p", {}, message), again);
  again.addEventListener("click", () => {
    if (running) return;
    element.remove();
    ask(text);
  });
  return element;
}

function remember(asked, content) {
  history_ = [...asked, { role: "assistant", content }];
}

function newConversation() {
  running?.abort();
  running = null;
  history_ = [];
  conversation.replaceChildren();
  byId("welcome").hidden = false;
  showRunning(false);
  source.close();
  say("New conversation.");
  question.focus();
}

function model() {
  return byId("composer").elements.model.value;
}

function showRunning(isRunning) {
  byId("send").hidden = isRunning;
  byId("stop").hidden = !isRunning;
}

function say(text) {
  byId("status").textContent = text;
}

/** Scrolls along with new text, unless the reader has scrolled elsewhere to read. */
function keepingEndInView(change) {
  const follows = Math.abs(scrollTarget() - scroller.scrollTop) < NEAR_END_PX;
  change();
  if (!follows) return;
  requestAnimationFrame(() => {
    scroller.scrollTop = scrollTarget();
  });
}

/** The end of the conversation, but never past the question: an answer is read from its beginning. */
function scrollTarget() {
  const end = scroller.scrollHeight - scroller.clientHeight;
  const asked = [...conversation.querySelectorAll(".asked")].at(-1);
  if (!asked) return end;
  const above = asked.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
  return Math.min(end, scroller.scrollTop + above - QUESTION_MARGIN_PX);
}

function openDocument(citation, opener) {
  if (TWO_COLUMNS.matches) documents.close();
  source.open(citation, opener);
}

/** The page may have been opened at a document's address; closed, that is no longer what it shows. */
function leaveDocumentAddress() {
  if (DOCUMENT_PATH.test(location.pathname)) history.replaceState(null, "", "/");
}

function openAddressedDocument() {
  const found = DOCUMENT_PATH.exec(location.pathname);
  if (!found) return;
  const passage = new URLSearchParams(location.search).get("passage");
  openDocument({ document_id: decodeURIComponent(found[1]), passage_id: passage }, question);
}

function submit() {
  const text = question.value.trim();
  if (!text || running) return;
  question.value = "";
  fitQuestion();
  if (matchMedia("(pointer: coarse)").matches) question.blur(); // the keyboard would cover the answer
  ask(text);
}

function fitQuestion() {
  question.rows = Math.min(MAX_ROWS, question.value.split("\n").length);
}

byId("send").append(icon("send"));
byId("stop").append(icon("stop"));
byId("stop").addEventListener("click", () => running?.abort());
byId("new-conversation").addEventListener("click", newConversation);
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
question.addEventListener("input", fitQuestion);
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});

byId("welcome").hidden = false;
openAddressedDocument();
await documents.load();
