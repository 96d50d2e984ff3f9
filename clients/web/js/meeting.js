/**
 * The page of a meeting: the publish page of channels where several speak and one chairs.
 *
 * @module meeting
 */

import { placeOf } from "./address.js";
import { byId } from "./dom.js";
import { decide } from "./failure.js";
import { FeedbackTap } from "./feedbacktap.js";
import { InvitationDialog } from "./invitation.js";
import { MeetingDesk } from "./meetingdesk.js";
import { MeetingLink, standing } from "./meetinglink.js";
import { LevelTap, MeterView } from "./meter.js";
import { beginPage, setUpLanguage, setUpToken, showChannelTitle, TokenForm } from "./page.js";
import { Roster } from "./roster.js";
import { SourcePanel } from "./sources.js";
import { store, stored } from "./storage.js";
import { now, sleep } from "./supervisor.js";
import { headphonesFound, TalkBack } from "./talkback.js";
import { Voice } from "./voice.js";
import { WakeLock } from "./wakelock.js";

/** @typedef {import("./supervisor.js").Phase} Phase */
/** @typedef {import("./messages.js").MessageKey} MessageKey */
/** @typedef {import("./meetinglink.js").Meeting} Meeting */

const LOOK_MS = 200;
/** A warning stays for so long after the feedback. */
const WARNED_S = 6;
const NAME_STORED_AS = "loa.name";

class MeetingPage {
  constructor() {
    this.place = placeOf(location.href, "publish");
    this.words = setUpLanguage();
    // A pasted link enters no meeting: that is for the button.
    this.token = setUpToken(`publish:${this.place.channel}`, () => {
      if (this.idle() && this.phase.phase !== "idle") this.leave();
    });
    this.tokenForm = new TokenForm(this.words, this.token, () => void this.enter());
    this.name = byId("name", HTMLInputElement);
    this.meter = new MeterView(byId("level", HTMLElement), (db) => `${this.words.number(db)} dBFS`);
    this.wakeLock = new WakeLock();
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {FeedbackTap | null} */
    this.tap = null;
    this.voice = new Voice({
      endpoint: this.place.endpoint,
      token: () => this.token.token,
      headers: () => ({ "X-Loa-Participant": this.secret }),
      welcomed: () => this.link.welcomed(),
      source: () => this.source,
      report: (phase) => this.onPhase(phase),
    });
    this.source = new SourcePanel(this.words, {
      context: () => this.audioContext(),
      onStream: (stream) => this.onStream(stream),
      onProblem: (key) => this.onProblem(key),
      onEnded: () => this.onProblem("publish.file-ended"),
    });
    this.secret = stored("sessionStorage", this.secretKey) ?? "";
    this.link = new MeetingLink({
      introduction: () => ({ token: this.token.token ?? "", name: this.name.value.trim(), secret: this.secret }),
      open: () => new WebSocket(this.socketAddress()),
      listener: this,
      sleep,
      random: Math.random,
    });
    this.talkback = new TalkBack(byId("others", HTMLAudioElement), (stream) => {
      if (this.tap !== null) this.tap.played = stream;
    });
    this.roster = new Roster(this.words, (type, fields) => this.order(type, fields));
    this.invitation = new InvitationDialog(this.words, () => this.order("invite", { page: this.pageAddress() }));
    this.desk = new MeetingDesk(this.words);
    /** @type {Phase} */
    this.phase = { phase: "idle" };
    /** @type {Meeting | null} */
    this.meeting = null;
    /** @type {import("./meetinglink.js").Levels} */
    this.levels = { remaining_s: null, people: {} };
    /** When `levels` came. */
    this.levelsAt = 0;
    /** How the last stay ended. @type {{ state: "removed" | "ended", key: MessageKey | null } | null} */
    this.farewell = null;
    /** Whether the meeting was on air during this stay, and whether the relay has forgotten it since. */
    this.stay = { open: false, reopen: false, fresh: true };
    /** @type {import("./meetingdesk.js").Problem | null} */
    this.problem = null;
    /** @type {{ feedback: import("./feedback.js").Feedback, until: number } | null} */
    this.feedback = null;
    this.headphones = false;
    this.chose = false;
    this.title = this.place.channel;
  }

  begin() {
    byId("listen-link", HTMLAnchorElement).href = new URL(this.place.channel, this.place.base).href;
    this.name.value = stored("localStorage", NAME_STORED_AS) ?? "";
    byId("start", HTMLButtonElement).disabled = false;
    this.name.addEventListener("keydown", ({ key }) => {
      if (key === "Enter") void this.enter();
    });
    this.desk.onClick({
      start: () => void this.enter(),
      leave: () => this.leave(),
      begin: () => this.order("open"),
      hold: () => this.mute(!this.source.held),
      hand: () => this.order("hand", { person: this.link.welcome?.person, raised: !this.me()?.hand }),
      retry: () => this.voice.supervisor.hurry(),
      invite: () => this.invitation.open(),
      extend: () => this.order("extend"),
      "ending-yes": () => this.order("end"),
    });
    byId("talkback", HTMLInputElement).addEventListener("change", () => this.onTalkback());
    this.talkback.bindVolume(byId("volume", HTMLInputElement));
    this.words.onChange(() => this.render());
    addEventListener("pagehide", () => this.leave());
    setInterval(() => this.look(), LOOK_MS);
    this.voice.begin();
    void showChannelTitle(this.place, this.token.token, (title) => {
      this.title = title;
      this.render();
    });
    this.render();
  }

  get secretKey() {
    return `loa.meeting.${this.place.channel}`;
  }

  /** @returns {string} */
  socketAddress() {
    const url = new URL(`api/v1/channels/${encodeURIComponent(this.place.channel)}/meeting`, this.place.base);
    url.protocol = url.protocol.replace("http", "ws");
    return url.href;
  }

  /** @returns {string} what an invitation is put behind */
  pageAddress() {
    return new URL(`${encodeURIComponent(this.place.channel)}/publish`, this.place.base).href;
  }

  /** @returns {AudioContext} */
  audioContext() {
    if (this.context === null) {
      this.context = new AudioContext();
      this.tap = new FeedbackTap(this.context, (feedback) => {
        this.feedback = this.source.held ? null : { feedback, until: now() + WARNED_S };
      });
      void this.tap.begin();
    }
    void this.context.resume();
    return this.context;
  }

  async enter() {
    if (!this.idle()) return;
    const name = this.name.value.trim();
    this.name.setAttribute("aria-invalid", String(name === ""));
    if (name === "") {
      this.onProblem("meeting.name-needed");
      this.name.focus();
      return;
    }
    store("localStorage", NAME_STORED_AS, name);
    if (!(await this.source.open())) return;
    await this.suggestTalkback();
    this.farewell = null;
    this.meeting = null;
    this.stay = { open: false, reopen: false, fresh: true };
    this.tokenForm.show(false);
    this.link.start();
    this.voice.supervisor.start();
  }

  leave() {
    this.voice.supervisor.stop();
    this.link.stop();
    this.source.release();
    this.talkback.update(false, null);
    this.meeting = null;
    this.feedback = null;
    this.desk.closeDialogs();
    this.render();
  }

  /**
   * Here at once, and on the relay, which keeps it.
   *
   * @param {boolean} muted
   */
  mute(muted) {
    this.source.hold(muted);
    this.order("mute", { person: this.link.welcome?.person, muted });
    this.render();
  }

  /**
   * @param {string} type
   * @param {Record<string, unknown>} [fields]
   */
  order(type, fields = {}) {
    this.onProblem(null);
    this.link.order(type, fields);
  }

  /** Without headphones the others are heard only by who asks for it. */
  async suggestTalkback() {
    this.headphones = await headphonesFound();
    if (!this.chose) byId("talkback", HTMLInputElement).checked = this.headphones;
  }

  onTalkback() {
    this.chose = true;
    const echo = byId("echo", HTMLInputElement);
    if (byId("talkback", HTMLInputElement).checked && !this.headphones && !echo.checked) echo.click();
    this.look();
  }

  // -- what the link says

  /** @param {import("./meetinglink.js").Welcome} welcome */
  onWelcome({ secret, role }) {
    // A relay that does not know us any more was restarted: what was on air is to be so again.
    this.stay.reopen = role === "chair" && this.stay.open && secret !== this.secret;
    this.stay.fresh = true;
    this.secret = secret;
    store("sessionStorage", this.secretKey, secret);
  }

  /** @param {Meeting} meeting */
  onState(meeting) {
    this.meeting = meeting;
    if (meeting.removed) return this.depart("removed", null);
    if (meeting.phase === "ended" && this.stay.open) {
      return this.depart("ended", meeting.reason === "" ? null : `meeting.end.${meeting.reason}`);
    }
    if (meeting.phase === "open") this.stay.open = true;
    else if (this.stay.reopen) this.order("open");
    this.stay.reopen = false;
    if (this.stay.fresh) this.agreeOnMute();
    this.stay.fresh = false;
    this.render();
  }

  /**
   * What was chosen before the connection broke is kept by the relay; that the user muted himself meanwhile, or that a
   * relay which was restarted does not know of it, must not open his microphone.
   */
  agreeOnMute() {
    if (this.source.held && this.me()?.muted === false) this.mute(true);
    else this.source.hold(this.me()?.muted ?? false);
  }

  /** @param {import("./meetinglink.js").Levels} levels */
  onLevels(levels) {
    this.levels = levels;
    this.levelsAt = now();
  }

  /** @param {import("./meetinglink.js").Invitation} invitation */
  onInvitation(invitation) {
    this.invitation.show(invitation);
  }

  /** @param {import("./meetinglink.js").Refused} refused */
  onRefused({ order, status, detail }) {
    if (order !== "join") return this.onProblem("meeting.why.refused", { text: detail });
    this.leave();
    const failure = /** @type {const} */ ({ kind: "http", status, detail, retryAfterS: null });
    const decision = decide(failure, {
      action: "publish", attempt: 0, token: this.token.token, nowS: Date.now() / 1000, random: Math.random,
    });
    if (decision.kind === "refused") this.onPhase({ phase: "refused", reason: decision.reason, failure });
    else if (decision.kind === "busy") this.onPhase({ phase: "busy" });
  }

  /**
   * The stay is over, not by the user's own will; his microphone goes off.
   *
   * @param {"removed" | "ended"} state
   * @param {MessageKey | null} key
   */
  depart(state, key) {
    this.leave();
    if (state === "removed") {
      this.secret = "";
      store("sessionStorage", this.secretKey, "");
    }
    this.farewell = { state, key };
    this.render();
  }

  // -- sound

  /** @param {MediaStream | null} stream */
  onStream(stream) {
    this.meter.show(stream === null ? null : new LevelTap(this.audioContext(), stream));
    if (this.tap !== null) this.tap.microphone = this.source.kind === "microphone" ? stream : null;
    this.voice.replace(stream);
  }

  /**
   * @param {MessageKey | null} key
   * @param {Record<string, string>} [values]
   */
  onProblem(key, values = {}) {
    this.problem = key === null ? null : { key, values };
    this.render();
  }

  /** @param {Phase} phase */
  onPhase(phase) {
    this.phase = phase;
    // Nobody shall talk into an open microphone that goes nowhere.
    if (["given-up", "refused", "busy"].includes(phase.phase)) this.leave();
    this.phase = phase;
    this.tokenForm.follow(this.farewell === null ? phase : { phase: "idle" });
    this.wakeLock.keep(["connecting", "connected", "reconnecting"].includes(phase.phase));
    this.render();
  }

  look() {
    this.voice.look(this.meter.takeLoudest());
    if (this.feedback !== null && this.feedback.until < now()) this.feedback = null;
    const admitted = this.meeting?.phase === "open" && this.me()?.admitted === true;
    const wanted = byId("talkback", HTMLInputElement).checked;
    this.talkback.update(wanted, admitted ? this.voice.mixMinus : null);
    this.render();
  }

  // -- showing

  me() {
    return this.meeting?.people.find((person) => person.id === this.link.welcome?.person);
  }

  /** @returns {boolean} whether this page is outside */
  idle() {
    return ["idle", "refused", "given-up", "busy"].includes(this.phase.phase);
  }

  /** @returns {string} */
  state() {
    const { phase } = this.phase;
    if (this.farewell !== null) return this.farewell.state;
    if (phase === "busy") return "full";
    if (phase === "idle") return this.source.microphone === null ? "idle" : "testing";
    if (this.phase.phase === "connecting" && this.phase.attempt > 0) return "reconnecting";
    if (phase !== "connected") return phase;
    // What the relay said before its connection broke, or the state of a session it no longer has, is no news.
    if (this.meeting === null || this.link.welcome === null) return "connecting";
    const stands = standing(this.meeting, this.me());
    if (stands !== "on-air") return stands;
    if (["chime", "not-yet"].includes(this.voice.word)) return this.voice.word;
    if (this.voice.sending.sending === "lossy") return "lossy";
    return this.voice.sending.voice === "silent" ? "silent" : "on-air";
  }

  render() {
    const me = this.me();
    const remaining = this.levels.remaining_s === null ? null : Math.max(0, this.levels.remaining_s - (now() - this.levelsAt));
    this.source.render(this.idle());
    this.desk.render({
      state: this.state(), phase: this.phase, farewell: this.farewell, meeting: this.meeting, me, remaining,
      title: this.title, idle: this.idle(), problem: this.problem, clipping: this.voice.sending.clipping,
      held: this.source.held, file: this.source.kind === "file", headphones: this.headphones,
      feedback: this.feedback?.feedback ?? null, now: now(),
    });
    if (this.meeting !== null) this.roster.render(this.meeting, this.link.welcome?.person ?? "", this.levels.people);
  }
}

beginPage(MeetingPage);
