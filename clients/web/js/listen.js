/**
 * The listen page.
 *
 * @module listen
 */

import { placeOf } from "./address.js";
import { byId, fillFigures, setText } from "./dom.js";
import { LevelTap, MeterView } from "./meter.js";
import { OtherPlayers, playerAddress } from "./otherplayers.js";
import { beginPage, refusalNote, retryNote, setUpLanguage, setUpToken, showChannelTitle, TokenForm, troubleKey } from "./page.js";
import { FLOOR_DBFS, ListenWatch } from "./sound.js";
import { listenFigures, relayToEarMs } from "./stats.js";
import { store, stored } from "./storage.js";
import { now, realWorld, Supervisor } from "./supervisor.js";
import { WhipClient } from "./whip.js";

/** @typedef {import("./supervisor.js").Phase} Phase */
/** @typedef {import("./messages.js").MessageKey} MessageKey */
/** @typedef {"idle" | "connecting" | "waiting" | "sounding" | "silent" | "blocked" | "reconnecting" | "refused"} State */

const LOOK_MS = 250;
const FIGURES_MS = 1000;
const VOLUME_STORED_AS = "loa.volume";

class ListenPage {
  constructor() {
    this.place = placeOf(location.href, "listen");
    this.translator = setUpLanguage();
    this.token = setUpToken(`listen:${this.place.channel}`, () => this.supervisor.start());
    this.tokenForm = new TokenForm(this.translator, this.token, () => this.supervisor.start());
    this.play = byId("play", HTMLButtonElement);
    this.players = new OtherPlayers(this.translator);
    this.audio = byId("audio", HTMLAudioElement);
    this.stateLine = byId("state", HTMLElement);
    this.note = byId("note", HTMLElement);
    this.retry = byId("retry", HTMLButtonElement);
    this.figuresList = byId("figures", HTMLElement);
    this.meter = new MeterView(byId("level", HTMLElement), (db) => `${this.translator.number(db)} dBFS`);
    this.client = new WhipClient({
      endpoint: this.place.endpoint, direction: "recvonly", token: () => this.token.token,
    });
    this.supervisor = new Supervisor({
      ...realWorld,
      action: "listen",
      connect: (signal) => this.connect(signal),
      report: (phase) => this.onPhase(phase),
      token: () => this.token.token,
    });
    /** @type {Phase} */
    this.phase = { phase: "idle" };
    /** @type {RTCPeerConnection | null} */
    this.pc = null;
    /** @type {AudioContext | null} */
    this.context = null;
    this.watch = new ListenWatch(now());
    /** @type {import("./stats.js").ListenFigures | null} */
    this.figures = null;
    this.hearing = /** @type {import("./sound.js").Hearing} */ ("waiting");
    this.title = this.place.channel;
  }

  begin() {
    this.play.addEventListener("click", () => this.toggle());
    // Until now a press would have been lost.
    this.play.disabled = false;
    this.retry.addEventListener("click", () => this.supervisor.hurry());
    byId("publish-link", HTMLAnchorElement).href = new URL(`${this.place.channel}/publish`, this.place.base).href;
    this.setUpVolume();
    this.translator.onChange(() => this.render());
    addEventListener("online", () => this.supervisor.hurry());
    addEventListener("pagehide", () => this.supervisor.stop());
    setInterval(() => this.look(), LOOK_MS);
    setInterval(() => void this.measure(), FIGURES_MS);
    void this.client.prepare();
    this.learn();
    this.render();
  }

  /** What the channel is called, and whether other players can have it. */
  learn() {
    const token = this.token.token;
    void showChannelTitle(this.place, token, (title, channel) => {
      this.title = title;
      if (channel !== undefined) this.players.show(playerAddress(this.place, channel, token), !channel.public);
      this.render();
    });
  }

  /** The button's press is also what lets the browser make a sound, so both players are woken within it. */
  toggle() {
    if (this.play.dataset.action === "stop") {
      this.supervisor.stop();
      return;
    }
    this.context ??= new AudioContext();
    void this.context.resume();
    if (this.blocked()) this.playStream();
    else this.supervisor.start();
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<import("./supervisor.js").Link>}
   */
  async connect(signal) {
    const session = await this.client.open({ track: null, replace: false, signal });
    this.pc = session.pc;
    this.watch = new ListenWatch(now());
    this.figures = null;
    const stream = new MediaStream([session.transceiver.receiver.track]);
    // Chromium decodes nothing for Web Audio unless an element plays the stream as well.
    this.audio.srcObject = stream;
    this.playStream();
    if (this.context !== null) this.meter.show(new LevelTap(this.context, stream));
    return {
      ended: session.ended,
      close: async () => {
        this.meter.show(null);
        this.audio.srcObject = null;
        this.pc = null;
        await session.close();
      },
    };
  }

  playStream() {
    // A refusal leaves the element paused, which is what the page looks at.
    this.audio.play().catch(() => undefined);
  }

  /** @returns {boolean} whether the browser, or a phone call, keeps the sound from being played */
  blocked() {
    return this.phase.phase === "connected" && this.audio.paused;
  }

  /** @param {Phase} phase */
  onPhase(phase) {
    this.phase = phase;
    this.tokenForm.follow(phase);
    // With a token that came meanwhile the relay may tell more.
    if (phase.phase === "connected" && !this.players.offered) this.learn();
    this.render();
  }

  /** Listens to what came since the last look. */
  look() {
    const levelDbfs = Math.max(this.meter.takeLoudest().rms, this.figures?.levelDbfs ?? FLOOR_DBFS);
    if (this.phase.phase === "connected") {
      this.hearing = this.watch.update({ now: now(), packets: this.figures?.packets ?? 0, levelDbfs });
    }
    this.render();
  }

  async measure() {
    const pc = this.pc;
    if (pc === null) return;
    const figures = listenFigures(await pc.getStats(), this.figures?.raw ?? {});
    if (this.pc !== pc) return;
    this.figures = figures;
    this.renderFigures();
  }

  /** @returns {State} */
  state() {
    const { phase } = this.phase;
    if (phase === "connected") return this.blocked() ? "blocked" : this.hearing;
    return phase === "busy" || phase === "given-up" ? "refused" : phase;
  }

  render() {
    const state = this.state();
    const words = this.translator;
    document.body.dataset.state = state;
    document.title = `${this.title} – Loa`;
    setText(byId("channel-title", HTMLElement), this.title);
    const key = troubleKey(this.phase) ?? `listen.state.${state}`;
    setText(this.stateLine, words.text(/** @type {MessageKey} */ (key)));
    setText(this.note, this.noteText(state));
    this.retry.hidden = state !== "reconnecting";
    const canStart = state === "idle" || state === "blocked" || state === "refused";
    setText(byId("play-label", HTMLElement), words.text(canStart ? "listen.start" : "listen.stop"));
    this.play.dataset.action = canStart ? "start" : "stop";
  }

  /**
   * The second line. It is not announced: it counts seconds.
   *
   * @param {State} state
   * @returns {string}
   */
  noteText(state) {
    const words = this.translator;
    if (state === "waiting") return this.watch.receiving ? "" : words.text("listen.note.waiting");
    if (state === "silent") {
      return words.text("listen.note.silent", { seconds: words.number(this.watch.silentFor(now())) });
    }
    if (this.phase.phase === "reconnecting") return retryNote(words, this.phase, now());
    return this.phase.phase === "refused" ? refusalNote(words, this.phase, "listen") : "";
  }

  renderFigures() {
    const figures = this.figures;
    if (figures === null) return;
    const words = this.translator;
    const ms = (/** @type {number | null} */ value) => (value === null ? "–" : `${words.number(value)} ms`);
    fillFigures(this.figuresList, [
      [words.text("figure.delay"), ms(relayToEarMs(figures))],
      [words.text("figure.buffer"), ms(figures.bufferMs)],
      [words.text("figure.round-trip"), ms(figures.roundTripMs)],
      [words.text("figure.jitter"), ms(figures.jitterMs)],
      [words.text("figure.lost"), words.text("figure.lost-value", {
        percent: words.percent(figures.lostShare), count: words.number(figures.lost),
      })],
      [words.text("figure.concealed"), words.percent(figures.concealedShare)],
      [words.text("figure.bitrate"), figures.bitrate === null ? "–" : `${words.number(figures.bitrate / 1000)} kb/s`],
      [words.text("figure.packets"), words.number(figures.packets)],
      [words.text("figure.level"), figures.levelDbfs === null ? "–" : `${words.number(figures.levelDbfs)} dBFS`],
    ]);
  }

  setUpVolume() {
    const slider = byId("volume", HTMLInputElement);
    const apply = () => {
      // Loudness is felt roughly as the square of the amplitude's travel.
      this.audio.volume = (slider.valueAsNumber / 100) ** 2;
      slider.style.setProperty("--value", String(slider.valueAsNumber / 100));
      slider.setAttribute("aria-valuetext", `${slider.value} %`);
    };
    slider.value = stored("localStorage", VOLUME_STORED_AS) ?? "100";
    slider.addEventListener("input", () => {
      apply();
      store("localStorage", VOLUME_STORED_AS, slider.value);
    });
    // iPhones leave volume to their buttons and read back 1 whatever is set.
    this.audio.volume = 0.5;
    const settable = this.audio.volume === 0.5;
    byId("volume-row", HTMLElement).hidden = !settable;
    byId("volume-device", HTMLElement).hidden = settable;
    apply();
  }
}

beginPage(ListenPage);
