import assert from "node:assert/strict";
import { test } from "node:test";

import { decide } from "../js/failure.js";

const LISTENER = { action: /** @type {const} */ ("listen"), attempt: 0, token: null, nowS: 1000, random: () => 1 };
const PUBLISHER = { ...LISTENER, action: /** @type {const} */ ("publish") };
const EXPIRED = `e30.${Buffer.from('{"exp":999}').toString("base64url")}.sig`;

/**
 * @param {number} status
 * @param {number | null} [retryAfterS]
 */
function http(status, retryAfterS = null) {
  return { kind: /** @type {const} */ ("http"), status, detail: "", retryAfterS };
}

test("a lost path, a lost network and a closed session are tried again, ever more slowly", () => {
  for (const kind of /** @type {const} */ (["network", "unreachable", "lost", "ended"])) {
    assert.deepEqual(decide({ kind }, LISTENER), { kind: "retry", afterS: 1 });
    assert.deepEqual(decide({ kind }, { ...LISTENER, attempt: 3 }), { kind: "retry", afterS: 8 });
  }
  assert.equal(decide({ kind: "fault", detail: "?" }, LISTENER).kind, "retry");
});

test("a missing, an expired and a wrong token are told apart", () => {
  const reason = (/** @type {string | null} */ token) => {
    const decision = decide(http(401), { ...LISTENER, token });
    return decision.kind === "refused" ? [decision.reason, decision.retryAfterS] : null;
  };
  assert.deepEqual(reason(null), ["token-missing", null]);
  assert.deepEqual(reason(EXPIRED), ["token-expired", null]);
  assert.deepEqual(reason("opaque"), ["token-invalid", null]);
  assert.deepEqual(decide(http(403), LISTENER), { kind: "refused", reason: "forbidden", retryAfterS: null });
});

test("an unknown channel is refused; a listener asks again about every minute, a microphone never", () => {
  const decision = decide(http(404), LISTENER);
  assert.deepEqual(decision, { kind: "refused", reason: "unknown-channel", retryAfterS: 75 });
  const microphone = decide(http(404), PUBLISHER);
  assert.deepEqual(microphone, { kind: "refused", reason: "unknown-channel", retryAfterS: null });
});

test("busy is a question for a publisher and a wait for a listener", () => {
  assert.deepEqual(decide(http(409), PUBLISHER), { kind: "busy" });
  assert.deepEqual(decide(http(409, 3), LISTENER), { kind: "retry", afterS: 4 });
});

test("a full or failing server is tried again when it says", () => {
  assert.deepEqual(decide(http(503, 10), PUBLISHER), { kind: "retry", afterS: 12 });
  for (const status of [500, 502, 504, 429, 408]) assert.equal(decide(http(status), LISTENER).kind, "retry");
});

test("what will not pass with time is refused", () => {
  for (const status of [400, 406, 413, 415, 422]) {
    assert.deepEqual(decide(http(status), LISTENER), { kind: "refused", reason: "incompatible", retryAfterS: null });
  }
});
