/**
 * The page of all channels.
 *
 * @module index
 */

import { isChannelName } from "./address.js";
import { byId, setText } from "./dom.js";
import { fetchChannels, setUpLanguage, setUpToken } from "./page.js";
import { tokenExpired } from "./token.js";

/** @typedef {import("./page.js").Channel} Channel */
/** @typedef {import("./messages.js").MessageKey} MessageKey */

const REFRESH_MS = 5000;

class IndexPage {
  constructor() {
    this.base = new URL("./", location.href);
    this.words = setUpLanguage();
    this.token = setUpToken("index", () => void this.refresh());
    /** @type {Channel[]} */
    this.channels = [];
    /** @type {MessageKey | null} */
    this.message = "index.loading";
    /** What became of the token that brought the user here. @type {MessageKey | null} */
    this.refusal = null;
    this.shown = "";
  }

  begin() {
    const form = byId("open-form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.open(byId("open-name", HTMLInputElement));
    });
    this.words.onChange(() => this.render());
    this.render();
    document.addEventListener("visibilitychange", () => void this.refresh());
    setInterval(() => void this.refresh(), REFRESH_MS);
    void this.refresh();
  }

  async refresh() {
    if (document.visibilityState === "hidden") return;
    try {
      const { token } = this.token;
      let channels = await fetchChannels(this.base, token);
      if (token !== null) this.refusal = channels === null ? refusalOf(token) : null;
      if (channels === null && token !== null) {
        // A token that is refused hides the public channels as well.
        this.token.keep(null);
        channels = await fetchChannels(this.base, null);
      }
      this.channels = channels ?? [];
      this.message = this.refusal ?? (this.channels.length === 0 ? "index.unlisted" : null);
    } catch {
      // What was known stays on the page.
      this.message = "index.failed";
    }
    this.render();
  }

  /** @param {HTMLInputElement} input */
  open(input) {
    const name = input.value.trim().toLowerCase();
    const valid = isChannelName(name);
    input.setAttribute("aria-invalid", String(!valid));
    this.words.say(byId("open-error", HTMLElement), valid ? null : "index.bad-name");
    if (!valid) input.focus();
    if (valid) location.assign(new URL(name, this.base));
  }

  render() {
    setText(byId("message", HTMLElement), this.message === null ? "" : this.words.text(this.message));
    // Rebuilt only when it says something else, and the keyboard's place in it is kept.
    const shown = JSON.stringify([this.words.language, this.channels]);
    if (shown === this.shown) return;
    this.shown = shown;
    const list = byId("channels", HTMLElement);
    const focused = document.activeElement instanceof HTMLAnchorElement ? document.activeElement.href : null;
    list.replaceChildren(...this.channels.map((channel) => this.row(channel)));
    for (const link of list.querySelectorAll("a")) if (link.href === focused) link.focus();
  }

  /**
   * @param {Channel} channel
   * @returns {HTMLLIElement}
   */
  row(channel) {
    const words = this.words;
    const row = document.createElement("li");
    row.dataset.onAir = String(channel.onAir);
    const listeners = words.text("index.listeners", { count: words.number(channel.listeners) });
    const facts = [words.text(channel.onAir ? "index.on-air" : "index.off-air")];
    if (channel.listeners > 0) facts.push(listeners);
    if (channel.public) facts.push(words.text("index.public"));
    const name = element("h2", "", channel.title);
    const about = element("p", "facts", facts.join(" · "));
    const listen = this.link("index.listen", channel.name, "primary", channel.title);
    const publish = this.link("index.publish", `${channel.name}/publish`, "secondary", channel.title);
    const text = element("div", "about", "");
    text.append(name, about);
    const actions = element("div", "actions", "");
    actions.append(listen, publish);
    name.prepend(element("span", "lamp", ""));
    row.append(text, actions);
    return row;
  }

  /**
   * @param {MessageKey} key
   * @param {string} path
   * @param {string} kind
   * @param {string} title told to those who hear the link without its surroundings
   */
  link(key, path, kind, title) {
    const link = document.createElement("a");
    link.className = kind;
    link.href = new URL(path, this.base).href;
    link.textContent = this.words.text(key);
    link.setAttribute("aria-label", `${this.words.text(key)}: ${title}`);
    return link;
  }
}

/**
 * @param {string} token that the relay would not have
 * @returns {MessageKey}
 */
function refusalOf(token) {
  return tokenExpired(token, Date.now() / 1000) ? "index.expired" : "index.refused";
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} text
 */
function element(tag, className, text) {
  const created = document.createElement(tag);
  if (className !== "") created.className = className;
  created.textContent = text;
  return created;
}

new IndexPage().begin();
