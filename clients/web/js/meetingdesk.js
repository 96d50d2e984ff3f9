/**
 * The upper part of a meeting's page: how one stands, what can be done about it, and what is wrong.
 *
 * @module meetingdesk
 */

import { clock } from "./audiofile.js";
import { byId, setText } from "./dom.js";
import { refusalNote, retryNote, troubleKey } from "./page.js";

/** @typedef {import("./messages.js").MessageKey} MessageKey */

/** @typedef {{ key: MessageKey, values?: Record<string, string> }} Problem */

/**
 * @typedef {object} Sight what is to be shown
 * @property {string} state
 * @property {import("./supervisor.js").Phase} phase
 * @property {{ state: "removed" | "ended", key: MessageKey | null } | null} farewell
 * @property {import("./meetinglink.js").Meeting | null} meeting
 * @property {import("./meetinglink.js").Person | undefined} me
 * @property {number | null} remaining seconds
 * @property {string} title
 * @property {boolean} idle
 * @property {Problem | null} problem
 * @property {boolean} clipping
 * @property {boolean} held
 * @property {boolean} file
 * @property {boolean} headphones
 * @property {import("./feedback.js").Feedback | null} feedback
 * @property {number} now
 */

export class MeetingDesk {
  /** @param {import("./i18n.js").Translator} words */
  constructor(words) {
    this.words = words;
    this.ending = byId("ending", HTMLDialogElement);
  }

  /** @param {Record<string, () => void>} actions by the ids of their buttons */
  onClick(actions) {
    const open = () => this.ending.showModal();
    const close = () => this.ending.close();
    for (const [id, action] of [["end", open], ["ending-no", close], ["ending-yes", close], ...Object.entries(actions)]) {
      byId(/** @type {string} */ (id), HTMLButtonElement).addEventListener("click", /** @type {() => void} */ (action));
    }
  }

  closeDialogs() {
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  }

  /** @param {Sight} sight */
  render(sight) {
    const { state, meeting, me, phase, remaining, title } = sight;
    const inside = phase.phase === "connected" && meeting !== null;
    const heard = inside && me?.on_air === true && !["chime", "not-yet"].includes(state);
    document.body.dataset.state = state;
    document.body.dataset.onAir = String(heard);
    setText(byId("channel-title", HTMLElement), title);
    const key = (sight.farewell === null ? troubleKey(phase) : null) ?? `meeting.state.${state}`;
    setText(byId("state", HTMLElement), this.words.text(/** @type {MessageKey} */ (key)));
    setText(byId("note", HTMLElement), this.#note(sight));
    byId("sign", HTMLElement).hidden = !heard;
    document.title = heard ? `● ${this.words.text("meeting.on-air")} – ${title}` : `${title} – Loa`;
    const elapsed = byId("elapsed", HTMLElement);
    elapsed.hidden = !heard || remaining === null;
    setText(elapsed, this.words.text("meeting.left-time", { time: clock(remaining ?? 0) }));
    setText(byId("problem", HTMLElement), this.#problem(sight, inside));
    this.#buttons(sight, inside);
    this.#warning(sight, inside);
    this.#feedback(sight, inside);
    byId("room", HTMLElement).hidden = !inside;
    byId("tools", HTMLElement).hidden = me?.role !== "chair";
    byId("end", HTMLElement).hidden = meeting?.phase !== "open";
    byId("volume-field", HTMLElement).hidden = !byId("talkback", HTMLInputElement).checked;
    setText(byId("talkback-help", HTMLElement), this.words.text(sight.headphones ? "meeting.others-help" : "meeting.others-open"));
  }

  /**
   * @param {Sight} sight
   * @param {boolean} inside
   */
  #buttons({ idle, me, meeting, state, held, file }, inside) {
    const { words } = this;
    const show = (/** @type {string} */ id, /** @type {boolean} */ shown) => {
      byId(id, HTMLElement).hidden = !shown;
    };
    show("entry", idle);
    show("start", idle);
    setText(byId("start", HTMLElement), words.text("meeting.enter"));
    show("begin", inside && me?.role === "chair" && meeting?.phase !== "open");
    show("hold", inside);
    const hold = byId("hold", HTMLElement);
    hold.setAttribute("aria-pressed", String(held));
    /** @type {MessageKey} */
    const press = file ? (held ? "publish.resume" : "publish.pause") : held ? "meeting.unmute" : "meeting.mute";
    setText(hold, words.text(press));
    show("hand", inside && me?.role === "speaker" && me.admitted);
    const raised = (me?.hand ?? 0) > 0;
    byId("hand", HTMLElement).setAttribute("aria-pressed", String(raised));
    setText(byId("hand", HTMLElement), words.text(raised ? "meeting.hand-down" : "meeting.hand-up"));
    show("leave", !idle);
    show("retry", state === "reconnecting");
    setText(byId("level-label", HTMLElement), words.text(inside ? "publish.level" : "publish.level-preview"));
  }

  /**
   * @param {Sight} sight
   * @param {boolean} inside
   */
  #warning({ meeting, me, remaining }, inside) {
    byId("warned", HTMLElement).hidden = !(inside && meeting?.warned);
    // Told minute by minute: it is read out.
    const minutes = 60 * Math.ceil((remaining ?? 0) / 60);
    setText(byId("warned-text", HTMLElement), this.words.text("meeting.warned", { time: clock(minutes) }));
    byId("extend", HTMLElement).hidden = me?.role !== "chair";
    const by = Math.round((meeting?.extend_s ?? 0) / 60);
    setText(byId("extend", HTMLElement), this.words.text("meeting.extend", { minutes: by }));
  }

  /**
   * @param {Sight} sight
   * @param {boolean} inside
   */
  #feedback({ feedback }, inside) {
    const panel = byId("feedback", HTMLElement);
    panel.hidden = feedback === null || !inside;
    if (feedback === null) return;
    panel.dataset.kind = feedback.kind;
    setText(byId("feedback-title", HTMLElement), this.words.text(feedback.kind === "howl" ? "meeting.howl" : "meeting.echo"));
    const seconds = feedback.kind === "echo" ? this.words.number(feedback.delayS, { maximumFractionDigits: 1 }) : "";
    setText(byId("feedback-help", HTMLElement), feedback.kind === "howl"
      ? this.words.text("meeting.howl-help") : this.words.text("meeting.echo-help", { seconds }));
  }

  /**
   * @param {Sight} sight
   * @returns {string}
   */
  #note({ state, phase, farewell, me, now }) {
    const { words } = this;
    if (farewell !== null) return farewell.key === null ? "" : words.text(farewell.key);
    if (phase.phase === "refused") return refusalNote(words, phase, "publish");
    if (phase.phase === "reconnecting") return retryNote(words, phase, now);
    if (state === "closed") return words.text(me?.role === "chair" ? "meeting.note.closed-chair" : "meeting.note.closed");
    const known = ["waiting", "chime", "muted", "silenced", "on-air", "full"];
    return known.includes(state) ? words.text(/** @type {MessageKey} */ (`meeting.note.${state}`)) : "";
  }

  /**
   * @param {Sight} sight
   * @param {boolean} inside
   * @returns {string}
   */
  #problem({ problem, clipping, state }, inside) {
    if (problem !== null) return this.words.text(problem.key, problem.values);
    if (inside && clipping) return this.words.text("publish.clipping");
    return state === "silent" ? this.words.text("publish.silent") : "";
  }
}
