/**
 * Listens for feedback between the microphone and what this page plays.
 *
 * @module feedbacktap
 */

import { FeedbackWatch } from "./feedback.js";

/** @typedef {import("./feedback.js").Feedback} Feedback */

/** Samples a second that the watch wants. */
const RATE = 8000;

export class FeedbackTap {
  /**
   * @param {AudioContext} context
   * @param {(feedback: Feedback) => void} heard called as long as there is feedback, every second or oftener
   */
  constructor(context, heard) {
    this.context = context;
    this.heard = heard;
    /** @type {AudioWorkletNode | null} */
    this.node = null;
    /** @type {(MediaStreamAudioSourceNode | null)[]} */
    this.sources = [null, null];
    /** @type {(MediaStream | null)[]} */
    this.streams = [null, null];
  }

  /** Never fails: a browser without worklets has no warning, and everything else. */
  async begin() {
    try {
      await this.context.audioWorklet.addModule(new URL("feedback-worklet.js", import.meta.url));
    } catch {
      return;
    }
    const factor = Math.round(this.context.sampleRate / RATE);
    const watch = new FeedbackWatch(this.context.sampleRate / factor);
    this.node = new AudioWorkletNode(this.context, "loa-feedback", {
      numberOfInputs: 2, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit", processorOptions: { factor },
    });
    this.node.port.onmessage = ({ data: [microphone, played] }) => {
      const feedback = watch.push(microphone, played);
      if (feedback !== null) this.heard(feedback);
    };
    this.streams.forEach((_, at) => this.#connect(at));
  }

  /** @param {MediaStream | null} stream */
  set microphone(stream) {
    this.#set(0, stream);
  }

  /** @param {MediaStream | null} stream */
  set played(stream) {
    this.#set(1, stream);
  }

  /**
   * @param {number} at
   * @param {MediaStream | null} stream
   */
  #set(at, stream) {
    if (this.streams[at] === stream) return;
    this.streams[at] = stream;
    this.#connect(at);
  }

  /** @param {number} at */
  #connect(at) {
    this.sources[at]?.disconnect();
    this.sources[at] = null;
    const stream = this.streams[at];
    if (this.node === null || !stream?.getAudioTracks().length) return;
    const source = this.context.createMediaStreamSource(stream);
    source.connect(this.node, 0, at);
    this.sources[at] = source;
  }
}
