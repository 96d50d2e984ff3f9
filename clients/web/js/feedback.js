/**
 * Feedback, heard in the microphone's own sound: a howl that grows, or what was played (or said) coming back as an echo.
 * Pure: samples in, verdict out.
 *
 * Howl: one frequency stands far above all near it and keeps growing (the criteria are those of van Waterschoot and
 * Moonen, "Fifty years of acoustic feedback control", Proc. IEEE 2011, §IV: peak to neighbours, persistence, slope).
 * Speech has neighbours: its harmonics. Echo: the correlation with phase transform (Knapp and Carter, 1976) of the microphone
 * with what was played has a peak at one and the same delay twice in a row.
 *
 * @module feedback
 */

import { Decimator } from "./decimate.js";
import { Fft } from "./fft.js";
import { dbfs } from "./sound.js";

/** @typedef {{ kind: "howl", hertz: number } | { kind: "echo", delayS: number }} Feedback */

const FRAME = 512;
const HOP = 256;
const LOWEST_HZ = 180;
/** A pitch below this has its harmonics within the neighbourhood. */
const NEIGHBOURHOOD_HZ = 450;
const OVER_NEIGHBOURS_DB = 18;
const AUDIBLE_DBFS = -50;
const PERSISTS_S = 0.4;
const GROWS_DB = 3;
/** It may fall back this much between two frames. */
const WAVERS_DB = 1;

/** Tells a growing howl from everything else. */
export class HowlWatch {
  /** @param {number} rate of the samples, about 8,000 a second */
  constructor(rate) {
    this.rate = rate;
    this.fft = new Fft(FRAME);
    this.window = Float64Array.from({ length: FRAME }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / FRAME));
    this.samples = new Float32Array(FRAME);
    this.filled = 0;
    this.peak = { bin: 0, first: 0, level: 0, frames: 0 };
  }

  /**
   * @param {ArrayLike<number>} samples
   * @returns {number | null} the frequency that howls, in hertz
   */
  push(samples) {
    let howls = null;
    for (let at = 0; at < samples.length; at += 1) {
      this.samples[this.filled] = /** @type {number} */ (samples[at]);
      this.filled += 1;
      if (this.filled < FRAME) continue;
      howls = this.#frame() ?? howls;
      this.samples.copyWithin(0, HOP);
      this.filled = FRAME - HOP;
    }
    return howls;
  }

  /** @returns {number | null} */
  #frame() {
    const re = Float64Array.from(this.samples, (sample, at) => sample * /** @type {number} */ (this.window[at]));
    const im = new Float64Array(FRAME);
    this.fft.transform(re, im);
    // A sine of amplitude 1 has |X| = FRAME / 4 under this window.
    const levels = re.slice(0, FRAME / 2).map((x, at) => dbfs((4 / FRAME) * Math.hypot(x, /** @type {number} */ (im[at]))));
    const lowest = Math.ceil((LOWEST_HZ * FRAME) / this.rate);
    let bin = lowest;
    for (let at = lowest; at < levels.length - 4; at += 1) {
      if (/** @type {number} */ (levels[at]) > /** @type {number} */ (levels[bin])) bin = at;
    }
    const level = /** @type {number} */ (levels[bin]);
    const follows = Math.abs(bin - this.peak.bin) <= 1 && level > this.peak.level - WAVERS_DB;
    if (!this.#standsAlone(levels, bin)) this.peak = { bin: -9, first: 0, level: 0, frames: 0 };
    else if (!follows) this.peak = { bin, first: level, level, frames: 1 };
    else this.peak = { ...this.peak, bin, level, frames: this.peak.frames + 1 };
    const { frames, first } = this.peak;
    const howls = frames * HOP > PERSISTS_S * this.rate && level - first >= GROWS_DB;
    return howls ? (bin * this.rate) / FRAME : null;
  }

  /**
   * @param {Float64Array} levels dBFS
   * @param {number} bin
   * @returns {boolean} whether nothing near is nearly as loud
   */
  #standsAlone(levels, bin) {
    const level = /** @type {number} */ (levels[bin]);
    if (level < AUDIBLE_DBFS) return false;
    const reach = Math.ceil((NEIGHBOURHOOD_HZ * FRAME) / this.rate);
    for (let away = 4; away <= reach; away += 1) {
      for (const at of [bin - away, bin + away]) {
        const other = at > 2 ? levels[at] : undefined;
        if (other !== undefined && other > level - OVER_NEIGHBOURS_DB) return false;
      }
    }
    return true;
  }
}

const SEGMENT = 8192;
const SIZE = 2 * SEGMENT;
/** How far a peak must stand above the correlation's own noise, in its standard deviations. */
const PEAK_SIGMA = 9;
/** And above the next one elsewhere: what repeats itself, as music and tones do, has many. */
const PEAK_RATIO = 1.6;
const SAME_DELAY_S = 0.003;
const QUIET_DBFS = -60;
/** Bins of the reference this far below its loudest carry nothing. */
const EMPTY_POWER = 1e-5;

/** Tells at which delay a microphone hears a reference again. */
export class EchoWatch {
  /**
   * @param {number} rate of the samples, about 4,000 a second
   * @param {object} options
   * @param {number} options.fromS the shortest delay; above 0.2 where the reference is the microphone itself
   * @param {number} options.beyondS the reference is looked at from so much earlier
   * @param {number} options.everyS
   */
  constructor(rate, { fromS, beyondS, everyS }) {
    this.rate = rate;
    this.from = Math.round(fromS * rate);
    this.beyond = Math.round(beyondS * rate);
    this.every = Math.round(everyS * rate);
    this.fft = new Fft(SIZE);
    this.microphone = new Float32Array(SEGMENT);
    this.reference = new Float32Array(SIZE + this.beyond);
    this.fresh = 0;
    this.seen = 0;
    /** @type {number | null} */
    this.last = null;
  }

  /**
   * @param {Float32Array} microphone
   * @param {Float32Array} reference as many samples of the same time
   * @returns {number | null} the delay in seconds at which the reference comes back
   */
  push(microphone, reference) {
    shiftIn(this.microphone, microphone);
    shiftIn(this.reference, reference);
    this.fresh += microphone.length;
    this.seen += microphone.length;
    if (this.fresh < this.every || this.seen < SEGMENT / 2) return null;
    this.fresh = 0;
    const found = this.#look();
    const again = found !== null && this.last !== null && Math.abs(found - this.last) <= SAME_DELAY_S * this.rate;
    this.last = found;
    return again && found !== null ? (found + this.beyond) / this.rate : null;
  }

  /** @returns {number | null} the delay in samples, less `beyond` */
  #look() {
    const reference = this.reference.subarray(0, SIZE);
    if (level(this.microphone) < QUIET_DBFS || level(reference) < QUIET_DBFS) return null;
    const correlation = this.#correlate(reference);
    // Delays 0 … SEGMENT; both signals end at the same time.
    let best = this.from;
    let squares = 0;
    for (let lag = this.from; lag < SEGMENT; lag += 1) {
      const value = Math.abs(/** @type {number} */ (correlation[lag]));
      squares += value * value;
      if (value > Math.abs(/** @type {number} */ (correlation[best]))) best = lag;
    }
    const sigma = Math.sqrt(squares / (SEGMENT - this.from));
    const peak = Math.abs(/** @type {number} */ (correlation[best]));
    let next = 0;
    for (let lag = this.from; lag < SEGMENT; lag += 1) {
      if (Math.abs(lag - best) > SAME_DELAY_S * this.rate) next = Math.max(next, Math.abs(/** @type {number} */ (correlation[lag])));
    }
    return peak > PEAK_SIGMA * sigma && peak > PEAK_RATIO * next ? best : null;
  }

  /**
   * @param {Float32Array} reference of SIZE samples
   * @returns {Float64Array} at index d how much the microphone is the reference d samples ago, magnitudes left out
   */
  #correlate(reference) {
    // Two real signals in one transform: the microphone, with silence before it, as the imaginary part.
    const re = Float64Array.from(reference);
    const im = new Float64Array(SIZE);
    im.set(this.microphone, SIZE - SEGMENT);
    this.fft.transform(re, im);
    const crossRe = new Float64Array(SIZE);
    const crossIm = new Float64Array(SIZE);
    const powers = new Float64Array(SIZE);
    for (let k = 0; k < SIZE; k += 1) {
      const mirror = (SIZE - k) % SIZE;
      const [a, b] = [/** @type {number} */ (re[k]), /** @type {number} */ (im[k])];
      const [c, d] = [/** @type {number} */ (re[mirror]), /** @type {number} */ (im[mirror])];
      const [refRe, refIm] = [(a + c) / 2, (b - d) / 2];
      const [micRe, micIm] = [(b + d) / 2, (c - a) / 2];
      powers[k] = refRe * refRe + refIm * refIm;
      crossRe[k] = micRe * refRe + micIm * refIm;
      crossIm[k] = micIm * refRe - micRe * refIm;
    }
    const empty = EMPTY_POWER * powers.reduce((most, power) => Math.max(most, power), 0);
    for (let k = 0; k < SIZE; k += 1) {
      const magnitude = Math.hypot(/** @type {number} */ (crossRe[k]), /** @type {number} */ (crossIm[k]));
      const weight = /** @type {number} */ (powers[k]) > empty && magnitude > 0 ? 1 / magnitude : 0;
      crossRe[k] = weight * /** @type {number} */ (crossRe[k]);
      crossIm[k] = weight * /** @type {number} */ (crossIm[k]);
    }
    this.fft.transform(crossIm, crossRe); // the inverse
    return crossRe;
  }
}

/** Everything together, at about 8,000 samples a second. */
export class FeedbackWatch {
  /** @param {number} rate */
  constructor(rate) {
    this.howl = new HowlWatch(rate);
    const half = rate / 2;
    this.watches = [
      { own: false, watch: new EchoWatch(half, { fromS: 0, beyondS: 0, everyS: 0.5 }) },
      { own: false, watch: new EchoWatch(half, { fromS: 0, beyondS: SEGMENT / half, everyS: 1 }) },
      // What was said here and comes back from horns outside.
      { own: true, watch: new EchoWatch(half, { fromS: 0.25, beyondS: 0, everyS: 1 }) },
    ];
    this.halves = [new Decimator(2), new Decimator(2)];
  }

  /**
   * @param {Float32Array} microphone
   * @param {Float32Array} played as many samples of the same time
   * @returns {Feedback | null}
   */
  push(microphone, played) {
    const hertz = this.howl.push(microphone);
    const [mic, ref] = [microphone, played].map((samples, at) => {
      /** @type {number[]} */
      const out = [];
      this.halves[at]?.push(samples, out);
      return Float32Array.from(out);
    });
    /** @type {Feedback | null} */
    let echo = null;
    for (const { own, watch } of this.watches) {
      const delayS = watch.push(/** @type {Float32Array} */ (mic), /** @type {Float32Array} */ (own ? mic : ref));
      if (delayS !== null) echo ??= { kind: "echo", delayS };
    }
    return hertz !== null ? { kind: "howl", hertz } : echo;
  }
}

/**
 * @param {Float32Array} history
 * @param {Float32Array} samples
 */
function shiftIn(history, samples) {
  history.copyWithin(0, samples.length);
  history.set(samples, history.length - samples.length);
}

/**
 * @param {Float32Array} samples
 * @returns {number} dBFS
 */
function level(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return dbfs(Math.sqrt(sum / samples.length));
}
