/**
 * The publish page.
 *
 * @module publish
 */

import { placeOf } from "./address.js";
import { clock } from "./audiofile.js";
import { byId, fillFigures, setText } from "./dom.js";
import { LevelTap, MeterView } from "./meter.js";
import { refusalNote, setUpLanguage, setUpToken, showChannelTitle, TokenForm } from "./page.js";
import { SendWatch } from "./sound.js";
import { SourcePanel, SourceProblem } from "./sources.js";
import { publishFigures } from "./stats.js";
import { sleep, Supervisor } from "./supervisor.js";
import { WakeLock } from "./wakelock.js";
import { WhipClient } from "./whip.js";

/** @typedef {import("./supervisor.js").Phase} Phase */
/** @typedef {import("./messages.js").MessageKey} MessageKey */
/**
 * @typedef {(
 *   | "idle" | "testing" | "connecting" | "starting" | "on-air" | "silent" | "muted" | "paused" | "lossy"
 *   | "chime" | "unconfirmed" | "stuck" | "reconnecting" | "busy" | "refused" | "given-up"
 * )} State
 */

const LOOK_MS = 250;
const FIGURES_MS = 1000;
/** What a file's last moment needs to leave the encoder. */
const TAIL_S = 0.5;
/**
 * A microphone that was cut off for so long stays off: a laptop opened again in the evening must not go on air by
 * itself with whatever is said around it.
 */
const PATIENCE_S = 600;
/** No look for so long means that the machine slept. */
const SLEPT_S = 120;

class PublishPage {
  constructor() {
    this.place = placeOf(location.href, "publish");
    this.words = setUpLanguage();
    this.token = setUpToken(`publish:${this.place.channel}`, () => void this.start());
    this.tokenForm = new TokenForm(this.words, this.token, () => void this.start());
    this.startButton = byId("start", HTMLButtonElement);
    this.holdButton = byId("hold", HTMLButtonElement);
    this.testButton = byId("test", HTMLButtonElement);
    this.busyDialog = byId("busy", HTMLDialogElement);
    this.meter = new MeterView(byId("level", HTMLElement), (db) => `${this.words.number(db)} dBFS`);
    this.wakeLock = new WakeLock();
    /** @type {AudioContext | null} */
    this.context = null;
    this.source = new SourcePanel(this.words, {
      context: () => this.audioContext(),
      onStream: (stream) => this.onStream(stream),
      onProblem: (key) => this.onProblem(key),
      onEnded: () => void this.onFileEnded(),
    });
    this.client = new WhipClient({
      endpoint: this.place.endpoint, direction: "sendonly", token: () => this.token.token,
    });
    this.supervisor = new Supervisor({
      action: "publish",
      connect: (signal, replace) => this.connect(signal, replace),
      report: (phase) => this.onPhase(phase),
      token: () => this.token.token,
      now,
      unixNow: () => Date.now() / 1000,
      random: Math.random,
      sleep,
      patienceS: PATIENCE_S,
    });
    /** @type {Phase} */
    this.phase = { phase: "idle" };
    /** @type {import("./whip.js").WhipSession | null} */
    this.session = null;
    this.watch = new SendWatch(now());
    /** @type {ReturnType<SendWatch["update"]>} */
    this.sending = { sending: "starting", voice: "sounding", clipping: false };
    /** @type {import("./stats.js").PublishFigures | null} */
    this.figures = null;
    /** @type {MessageKey | null} */
    this.problem = null;
    /** When the user went on air, whatever became of the sessions since. @type {number | null} */
    this.onAirSince = null;
    this.title = this.place.channel;
    this.lookedAt = Date.now() / 1000;
  }

  begin() {
    byId("listen-link", HTMLAnchorElement).href = new URL(this.place.channel, this.place.base).href;
    this.startButton.addEventListener("click", () => void (this.idle() ? this.start() : this.stop()));
    // Until now a press would have been lost.
    this.startButton.disabled = false;
    this.holdButton.addEventListener("click", () => {
      this.source.hold(!this.source.held);
      this.render();
    });
    this.testButton.addEventListener("click", () => void this.test());
    byId("retry", HTMLButtonElement).addEventListener("click", () => this.supervisor.hurry());
    byId("take", HTMLButtonElement).addEventListener("click", () => {
      this.busyDialog.close("take");
      void this.start({ replace: true });
    });
    byId("leave", HTMLButtonElement).addEventListener("click", () => this.busyDialog.close());
    this.busyDialog.addEventListener("close", () => {
      if (this.busyDialog.returnValue !== "take") this.stop();
    });
    this.words.onChange(() => this.render());
    addEventListener("online", () => this.supervisor.hurry());
    addEventListener("pagehide", () => this.stop());
    addEventListener("beforeunload", (event) => {
      // Leaving by mistake would cut the voice off.
      if (this.session !== null) event.preventDefault();
    });
    setInterval(() => this.look(), LOOK_MS);
    setInterval(() => void this.measure(), FIGURES_MS);
    void this.client.prepare();
    void showChannelTitle(this.place, this.token.token, (title) => {
      this.title = title;
      this.render();
    });
    this.render();
  }

  /** @returns {AudioContext} made on the first click, when browsers let it run */
  audioContext() {
    this.context ??= new AudioContext();
    void this.context.resume();
    return this.context;
  }

  /** @param {{ replace?: boolean }} [how] */
  async start(how = {}) {
    this.audioContext();
    if (await this.openSource()) this.supervisor.start(how);
  }

  stop() {
    this.supervisor.stop();
    this.release();
  }

  release() {
    this.source.release();
    this.onAirSince = null;
  }

  /** The level can be tried before anyone hears it. */
  async test() {
    this.audioContext();
    if (this.source.stream !== null) this.source.release();
    else await this.openSource();
    this.render();
  }

  /** @returns {Promise<boolean>} */
  async openSource() {
    try {
      await this.source.open();
      return true;
    } catch (error) {
      if (!(error instanceof SourceProblem)) throw error;
      this.onProblem(error.key);
      return false;
    }
  }

  /** @param {MediaStream | null} stream */
  onStream(stream) {
    this.meter.show(stream === null ? null : new LevelTap(this.audioContext(), stream));
    // Another source within a session needs no new offer: the encoder stays, only what feeds it changes.
    void this.session?.transceiver.sender.replaceTrack(stream?.getAudioTracks()[0] ?? null);
  }

  /** @param {MessageKey | null} key */
  onProblem(key) {
    this.problem = key;
    this.render();
  }

  async onFileEnded() {
    await sleep(TAIL_S, new AbortController().signal);
    this.stop();
    this.onProblem("publish.file-ended");
  }

  /**
   * @param {AbortSignal} signal
   * @param {boolean} replace
   * @returns {Promise<import("./supervisor.js").Link>}
   */
  async connect(signal, replace) {
    const track = this.source.stream?.getAudioTracks()[0] ?? null;
    const session = await this.client.open({ track, replace, signal });
    this.session = session;
    this.figures = null;
    this.watch = new SendWatch(now());
    this.sending = { sending: "starting", voice: "sounding", clipping: false };
    this.onAirSince ??= now();
    const current = this.source.stream?.getAudioTracks()[0] ?? null;
    if (current !== track) await session.transceiver.sender.replaceTrack(current);
    // A file waits for its listeners, so that no beginning is lost and no outage swallows a sentence.
    this.source.run(true);
    return {
      ended: session.ended,
      close: async () => {
        this.session = null;
        this.source.run(false);
        await session.close();
      },
    };
  }

  /** @param {Phase} phase */
  onPhase(phase) {
    this.phase = phase;
    const asksToken = phase.phase === "refused" && phase.reason !== "unknown-channel" && phase.reason !== "incompatible";
    this.tokenForm.show(asksToken);
    if (phase.phase === "busy" && !this.busyDialog.open) {
      this.busyDialog.returnValue = "";
      this.busyDialog.showModal();
    }
    if (phase.phase === "given-up") this.release();
    this.wakeLock.keep(["connecting", "connected", "reconnecting"].includes(phase.phase));
    this.render();
  }

  look() {
    const slept = Date.now() / 1000 - this.lookedAt > SLEPT_S;
    this.lookedAt = Date.now() / 1000;
    if (slept && this.supervisor.running) this.supervisor.giveUp();
    const { rms, peak } = this.meter.takeLoudest();
    if (this.phase.phase === "connected") {
      const { packets, report, fractionLost } = this.figures ?? { packets: 0, report: 0, fractionLost: 0 };
      this.sending = this.watch.update({
        now: now(), packets, report, fractionLost, peakDbfs: peak, muted: this.source.held,
        levelDbfs: Math.max(rms, this.figures?.levelDbfs ?? rms),
      });
    }
    this.source.render();
    this.render();
  }

  async measure() {
    const session = this.session;
    if (session === null) return;
    const figures = publishFigures(await session.pc.getStats(), this.figures?.raw ?? {});
    if (this.session !== session) return;
    this.figures = figures;
    this.renderFigures();
  }

  /** @returns {boolean} whether the big button starts; a refusal has ended what it began */
  idle() {
    return ["idle", "refused", "given-up"].includes(this.phase.phase);
  }

  /** @returns {import("./sound.js").Sending | "chime"} what becomes of what is sent, by reports and the relay's word */
  fate() {
    const { sending } = this.sending;
    const word = this.session?.hearing.word ?? "unknown";
    if (word === "unknown" || !["starting", "on-air", "lossy"].includes(sending)) return sending;
    if (word === "heard") return sending === "lossy" ? "lossy" : "on-air";
    return word === "chime" ? "chime" : "starting";
  }

  /** @returns {boolean} whether it is known to arrive and to be heard */
  confirmed() {
    return this.phase.phase === "connected" && ["on-air", "lossy"].includes(this.fate());
  }

  /** @returns {State} */
  state() {
    const { phase } = this.phase;
    if (phase === "idle") return this.source.microphone === null ? "idle" : "testing";
    if (phase !== "connected") return phase;
    const { voice } = this.sending;
    const fate = this.fate();
    if (fate !== "on-air") return fate;
    if (voice === "muted") return this.source.kind === "file" ? "paused" : "muted";
    return voice === "silent" ? "silent" : "on-air";
  }

  render() {
    const state = this.state();
    const words = this.words;
    const live = this.phase.phase === "connected";
    const idle = this.idle();
    document.body.dataset.state = state;
    setText(byId("channel-title", HTMLElement), this.title);
    const key = this.phase.phase === "refused" ? `refused.${this.phase.reason}` : `publish.state.${state}`;
    setText(byId("state", HTMLElement), words.text(/** @type {MessageKey} */ (key)));
    setText(byId("note", HTMLElement), this.noteText());
    const confirmed = this.confirmed();
    byId("sign", HTMLElement).hidden = !confirmed;
    document.title = confirmed ? `● ${words.text("publish.on-air")} – ${this.title}` : `${this.title} – Loa`;
    const elapsed = byId("elapsed", HTMLElement);
    elapsed.hidden = !confirmed || this.onAirSince === null;
    setText(elapsed, clock(now() - (this.onAirSince ?? now())));
    setText(byId("problem", HTMLElement), this.problemText(live));
    setText(byId("start-label", HTMLElement), words.text(idle ? "publish.start" : "publish.stop"));
    this.startButton.dataset.action = idle ? "start" : "stop";
    this.holdButton.hidden = !live;
    this.holdButton.setAttribute("aria-pressed", String(this.source.held));
    setText(this.holdButton, words.text(this.holdKey()));
    this.testButton.hidden = !idle;
    setText(this.testButton, words.text(state === "testing" ? "publish.test-stop" : "publish.test"));
    const metered = live || state !== "testing" ? "publish.level" : "publish.level-preview";
    setText(byId("level-label", HTMLElement), words.text(metered));
    byId("retry", HTMLButtonElement).hidden = state !== "reconnecting";
  }

  /** @returns {MessageKey} */
  holdKey() {
    if (this.source.kind === "file") return this.source.held ? "publish.resume" : "publish.pause";
    return this.source.held ? "publish.unmute" : "publish.mute";
  }

  /** @returns {string} the second line, which counts and is therefore not announced */
  noteText() {
    const words = this.words;
    if (this.phase.phase === "reconnecting") {
      const seconds = words.number(Math.max(0, Math.ceil(this.phase.retryAtS - now())));
      const next = words.text("publish.note.reconnecting", { seconds });
      return this.phase.failure.kind === "unreachable" ? `${next}. ${words.text("listen.note.unreachable")}` : next;
    }
    if (this.phase.phase === "refused") return refusalNote(words, this.phase);
    if (this.state() === "chime") return words.text("publish.note.chime");
    if (this.state() !== "lossy") return "";
    return words.text("publish.note.lossy", { percent: words.percent(this.figures?.fractionLost ?? 0) });
  }

  /**
   * @param {boolean} live
   * @returns {string} what the user can mend
   */
  problemText(live) {
    if (this.problem !== null) return this.words.text(this.problem);
    if (live && this.sending.clipping) return this.words.text("publish.clipping");
    return live && this.sending.voice === "silent" ? this.words.text("publish.silent") : "";
  }

  renderFigures() {
    const figures = this.figures;
    if (figures === null) return;
    const words = this.words;
    const ms = (/** @type {number | null} */ value) => (value === null ? "–" : `${words.number(value)} ms`);
    const kilobits = (/** @type {number | null} */ value) => (value === null ? "–" : `${words.number(value / 1000)} kb/s`);
    const ago = this.watch.reportAt === null ? null : now() - this.watch.reportAt;
    fillFigures(byId("figures", HTMLElement), [
      [words.text("figure.acknowledged"), ago === null ? "–" : words.text("figure.ago", { seconds: words.number(ago) })],
      [words.text("figure.round-trip"), ms(figures.roundTripMs)],
      [words.text("figure.jitter"), ms(figures.jitterMs)],
      [words.text("figure.lost"), words.text("figure.lost-value", {
        percent: words.percent(figures.fractionLost), count: words.number(figures.lost),
      })],
      [words.text("figure.bitrate"), kilobits(figures.bitrate)],
      [words.text("figure.packets"), words.number(figures.packets)],
      [words.text("figure.level"), figures.levelDbfs === null ? "–" : `${words.number(figures.levelDbfs)} dBFS`],
    ]);
  }
}

/** @returns {number} monotonic seconds */
function now() {
  return performance.now() / 1000;
}

if (typeof RTCPeerConnection === "undefined") {
  const words = setUpLanguage();
  setText(byId("state", HTMLElement), words.text("common.unsupported"));
} else {
  new PublishPage().begin();
}
