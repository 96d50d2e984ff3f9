import assert from "node:assert/strict";
import { test } from "node:test";

import { SessionError } from "../js/failure.js";
import { sleep, Supervisor } from "../js/supervisor.js";

/** @typedef {import("../js/failure.js").Failure} Failure */

/**
 * A world in which connections and waits end when the test says so.
 *
 * @param {"publish" | "listen"} action
 * @param {number} [patienceS]
 */
function world(action, patienceS) {
  /** @type {any} */
  const made = {
    clock: 0, unix: 0, phases: [], replaced: [], waits: [], closed: 0,
    /** @type {Array<(outcome: Failure | null) => void>} */ connecting: [],
    /** @type {(failure: Failure) => void} */ end: () => {},
    /** @type {() => void} */ wake: () => {},
  };
  made.supervisor = new Supervisor({
    action,
    connect: (_signal, replace) => new Promise((resolve, reject) => {
      made.replaced.push(replace);
      made.connecting.push((/** @type {Failure | Error | null} */ outcome) => {
        if (outcome instanceof Error) reject(outcome);
        else if (outcome !== null) reject(new SessionError(outcome));
        else resolve({
          ended: new Promise((end) => { made.end = end; }),
          close: async () => { made.closed += 1; },
        });
      });
    }),
    report: (phase) => made.phases.push(phase.phase === "refused" ? `refused:${phase.reason}` : phase.phase),
    token: () => null,
    now: () => made.clock,
    ...(patienceS === undefined ? {} : { patienceS }),
    unixNow: () => made.unix,
    random: () => 1,
    sleep: (seconds, signal) => new Promise((resolve) => {
      made.waits.push(seconds);
      made.wake = resolve;
      signal.addEventListener("abort", () => resolve());
    }),
  });
  return made;
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("connects, and after a loss closes the old session before it opens the next", async () => {
  const made = world("listen");
  made.supervisor.start();
  made.connecting[0](null);
  await settle();
  assert.deepEqual(made.phases, ["connecting", "connected"]);
  made.end({ kind: "lost" });
  await settle();
  assert.equal(made.closed, 1);
  assert.deepEqual(made.waits, [1]);
  made.wake();
  await settle();
  assert.equal(made.connecting.length, 2);
  made.connecting[1](null);
  await settle();
  assert.deepEqual(made.phases, ["connecting", "connected", "reconnecting", "connecting", "connected"]);
});

test("waits longer after each failure, and shortly again after a session that lasted", async () => {
  const made = world("listen");
  made.supervisor.start();
  for (let at = 0; at < 3; at += 1) {
    made.connecting[at]({ kind: "network" });
    await settle();
    made.wake();
    await settle();
  }
  made.connecting[3](null);
  await settle();
  made.clock = 5;
  made.end({ kind: "lost" });
  await settle();
  made.wake();
  await settle();
  made.connecting[4](null);
  await settle();
  made.clock = 20;
  made.end({ kind: "lost" });
  await settle();
  assert.deepEqual(made.waits, [1, 2, 4, 8, 1]);
});

test("hurry ends the wait, stop ends everything", async () => {
  const made = world("listen");
  made.supervisor.start();
  made.connecting[0]({ kind: "network" });
  await settle();
  made.supervisor.hurry();
  await settle();
  assert.equal(made.connecting.length, 2);
  made.connecting[1](null);
  await settle();
  made.supervisor.stop();
  await settle();
  assert.equal(made.closed, 1);
  assert.equal(made.supervisor.running, false);
  assert.equal(made.phases.at(-1), "idle");
  assert.equal(made.connecting.length, 2);
});

test("a session that opens after stop is closed and not reported", async () => {
  const made = world("listen");
  made.supervisor.start();
  made.supervisor.stop();
  made.connecting[0](null);
  await settle();
  assert.equal(made.closed, 1);
  assert.deepEqual(made.phases, ["connecting", "idle"]);
});

test("a refusal ends the run; an unknown channel is asked for again in silence", async () => {
  const made = world("listen");
  made.supervisor.start();
  made.connecting[0]({ kind: "http", status: 401, detail: "", retryAfterS: null });
  await settle();
  assert.deepEqual(made.phases, ["connecting", "refused:token-missing"]);
  assert.equal(made.supervisor.running, false);
  made.supervisor.start();
  made.connecting[1]({ kind: "http", status: 404, detail: "", retryAfterS: null });
  await settle();
  assert.equal(made.phases.at(-1), "refused:unknown-channel");
  assert.equal(made.supervisor.running, true);
  assert.deepEqual(made.waits, [75]);
});

test("a busy channel ends the run; the answer to the question takes over until it has been on air once", async () => {
  const made = world("publish");
  made.supervisor.start();
  made.connecting[0]({ kind: "http", status: 409, detail: "", retryAfterS: null });
  await settle();
  assert.equal(made.phases.at(-1), "busy");
  assert.equal(made.supervisor.running, false);
  made.supervisor.start({ replace: true });
  made.connecting[1]({ kind: "network" });
  await settle();
  made.wake();
  await settle();
  made.connecting[2](null);
  await settle();
  made.end({ kind: "ended" });
  await settle();
  made.wake();
  await settle();
  assert.deepEqual(made.replaced, [false, true, true, false]);
  made.connecting[3]({ kind: "http", status: 409, detail: "", retryAfterS: null });
  await settle();
  assert.equal(made.phases.at(-1), "busy");
});

test("a publisher who was away for too long stays away; the time counts from the loss of the last session", async () => {
  const made = world("publish", 600);
  made.supervisor.start();
  made.connecting[0](null);
  await settle();
  made.unix = 5000;
  made.end({ kind: "lost" });
  await settle();
  made.unix = 5600;
  made.wake();
  await settle();
  assert.equal(made.connecting.length, 2);
  made.connecting[1]({ kind: "network" });
  await settle();
  made.unix = 5601;
  made.wake();
  await settle();
  assert.equal(made.phases.at(-1), "given-up");
  assert.equal(made.supervisor.running, false);
  assert.equal(made.connecting.length, 2);
});

test("a listener never gives up", async () => {
  const made = world("listen");
  made.supervisor.start();
  made.connecting[0]({ kind: "network" });
  await settle();
  made.unix = 1e7;
  made.wake();
  await settle();
  assert.equal(made.connecting.length, 2);
});

test("giving up closes the session", async () => {
  const made = world("publish");
  made.supervisor.start();
  made.connecting[0](null);
  await settle();
  made.supervisor.giveUp();
  await settle();
  assert.deepEqual([made.closed, made.phases.at(-1), made.supervisor.running], [1, "given-up", false]);
});

test("a fault of the page itself is tried again too", async () => {
  const made = world("listen");
  made.supervisor.start();
  made.connecting[0](new TypeError("no such method"));
  await settle();
  assert.deepEqual(made.phases, ["connecting", "reconnecting"]);
});

test("the real sleep ends early when it is aborted", async () => {
  const abort = new AbortController();
  const slept = sleep(3600, abort.signal);
  abort.abort();
  await slept;
  await sleep(3600, abort.signal);
  await sleep(0.001, new AbortController().signal);
});
