/**
 * What is heard, from samples of what was received. Pure: time is an argument, in seconds.
 *
 * The words match the relay's: below −45 dBFS is silence, and two seconds without a packet means that nobody sends.
 *
 * @module sound
 */

export const SILENCE_DBFS = -45;
export const SILENCE_AFTER_S = 5;
export const MISSING_AFTER_S = 2;
export const CLIPPING_DBFS = -0.5;
export const CLIPPING_SHOWN_S = 2;
/** Receiver reports come every five seconds by RFC 3550; two may be lost. */
export const ACKNOWLEDGED_WITHIN_S = 12;
export const LOSSY_FRACTION = 0.05;

/** Levels are clamped to this floor; digital silence has no logarithm. */
export const FLOOR_DBFS = -100;

/**
 * @param {number} amplitude 0…1, full scale 1
 * @returns {number} dBFS, not below the floor
 */
export function dbfs(amplitude) {
  return amplitude > 0 ? Math.max(FLOOR_DBFS, 20 * Math.log10(amplitude)) : FLOOR_DBFS;
}

/**
 * @param {Float32Array} samples
 * @returns {{ rms: number, peak: number }} dBFS
 */
export function measure(samples) {
  let sum = 0;
  let peak = 0;
  for (const sample of samples) {
    sum += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  return { rms: dbfs(Math.sqrt(sum / Math.max(1, samples.length))), peak: dbfs(peak) };
}

/** @typedef {"waiting" | "sounding" | "silent"} Hearing */

/** Tells whether a connected listener hears anything. */
export class ListenWatch {
  /** @param {number} now when the session connected */
  constructor(now) {
    this.packets = 0;
    /** @type {number | null} */
    this.packetAt = null;
    /** @type {number | null} */
    this.soundAt = null;
    this.since = now;
    /** Whether packets come. */
    this.receiving = false;
  }

  /**
   * @param {object} sample
   * @param {number} sample.now
   * @param {number} sample.packets received since the session began
   * @param {number} sample.levelDbfs of the decoded sound since the last sample
   * @returns {Hearing} waiting: no packets come; silent: they come and carry no sound
   */
  update({ now, packets, levelDbfs }) {
    if (packets > this.packets) {
      // Silence is counted from the first packet after a pause, not from the sound before it.
      if (!this.receiving) this.since = now;
      this.packets = packets;
      this.packetAt = now;
    }
    this.receiving = this.packetAt !== null && now - this.packetAt <= MISSING_AFTER_S;
    if (!this.receiving) {
      this.soundAt = null;
      return "waiting";
    }
    if (levelDbfs > SILENCE_DBFS) this.soundAt = now;
    if (this.soundAt !== null && now - this.soundAt <= SILENCE_AFTER_S) return "sounding";
    if (this.soundAt === null && now - this.since <= SILENCE_AFTER_S) return "waiting";
    return "silent";
  }

  /**
   * @param {number} now
   * @returns {number} seconds without sound while packets came
   */
  silentFor(now) {
    return now - Math.max(this.soundAt ?? this.since, this.since);
  }
}

/** @typedef {"starting" | "on-air" | "lossy" | "unconfirmed" | "stuck"} Sending */
/** @typedef {"sounding" | "silent" | "muted"} Voice */

/** Tells whether what a publisher sends arrives, and whether there is sound in it. */
export class SendWatch {
  /** @param {number} now when the session connected */
  constructor(now) {
    this.connectedAt = now;
    this.packets = 0;
    this.packetAt = now;
    this.reports = 0;
    /** @type {number | null} */
    this.reportAt = null;
    this.soundAt = now;
    this.clippedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * @param {object} sample
   * @param {number} sample.now
   * @param {number} sample.packets sent since the session began
   * @param {number} sample.report time stamp of the newest receiver report in any unit that grows, 0 for none yet
   * @param {number} sample.fractionLost 0…1, from that report
   * @param {number} sample.levelDbfs
   * @param {number} sample.peakDbfs
   * @param {boolean} sample.muted
   * @returns {{ sending: Sending, voice: Voice, clipping: boolean }}
   */
  update({ now, packets, report, fractionLost, levelDbfs, peakDbfs, muted }) {
    if (packets > this.packets) [this.packets, this.packetAt] = [packets, now];
    if (report > this.reports) [this.reports, this.reportAt] = [report, now];
    if (muted || levelDbfs > SILENCE_DBFS) this.soundAt = now;
    if (!muted && peakDbfs >= CLIPPING_DBFS) this.clippedAt = now;
    /** @type {Voice} */
    const voice = muted ? "muted" : now - this.soundAt > SILENCE_AFTER_S ? "silent" : "sounding";
    return { sending: this.#sending(now, fractionLost), voice, clipping: now - this.clippedAt < CLIPPING_SHOWN_S };
  }

  /**
   * @param {number} now
   * @param {number} fractionLost
   * @returns {Sending}
   */
  #sending(now, fractionLost) {
    if (now - this.packetAt > MISSING_AFTER_S) return "stuck";
    if (this.reportAt === null) return now - this.connectedAt > ACKNOWLEDGED_WITHIN_S ? "unconfirmed" : "starting";
    if (now - this.reportAt > ACKNOWLEDGED_WITHIN_S) return "unconfirmed";
    return fractionLost > LOSSY_FRACTION ? "lossy" : "on-air";
  }
}
