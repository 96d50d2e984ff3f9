/**
 * What all pages share: language switch, titles, the form for the access code.
 *
 * @module page
 */

import { byId, setText } from "./dom.js";
import { TOKEN_FORM } from "./forms.js";
import { Translator } from "./i18n.js";
import { TokenKeeper, tokenFromInput } from "./token.js";

/** @typedef {import("./supervisor.js").Phase} Phase */
/** @typedef {{ name: string, title: string, public: boolean, onAir: boolean, listeners: number, stream: boolean }} Channel */

/**
 * The language switch of the header.
 *
 * @returns {Translator}
 */
export function setUpLanguage() {
  const translator = new Translator();
  const button = byId("language", HTMLButtonElement);
  const label = () => {
    button.lang = translator.language === "vi" ? "en" : "vi";
    setText(button, translator.text("common.other-language"));
  };
  button.addEventListener("click", () => translator.choose(translator.language === "vi" ? "en" : "vi"));
  translator.onChange(label);
  translator.apply();
  label();
  return translator;
}

/**
 * The token of this page, taken from the address when it stands there, also when a new link is pasted over it.
 *
 * @param {string} key
 * @param {() => void} arrived called when another token came by the address
 * @returns {TokenKeeper}
 */
export function setUpToken(key, arrived) {
  /** @type {Storage | null} */
  let storage = null;
  try {
    storage = window.sessionStorage;
  } catch {
    // Cookies are blocked: the token lives as long as the page.
  }
  const keeper = new TokenKeeper(key, storage);
  keeper.takeFromAddress(location, history);
  addEventListener("hashchange", () => {
    if (keeper.takeFromAddress(location, history)) arrived();
  });
  return keeper;
}

/** The form in which a token is typed when the server asks for one. */
export class TokenForm {
  /**
   * @param {Translator} translator
   * @param {TokenKeeper} keeper
   * @param {() => void} given
   */
  constructor(translator, keeper, given) {
    this.form = byId("token-form", HTMLFormElement);
    translator.build(this.form, TOKEN_FORM);
    const input = byId("token-input", HTMLInputElement);
    const error = byId("token-error", HTMLElement);
    this.input = input;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const token = tokenFromInput(input.value);
      input.setAttribute("aria-invalid", String(token === null));
      translator.say(error, token === null ? "token.unreadable" : null);
      if (token === null) {
        input.focus();
        return;
      }
      keeper.keep(token);
      input.value = "";
      this.show(false);
      given();
    });
  }

  /** @param {Phase} phase shown where another token would help */
  follow(phase) {
    this.show(phase.phase === "refused" && phase.reason !== "unknown-channel" && phase.reason !== "incompatible");
  }

  /** @param {boolean} wanted */
  show(wanted) {
    if (this.form.hidden !== wanted) return;
    this.form.hidden = !wanted;
    if (wanted) this.input.focus();
  }
}

/**
 * The first line where a page is not connected for a reason that all pages have.
 *
 * @param {Phase} phase
 * @returns {import("./messages.js").MessageKey | null} null: the page has words of its own
 */
export function troubleKey(phase) {
  if (phase.phase === "refused") return `refused.${phase.reason}`;
  if (phase.phase !== "reconnecting") return null;
  return ["lost", "ended"].includes(phase.failure.kind) ? "retry.lost" : "retry.failed";
}

/**
 * The second line under a refusal: what the page's own words leave out.
 *
 * @param {Translator} words
 * @param {Extract<Phase, { phase: "refused" }>} phase
 * @param {"publish" | "listen"} action
 * @returns {string}
 */
export function refusalNote(words, { reason, failure }, action) {
  if (reason === "unknown-channel") {
    return words.text(action === "listen" ? "listen.note.unknown-channel" : "publish.note.unknown-channel");
  }
  if (reason !== "incompatible" || failure.kind !== "http") return "";
  return words.text("common.server-said", { text: failure.detail || `HTTP ${failure.status}` });
}

/**
 * The second line while a page waits for its next try: when that is, and what seems to be wrong.
 *
 * @param {Translator} words
 * @param {Extract<Phase, { phase: "reconnecting" }>} phase
 * @param {number} now monotonic seconds
 * @returns {string}
 */
export function retryNote(words, { retryAtS, failure }, now) {
  const next = words.text("retry.next", { seconds: words.number(Math.max(0, Math.ceil(retryAtS - now))) });
  const why = retryReason(failure);
  return why === null ? next : `${words.text(why)} ${next}`;
}

/**
 * @param {import("./failure.js").Failure} failure
 * @returns {import("./messages.js").MessageKey | null}
 */
function retryReason(failure) {
  if (failure.kind === "network") return "retry.network";
  if (failure.kind === "unreachable") return "retry.unreachable";
  return failure.kind === "http" ? "retry.server" : null;
}

/**
 * Begins a page, or says that this browser cannot have it.
 *
 * @param {new () => { begin(): void }} Page
 */
export function beginPage(Page) {
  if (typeof RTCPeerConnection === "undefined") setUpLanguage().say(byId("state", HTMLElement), "common.unsupported");
  else new Page().begin();
}

/**
 * The relay's channels, or null when it does not tell without a token.
 *
 * @param {URL} base
 * @param {string | null} token
 * @returns {Promise<Channel[] | null>} rejects when the relay cannot be asked
 */
export async function fetchChannels(base, token) {
  const response = await fetch(new URL("api/v1/channels", base), {
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
    cache: "no-store",
    credentials: "omit",
  });
  if (response.status === 401 || response.status === 403) return null;
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const body = await response.json();
  /** @type {Array<Record<string, unknown>>} */
  const rows = Array.isArray(body) ? body : (body.channels ?? []);
  return rows.map((row) => ({
    name: String(row.name),
    title: String(row.title || row.name),
    public: row.public === true,
    onAir: row.on_air === true,
    listeners: Number(row.listeners ?? 0),
    stream: row.stream === true,
  }));
}

/**
 * Shows the channel's title as soon as the relay tells it; its name until then.
 *
 * @param {{ channel: string, base: URL }} place
 * @param {string | null} token
 * @param {(title: string, channel?: Channel) => void} show with the channel once the relay has told of it
 */
export async function showChannelTitle({ channel, base }, token, show) {
  show(channel);
  // A token that is refused hides what everybody may see.
  const channels = await fetchChannels(base, token).then((known) => known ?? fetchChannels(base, null)).catch(() => null);
  const found = channels?.find((one) => one.name === channel);
  if (found !== undefined) show(found.title, found);
}
