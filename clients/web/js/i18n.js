/**
 * Two languages, Vietnamese first. Elements carry their key in `data-i18n`; attributes in `data-i18n-attr` as
 * "aria-label:key".
 *
 * @module i18n
 */

import { setText } from "./dom.js";
import { en, vi } from "./messages.js";
import { store, stored } from "./storage.js";

/** @typedef {import("./messages.js").MessageKey} MessageKey */
/** @typedef {"vi" | "en"} Language */

const STORED_AS = "loa.language";

/**
 * The language to begin with: what was chosen before, else what the browser asks for, else Vietnamese.
 *
 * @param {string | null} chosen
 * @param {readonly string[]} preferred navigator.languages
 * @returns {Language}
 */
export function firstLanguage(chosen, preferred) {
  if (chosen === "vi" || chosen === "en") return chosen;
  const known = preferred.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag === "vi" || tag === "en");
  if (known === "vi" || known === "en") return known;
  return preferred.length > 0 ? "en" : "vi";
}

/**
 * @param {string} text
 * @param {Record<string, string | number>} values
 * @returns {string}
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** The language of one page. */
export class Translator {
  constructor() {
    this.language = firstLanguage(stored("localStorage", STORED_AS), navigator.languages ?? [navigator.language]);
    /** @type {Array<() => void>} */
    this.listeners = [];
  }

  /**
   * @param {MessageKey} key
   * @param {Record<string, string | number>} [values]
   * @returns {string}
   */
  text(key, values = {}) {
    return fill((this.language === "vi" ? vi : en)[key], values);
  }

  /**
   * @param {number} value
   * @param {Intl.NumberFormatOptions} [options]
   * @returns {string}
   */
  number(value, options = {}) {
    const text = new Intl.NumberFormat(this.language, { maximumFractionDigits: 0, ...options }).format(value);
    return text.replace("-", "−");
  }

  /** @param {number} share 0…1 */
  percent(share) {
    return this.number(share, { style: "percent", maximumFractionDigits: 1 });
  }

  /** @param {() => void} listener called after every change of language */
  onChange(listener) {
    this.listeners.push(listener);
  }

  /** @param {Language} language */
  choose(language) {
    this.language = language;
    store("localStorage", STORED_AS, language);
    this.apply();
    for (const listener of this.listeners) listener();
  }

  /** Writes the page's fixed texts. */
  apply() {
    document.documentElement.lang = this.language;
    this.#write(document);
  }

  /**
   * Fills a place of the page with one of its forms, and the form with its texts.
   *
   * @param {HTMLElement} place
   * @param {string} form from `forms.js`
   */
  build(place, form) {
    place.innerHTML = form;
    this.#write(place);
  }

  /**
   * What has gone wrong in a form, or nothing any more; it changes with the language.
   *
   * @param {HTMLElement} element
   * @param {MessageKey | null} key
   */
  say(element, key) {
    if (key === null) element.removeAttribute("data-i18n");
    else element.setAttribute("data-i18n", key);
    setText(element, key === null ? "" : this.text(key));
  }

  /** @param {ParentNode} part */
  #write(part) {
    for (const element of part.querySelectorAll("[data-i18n]")) {
      element.textContent = this.text(keyOf(element.getAttribute("data-i18n")));
    }
    for (const element of part.querySelectorAll("[data-i18n-attr]")) {
      const [name, key] = (element.getAttribute("data-i18n-attr") ?? "").split(":");
      if (name) element.setAttribute(name, this.text(keyOf(key ?? "")));
    }
  }
}

/**
 * @param {string | null} text
 * @returns {MessageKey}
 */
function keyOf(text) {
  if (text === null || !(text in vi)) throw new Error(`no message "${text}"`);
  return /** @type {MessageKey} */ (text);
}
