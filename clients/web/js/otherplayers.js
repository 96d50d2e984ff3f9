/**
 * The address of a channel for players that are no browsers.
 *
 * @module otherplayers
 */

import { bindCopy } from "./copying.js";
import { byId } from "./dom.js";

/**
 * The address that a player needs. Players cannot send header fields: where a token is needed it stands in the address.
 *
 * @param {{ channel: string, base: URL }} place
 * @param {import("./page.js").Channel} channel
 * @param {string | null} token
 * @returns {string | null} null where a player cannot listen
 */
export function playerAddress(place, channel, token) {
  if (!channel.stream || !(channel.public || token !== null)) return null;
  const url = new URL(`${place.channel}.opus`, place.base);
  if (!channel.public && token !== null) url.searchParams.set("token", token);
  return url.href;
}

/** The panel that offers it. Its address is shown and copied, never opened: a browser would keep the token in its history. */
export class OtherPlayers {
  /** @param {import("./i18n.js").Translator} words */
  constructor(words) {
    this.panel = byId("players", HTMLDetailsElement);
    this.address = byId("player-address", HTMLInputElement);
    bindCopy(words, this.address, byId("player-copy", HTMLButtonElement), "listen.players-copy");
  }

  /** @returns {boolean} */
  get offered() {
    return !this.panel.hidden;
  }

  /**
   * @param {string | null} address
   * @param {boolean} secret whether it lets its bearer listen
   */
  show(address, secret) {
    this.panel.hidden = address === null;
    this.address.value = address ?? "";
    byId("player-secret", HTMLElement).hidden = !secret;
  }
}
