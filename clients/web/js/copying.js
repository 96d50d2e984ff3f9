/**
 * A text to be taken along: a field that shows it, and a button that copies it.
 *
 * @module copying
 */

import { setText } from "./dom.js";

/** @typedef {import("./messages.js").MessageKey} MessageKey */

const COPIED_MS = 2500;

/**
 * @param {import("./i18n.js").Translator} words
 * @param {HTMLInputElement} field
 * @param {HTMLButtonElement} button
 * @param {MessageKey} label what the button says, before and some time after
 */
export function bindCopy(words, field, button, label) {
  field.addEventListener("focus", () => field.select());
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // The clipboard is only for secure pages; the old way still works on others.
      field.select();
      document.execCommand("copy");
    }
    setText(button, words.text("common.copied"));
    setTimeout(() => setText(button, words.text(label)), COPIED_MS);
  });
}
