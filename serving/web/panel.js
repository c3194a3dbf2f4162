// A side panel: beside the conversation where there is room, a full-screen sheet where there is not.

const WIDE = matchMedia("(min-width: 960px)");

export class Panel {
  /** `onClose` runs after the panel closed; `fallback` takes the focus when the opener is gone. */
  constructor(dialog, { fallback, onClose = () => {} }) {
    this.dialog = dialog;
    this.fallback = fallback;
    this.onClose = onClose;
    this.opener = null;
    this.onBackStack = false; // the sheet of a phone closes with the Back button
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    addEventListener("keydown", (event) => this.closeOnEscape(event));
    addEventListener("popstate", () => this.closeOnBack());
    WIDE.addEventListener("change", () => this.fitToWidth());
  }

  get isOpen() {
    return this.dialog.open;
  }

  open(opener = document.activeElement) {
    if (!this.isOpen) {
      this.opener = opener;
      this.show();
      if (!WIDE.matches) {
        history.pushState({ sheet: this.dialog.id }, "");
        this.onBackStack = true;
      }
    }
    this.dialog.querySelector("[data-first-focus]").focus({ preventScroll: true });
  }

  close() {
    if (!this.isOpen) return;
    if (this.onBackStack) history.back(); // popstate goes on from here
    else this.hide();
  }

  show() {
    if (WIDE.matches) this.dialog.show();
    else this.dialog.showModal();
  }

  hide() {
    this.dialog.close();
    this.opener?.focus({ preventScroll: true });
    if (document.activeElement !== this.opener || this.opener === document.body) this.fallback.focus();
    this.onClose();
  }

  closeOnBack() {
    if (!this.onBackStack || history.state?.sheet === this.dialog.id) return;
    this.onBackStack = false;
    this.hide();
  }

  closeOnEscape(event) {
    if (event.key !== "Escape" || event.defaultPrevented || !this.isOpen) return;
    if (document.querySelector("dialog:modal")) return; // a modal dialog closes itself
    event.preventDefault();
    this.close();
  }

  fitToWidth() {
    if (!this.isOpen) return;
    this.dialog.close();
    this.show();
  }
}
