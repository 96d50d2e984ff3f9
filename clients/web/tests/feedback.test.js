/** Feedback by synthesised sound: speech, echo, howl. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Decimator } from "../js/decimate.js";
import { FeedbackWatch } from "../js/feedback.js";

const RATE = 8000;
const BLOCK = 160;

/**
 * @param {number} seed
 * @returns {() => number} uniform in [0, 1), the same every time (mulberry32)
 */
function randomness(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Speech-like sound: glottal pulses of a wandering pitch through changing resonances, consonants of noise, pauses.
 *
 * @param {number} seconds
 * @param {number} seed
 * @param {number} [pitch] Hz
 */
function speech(seconds, seed, pitch = 140) {
  const random = randomness(seed);
  const out = new Float32Array(Math.round(seconds * RATE));
  let [left, kind, f0, phase] = [0, "pause", pitch, 0];
  /** @type {number[][]} */
  let formants = [];
  let state = [[0, 0], [0, 0], [0, 0]];
  let drift = 0;
  for (let at = 0; at < out.length; at += 1) {
    if (left-- <= 0) {
      const draw = random();
      kind = draw < 0.15 ? "pause" : draw < 0.35 ? "noise" : "vowel";
      left = RATE * (kind === "vowel" ? 0.1 + 0.25 * random() : 0.04 + 0.1 * random());
      formants = [300 + 600 * random(), 900 + 1300 * random(), 2300 + 800 * random()].map((hertz) => {
        const r = Math.exp((-Math.PI * 90) / RATE);
        return [2 * r * Math.cos((2 * Math.PI * hertz) / RATE), -r * r];
      });
      f0 = pitch * (0.8 + 0.5 * random());
      drift = (0.6 * (random() - 0.5) * f0) / RATE;
    }
    f0 += drift;
    phase += f0 / RATE;
    let x = 0.002 * (random() - 0.5);
    if (kind === "vowel" && phase >= 1) x += 1;
    if (kind === "noise") x += 0.15 * (random() - 0.5);
    phase %= 1;
    if (kind === "pause") x *= 0.2;
    for (const [at2, [a, b]] of formants.entries()) {
      const [one, two] = state[at2];
      const y = x + a * one + b * two;
      state[at2] = [y, one];
      x = 0.5 * x + 0.1 * y;
    }
    out[at] = 0.4 * x;
  }
  return out;
}

/** @param {Float32Array} sound @param {number} delayS @param {number} db */
function echoOf(sound, delayS, db) {
  const shift = Math.round(delayS * RATE);
  return sound.map((_, at) => (at >= shift ? sound[at - shift] * 10 ** (db / 20) : 0));
}

/** @param {number} length @param {number} db @param {number} seed */
function noise(length, db, seed) {
  const random = randomness(seed);
  return Float32Array.from({ length }, () => 10 ** (db / 20) * Math.sqrt(3) * (2 * random() - 1));
}

/** @param {...Float32Array} sounds */
const sum = (...sounds) => sounds[0].map((_, at) => sounds.reduce((all, sound) => all + sound[at], 0));

/** @returns the first alarm with the second at which it came, or null */
function alarm(microphone, played = new Float32Array(microphone.length)) {
  const watch = new FeedbackWatch(RATE);
  for (let at = 0; at + BLOCK <= microphone.length; at += BLOCK) {
    const found = watch.push(microphone.subarray(at, at + BLOCK), played.subarray(at, at + BLOCK));
    if (found !== null) return { ...found, afterS: (at + BLOCK) / RATE };
  }
  return null;
}

test("speech is no feedback, whoever speaks and whatever is played meanwhile", () => {
  for (const [seed, pitch] of [[1, 110], [2, 160], [3, 230], [4, 300]]) {
    const microphone = sum(speech(12, seed, pitch), noise(12 * RATE, -60, seed));
    assert.equal(alarm(microphone, speech(12, seed + 50, 180)), null, `voice ${seed}`);
  }
});

test("what is played comes back from a loudspeaker 20 dB down: an alarm within three seconds", () => {
  for (const [seed, delayS] of [[11, 0.2], [12, 0.05], [13, 0.9]]) {
    const played = speech(6, seed);
    const found = alarm(sum(echoOf(played, delayS, -20), noise(played.length, -65, 9)), played);
    assert.equal(found?.kind, "echo");
    assert.ok(Math.abs(found.delayS - delayS) < 0.005, `${found.delayS}`);
    assert.ok(found.afterS <= 3 + Math.max(0, delayS - 0.2), `${found.afterS}`);
  }
});

test("the echo is heard below a voice in the room, and from far horns", () => {
  const played = speech(12, 21);
  const near = alarm(sum(echoOf(played, 0.2, -14), speech(12, 22, 200).map((x) => 0.5 * x)), played);
  assert.equal(near?.kind, "echo");
  const far = alarm(sum(echoOf(played, 2.6, -20), noise(played.length, -65, 8)), played);
  assert.ok(far?.kind === "echo" && Math.abs(far.delayS - 2.6) < 0.005);
});

test("one's own voice comes back from horns outside", () => {
  const voice = speech(10, 31);
  const found = alarm(sum(voice, echoOf(voice, 0.8, -12)));
  assert.ok(found?.kind === "echo" && Math.abs(found.delayS - 0.8) < 0.005, JSON.stringify(found));
});

test("a growing howl is an alarm within a second, also below speech", () => {
  for (const [hertz, dbPerS] of [[900, 30], [2500, 15], [400, 20]]) {
    const rise = Float32Array.from({ length: 2 * RATE }, (_, at) => {
      const db = Math.min(-3, -35 + (dbPerS * at) / RATE);
      return 10 ** (db / 20) * Math.sin((2 * Math.PI * hertz * at) / RATE);
    });
    const found = alarm(sum(rise, noise(rise.length, -60, 3)));
    assert.ok(found?.kind === "howl" && Math.abs(found.hertz - hertz) < 20, JSON.stringify(found));
    assert.ok(found.afterS <= 1, `${found.afterS}`);
    const below = alarm(sum(rise, speech(2, 41).map((x) => 0.3 * x)));
    assert.equal(below?.kind, "howl");
  }
});

test("a steady tone, a chord and silence are no feedback", () => {
  const tone = (/** @type {number} */ hertz) =>
    Float32Array.from({ length: 8 * RATE }, (_, at) => 0.2 * Math.sin((2 * Math.PI * hertz * at) / RATE));
  assert.equal(alarm(tone(440)), null);
  assert.equal(alarm(sum(tone(440), tone(554), tone(659)), sum(tone(494), tone(740))), null);
  assert.equal(alarm(new Float32Array(8 * RATE), speech(8, 5)), null);
});

test("decimation keeps what fits and removes what does not", () => {
  const through = (/** @type {number} */ hertz) => {
    const decimator = new Decimator(6);
    /** @type {number[]} */
    const out = [];
    for (let at = 0; at < 48_000; at += 128) {
      decimator.push(Float32Array.from({ length: 128 }, (_, k) => Math.sin((2 * Math.PI * hertz * (at + k)) / 48_000)), out);
    }
    return 20 * Math.log10(Math.max(...out.slice(200).map(Math.abs)) + 1e-9);
  };
  assert.ok(Math.abs(through(1000)) < 0.2);
  assert.ok(Math.abs(through(2500)) < 1);
  assert.ok(through(5500) < -45);
  assert.ok(through(12_000) < -45);
});
