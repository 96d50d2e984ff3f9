/**
 * Fewer samples a second: low-pass and leave out. Pure; also loaded by the audio worklet.
 *
 * @module decimate
 */

/** Taps for each sample left out: 50 dB and more of what would alias. */
const TAPS_PER_STEP = 8;

export class Decimator {
  /** @param {number} factor one of so many samples stays */
  constructor(factor) {
    this.factor = factor;
    const count = TAPS_PER_STEP * factor + 1;
    const middle = (count - 1) / 2;
    const taps = Float32Array.from({ length: count }, (_, at) => {
      const x = (at - middle) / factor;
      const sinc = x === 0 ? 1 : Math.sin(0.85 * Math.PI * x) / (0.85 * Math.PI * x);
      return sinc * (0.54 - 0.46 * Math.cos((2 * Math.PI * at) / (count - 1)));
    });
    const sum = taps.reduce((all, tap) => all + tap, 0);
    this.taps = taps.map((tap) => tap / sum);
    this.recent = new Float32Array(count);
    this.at = 0;
    this.phase = 0;
  }

  /**
   * @param {Float32Array} samples
   * @param {number[]} out what stays is put behind what is there
   */
  push(samples, out) {
    const { taps, recent, factor } = this;
    for (const sample of samples) {
      recent[this.at] = sample;
      this.at = (this.at + 1) % recent.length;
      this.phase = (this.phase + 1) % factor;
      if (this.phase !== 0) continue;
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap += 1) {
        const index = this.at + tap;
        sum += /** @type {number} */ (taps[tap]) * /** @type {number} */ (recent[index < recent.length ? index : index - recent.length]);
      }
      out.push(sum);
    }
  }
}
