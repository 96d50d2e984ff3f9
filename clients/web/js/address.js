/**
 * What a page's address says. Pages lie at "/", "/{channel}" and "/{channel}/publish", possibly under a prefix that a
 * reverse proxy gives.
 *
 * @module address
 */

const CHANNEL_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/**
 * @param {string} name
 * @returns {boolean}
 */
export function isChannelName(name) {
  return CHANNEL_NAME.test(name);
}

/**
 * @typedef {object} Place
 * @property {string} channel
 * @property {URL} base of the relay, with a trailing slash
 * @property {URL} endpoint WHIP or WHEP
 */

/**
 * @param {string} href
 * @param {"listen" | "publish"} action which page this is
 * @returns {Place}
 */
export function placeOf(href, action) {
  const url = new URL(href);
  const parts = url.pathname.split("/").filter((part) => part !== "");
  if (action === "publish") parts.pop();
  const channel = decodeURIComponent(parts.pop() ?? "");
  const base = new URL(`/${parts.map((part) => `${part}/`).join("")}`, url);
  const endpoint = new URL(`${encodeURIComponent(channel)}/${action === "publish" ? "whip" : "whep"}`, base);
  return { channel, base, endpoint };
}
