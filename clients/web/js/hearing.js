/**
 * Whether a microphone is heard, where a chime may keep it waiting: the relay says so itself, by server-sent events.
 *
 * @module hearing
 */

/** @typedef {"unknown" | "not-yet" | "chime" | "heard"} Word */

export class Hearing {
  constructor() {
    /** What the relay says; "unknown" also where it says nothing. @type {Word} */
    this.word = "unknown";
    /** @type {EventSource | null} */
    this.events = null;
  }

  /** @param {URL} address */
  follow(address) {
    this.word = "not-yet";
    this.events = new EventSource(address);
    this.events.addEventListener("message", ({ data }) => {
      const said = JSON.parse(data);
      this.word = said.awaits_chime === true ? "chime" : said.heard === true ? "heard" : "not-yet";
    });
    // Cut off from the relay's word: what is not known is not claimed. The browser asks again by itself.
    this.events.addEventListener("error", () => {
      this.word = "unknown";
    });
  }

  close() {
    this.events?.close();
    this.events = null;
    this.word = "unknown";
  }
}
