// The decision: six answers go out with every change, and the report comes back.

import { ApiError, requestJson } from "./api.js";
import { byId, el } from "./dom.js";
import { showReport } from "./report.js";

const PAUSE_MS = 250; // after the last key, before the answers are sent
const FIELDS = ["knowledge_changes", "needs_citations", "style_requirements", "training_data",
  "latency_requirement", "monthly_queries"];
const CHECKS = ["data_must_not_enter_weights", "no_external_data_access"];
const ONE_COLUMN = matchMedia("(max-width: 860px)");

const form = byId("use-case");
let sending = null; // the AbortController of the report on its way
let timer = null;

async function decide() {
  clearTimeout(timer);
  sending?.abort();
  sending = new AbortController();
  const { signal } = sending;
  try {
    const body = JSON.stringify(await answers());
    const headers = { "Content-Type": "application/json" };
    const reply = await requestJson("/v1/decide", { method: "POST", headers, body, signal });
    if (signal.aborted) return;
    showProblem(null);
    byId("report").replaceChildren(...showReport(reply));
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (!(error instanceof ApiError)) console.error(error);
    showProblem(error instanceof ApiError ? error : new ApiError("The page could not show this report."));
  }
}

/** The body of the request; what no file and no choice says is left out. */
async function answers() {
  const body = { report: true };
  for (const name of FIELDS) body[name] = form.elements[name].value;
  for (const name of CHECKS) body[name] = form.elements[name].checked;
  if (form.elements.price_mode.value) body.price_mode = form.elements.price_mode.value;
  const [prices, bench, readiness] = await Promise.all(["prices", "bench", "readiness"].map(fileText));
  if (prices !== null) body.prices = prices;
  if (bench !== null) body.bench = parsed(bench, "bench");
  if (readiness !== null) {
    body.readiness = parsed(readiness, "readiness");
    delete body.training_data;
  }
  return body;
}

async function fileText(name) {
  const [file] = byId(`${name}-file`).files;
  return file ? file.text() : null;
}

function parsed(text, name) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("This file is not JSON.", 0, name);
  }
}

/** The message, and a mark on the field that it is about; null when all is well. */
function showProblem(error) {
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  const box = byId("problem");
  box.hidden = error === null;
  byId("report").classList.toggle("outdated", error !== null);
  if (error === null) return;
  const field = error.param && (byId(error.param) ?? byId(`${error.param}-file`));
  field?.setAttribute("aria-invalid", "true");
  box.replaceChildren(el("strong", {}, "Not understood. "), error.message);
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(decide, PAUSE_MS);
}

form.addEventListener("input", soon);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await decide();
  if (ONE_COLUMN.matches) document.querySelector(".result").scrollIntoView({ behavior: "smooth" });
});
await decide();
