/**
 * Whoever publishes has a source of sound: a microphone or a file, chosen and tuned by the user, before or on air.
 *
 * @module sources
 */

import { clock, FileSource } from "./audiofile.js";
import { byId, setText } from "./dom.js";
import { SOURCE_FORM } from "./forms.js";
import { listMicrophones, microphoneAllowed, microphoneProblem, openMicrophone, PRESETS } from "./microphone.js";

/** @typedef {import("./messages.js").MessageKey} MessageKey */
/** @typedef {import("./microphone.js").Tuning} Tuning */
/** @typedef {"microphone" | "file"} SourceKind */

/** A source that cannot be had, with the sentence that tells the user why. */
class SourceProblem extends Error {
  /** @param {MessageKey} key */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

/**
 * @typedef {object} SourceListener
 * @property {(stream: MediaStream | null) => void} onStream another stream is to be sent and metered from now on
 * @property {(key: MessageKey | null) => void} onProblem why there is no sound from here; null: nothing is wrong any more
 * @property {() => void} onEnded the file has been played to its end
 * @property {() => AudioContext} context
 */

export class SourcePanel {
  /**
   * @param {import("./i18n.js").Translator} words
   * @param {SourceListener} listener
   */
  constructor(words, listener) {
    this.words = words;
    this.listener = listener;
    words.build(byId("source", HTMLElement), SOURCE_FORM);
    /** @type {SourceKind} */
    this.kind = "microphone";
    this.held = false;
    /** Whether the file may run: only while someone receives it. */
    this.running = false;
    /** @type {MediaStream | null} */
    this.microphone = null;
    /** @type {FileSource | null} */
    this.file = null;
    this.fileName = "";
    this.device = byId("device", HTMLSelectElement);
    this.testButton = byId("test", HTMLButtonElement);
    this.position = byId("file-position", HTMLInputElement);
    /** Counts openings, so that the slower of two does not win. */
    this.opening = 0;
    this.#setUpKind();
    this.#setUpMicrophone();
    this.#setUpFile();
    words.onChange(() => void this.#listDevices());
  }

  /** The stream that is open now, if any. */
  get stream() {
    return this.kind === "microphone" ? this.microphone : this.fileName === "" ? null : (this.file?.stream ?? null);
  }

  /**
   * Opens what was chosen. Call it from a click: browsers let it sound, and ask for permission, then.
   *
   * @returns {Promise<boolean>} whether there is a stream now; else the listener was told why there is none
   */
  async open() {
    this.listener.context();
    return this.#attempt(async () => {
      this.listener.onProblem(null);
      if (this.kind === "microphone") {
        if (this.microphone === null) await this.#openMicrophone();
        return;
      }
      if (this.stream === null) throw new SourceProblem("publish.file-needed");
      this.listener.onStream(this.stream);
    });
  }

  /**
   * @param {() => Promise<unknown>} work
   * @returns {Promise<boolean>} whether it was done; else the listener was told why not
   */
  async #attempt(work) {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof SourceProblem)) throw error;
      this.listener.onProblem(error.key);
      return false;
    }
  }

  /** Gives the microphone back and stops the file. */
  release() {
    this.opening += 1;
    this.run(false);
    this.hold(false);
    this.#closeMicrophone();
    this.listener.onStream(null);
  }

  /** @param {boolean} running whether what the file plays is received by someone */
  run(running) {
    this.running = running;
    this.#drive();
  }

  /** @param {boolean} held mutes the microphone, or pauses the file */
  hold(held) {
    this.held = held;
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !held;
    this.#drive();
  }

  /**
   * What changes by itself, to be called now and then.
   *
   * @param {boolean} idle whether nothing is sent, so that the microphone can be tried
   */
  render(idle) {
    this.testButton.hidden = !idle;
    setText(this.testButton, this.words.text(this.microphone === null ? "publish.test" : "publish.test-stop"));
    setText(byId("file-name", HTMLElement), this.fileName || this.words.text("publish.file-none"));
    const player = this.file?.element;
    const known = this.fileName !== "" && player !== undefined && Number.isFinite(player.duration);
    byId("file-transport", HTMLElement).hidden = !known;
    if (!known || document.activeElement === this.position && this.position.matches(":active")) return;
    this.position.max = String(player.duration);
    this.position.value = String(player.currentTime);
    this.position.style.setProperty("--value", String(player.currentTime / Math.max(1, player.duration)));
    const text = `${clock(player.currentTime)} / ${clock(player.duration)}`;
    this.position.setAttribute("aria-valuetext", text);
    setText(byId("file-time", HTMLElement), text);
  }

  #drive() {
    if (this.kind === "file" && this.running && !this.held) {
      this.file?.play().catch(() => this.listener.onProblem("publish.file-unreadable"));
    } else this.file?.pause();
  }

  async #openMicrophone() {
    const mine = ++this.opening;
    if (!microphoneAllowed()) throw new SourceProblem("publish.insecure");
    this.#closeMicrophone();
    /** @type {MediaStream} */
    let stream;
    try {
      stream = await openMicrophone(this.device.value, this.#tuning());
    } catch (error) {
      throw new SourceProblem(microphoneProblem(error));
    }
    if (mine !== this.opening) {
      for (const track of stream.getTracks()) track.stop();
      return this.microphone ?? stream;
    }
    this.microphone = stream;
    for (const track of stream.getAudioTracks()) {
      track.enabled = !this.held;
      track.addEventListener("ended", () => this.listener.onProblem("publish.mic-lost"));
    }
    this.listener.onStream(stream);
    // Names of devices are told only once one has been allowed.
    await this.#listDevices();
    return stream;
  }

  /** Takes up what was changed while the microphone is open, on air or in a test. */
  async #reopen() {
    if (this.microphone === null) return;
    if (await this.#attempt(() => this.#openMicrophone())) this.listener.onProblem(null);
    else this.listener.onStream(null);
  }

  #closeMicrophone() {
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    this.microphone = null;
  }

  /** @returns {Tuning} */
  #tuning() {
    return {
      echoCancellation: byId("echo", HTMLInputElement).checked,
      noiseSuppression: byId("noise", HTMLInputElement).checked,
      autoGainControl: byId("gain", HTMLInputElement).checked,
    };
  }

  async #listDevices() {
    const devices = await listMicrophones();
    const chosen = this.device.value;
    const named = devices.filter((device) => device.deviceId !== "default").map((device, at) => {
      const label = device.label || this.words.text("publish.device-number", { number: at + 1 });
      return new Option(label, device.deviceId);
    });
    this.device.replaceChildren(new Option(this.words.text("publish.device-default"), ""), ...named);
    if (named.some((option) => option.value === chosen)) this.device.value = chosen;
  }

  #setUpKind() {
    const panels = { microphone: byId("panel-microphone", HTMLElement), file: byId("panel-file", HTMLElement) };
    const allowed = microphoneAllowed();
    byId("insecure", HTMLElement).hidden = allowed;
    for (const kind of /** @type {const} */ (["microphone", "file"])) {
      const radio = byId(`source-${kind}`, HTMLInputElement);
      radio.addEventListener("change", () => void this.#choose(kind, panels));
    }
    if (!allowed) {
      byId("source-microphone", HTMLInputElement).disabled = true;
      byId("source-file", HTMLInputElement).checked = true;
      void this.#choose("file", panels);
    }
  }

  /**
   * @param {SourceKind} kind
   * @param {Record<SourceKind, HTMLElement>} panels
   */
  async #choose(kind, panels) {
    const wasOpen = this.microphone !== null || this.running;
    this.kind = kind;
    for (const [name, panel] of Object.entries(panels)) panel.hidden = name !== kind;
    this.opening += 1;
    this.#closeMicrophone();
    this.#drive();
    this.listener.onStream(kind === "file" ? this.stream : null);
    if (wasOpen && (kind === "microphone" || this.stream !== null)) await this.open();
  }

  #setUpMicrophone() {
    // The level can be tried before anyone hears it.
    this.testButton.addEventListener("click", () => {
      if (this.microphone === null) void this.open();
      else this.release();
    });
    for (const preset of /** @type {const} */ (["speech", "music"])) {
      byId(`preset-${preset}`, HTMLInputElement).addEventListener("change", () => {
        const tuning = PRESETS[preset];
        byId("echo", HTMLInputElement).checked = tuning.echoCancellation;
        byId("noise", HTMLInputElement).checked = tuning.noiseSuppression;
        byId("gain", HTMLInputElement).checked = tuning.autoGainControl;
        void this.#reopen();
      });
    }
    for (const id of ["echo", "noise", "gain", "device"]) {
      document.getElementById(id)?.addEventListener("change", () => void this.#reopen());
    }
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.#listDevices());
    void this.#listDevices();
  }

  #setUpFile() {
    const input = byId("file-input", HTMLInputElement);
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file !== undefined) void this.#load(file);
    });
    this.position.addEventListener("input", () => {
      if (this.file !== null) this.file.element.currentTime = this.position.valueAsNumber;
    });
    byId("file-repeat", HTMLInputElement).addEventListener("change", () => this.#applyFileSwitches());
    byId("file-monitor", HTMLInputElement).addEventListener("change", () => this.#applyFileSwitches());
  }

  /** @param {File} file */
  async #load(file) {
    this.listener.onProblem(null);
    if (this.file === null) {
      this.file = new FileSource(this.listener.context());
      this.file.element.addEventListener("ended", () => this.listener.onEnded());
    }
    this.fileName = "";
    try {
      await this.file.load(file);
    } catch {
      this.listener.onProblem("publish.file-unreadable");
      return;
    }
    this.fileName = file.name;
    this.#applyFileSwitches();
    this.listener.onStream(this.file.stream);
    this.#drive();
  }

  #applyFileSwitches() {
    if (this.file === null) return;
    this.file.element.loop = byId("file-repeat", HTMLInputElement).checked;
    this.file.setMonitor(byId("file-monitor", HTMLInputElement).checked);
  }
}
