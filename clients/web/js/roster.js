/**
 * The list of those in a meeting, with what a chair can do about each.
 *
 * @module roster
 */

import { byId, setText } from "./dom.js";
import { scalePosition } from "./meter.js";

/** @typedef {import("./meetinglink.js").Meeting} Meeting */
/** @typedef {import("./meetinglink.js").Person} Person */
/** @typedef {import("./meetinglink.js").Levels} Levels */
/** @typedef {import("./messages.js").MessageKey} MessageKey */

/** @typedef {{ key: MessageKey, type: string, fields?: Record<string, unknown>, look: string }} Act */

class Row {
  constructor() {
    const part = (/** @type {string} */ tag, /** @type {string} */ name) => {
      const element = document.createElement(tag);
      element.className = name;
      return element;
    };
    this.element = part("li", "person");
    this.avatar = part("span", "avatar");
    this.avatar.setAttribute("aria-hidden", "true");
    this.name = part("span", "name");
    this.tags = part("span", "tags");
    this.facts = part("p", "facts");
    this.level = part("span", "voice");
    this.level.setAttribute("aria-hidden", "true");
    this.acts = part("div", "acts");
    const who = part("div", "who");
    const line = part("p", "line");
    line.append(this.name, this.tags);
    who.append(line, this.facts);
    this.element.append(this.avatar, who, this.level, this.acts);
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
  }

  /** @param {string[]} tags */
  setTags(tags) {
    if (tags.join() === [...this.tags.children].map((tag) => tag.textContent).join()) return;
    this.tags.replaceChildren(...tags.map((text) => Object.assign(document.createElement("span"), { className: "tag", textContent: text })));
  }
}

export class Roster {
  /**
   * @param {import("./i18n.js").Translator} words
   * @param {(type: string, fields: Record<string, unknown>) => void} order
   */
  constructor(words, order) {
    this.words = words;
    this.order = order;
    this.lists = { inside: byId("people", HTMLUListElement), waiting: byId("waiting", HTMLUListElement) };
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    byId("admit-all", HTMLButtonElement).addEventListener("click", () => {
      for (const id of this.waitingIds) this.order("admit", { person: id });
    });
    /** @type {string[]} */
    this.waitingIds = [];
  }

  /**
   * @param {Meeting} meeting
   * @param {string} me
   * @param {Levels["people"]} levels
   */
  render(meeting, me, levels) {
    const chairs = meeting.people.find((person) => person.id === me)?.role === "chair";
    const others = meeting.people.filter((person) => person.id !== me);
    const waiting = chairs ? others.filter((person) => !person.admitted) : [];
    this.waitingIds = waiting.map((person) => person.id);
    byId("waiting-panel", HTMLElement).hidden = waiting.length === 0;
    byId("admit-all", HTMLElement).hidden = waiting.length < 2;
    setText(byId("waiting-title", HTMLElement), this.words.text("meeting.waiting", { count: waiting.length }));
    // Hands first, in their order; then as they came.
    const rank = (/** @type {Person} */ person) => person.hand || 1000;
    const inside = meeting.people.filter((person) => !waiting.includes(person)).sort((a, b) => rank(a) - rank(b));
    this.#place(this.lists.waiting, waiting, meeting, me, chairs, levels);
    this.#place(this.lists.inside, inside, meeting, me, chairs, levels);
    byId("nobody", HTMLElement).hidden = others.length > 0;
    const known = new Set(meeting.people.map((person) => person.id));
    for (const [id, row] of this.rows) {
      if (known.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
  }

  /**
   * @param {HTMLUListElement} list
   * @param {Person[]} people
   * @param {Meeting} meeting
   * @param {string} me
   * @param {boolean} chairs
   * @param {Levels["people"]} levels
   */
  #place(list, people, meeting, me, chairs, levels) {
    people.forEach((person, at) => {
      const row = this.rows.get(person.id) ?? new Row();
      this.rows.set(person.id, row);
      // Moving an element takes the focus from its buttons: only where it is not there already.
      if (list.children[at] !== row.element) list.insertBefore(row.element, list.children[at] ?? null);
      this.#fill(row, person, meeting, person.id === me, chairs, levels[person.id]);
    });
  }

  /**
   * @param {Row} row
   * @param {Person} person
   * @param {Meeting} meeting
   * @param {boolean} self
   * @param {boolean} chairs
   * @param {Levels["people"][string] | undefined} heard
   */
  #fill(row, person, meeting, self, chairs, heard) {
    const { words } = this;
    const condition = conditionOf(person, meeting);
    row.element.dataset.condition = condition;
    row.element.dataset.hand = String(person.hand > 0);
    setText(row.avatar, [...person.name.trim()][0]?.toUpperCase() ?? "?");
    setText(row.name, person.name);
    row.setTags([
      ...(self ? [words.text("meeting.you")] : []),
      ...(person.role === "chair" ? [words.text("meeting.chair")] : []),
      ...(person.hand > 0 ? [words.text("meeting.hand-place", { place: person.hand })] : []),
    ]);
    const link = person.connected && (chairs || self) ? heard?.[1] : undefined;
    const said = words.text(/** @type {MessageKey} */ (`meeting.facts.${condition}`));
    row.element.dataset.link = link ?? "";
    setText(row.facts, link === undefined ? said : `${said} · ${words.text(/** @type {MessageKey} */ (`meeting.link.${link}`))}`);
    row.level.style.setProperty("--level", scalePosition(heard?.[0] ?? -200).toFixed(2));
    this.#act(row, person, self ? [] : chairs ? actsOn(person) : []);
  }

  /**
   * @param {Row} row
   * @param {Person} person
   * @param {Act[]} acts
   */
  #act(row, person, acts) {
    const wanted = acts.map((act) => act.key).join();
    if (row.acts.dataset.acts !== wanted) {
      row.acts.dataset.acts = wanted;
      row.buttons.clear();
      row.acts.replaceChildren(...acts.map(({ key, type, fields, look }) => {
        const button = Object.assign(document.createElement("button"), { type: "button", className: look });
        button.addEventListener("click", () => this.order(type, { person: person.id, ...fields }));
        row.buttons.set(key, button);
        return button;
      }));
    }
    for (const [key, button] of row.buttons) {
      const action = this.words.text(/** @type {MessageKey} */ (key));
      setText(button, action);
      button.setAttribute("aria-label", this.words.text("meeting.about", { action, name: person.name }));
    }
  }
}

/**
 * @param {Person} person
 * @param {Meeting} meeting
 * @returns {"waiting" | "no-microphone" | "silenced" | "muted" | "closed" | "on-air"}
 */
export function conditionOf(person, meeting) {
  if (!person.admitted) return "waiting";
  if (!person.connected) return "no-microphone";
  if (person.silenced) return "silenced";
  if (person.muted) return "muted";
  return meeting.phase === "open" ? "on-air" : "closed";
}

/**
 * @param {Person} person
 * @returns {Act[]} what a chair can do about another
 */
export function actsOn(person) {
  if (!person.admitted) {
    return [
      { key: "meeting.admit", type: "admit", look: "primary" },
      { key: "meeting.refuse", type: "remove", look: "secondary" },
    ];
  }
  /** @type {Act[]} */
  const acts = [
    person.silenced
      ? { key: "meeting.unsilence", type: "mute", fields: { muted: false }, look: "primary" }
      : { key: "meeting.silence", type: "mute", fields: { muted: true }, look: "secondary" },
  ];
  if (person.hand > 0) acts.push({ key: "meeting.lower", type: "hand", fields: { raised: false }, look: "secondary" });
  return [...acts, { key: "meeting.remove", type: "remove", look: "quiet" }];
}
