// Talks to the server this page came from: the API key, JSON, and errors in words.

import { askForKey, savedKey } from "./key.js";

/** What the server, or the way to it, said when it could not do what was asked. */
export class ApiError extends Error {
  constructor(message, status = 0, param = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.param = param; // the field that was wrong, where it was one
  }
}

/** A successful response; asks for an API key where the server wants one, and tries again. */
export async function request(path, options = {}) {
  for (;;) {
    const sent = savedKey();
    const response = await send(path, options, sent);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401 || !(await askForKey(sent))) throw error;
  }
}

/** The JSON of a successful response. */
export async function requestJson(path, options = {}) {
  return (await request(path, options)).json();
}

async function send(path, options, key) {
  const headers = { Accept: "application/json", ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached. Check that it is running, then try again.");
  }
}

async function errorOf(response) {
  const fallback = `The server answered with status ${response.status}.`;
  try {
    const { error } = await response.json();
    return new ApiError(error?.message || fallback, response.status, error?.param);
  } catch {
    return new ApiError(fallback, response.status);
  }
}
