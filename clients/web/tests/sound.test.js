import assert from "node:assert/strict";
import { test } from "node:test";

import { dbfs, FLOOR_DBFS, ListenWatch, measure, SendWatch } from "../js/sound.js";

const LOUD = -20;
const QUIET = -70;

test("levels: a full-scale sine is −3 dBFS rms with its peak at 0, silence is the floor", () => {
  const sine = Float32Array.from({ length: 4800 }, (_, at) => Math.sin((2 * Math.PI * at) / 48));
  const { rms, peak } = measure(sine);
  assert.ok(Math.abs(rms + 3.01) < 0.01);
  assert.ok(Math.abs(peak) < 0.01);
  assert.deepEqual(measure(new Float32Array(128)), { rms: FLOOR_DBFS, peak: FLOOR_DBFS });
  assert.equal(dbfs(1e-9), FLOOR_DBFS);
});

/**
 * Four looks a second at a stream of fifty packets a second.
 *
 * @param {ListenWatch} watch
 * @param {number} from
 * @param {number} to
 * @param {number} level
 * @param {boolean} [flowing]
 */
function listen(watch, from, to, level, flowing = true) {
  let state = "";
  for (let now = from; now <= to; now += 0.25) {
    state = watch.update({ now, packets: flowing ? Math.round(now * 50) + 1 : watch.packets, levelDbfs: level });
  }
  return state;
}

test("a connection alone is waiting, however long it lasts", () => {
  const watch = new ListenWatch(0);
  assert.equal(listen(watch, 0, 60, QUIET, false), "waiting");
  assert.equal(watch.receiving, false);
});

test("a level without packets is no sound", () => {
  assert.equal(listen(new ListenWatch(0), 0, 60, LOUD, false), "waiting");
});

test("packets with sound are sounding, within speech pauses too", () => {
  const watch = new ListenWatch(0);
  assert.equal(listen(watch, 0, 1, LOUD), "sounding");
  assert.equal(listen(watch, 1.25, 5, QUIET), "sounding");
  assert.equal(listen(watch, 5.25, 7, QUIET), "silent");
  assert.equal(watch.silentFor(7), 6);
  assert.equal(listen(watch, 7.25, 7.25, LOUD), "sounding");
});

test("packets that never carried sound become silent after five seconds", () => {
  const watch = new ListenWatch(0);
  assert.equal(listen(watch, 10, 14.5, QUIET), "waiting");
  assert.equal(watch.receiving, true);
  assert.equal(listen(watch, 14.75, 15.5, QUIET), "silent");
  assert.equal(watch.silentFor(15.5), 5.5);
});

test("when packets stop it waits after two seconds, and the next source is heard at once", () => {
  const watch = new ListenWatch(0);
  listen(watch, 0, 3, LOUD);
  assert.equal(listen(watch, 3.25, 5, QUIET, false), "sounding");
  assert.equal(listen(watch, 5.25, 60, QUIET, false), "waiting");
  assert.equal(listen(watch, 60.25, 61, QUIET), "waiting");
  assert.equal(watch.silentFor(61), 0.75);
  assert.equal(listen(watch, 61.25, 61.25, LOUD), "sounding");
});

/** @param {Partial<Parameters<SendWatch["update"]>[0]>} [changes] */
function sample(changes = {}) {
  return { now: 0, packets: 1, report: 0, fractionLost: 0, levelDbfs: LOUD, peakDbfs: -10, muted: false, ...changes };
}

test("on air only once a receiver report has come, and only while they keep coming", () => {
  const watch = new SendWatch(0);
  let packets = 0;
  const at = (/** @type {number} */ now, /** @type {number} */ report, fractionLost = 0) =>
    watch.update(sample({ now, packets: ++packets, report, fractionLost })).sending;
  assert.equal(at(1, 0), "starting");
  assert.equal(at(2, 100), "on-air");
  for (let now = 3; now <= 14; now += 1) assert.equal(at(now, 100), "on-air");
  assert.equal(at(15, 100), "unconfirmed");
  assert.equal(at(16, 200), "on-air");
  assert.equal(at(17, 300, 0.2), "lossy");
  assert.equal(at(18, 400, 0.01), "on-air");
});

test("a server that never confirms is told from one that has not yet", () => {
  const watch = new SendWatch(0);
  for (let now = 1; now <= 12; now += 1) assert.equal(watch.update(sample({ now, packets: now })).sending, "starting");
  assert.equal(watch.update(sample({ now: 13, packets: 13 })).sending, "unconfirmed");
});

test("an encoder that sends nothing is stuck, whatever the connection says", () => {
  const watch = new SendWatch(0);
  watch.update(sample({ now: 1, report: 1 }));
  assert.equal(watch.update(sample({ now: 3, report: 2 })).sending, "on-air");
  assert.equal(watch.update(sample({ now: 3.5, report: 3 })).sending, "stuck");
});

test("silence is a warning after five seconds, muting is meant", () => {
  const watch = new SendWatch(0);
  const voice = (/** @type {number} */ now, changes = {}) => watch.update(sample({ now, packets: now * 50, ...changes })).voice;
  assert.equal(voice(1), "sounding");
  assert.equal(voice(6, { levelDbfs: QUIET }), "sounding");
  assert.equal(voice(6.5, { levelDbfs: QUIET }), "silent");
  assert.equal(voice(7, { levelDbfs: QUIET, muted: true }), "muted");
  assert.equal(voice(8, { levelDbfs: QUIET }), "sounding");
});

test("clipping is shown for two seconds", () => {
  const watch = new SendWatch(0);
  const clipping = (/** @type {number} */ now, /** @type {number} */ peakDbfs) =>
    watch.update(sample({ now, packets: now * 50, peakDbfs })).clipping;
  assert.equal(clipping(1, -3), false);
  assert.equal(clipping(2, 0), true);
  assert.equal(clipping(3.5, -30), true);
  assert.equal(clipping(4, -30), false);
});
