import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffDelay, CAP_S, nextDelay, retryAfterSeconds } from "../js/backoff.js";

test("the wait doubles, lies in the upper half of its ceiling, and stops growing at the cap", () => {
  const shortest = [0, 1, 2, 3, 4, 5, 6, 1000].map((attempt) => backoffDelay(attempt, () => 0));
  assert.deepEqual(shortest, [0.5, 1, 2, 4, 8, 15, 15, 15]);
  const longest = [0, 1, 2, 3, 4, 5, 6, 1000].map((attempt) => backoffDelay(attempt, () => 1));
  assert.deepEqual(longest, [1, 2, 4, 8, 16, CAP_S, CAP_S, CAP_S]);
});

test("Retry-After is seconds or a date, and never sends a page away for longer than ten minutes", () => {
  const now = Date.parse("Mon, 23 Nov 2026 06:00:00 GMT");
  assert.equal(retryAfterSeconds("7", now), 7);
  assert.equal(retryAfterSeconds(" 0 ", now), 0);
  assert.equal(retryAfterSeconds("Mon, 23 Nov 2026 06:00:30 GMT", now), 30);
  assert.equal(retryAfterSeconds("Mon, 23 Nov 2026 05:00:00 GMT", now), 0);
  assert.equal(retryAfterSeconds("999999", now), 600);
  assert.equal(retryAfterSeconds("soon", now), null);
  assert.equal(retryAfterSeconds("-5", now) ?? 0, 0);
  assert.equal(retryAfterSeconds(null, now), null);
});

test("what the server asks for is kept, and spread so that not all return at once", () => {
  assert.equal(nextDelay(0, 5, () => 0), 5);
  assert.equal(nextDelay(0, 5, () => 1), 6);
  assert.equal(nextDelay(9, 100, () => 1), 120);
  assert.equal(nextDelay(0, 0, () => 1), 1);
  assert.equal(nextDelay(2, null, () => 1), 4);
});
