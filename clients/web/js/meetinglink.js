/**
 * The connection of a page with its meeting: a WebSocket that comes back by itself as the same participant. See
 * docs/protocol.md for what is said.
 *
 * @module meetinglink
 */

import { nextDelay } from "./backoff.js";

/** @typedef {"none" | "good" | "fair" | "poor"} LinkQuality */
/**
 * @typedef {object} Person
 * @property {string} id
 * @property {string} name
 * @property {"chair" | "speaker"} role
 * @property {boolean} here
 * @property {boolean} connected
 * @property {boolean} admitted
 * @property {boolean} on_air
 * @property {boolean} muted
 * @property {boolean} silenced
 * @property {number} hand
 */
/**
 * @typedef {object} Meeting
 * @property {"closed" | "open" | "ended"} phase
 * @property {"" | "chair" | "cap" | "empty"} reason
 * @property {boolean} warned
 * @property {number} extend_s
 * @property {boolean} removed
 * @property {Person[]} people
 */
/** @typedef {{ person: string, secret: string, role: "chair" | "speaker" }} Welcome */
/** @typedef {{ remaining_s: number | null, people: Record<string, [level: number, link: LinkQuality]> }} Levels */
/** @typedef {{ link: string, expires: number, qr: { size: number, path: string } }} Invitation */
/** @typedef {{ order: string, status: number, detail: string }} Refused */

/**
 * @typedef {object} MeetingListener
 * @property {(welcome: Welcome) => void} onWelcome
 * @property {(meeting: Meeting) => void} onState
 * @property {(levels: Levels) => void} onLevels
 * @property {(invitation: Invitation) => void} onInvitation
 * @property {(refused: Refused) => void} onRefused order "join" is the end of it
 */

/** The relay closes with this code after it has said why. */
const REFUSED = 4403;

/** Waits grow no further from this attempt on, 8 s: those in a meeting are few, and somebody waits for what they say. */
const SLOWEST = 3;

export class MeetingLink {
  /**
   * @param {object} options
   * @param {() => { token: string, name: string, secret: string }} options.introduction
   * @param {() => WebSocket} options.open
   * @param {MeetingListener} options.listener
   * @param {(seconds: number, signal: AbortSignal) => Promise<void>} options.sleep
   * @param {() => number} options.random
   */
  constructor({ introduction, open, listener, sleep, random }) {
    this.introduction = introduction;
    this.open = open;
    this.listener = listener;
    this.sleep = sleep;
    this.random = random;
    /** @type {AbortController | null} */
    this.run = null;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Welcome | null} */
    this.welcome = null;
    /** Who waits for a welcome. @type {Array<(welcome: Welcome) => void>} */
    this.waiting = [];
  }

  start() {
    this.stop();
    const run = new AbortController();
    this.run = run;
    void this.#keep(run.signal);
  }

  stop() {
    this.run?.abort();
    this.run = null;
    this.socket?.close();
    this.socket = null;
    this.welcome = null;
  }

  /** @returns {Promise<Welcome>} who this page is, as soon as the relay has said so */
  welcomed() {
    if (this.welcome !== null) return Promise.resolve(this.welcome);
    return new Promise((resolve) => {
      this.waiting.push(resolve);
    });
  }

  /**
   * @param {string} type
   * @param {Record<string, unknown>} [fields]
   */
  order(type, fields = {}) {
    if (this.socket?.readyState === 1 && this.welcome !== null) this.socket.send(JSON.stringify({ type, ...fields }));
  }

  /** @param {AbortSignal} signal */
  async #keep(signal) {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const { welcomed, code } = await this.#session(signal);
      if (signal.aborted || code === REFUSED) return;
      if (welcomed) attempt = 0;
      await this.sleep(nextDelay(Math.min(attempt, SLOWEST), null, this.random), signal);
    }
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<{ welcomed: boolean, code: number }>} when the socket has closed
   */
  #session(signal) {
    const socket = this.open();
    this.socket = socket;
    this.welcome = null;
    return new Promise((resolve) => {
      socket.onopen = () => socket.send(JSON.stringify({ type: "join", ...this.introduction() }));
      socket.onmessage = ({ data }) => {
        if (!signal.aborted) this.#take(JSON.parse(data));
      };
      socket.onclose = ({ code }) => {
        const welcomed = this.welcome !== null;
        if (this.socket === socket) this.welcome = null;
        resolve({ welcomed, code });
      };
    });
  }

  /** @param {{ type: string } & Record<string, any>} message */
  #take(message) {
    const { listener } = this;
    if (message.type === "welcome") {
      const welcome = /** @type {Welcome} */ (/** @type {unknown} */ (message));
      this.welcome = welcome;
      listener.onWelcome(welcome);
      for (const resolve of this.waiting.splice(0)) resolve(welcome);
    } else if (message.type === "state") listener.onState(/** @type {Meeting} */ (/** @type {unknown} */ (message)));
    else if (message.type === "levels") listener.onLevels(/** @type {Levels} */ (/** @type {unknown} */ (message)));
    else if (message.type === "invitation") listener.onInvitation(/** @type {Invitation} */ (/** @type {unknown} */ (message)));
    else if (message.type === "refused") listener.onRefused(/** @type {Refused} */ (/** @type {unknown} */ (message)));
  }
}

/**
 * What a participant is to be told about himself, most important first.
 *
 * @param {Meeting} meeting
 * @param {Person | undefined} me
 * @returns {"removed" | "closed" | "waiting" | "silenced" | "muted" | "connecting" | "on-air"}
 */
export function standing(meeting, me) {
  if (meeting.removed) return "removed";
  if (me !== undefined && !me.admitted) return "waiting";
  if (meeting.phase !== "open" || me === undefined) return "closed";
  if (me.silenced) return "silenced";
  if (me.muted) return "muted";
  return me.on_air ? "on-air" : "connecting";
}
