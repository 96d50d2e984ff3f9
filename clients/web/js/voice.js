/**
 * A source of sound on its way to the relay: the session, kept alive, and whether it arrives.
 *
 * @module voice
 */

import { SessionError } from "./failure.js";
import { SendWatch } from "./sound.js";
import { publishFigures } from "./stats.js";
import { now, realWorld, sleep, Supervisor } from "./supervisor.js";
import { WhipClient } from "./whip.js";

const FIGURES_MS = 1000;
/**
 * A microphone that was cut off for so long stays off: a laptop opened again in the evening must not go on air by
 * itself with whatever is said around it.
 */
const PATIENCE_S = 600;
/** No look for so long means that the machine slept. */
const SLEPT_S = 120;
const WELCOME_S = 10;

export class Voice {
  /**
   * @param {object} options
   * @param {URL} options.endpoint
   * @param {() => string | null} options.token
   * @param {() => import("./sources.js").SourcePanel} options.source
   * @param {(phase: import("./supervisor.js").Phase) => void} options.report
   * @param {() => Promise<unknown>} [options.welcomed] resolves when the relay knows who is going to speak
   * @param {() => Record<string, string>} [options.headers] by what it knows him, sent with each offer
   */
  constructor({ endpoint, token, source, report, welcomed = async () => undefined, headers = () => ({}) }) {
    this.source = source;
    this.welcomed = welcomed;
    this.client = new WhipClient({ endpoint, direction: "sendonly", token, headers });
    this.supervisor = new Supervisor({
      ...realWorld, action: "publish", connect: (signal, replace) => this.#connect(signal, replace), report, token,
      patienceS: PATIENCE_S,
    });
    this.lookedAt = realWorld.unixNow();
    /** @type {import("./whip.js").WhipSession | null} */
    this.session = null;
    this.watch = new SendWatch(now());
    /** @type {ReturnType<SendWatch["update"]>} */
    this.sending = { sending: "starting", voice: "sounding", clipping: false };
    /** @type {import("./stats.js").PublishFigures | null} */
    this.figures = null;
    setInterval(() => void this.#measure(), FIGURES_MS);
  }

  /** Once, when the page begins. */
  begin() {
    addEventListener("online", () => this.supervisor.hurry());
    addEventListener("beforeunload", (event) => {
      // Leaving by mistake would cut the voice off.
      if (this.session !== null) event.preventDefault();
    });
    void this.client.prepare();
  }

  /** Where the others are heard, while this microphone is connected. */
  get mixMinus() {
    return this.session?.mixMinus ?? null;
  }

  /** What the relay says of whether this microphone is heard. */
  get word() {
    return this.session?.hearing.word ?? "unknown";
  }

  /** @param {MediaStream | null} stream what is to be sent from now on, without a new offer */
  replace(stream) {
    void this.session?.transceiver.sender.replaceTrack(trackOf(stream));
  }

  /**
   * To be called several times a second.
   *
   * @param {{ rms: number, peak: number }} level dBFS, the loudest since the last call
   */
  look({ rms, peak }) {
    const slept = realWorld.unixNow() - this.lookedAt > SLEPT_S;
    this.lookedAt = realWorld.unixNow();
    if (slept && this.supervisor.running) this.supervisor.giveUp();
    if (this.session === null) return;
    const { packets, report, fractionLost, levelDbfs } = this.figures ?? { packets: 0, report: 0, fractionLost: 0, levelDbfs: null };
    this.sending = this.watch.update({
      now: now(), packets, report, fractionLost, peakDbfs: peak, muted: this.source().held,
      levelDbfs: Math.max(rms, levelDbfs ?? rms),
    });
  }

  /**
   * @param {AbortSignal} signal
   * @param {boolean} replace
   * @returns {Promise<import("./supervisor.js").Link>}
   */
  async #connect(signal, replace) {
    const known = await Promise.race([
      this.welcomed().then(() => true), sleep(WELCOME_S, signal).then(() => false),
    ]);
    if (signal.aborted) throw new SessionError({ kind: "ended" });
    // Else a page that nobody can be reached from would never give up, and go on air by itself in the evening.
    if (!known) throw new SessionError({ kind: "network" });
    const track = trackOf(this.source().stream);
    const session = await this.client.open({ track, replace, signal });
    this.session = session;
    this.figures = null;
    this.watch = new SendWatch(now());
    this.sending = { sending: "starting", voice: "sounding", clipping: false };
    const current = trackOf(this.source().stream);
    if (current !== track) await session.transceiver.sender.replaceTrack(current);
    // A file waits for its listeners, so that no beginning is lost and no outage swallows a sentence.
    this.source().run(true);
    return {
      ended: session.ended,
      close: async () => {
        this.session = null;
        this.source().run(false);
        await session.close();
      },
    };
  }

  async #measure() {
    const session = this.session;
    if (session === null) return;
    const figures = publishFigures(await session.pc.getStats(), this.figures?.raw ?? {});
    if (this.session === session) this.figures = figures;
  }
}

/**
 * @param {MediaStream | null} stream
 * @returns {MediaStreamTrack | null}
 */
function trackOf(stream) {
  return stream?.getAudioTracks()[0] ?? null;
}
