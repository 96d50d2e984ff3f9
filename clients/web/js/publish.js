/**
 * The publish page.
 *
 * @module publish
 */

import { placeOf } from "./address.js";
import { clock } from "./audiofile.js";
import { byId, fillFigures, setText } from "./dom.js";
import { LevelTap, MeterView } from "./meter.js";
import { beginPage, refusalNote, retryNote, setUpLanguage, setUpToken, showChannelTitle, TokenForm, troubleKey } from "./page.js";
import { SourcePanel } from "./sources.js";
import { now, sleep } from "./supervisor.js";
import { Voice } from "./voice.js";
import { WakeLock } from "./wakelock.js";

/** @typedef {import("./supervisor.js").Phase} Phase */
/** @typedef {import("./messages.js").MessageKey} MessageKey */
/**
 * @typedef {(
 *   | "idle" | "testing" | "connecting" | "starting" | "on-air" | "silent" | "muted" | "paused" | "lossy"
 *   | "chime" | "unconfirmed" | "stuck" | "reconnecting" | "busy" | "refused" | "given-up"
 * )} State
 */

const LOOK_MS = 250;
/** What a file's last moment needs to leave the encoder. */
const TAIL_S = 0.5;

class PublishPage {
  constructor() {
    this.place = placeOf(location.href, "publish");
    this.words = setUpLanguage();
    this.token = setUpToken(`publish:${this.place.channel}`, () => this.onToken());
    this.tokenForm = new TokenForm(this.words, this.token, () => void this.start());
    this.startButton = byId("start", HTMLButtonElement);
    this.holdButton = byId("hold", HTMLButtonElement);
    this.busyDialog = byId("busy", HTMLDialogElement);
    this.meter = new MeterView(byId("level", HTMLElement), (db) => `${this.words.number(db)} dBFS`);
    this.wakeLock = new WakeLock();
    /** @type {AudioContext | null} */
    this.context = null;
    this.voice = new Voice({
      endpoint: this.place.endpoint,
      token: () => this.token.token,
      source: () => this.source,
      report: (phase) => this.onPhase(phase),
    });
    this.source = new SourcePanel(this.words, {
      context: () => this.audioContext(),
      onStream: (stream) => this.onStream(stream),
      onProblem: (key) => this.onProblem(key),
      onEnded: () => void this.onFileEnded(),
    });
    /** @type {Phase} */
    this.phase = { phase: "idle" };
    /** @type {MessageKey | null} */
    this.problem = null;
    /** When the user went on air, whatever became of the sessions since. @type {number | null} */
    this.onAirSince = null;
    this.title = this.place.channel;
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
    byId("retry", HTMLButtonElement).addEventListener("click", () => this.voice.supervisor.hurry());
    byId("take", HTMLButtonElement).addEventListener("click", () => {
      this.busyDialog.close("take");
      void this.start({ replace: true });
    });
    byId("leave", HTMLButtonElement).addEventListener("click", () => this.busyDialog.close());
    this.busyDialog.addEventListener("close", () => {
      if (this.busyDialog.returnValue !== "take") this.stop();
    });
    this.words.onChange(() => this.render());
    addEventListener("pagehide", () => this.stop());
    setInterval(() => this.look(), LOOK_MS);
    this.voice.begin();
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

  /** A pasted link serves what goes on; a microphone is opened by its button only. */
  onToken() {
    if (!this.idle()) void this.start();
    else if (this.phase.phase !== "idle") this.stop();
  }

  /** @param {{ replace?: boolean }} [how] */
  async start(how = {}) {
    if (await this.source.open()) this.voice.supervisor.start(how);
  }

  stop() {
    this.voice.supervisor.stop();
    this.release();
  }

  release() {
    this.source.release();
    this.onAirSince = null;
  }

  /** @param {MediaStream | null} stream */
  onStream(stream) {
    this.meter.show(stream === null ? null : new LevelTap(this.audioContext(), stream));
    this.voice.replace(stream);
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

  /** @param {Phase} phase */
  onPhase(phase) {
    this.phase = phase;
    if (phase.phase === "connected") this.onAirSince ??= now();
    this.tokenForm.follow(phase);
    if (phase.phase === "busy" && !this.busyDialog.open) {
      this.busyDialog.returnValue = "";
      this.busyDialog.showModal();
    }
    // Nobody shall talk into an open microphone that goes nowhere.
    if (phase.phase === "given-up" || phase.phase === "refused") this.release();
    this.wakeLock.keep(["connecting", "connected", "reconnecting"].includes(phase.phase));
    this.render();
  }

  look() {
    this.voice.look(this.meter.takeLoudest());
    this.renderFigures();
    this.render();
  }

  /** @returns {boolean} whether the big button starts; a refusal has ended what it began */
  idle() {
    return ["idle", "refused", "given-up"].includes(this.phase.phase);
  }

  /** @returns {import("./sound.js").Sending | "chime"} what becomes of what is sent, by reports and the relay's word */
  fate() {
    const { sending } = this.voice.sending;
    const { word } = this.voice;
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
    const { voice } = this.voice.sending;
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
    this.source.render(idle);
    document.body.dataset.state = state;
    setText(byId("channel-title", HTMLElement), this.title);
    const key = troubleKey(this.phase) ?? `publish.state.${state}`;
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
    setText(byId("level-label", HTMLElement), words.text(live ? "publish.level" : "publish.level-preview"));
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
    if (this.phase.phase === "reconnecting") return retryNote(words, this.phase, now());
    if (this.phase.phase === "refused") return refusalNote(words, this.phase, "publish");
    if (this.state() === "chime") return words.text("publish.note.chime");
    if (this.state() !== "lossy") return "";
    return words.text("publish.note.lossy", { percent: words.percent(this.voice.figures?.fractionLost ?? 0) });
  }

  /**
   * @param {boolean} live
   * @returns {string} what the user can mend
   */
  problemText(live) {
    if (this.problem !== null) return this.words.text(this.problem);
    if (live && this.voice.sending.clipping) return this.words.text("publish.clipping");
    return live && this.voice.sending.voice === "silent" ? this.words.text("publish.silent") : "";
  }

  renderFigures() {
    const { figures, watch } = this.voice;
    if (figures === null) return;
    const words = this.words;
    const ms = (/** @type {number | null} */ value) => (value === null ? "–" : `${words.number(value)} ms`);
    const kilobits = (/** @type {number | null} */ value) => (value === null ? "–" : `${words.number(value / 1000)} kb/s`);
    const ago = watch.reportAt === null ? null : now() - watch.reportAt;
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

beginPage(PublishPage);
