/**
 * An audio file as a source: the browser decodes it as it plays, so an hour of sound needs no hour's memory.
 *
 * @module audiofile
 */

export class FileSource {
  /** @param {AudioContext} context */
  constructor(context) {
    this.element = new Audio();
    this.element.preload = "auto";
    const output = context.createMediaStreamDestination();
    // Grassroots horns are one mouth: both channels of a file are mixed into one.
    output.channelCount = 1;
    output.channelCountMode = "explicit";
    const player = context.createMediaElementSource(this.element);
    player.connect(output);
    this.monitor = context.createGain();
    this.monitor.gain.value = 0;
    player.connect(this.monitor);
    this.monitor.connect(context.destination);
    this.stream = output.stream;
    for (const track of this.stream.getAudioTracks()) track.contentHint = "music";
    this.address = "";
  }

  /**
   * @param {File} file
   * @returns {Promise<void>} rejects when the browser cannot decode it
   */
  load(file) {
    this.close();
    this.address = URL.createObjectURL(file);
    return new Promise((resolve, reject) => {
      this.element.addEventListener("canplay", () => resolve(), { once: true });
      this.element.addEventListener("error", () => reject(new Error(this.element.error?.message)), { once: true });
      this.element.src = this.address;
    });
  }

  /** From where it stands; from the beginning after the end. */
  async play() {
    await this.element.play();
  }

  pause() {
    this.element.pause();
  }

  /** @param {boolean} heard whether this device plays along */
  setMonitor(heard) {
    this.monitor.gain.value = heard ? 1 : 0;
  }

  close() {
    this.element.pause();
    if (this.address !== "") URL.revokeObjectURL(this.address);
    this.address = "";
  }
}

/**
 * @param {number} seconds
 * @returns {string} "3:07" or "1:02:03"
 */
export function clock(seconds) {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.floor(seconds)) : 0;
  const pad = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}
