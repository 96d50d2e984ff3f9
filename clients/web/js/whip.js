/**
 * WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) from a browser: one POST with the offer, the answer in the 201,
 * candidates that come later by PATCH, DELETE at the end.
 *
 * @module whip
 */

import { retryAfterSeconds } from "./backoff.js";
import { SessionError } from "./failure.js";
import { Hearing } from "./hearing.js";
import { iceServersFromLink, linkTarget } from "./link.js";
import { buildFragment, iceIdentity } from "./sdpfrag.js";

/** @typedef {import("./failure.js").Failure} Failure */

/** Host candidates are there within milliseconds; what takes longer follows by PATCH. */
const GATHERING_MS = 400;
const REQUEST_MS = 10_000;
const CONNECT_MS = 15_000;
/** Candidates are collected this long before they are sent together. */
const TRICKLE_MS = 100;
/** Where a publisher hears all but himself. */
const MIX_MINUS = "urn:x-loa:mix-minus";
/** Where a publisher is told whether he is heard, or the chime keeps him waiting. */
const HEARING = "urn:x-loa:hearing";
/** A path that is "disconnected" may recover by itself; after this it is given up. */
const DISCONNECTED_MS = 4_000;

/** The client of one endpoint; it opens one session after another. */
export class WhipClient {
  /**
   * @param {object} options
   * @param {URL} options.endpoint
   * @param {"sendonly" | "recvonly"} options.direction
   * @param {() => string | null} options.token
   * @param {() => Record<string, string>} [options.headers] more to send with each offer
   */
  constructor({ endpoint, direction, token, headers = () => ({}) }) {
    this.endpoint = endpoint;
    this.direction = direction;
    this.token = token;
    this.headers = headers;
    /** @type {RTCIceServer[]} */
    this.iceServers = [];
    /** Sessions whose DELETE has not come through yet. @type {Set<URL>} */
    this.leftovers = new Set();
  }

  /**
   * Asks for ICE servers ahead of the first session, which most browsers need (RFC 9725 §4.6). Never fails: a server
   * that does not answer OPTIONS simply has none.
   */
  async prepare() {
    try {
      const response = await this.request("OPTIONS", this.endpoint, {});
      if (response.ok) this.#learnServers(response);
    } catch {
      // The POST will tell what is wrong.
    }
  }

  /**
   * Opens a session and waits until media can flow.
   *
   * @param {object} options
   * @param {MediaStreamTrack | null} options.track what a publisher sends
   * @param {boolean} options.replace take over a busy channel
   * @param {AbortSignal} options.signal
   * @returns {Promise<WhipSession>}
   * @throws {SessionError}
   */
  async open({ track, replace, signal }) {
    for (const resource of this.leftovers) await this.remove(resource);
    const session = new WhipSession(this, track);
    const abandon = () => void session.close();
    signal.addEventListener("abort", abandon);
    try {
      const offer = await session.offer();
      const headers = { ...this.headers(), "Content-Type": "application/sdp", Accept: "application/sdp" };
      const response = await this.request("POST", this.endpoint, {
        headers: replace ? { ...headers, "X-Loa-Replace": "1" } : headers,
        body: offer,
      });
      if (response.status !== 201) throw new SessionError(await refusal(response));
      await session.accept(response, await response.text());
      this.#learnServers(response);
      if (signal.aborted) throw new SessionError({ kind: "ended" });
      await session.connected();
      return session;
    } catch (error) {
      await session.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", abandon);
    }
  }

  /**
   * A request with the token, given up after ten seconds.
   *
   * @param {string} method
   * @param {URL} url
   * @param {{ headers?: Record<string, string>, body?: string, keepalive?: boolean }} options
   * @returns {Promise<Response>}
   * @throws {SessionError} kind "network"
   */
  async request(method, url, { headers = {}, body, keepalive = false }) {
    const token = this.token();
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), REQUEST_MS);
    try {
      return await fetch(url, {
        method,
        headers: token === null ? headers : { ...headers, Authorization: `Bearer ${token}` },
        body: body ?? null,
        keepalive,
        cache: "no-store",
        credentials: "omit",
        signal: timeout.signal,
      });
    } catch {
      throw new SessionError({ kind: "network" });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Ends a session on the server. What does not come through is remembered and tried before the next POST, so that
   * a publisher is not kept out by its own ghost.
   *
   * @param {URL} resource
   */
  async remove(resource) {
    this.leftovers.add(resource);
    try {
      // keepalive lets the request outlive a page that is being closed.
      const response = await this.request("DELETE", resource, { keepalive: true });
      if (response.status < 500) this.leftovers.delete(resource);
    } catch {
      // Offline: stays in leftovers.
    }
  }

  /** @param {Response} response */
  #learnServers(response) {
    const servers = iceServersFromLink(response.headers.get("Link"));
    if (servers.length > 0) this.iceServers = servers;
  }
}

/** One session: a peer connection and its resource on the server. */
export class WhipSession {
  /** @type {(failure: Failure) => void} */
  #end = () => {};
  #closed = false;
  #wasUp = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #trickleTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #disconnectedTimer;

  /**
   * @param {WhipClient} client
   * @param {MediaStreamTrack | null} track
   */
  constructor(client, track) {
    this.client = client;
    this.pc = new RTCPeerConnection({ iceServers: client.iceServers, bundlePolicy: "max-bundle" });
    this.transceiver = this.pc.addTransceiver(track ?? "audio", { direction: client.direction });
    preferOpus(this.transceiver, client.direction);
    /** @type {URL | null} */
    this.resource = null;
    /** Where the others are heard, if the relay mixes. @type {URL | null} */
    this.mixMinus = null;
    /** Whether what is sent is heard. */
    this.hearing = new Hearing();
    /** @type {string | null} */
    this.etag = null;
    /** Candidates gathered after the offer was sent; null once they can no longer be. @type {string[] | null} */
    this.late = [];
    /** @type {Promise<Failure>} */
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.pc.addEventListener("connectionstatechange", () => this.#watchPath());
  }

  /**
   * The local description, with the candidates that were there in time.
   *
   * @returns {Promise<string>}
   */
  async offer() {
    await this.pc.setLocalDescription(await this.pc.createOffer());
    await gathered(this.pc, GATHERING_MS);
    const sdp = this.pc.localDescription?.sdp ?? "";
    this.pc.addEventListener("icecandidate", ({ candidate }) => this.#trickle(candidate));
    if (this.pc.iceGatheringState === "complete") this.late = null;
    return sdp;
  }

  /**
   * @param {Response} response a 201
   * @param {string} answer
   */
  async accept(response, answer) {
    const location = response.headers.get("Location");
    // Relative to where the answer came from, which is not where we asked if there was a redirect.
    if (location !== null) this.resource = new URL(location, response.url || this.client.endpoint);
    this.etag = response.headers.get("ETag");
    const others = linkTarget(response.headers.get("Link"), MIX_MINUS);
    if (others !== null) this.mixMinus = new URL(others, response.url || this.client.endpoint);
    if (this.#closed) return;
    const hearing = linkTarget(response.headers.get("Link"), HEARING);
    if (hearing !== null) this.hearing.follow(new URL(hearing, response.url || this.client.endpoint));
    await this.pc.setRemoteDescription({ type: "answer", sdp: answer });
    this.#watchGoodbye();
    this.#flush();
  }

  /**
   * Resolves when media can flow.
   *
   * @throws {SessionError}
   */
  async connected() {
    const up = new Promise((resolve) => {
      const look = () => this.pc.connectionState === "connected" && resolve(null);
      this.pc.addEventListener("connectionstatechange", look);
      look();
    });
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    /** @type {Promise<Failure>} */
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve({ kind: "unreachable" }), CONNECT_MS);
    });
    const failure = await Promise.race([up, this.ended, late]);
    clearTimeout(timer);
    if (failure !== null) throw new SessionError(/** @type {Failure} */ (failure));
  }

  /** Ends the session here at once, and on the server as soon as it can be told. */
  async close() {
    if (!this.#closed) {
      this.#closed = true;
      clearTimeout(this.#trickleTimer);
      clearTimeout(this.#disconnectedTimer);
      this.pc.close();
      this.hearing.close();
      this.#end({ kind: "ended" });
    }
    const resource = this.resource;
    this.resource = null;
    if (resource !== null) await this.client.remove(resource);
  }

  #watchPath() {
    clearTimeout(this.#disconnectedTimer);
    const state = this.pc.connectionState;
    if (state === "connected") this.#wasUp = true;
    else if (state === "failed") this.#end({ kind: this.#wasUp ? "lost" : "unreachable" });
    else if (state === "disconnected") {
      this.#disconnectedTimer = setTimeout(() => this.#end({ kind: "lost" }), DISCONNECTED_MS);
    }
  }

  /** The relay says goodbye with a DTLS alert, which does not show in connectionState. */
  #watchGoodbye() {
    const transport = this.transceiver.sender.transport ?? this.transceiver.receiver.transport;
    transport?.addEventListener("statechange", () => {
      if (transport.state !== "closed") return;
      // The server has forgotten the session already; there is nothing left to DELETE.
      this.resource = null;
      this.#end({ kind: "ended" });
    });
  }

  /** @param {RTCIceCandidate | null} candidate null when gathering has finished */
  #trickle(candidate) {
    if (this.late === null) return;
    if (candidate !== null) this.late.push(candidate.candidate);
    clearTimeout(this.#trickleTimer);
    this.#trickleTimer = setTimeout(() => this.#flush(), TRICKLE_MS);
  }

  #flush() {
    const end = this.pc.iceGatheringState === "complete";
    const identity = iceIdentity(this.pc.localDescription?.sdp ?? "");
    if (this.late === null || this.resource === null || identity === null) return;
    if (this.late.length === 0 && !end) return;
    const body = buildFragment(identity, this.late.splice(0), end);
    if (end) this.late = null;
    void this.#patch(this.resource, body);
  }

  /**
   * @param {URL} resource
   * @param {string} body
   */
  async #patch(resource, body) {
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag" };
    if (this.etag !== null) headers["If-Match"] = this.etag;
    try {
      const response = await this.client.request("PATCH", resource, { headers, body });
      // A server without trickle works with what the offer had; there is no use in telling it more.
      if (!response.ok) this.late = null;
    } catch {
      // The candidates of the offer, and those the server sees by itself, may do.
    }
  }
}

/**
 * Opus and nothing else; order and parameters stay the browser's, the bit rate is what the answer's fmtp says.
 *
 * @param {RTCRtpTransceiver} transceiver
 * @param {"sendonly" | "recvonly"} direction
 */
function preferOpus(transceiver, direction) {
  // An old browser without the call offers everything, and the relay picks Opus from it.
  if (typeof transceiver.setCodecPreferences !== "function") return;
  const side = direction === "sendonly" ? RTCRtpSender : RTCRtpReceiver;
  const codecs = side.getCapabilities("audio")?.codecs ?? [];
  const wanted = ["audio/opus", "audio/red"];
  const kept = wanted.flatMap((type) => codecs.filter((codec) => codec.mimeType.toLowerCase() === type));
  if (kept.length > 0) transceiver.setCodecPreferences(kept);
}

/**
 * @param {RTCPeerConnection} pc
 * @param {number} patienceMs
 * @returns {Promise<void>}
 */
function gathered(pc, patienceMs) {
  return new Promise((resolve) => {
    const look = () => {
      if (pc.iceGatheringState === "complete") finish();
    };
    const finish = () => {
      clearTimeout(timer);
      pc.removeEventListener("icegatheringstatechange", look);
      resolve();
    };
    const timer = setTimeout(finish, patienceMs);
    pc.addEventListener("icegatheringstatechange", look);
    look();
  });
}

/**
 * The failure behind a response, with the server's own sentence.
 *
 * @param {Response} response
 * @returns {Promise<Failure>}
 */
async function refusal(response) {
  const text = (await response.text().catch(() => "")).trim();
  let detail = text;
  try {
    const body = JSON.parse(text);
    detail = String(body.detail ?? body.title ?? body.error ?? text);
  } catch {
    // Plain text, which is a sentence as it stands.
  }
  const retryAfterS = retryAfterSeconds(response.headers.get("Retry-After"), Date.now());
  return { kind: "http", status: response.status, detail: detail.slice(0, 300), retryAfterS };
}
