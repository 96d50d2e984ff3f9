/**
 * Keeps one session alive: connects, waits for its end, decides, waits, connects again. Knows no browser objects;
 * the page gives it `connect`, a clock, timers and randomness.
 *
 * @module supervisor
 */

import { decide, SessionError } from "./failure.js";

/** @typedef {import("./failure.js").Failure} Failure */
/** @typedef {import("./failure.js").Refusal} Refusal */

/**
 * @typedef {object} Link an open session
 * @property {Promise<Failure>} ended resolves once, when the session is gone
 * @property {() => Promise<void>} close ends it here and on the server
 */

/**
 * @typedef {(
 *   | { phase: "idle" }
 *   | { phase: "connecting", attempt: number }
 *   | { phase: "connected", sinceS: number }
 *   | { phase: "reconnecting", retryAtS: number, failure: Failure }
 *   | { phase: "refused", reason: Refusal, failure: Failure }
 *   | { phase: "busy" }
 *   | { phase: "given-up" }
 * )} Phase
 */

/**
 * @typedef {object} Surroundings
 * @property {"publish" | "listen"} action
 * @property {(signal: AbortSignal, replace: boolean) => Promise<Link>} connect rejects with SessionError
 * @property {(phase: Phase) => void} report
 * @property {() => string | null} token
 * @property {() => number} now monotonic seconds
 * @property {() => number} unixNow
 * @property {() => number} random
 * @property {number} [patienceS] after so long without a session the run ends; without it, never
 * @property {(seconds: number, signal: AbortSignal) => Promise<void>} sleep resolves early when aborted
 */

/** A session that lasted this long has proved the path, and the back-off starts anew. */
const LASTED_S = 10;

export class Supervisor {
  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.surroundings = surroundings;
    /** @type {AbortController | null} */
    this.run = null;
    /** @type {AbortController | null} */
    this.pause = null;
  }

  /** True from start() until stop(), a refusal that ends the run, or a busy channel. */
  get running() {
    return this.run !== null;
  }

  /**
   * Starts, or starts anew with other intentions.
   *
   * @param {{ replace?: boolean }} [how] replace: take over a busy channel, in the first attempt only
   */
  start({ replace = false } = {}) {
    this.#end();
    const run = new AbortController();
    this.run = run;
    void this.#keep(run.signal, replace).finally(() => {
      if (this.run === run) this.run = null;
    });
  }

  /** Ends the session and stays idle. */
  stop() {
    this.#end();
    this.surroundings.report({ phase: "idle" });
  }

  #end() {
    this.run?.abort();
    this.pause?.abort();
    this.run = null;
  }

  /** Ends the session like stop(), and says that nobody should rely on it. */
  giveUp() {
    this.#end();
    this.surroundings.report({ phase: "given-up" });
  }

  /** Does not wait any longer: the network came back, or someone pressed the button. */
  hurry() {
    this.pause?.abort();
  }

  /**
   * @param {AbortSignal} signal
   * @param {boolean} replace
   */
  async #keep(signal, replace) {
    const { report, now, unixNow, patienceS = Number.POSITIVE_INFINITY } = this.surroundings;
    let attempt = 0;
    let takeOver = replace;
    /** @type {number | null} */
    let downSince = null;
    while (!signal.aborted) {
      report({ phase: "connecting", attempt });
      const { failure, lasted } = await this.#session(signal, takeOver);
      if (signal.aborted) return;
      // A page takes over once, on its user's word; whoever takes over from it is not fought.
      if (lasted !== null) takeOver = false;
      if (lasted !== null && lasted > LASTED_S) attempt = 0;
      if (lasted !== null) downSince = null;
      downSince ??= unixNow();
      const wait = this.#decide(failure, attempt);
      attempt += 1;
      if (wait === null) return;
      if (wait.visible) report({ phase: "reconnecting", retryAtS: now() + wait.seconds, failure });
      this.pause = new AbortController();
      await this.surroundings.sleep(wait.seconds, this.pause.signal);
      // By the wall clock, which goes on while the machine sleeps.
      if (!signal.aborted && unixNow() - downSince > patienceS) {
        report({ phase: "given-up" });
        return;
      }
    }
  }

  /**
   * One session from the first request to its end.
   *
   * @param {AbortSignal} signal
   * @param {boolean} replace
   * @returns {Promise<{ failure: Failure, lasted: number | null }>} lasted: seconds, null when it never opened
   */
  async #session(signal, replace) {
    const { connect, report, now } = this.surroundings;
    /** @type {Link} */
    let link;
    try {
      link = await connect(signal, replace);
    } catch (error) {
      const failure = error instanceof SessionError ? error.failure : fault(error);
      return { failure, lasted: null };
    }
    const since = now();
    if (!signal.aborted) report({ phase: "connected", sinceS: since });
    const failure = await endOrAbort(link.ended, signal);
    // The old session is ended before the next begins, else the server counts two, or finds the channel busy.
    await link.close();
    return { failure, lasted: now() - since };
  }

  /**
   * @param {Failure} failure
   * @param {number} attempt
   * @returns {{ seconds: number, visible: boolean } | null} null ends the run
   */
  #decide(failure, attempt) {
    const { action, token, unixNow, random, report } = this.surroundings;
    const decision = decide(failure, { action, attempt, token: token(), nowS: unixNow(), random });
    if (decision.kind === "retry") return { seconds: decision.afterS, visible: true };
    if (decision.kind === "busy") {
      report({ phase: "busy" });
      return null;
    }
    report({ phase: "refused", reason: decision.reason, failure });
    return decision.retryAfterS === null ? null : { seconds: decision.retryAfterS, visible: false };
  }
}

/**
 * @param {Promise<Failure>} ended
 * @param {AbortSignal} signal
 * @returns {Promise<Failure>}
 */
async function endOrAbort(ended, signal) {
  if (signal.aborted) return { kind: "ended" };
  let stop = () => {};
  /** @type {Promise<Failure>} */
  const aborted = new Promise((resolve) => {
    stop = () => resolve({ kind: "ended" });
  });
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([ended, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Something this page did not foresee; it is shown and tried again, for nobody may be there to reload the page.
 *
 * @param {unknown} error
 * @returns {Failure}
 */
function fault(error) {
  return { kind: "fault", detail: error instanceof Error ? error.message : String(error) };
}

/** @returns {number} monotonic seconds */
export function now() {
  return performance.now() / 1000;
}

/** The clocks, timers and chances of the real world, for `Surroundings`. */
export const realWorld = { now, unixNow: () => Date.now() / 1000, random: Math.random, sleep };

/**
 * Timers of the real world for `Surroundings.sleep`.
 *
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(finish, seconds * 1000);
    if (signal.aborted) finish();
    signal.addEventListener("abort", finish, { once: true });
  });
}
