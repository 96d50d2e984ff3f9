/**
 * How long to wait before the next attempt. Pure: randomness and the wall clock are arguments.
 *
 * @module backoff
 */

/** Bounds of the exponential back-off, in seconds. */
export const FIRST_S = 1;
export const CAP_S = 30;

/** A server may not send a page away for longer than this. */
const RETRY_AFTER_CAP_S = 600;

/**
 * Exponential back-off with "equal jitter": the wait lies between half the ceiling and the ceiling, so that a
 * thousand pages that lost one relay neither return together nor hammer it.
 *
 * @param {number} attempt 0 for the first wait
 * @param {() => number} random uniform in [0, 1)
 * @returns {number} seconds
 */
export function backoffDelay(attempt, random) {
  const ceiling = Math.min(CAP_S, FIRST_S * 2 ** Math.min(Math.max(attempt, 0), 16));
  return ceiling * (0.5 + 0.5 * random());
}

/**
 * The value of a Retry-After header (RFC 9110 §10.2.3), which is seconds or an HTTP date.
 *
 * @param {string | null} header
 * @param {number} nowMs unix milliseconds
 * @returns {number | null} seconds from now, null when absent or unreadable
 */
export function retryAfterSeconds(header, nowMs) {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text), RETRY_AFTER_CAP_S);
  const date = Date.parse(text);
  if (Number.isNaN(date)) return null;
  return Math.min(Math.max(0, (date - nowMs) / 1000), RETRY_AFTER_CAP_S);
}

/**
 * The wait before the next attempt when the server may have named one: never earlier than it asked, and spread
 * over a fifth more (at least a second) so that everyone it sent away does not come back in the same instant.
 *
 * @param {number} attempt
 * @param {number | null} retryAfterS
 * @param {() => number} random
 * @returns {number} seconds
 */
export function nextDelay(attempt, retryAfterS, random) {
  if (retryAfterS === null) return backoffDelay(attempt, random);
  return retryAfterS + Math.max(1, retryAfterS / 5) * random();
}
