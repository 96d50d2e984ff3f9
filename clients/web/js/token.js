/**
 * Bearer tokens: where they come from and how long they last. They arrive in the URL fragment, which browsers never
 * send, or by hand; they are never put into a query string, a log or local storage that outlives the tab.
 *
 * @module token
 */

/** A token as RFC 6750 §2.1 spells it. */
const B64_TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/**
 * @param {string} hash location.hash, with or without "#"
 * @returns {string | null}
 */
export function tokenFromFragment(hash) {
  const token = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  return token === null ? null : tokenFromInput(token);
}

/**
 * A token as people paste it: bare, after "Bearer", or inside the whole link they were sent.
 *
 * @param {string} text
 * @returns {string | null} null when there is nothing in it that can be a token
 */
export function tokenFromInput(text) {
  const trimmed = text.trim();
  const inLink = /#(?:.*&)?token=([^&\s]+)/.exec(trimmed);
  const token = (inLink?.[1] ?? trimmed).replace(/^bearer\s+/i, "").trim();
  return B64_TOKEN.test(token) ? token : null;
}

/**
 * The expiry a JSON Web Token claims. Nothing is verified: this only helps to word a refusal.
 *
 * @param {string} token
 * @returns {number | null} unix seconds
 */
export function tokenExpiry(token) {
  const payload = token.split(".")[1];
  if (payload === undefined) return null;
  try {
    const claims = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    return typeof claims?.exp === "number" ? claims.exp : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} token
 * @param {number} nowS unix seconds
 * @returns {boolean}
 */
export function tokenExpired(token, nowS) {
  const expiry = tokenExpiry(token);
  return expiry !== null && expiry <= nowS;
}

/** Keeps a page's token for the life of the tab, also where the browser forbids storage. */
export class TokenKeeper {
  /**
   * @param {string} key what the token is for, such as "listen:tien-giang"; "index" is the page of all channels, whose
   *   token serves where there is no other
   * @param {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} storage sessionStorage, if there is one
   */
  constructor(key, storage) {
    this.key = `loa.token.${key}`;
    this.storage = storage;
    /** @type {string | null} */
    this.token = null;
    try {
      this.token = storage?.getItem(this.key) ?? storage?.getItem("loa.token.index") ?? null;
    } catch {
      this.storage = null;
    }
  }

  /** @param {string | null} token null forgets it */
  keep(token) {
    this.token = token;
    try {
      if (token === null) this.storage?.removeItem(this.key);
      else this.storage?.setItem(this.key, token);
    } catch {
      // Storage is full or forbidden: the page still has it in memory.
    }
  }

  /**
   * Takes the token out of the address, so that a bookmark, a screenshot or a look over the shoulder does not show it.
   *
   * @param {{ hash: string, pathname: string, search: string }} location
   * @param {{ replaceState(data: unknown, unused: string, url: string): void, readonly state: unknown }} history
   * @returns {boolean} whether there was one
   */
  takeFromAddress(location, history) {
    if (!location.hash.includes("token=")) return false;
    const token = tokenFromFragment(location.hash);
    history.replaceState(history.state, "", location.pathname + location.search);
    if (token === null) return false;
    this.keep(token);
    return true;
  }
}
