/**
 * What the others say, without oneself: WHEP of the mix that the relay makes for this microphone.
 *
 * @module talkback
 */

import { store, stored } from "./storage.js";
import { realWorld, Supervisor } from "./supervisor.js";
import { WhipClient } from "./whip.js";

const STORED_AS = "loa.meeting.volume";
/** What the names of headphones have in common, on computers and phones, in Vietnamese and English. */
const HEADPHONES = /head|ear|airpod|buds|tai nghe|hands-?free|bluetooth/i;

/**
 * Whether headphones seem to be there. Names are known only once the microphone has been allowed.
 *
 * @returns {Promise<boolean>}
 */
export async function headphonesFound() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  return devices.some(({ kind, label }) => kind !== "videoinput" && HEADPHONES.test(label));
}

export class TalkBack {
  /**
   * @param {HTMLAudioElement} audio
   * @param {(stream: MediaStream | null) => void} onStream what is played now
   */
  constructor(audio, onStream) {
    this.audio = audio;
    this.onStream = onStream;
    /** @type {URL | null} */
    this.endpoint = null;
    this.wanted = false;
    /** @type {URL | null} */
    this.playing = null;
    this.supervisor = new Supervisor({
      ...realWorld, action: "listen", connect: (signal) => this.#connect(signal), report: () => undefined, token: () => null,
    });
  }

  /**
   * Plays or falls silent as is wanted and possible.
   *
   * @param {boolean} wanted
   * @param {URL | null} endpoint where the others are heard; null while this page is not let in
   */
  update(wanted, endpoint) {
    const next = wanted ? endpoint : null;
    if (next?.href === this.playing?.href) return;
    this.playing = next;
    if (next !== null) this.supervisor.start();
    else this.supervisor.stop();
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<import("./supervisor.js").Link>}
   */
  async #connect(signal) {
    const endpoint = this.playing;
    if (endpoint === null) throw new Error("nothing to hear");
    // The address itself is the key: it names the session of this page's microphone.
    const client = new WhipClient({ endpoint, direction: "recvonly", token: () => null });
    const session = await client.open({ track: null, replace: false, signal });
    const { receiver } = session.transceiver;
    // People answer one another: as little delay as the network allows.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    const stream = new MediaStream([receiver.track]);
    this.audio.srcObject = stream;
    void this.audio.play().catch(() => undefined);
    this.onStream(stream);
    return {
      ended: session.ended,
      close: async () => {
        if (this.audio.srcObject === stream) {
          this.audio.srcObject = null;
          this.onStream(null);
        }
        await session.close();
      },
    };
  }

  /** @param {HTMLInputElement} slider 0 … 1 */
  bindVolume(slider) {
    const apply = () => {
      slider.style.setProperty("--value", slider.value);
      this.audio.volume = slider.valueAsNumber ** 2;
    };
    slider.value = stored("localStorage", STORED_AS) ?? slider.value;
    slider.addEventListener("input", () => {
      apply();
      store("localStorage", STORED_AS, slider.value);
    });
    apply();
  }
}
