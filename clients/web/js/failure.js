/**
 * What ended or refused a session, and what to do about it. Pure decisions, no browser objects.
 *
 * @module failure
 */

import { nextDelay } from "./backoff.js";
import { tokenExpired } from "./token.js";

/**
 * @typedef {(
 *   | { kind: "http", status: number, detail: string, retryAfterS: number | null }
 *   | { kind: "network" }
 *   | { kind: "unreachable" }
 *   | { kind: "lost" }
 *   | { kind: "ended" }
 *   | { kind: "fault", detail: string }
 * )} Failure
 *
 * - http: the server answered with a status that is no success
 * - network: the HTTP request did not come through
 * - unreachable: the answer came, but the media path never opened (UDP closed?)
 * - lost: the media path was open and is gone
 * - ended: the relay closed the session (drain, or another publisher took over)
 * - fault: something nobody foresaw, in the browser's own words
 */

/**
 * @typedef {"token-missing" | "token-invalid" | "token-expired" | "forbidden" | "unknown-channel" | "incompatible"} Refusal
 */

/**
 * @typedef {(
 *   | { kind: "retry", afterS: number }
 *   | { kind: "refused", reason: Refusal, retryAfterS: number | null }
 *   | { kind: "busy" }
 * )} Decision
 *
 * A refusal with `retryAfterS` is tried again quietly: an operator may add the channel meanwhile, and a page that
 * nobody watches must come back by itself.
 */

/** A channel that does not exist is asked for again this often. */
const UNKNOWN_CHANNEL_RETRY_S = 60;

/** Carries a `Failure` through a rejected promise. */
export class SessionError extends Error {
  /** @param {Failure} failure */
  constructor(failure) {
    super(failure.kind === "http" ? `HTTP ${failure.status}: ${failure.detail}` : failure.kind);
    this.name = "SessionError";
    this.failure = failure;
  }
}

/**
 * @typedef {object} Circumstances
 * @property {"publish" | "listen"} action
 * @property {number} attempt how many waits came before this one without a session that lasted
 * @property {string | null} token the token that was presented
 * @property {number} nowS unix seconds
 * @property {() => number} random uniform in [0, 1)
 */

/**
 * What follows from a failure.
 *
 * @param {Failure} failure
 * @param {Circumstances} circumstances
 * @returns {Decision}
 */
export function decide(failure, { action, attempt, token, nowS, random }) {
  if (failure.kind !== "http") return { kind: "retry", afterS: nextDelay(attempt, null, random) };
  const { status, retryAfterS } = failure;
  if (status === 401) return refused(tokenProblem(token, nowS));
  if (status === 403) return refused("forbidden");
  if (status === 404) {
    const wait = retryAfterS ?? UNKNOWN_CHANNEL_RETRY_S * (0.75 + 0.5 * random());
    // A loudspeaker should come alive by itself; a microphone must not.
    return { kind: "refused", reason: "unknown-channel", retryAfterS: action === "listen" ? wait : null };
  }
  if (status === 409 && action === "publish") return { kind: "busy" };
  // Conflict for a listener, too early, too many, and everything the server blames on itself pass with time.
  const passing = status >= 500 || [408, 409, 423, 425, 429].includes(status);
  if (passing) return { kind: "retry", afterS: nextDelay(attempt, retryAfterS, random) };
  return refused("incompatible");
}

/**
 * @param {string | null} token
 * @param {number} nowS
 * @returns {Refusal}
 */
function tokenProblem(token, nowS) {
  if (token === null) return "token-missing";
  return tokenExpired(token, nowS) ? "token-expired" : "token-invalid";
}

/**
 * @param {Refusal} reason
 * @returns {Decision}
 */
function refused(reason) {
  return { kind: "refused", reason, retryAfterS: null };
}
