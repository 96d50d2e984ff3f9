/**
 * A level meter: ballistics (pure), a tap on a stream, and the painting.
 *
 * @module meter
 */

import { FLOOR_DBFS, measure } from "./sound.js";

/** Below this a meter shows nothing. */
export const SCALE_FLOOR_DBFS = -60;
const FALL_DB_PER_S = 24;
const PEAK_HELD_S = 1.5;

/** Rises at once and falls slowly, as a peak programme meter does, so that the eye can follow. */
export class Ballistics {
  constructor() {
    this.level = FLOOR_DBFS;
    this.peak = FLOOR_DBFS;
    this.at = 0;
    this.peakAt = 0;
  }

  /**
   * @param {number} now seconds
   * @param {number} rms dBFS
   * @param {number} peak dBFS
   */
  update(now, rms, peak) {
    const fallen = FALL_DB_PER_S * Math.max(0, now - this.at);
    this.level = Math.max(rms, this.level - fallen, FLOOR_DBFS);
    if (peak >= this.peak) [this.peak, this.peakAt] = [peak, now];
    else if (now - this.peakAt > PEAK_HELD_S) this.peak = Math.max(peak, this.peak - fallen);
    this.at = now;
  }
}

/**
 * @param {number} level dBFS
 * @returns {number} 0…1 along the scale
 */
export function scalePosition(level) {
  return Math.min(1, Math.max(0, 1 - level / SCALE_FLOOR_DBFS));
}

/** Reads the level of a stream without being heard. */
export class LevelTap {
  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   */
  constructor(context, stream) {
    this.source = context.createMediaStreamSource(stream);
    this.analyser = context.createAnalyser();
    // 43 ms at 48 kHz: more than two frames of a 60 Hz screen.
    this.analyser.fftSize = 2048;
    this.source.connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
  }

  /** @returns {{ rms: number, peak: number }} dBFS of the last 43 ms */
  read() {
    this.analyser.getFloatTimeDomainData(this.samples);
    return measure(this.samples);
  }

  close() {
    this.source.disconnect();
  }
}

/** Paints a tap thirty times a second, or twice where the reader asked for less motion. */
export class MeterView {
  /**
   * @param {HTMLElement} element gets --level and --peak (0…1), data-hot, and its value for assistive technology
   * @param {(db: number) => string} describe
   */
  constructor(element, describe) {
    this.element = element;
    this.describe = describe;
    /** @type {LevelTap | null} */
    this.tap = null;
    this.ballistics = new Ballistics();
    this.loudest = { rms: FLOOR_DBFS, peak: FLOOR_DBFS };
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.paintedAt = 0;
    this.toldAt = 0;
    const frame = () => {
      this.#frame(performance.now() / 1000);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** @param {LevelTap | null} tap what to show from now on; the tap before is closed */
  show(tap) {
    this.tap?.close();
    this.tap = tap;
    this.ballistics = new Ballistics();
  }

  /** @returns {{ rms: number, peak: number }} the loudest since the last call, for those who look seldom */
  takeLoudest() {
    const now = this.tap?.read() ?? { rms: FLOOR_DBFS, peak: FLOOR_DBFS };
    const loudest = { rms: Math.max(now.rms, this.loudest.rms), peak: Math.max(now.peak, this.loudest.peak) };
    this.loudest = { rms: FLOOR_DBFS, peak: FLOOR_DBFS };
    return loudest;
  }

  /** @param {number} now */
  #frame(now) {
    if (now - this.paintedAt < (this.calm.matches ? 0.5 : 0.03)) return;
    this.paintedAt = now;
    const { rms, peak } = this.tap?.read() ?? { rms: FLOOR_DBFS, peak: FLOOR_DBFS };
    this.loudest = { rms: Math.max(rms, this.loudest.rms), peak: Math.max(peak, this.loudest.peak) };
    this.ballistics.update(now, rms, peak);
    const { level } = this.ballistics;
    this.element.style.setProperty("--level", scalePosition(level).toFixed(3));
    this.element.style.setProperty("--peak", scalePosition(this.ballistics.peak).toFixed(3));
    this.element.dataset.hot = String(this.ballistics.peak > -3);
    if (now - this.toldAt > 1) {
      this.toldAt = now;
      this.element.setAttribute("aria-valuenow", Math.max(SCALE_FLOOR_DBFS, level).toFixed(0));
      this.element.setAttribute("aria-valuetext", this.describe(level));
    }
  }
}
