/**
 * The discrete Fourier transform of a power of two samples, in place (Cooley and Tukey, 1965).
 *
 * @module fft
 */

export class Fft {
  /** @param {number} size a power of two */
  constructor(size) {
    this.size = size;
    this.cosines = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sines = Float64Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(size);
    this.reversed = Uint32Array.from({ length: size }, (_, at) => {
      let turned = 0;
      for (let bit = 0; bit < bits; bit += 1) turned |= ((at >> bit) & 1) << (bits - 1 - bit);
      return turned;
    });
  }

  /**
   * Forward transform. The inverse is the same with the two arrays exchanged, times the size.
   *
   * @param {Float64Array} re
   * @param {Float64Array} im
   */
  transform(re, im) {
    const { size, cosines, sines, reversed } = this;
    for (let at = 0; at < size; at += 1) {
      const to = /** @type {number} */ (reversed[at]);
      if (to > at) {
        [re[at], re[to]] = [/** @type {number} */ (re[to]), /** @type {number} */ (re[at])];
        [im[at], im[to]] = [/** @type {number} */ (im[to]), /** @type {number} */ (im[at])];
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const step = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k += 1) {
          const cos = /** @type {number} */ (cosines[k * step]);
          const sin = /** @type {number} */ (sines[k * step]);
          const low = start + k;
          const high = low + half;
          const a = /** @type {number} */ (re[high]);
          const b = /** @type {number} */ (im[high]);
          const x = a * cos + b * sin;
          const y = b * cos - a * sin;
          const u = /** @type {number} */ (re[low]);
          const v = /** @type {number} */ (im[low]);
          re[high] = u - x;
          im[high] = v - y;
          re[low] = u + x;
          im[low] = v + y;
        }
      }
    }
  }
}
