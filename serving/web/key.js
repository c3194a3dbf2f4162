// Asks for the API key, once for all requests that wait for it, and keeps it for this tab.

import { byId } from "./dom.js";

const SLOT = "twofold.api-key";
const FIRST = "This server answers only with an API key. It is kept until you close this tab.";
const REFUSED = "The server did not accept that key. Check it and try again.";

let pending = null;

/** The key of this tab, or an empty string. */
export function savedKey() {
  return sessionStorage.getItem(SLOT) ?? "";
}

/** Resolves to true when there is another key than `refused` to try, false when the reader gave up. */
export function askForKey(refused) {
  if (savedKey() !== refused) return Promise.resolve(true);
  pending ??= show(refused).finally(() => {
    pending = null;
  });
  return pending;
}

function show(refused) {
  const dialog = byId("key-dialog");
  const input = byId("key-input");
  byId("key-reason").textContent = refused ? REFUSED : FIRST;
  byId("key-cancel").onclick = () => dialog.close("");
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const done = () => {
      const key = dialog.returnValue === "save" ? input.value.trim() : "";
      input.value = "";
      if (key) sessionStorage.setItem(SLOT, key);
      resolve(key !== "");
    };
    dialog.addEventListener("close", done, { once: true });
  });
}
