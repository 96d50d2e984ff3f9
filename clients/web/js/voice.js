/**
 * A participant's microphone on its way to the relay: the session, kept alive, and whether it arrives.
 *
 * @module voice
 */

import { SessionError } from "./failure.js";
import { SendWatch } from "./sound.js";
import { publishFigures } from "./stats.js";
import { sleep, Supervisor } from "./supervisor.js";
import { WhipClient } from "./whip.js";

const FIGURES_MS = 1000;
/** As on the publish page: a microphone that was cut off for so long stays off. */
const PATIENCE_S = 600;
const WELCOME_S = 10;

export class Voice {
  /**
   * @param {object} options
   * @param {URL} options.endpoint
   * @param {() => string | null} options.token
   * @param {() => string} options.secret what the meeting knows this participant by
   * @param {() => Promise<unknown>} options.welcomed resolves when it does
   * @param {() => import("./sources.js").SourcePanel} options.source
   * @param {(phase: import("./supervisor.js").Phase) => void} options.report
   */
  constructor({ endpoint, token, secret, welcomed, source, report }) {
    this.source = source;
    this.welcomed = welcomed;
    this.client = new WhipClient({
      endpoint, direction: "sendonly", token, headers: () => ({ "X-Loa-Participant": secret() }),
    });
    this.supervisor = new Supervisor({
      action: "publish",
      connect: (signal) => this.#connect(signal),
      report,
      token,
      now,
      unixNow: () => Date.now() / 1000,
      random: Math.random,
      sleep,
      patienceS: PATIENCE_S,
    });
    /** @type {import("./whip.js").WhipSession | null} */
    this.session = null;
    this.watch = new SendWatch(now());
    /** @type {ReturnType<SendWatch["update"]>} */
    this.sending = { sending: "starting", voice: "sounding", clipping: false };
    /** @type {import("./stats.js").PublishFigures | null} */
    this.figures = null;
    setInterval(() => void this.#measure(), FIGURES_MS);
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

  /** @param {{ rms: number, peak: number }} level dBFS, the loudest since the last call */
  look({ rms, peak }) {
    const { packets, report, fractionLost, levelDbfs } = this.figures ?? { packets: 0, report: 0, fractionLost: 0, levelDbfs: null };
    this.sending = this.watch.update({
      now: now(), packets, report, fractionLost, peakDbfs: peak, muted: this.source().held,
      levelDbfs: Math.max(rms, levelDbfs ?? rms),
    });
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<import("./supervisor.js").Link>}
   */
  async #connect(signal) {
    const known = await Promise.race([
      this.welcomed().then(() => true), sleep(WELCOME_S, signal).then(() => false),
    ]);
    if (signal.aborted) throw new SessionError({ kind: "ended" });
    // Else a page that nobody can be reached from would never give up, and go on air by itself in the evening.
    if (!known) throw new SessionError({ kind: "network" });
    const track = trackOf(this.source().stream);
    const session = await this.client.open({ track, replace: false, signal });
    this.session = session;
    this.figures = null;
    this.watch = new SendWatch(now());
    const current = trackOf(this.source().stream);
    if (current !== track) await session.transceiver.sender.replaceTrack(current);
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

/** @returns {number} monotonic seconds */
function now() {
  return performance.now() / 1000;
}
