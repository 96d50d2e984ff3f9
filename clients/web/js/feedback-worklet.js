/**
 * Hands the microphone and what is played to the page, at about 8,000 samples a second, for `feedback.js`. Runs in the
 * audio thread.
 *
 * @module feedback-worklet
 */

import { Decimator } from "./decimate.js";

/** Samples sent together: some 64 ms. */
const BATCH = 512;

// The names of the audio thread's own world, which the page's type library does not have.
const scope = /** @type {{ AudioWorkletProcessor: new () => { port: MessagePort }, registerProcessor: Function }} */ (
  /** @type {unknown} */ (globalThis)
);

scope.registerProcessor("loa-feedback", class extends scope.AudioWorkletProcessor {
  /** @param {{ processorOptions: { factor: number } }} options */
  constructor({ processorOptions: { factor } }) {
    super();
    this.decimators = [new Decimator(factor), new Decimator(factor)];
    /** @type {number[][]} */
    this.kept = [[], []];
    this.silence = new Float32Array(128);
  }

  /**
   * @param {Float32Array[][]} inputs the microphone, and what is played
   * @returns {boolean} whether to go on
   */
  process(inputs) {
    this.decimators.forEach((decimator, at) => {
      decimator.push(inputs[at]?.[0] ?? this.silence, /** @type {number[]} */ (this.kept[at]));
    });
    if ((this.kept[0]?.length ?? 0) >= BATCH) {
      this.port.postMessage(this.kept.map((samples) => Float32Array.from(samples)));
      this.kept = [[], []];
    }
    return true;
  }
});
