// The list of documents, by collection: open one, add some, delete one.

import { request, requestJson } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { Panel } from "./panel.js";

export class DocumentsPanel {
  /** `openDocument({ document_id, title }, opener)`; `onChange(documents)` after every load. */
  constructor({ fallback, openDocument, onChange, onDelete }) {
    Object.assign(this, { openDocument, onChange, onDelete });
    this.documents = [];
    this.button = byId("open-documents");
    this.panel = new Panel(byId("documents-panel"), { fallback, onClose: () => this.reflect() });
    byId("close-documents").append(icon("close"));
    byId("close-documents").addEventListener("click", () => this.panel.close());
    this.button.addEventListener("click", () => this.toggle());
    byId("documents-filter").addEventListener("input", () => this.render());
    byId("upload-form").addEventListener("submit", (event) => this.upload(event));
  }

  toggle() {
    if (this.panel.isOpen) this.panel.close();
    else this.panel.open(this.button);
    this.reflect();
  }

  close() {
    this.panel.close();
  }

  reflect() {
    this.button.setAttribute("aria-expanded", String(this.panel.isOpen));
  }

  async load() {
    try {
      this.documents = (await requestJson("/v1/documents")).data;
    } catch (error) {
      byId("documents-state").textContent = error.message;
      this.onChange(null);
      return;
    }
    this.render();
    this.onChange(this.documents);
  }

  render() {
    const wanted = byId("documents-filter").value.trim().toLowerCase();
    const shown = this.documents.filter(({ title }) => title.toLowerCase().includes(wanted));
    const count = byId("documents-count");
    count.textContent = String(this.documents.length);
    count.hidden = this.documents.length === 0;
    byId("documents-state").textContent = this.summary(shown.length);
    byId("documents-list").replaceChildren(...byCollection(shown).map((entry) => this.collection(entry)));
    const names = new Set(this.documents.map(({ collection }) => collection));
    byId("collections").replaceChildren(...[...names].sort().map((name) => el("option", { value: name })));
  }

  summary(shown) {
    if (this.documents.length === 0) return "No documents yet. Add some below.";
    return shown === 0 ? "No title holds these words." : "";
  }

  collection([name, documents]) {
    const byTitle = documents.toSorted((a, b) => a.title.localeCompare(b.title));
    return el(
      "details",
      { class: "collection", open: true, data: { collection: name } },
      el("summary", {}, name, el("span", { class: "count" }, String(documents.length))),
      el("ul", {}, ...byTitle.map((document) => this.row(document))),
    );
  }

  row(document) {
    const { id, title, source } = document;
    return el(
      "li",
      { data: { documentId: id } },
      el(
        "button",
        { class: "plain", type: "button", title: source, data: { action: "open" },
          on: { click: (event) => this.openDocument({ document_id: id, title }, event.currentTarget) } },
        title,
      ),
      el(
        "button",
        { class: "icon", type: "button", "aria-label": `Delete ${title}`, title: "Delete", data: { action: "delete" },
          on: { click: () => this.remove(document) } },
        icon("remove"),
      ),
    );
  }

  async upload(event) {
    event.preventDefault();
    const form = new FormData();
    for (const file of byId("upload-file").files) form.append("file", file);
    form.append("collection", byId("upload-collection").value.trim());
    const button = byId("upload-send");
    button.disabled = true;
    this.report("Adding…");
    try {
      const response = await request("/v1/documents", { method: "POST", body: form });
      this.report(...outcome(await response.json()));
      byId("upload-file").value = "";
      await this.load();
    } catch (error) {
      this.report(error.message);
    } finally {
      button.disabled = false;
    }
  }

  report(...lines) {
    byId("upload-result").replaceChildren(...lines.map((line) => el("span", {}, line)));
  }

  async remove({ id, title }) {
    if (!(await confirmed(`“${title}” will no longer be found or quoted. The file it came from stays where it is.`))) return;
    try {
      await request(`/v1/documents/${encodeURIComponent(id)}`, { method: "DELETE" });
      this.onDelete(id);
      await this.load();
      byId("documents-state").textContent = `“${title}” was deleted.`;
    } catch (error) {
      byId("documents-state").textContent = error.message;
    }
    byId("documents-heading").focus({ preventScroll: true });
  }
}

function byCollection(documents) {
  const groups = new Map();
  for (const document of documents) {
    if (!groups.has(document.collection)) groups.set(document.collection, []);
    groups.get(document.collection).push(document);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}

function outcome({ added = 0, updated = 0, unchanged = 0, failed = [] }) {
  const counts = [
    [added, "added"],
    [updated, "updated"],
    [unchanged, "unchanged"],
  ].filter(([count]) => count > 0);
  const lines = counts.length ? [`${counts.map(([count, verb]) => `${count} ${verb}`).join(", ")}.`] : [];
  return [...lines, ...failed.map(({ source, reason }) => `${source}: ${reason}`)];
}

function confirmed(text) {
  const dialog = byId("confirm-dialog");
  byId("confirm-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
