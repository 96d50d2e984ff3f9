/**
 * Link headers (RFC 8288) that name ICE servers, as WHIP and WHEP send them (RFC 9725 §4.6).
 *
 * @module link
 */

/** @typedef {{ target: string, parameters: Map<string, string> }} LinkValue */

/**
 * Reads a Link header. Values that are no links are passed over; parameter names are lower-cased and the first of
 * two equal names counts (RFC 8288 §3.3).
 *
 * @param {string | null} header several headers joined by commas, as fetch gives them
 * @returns {LinkValue[]}
 */
export function parseLinkHeader(header) {
  /** @type {LinkValue[]} */
  const links = [];
  for (const value of splitOutsideQuotes(header ?? "", ",")) {
    const match = /^\s*<([^>]*)>\s*(.*)$/s.exec(value);
    if (match === null) continue;
    /** @type {Map<string, string>} */
    const parameters = new Map();
    for (const part of splitOutsideQuotes(match[2] ?? "", ";")) {
      const [name, content] = parameter(part);
      if (name !== "" && !parameters.has(name)) parameters.set(name, content);
    }
    links.push({ target: (match[1] ?? "").trim(), parameters });
  }
  return links;
}

/**
 * The target of the first link of a relation.
 *
 * @param {string | null} header
 * @param {string} relation
 * @returns {string | null}
 */
export function linkTarget(header, relation) {
  const found = parseLinkHeader(header).find(({ parameters }) => parameters.get("rel") === relation);
  return found?.target ?? null;
}

/**
 * The ICE servers among the links: `rel="ice-server"` with a stun: or turn: target.
 *
 * @param {string | null} header
 * @returns {RTCIceServer[]}
 */
export function iceServersFromLink(header) {
  /** @type {RTCIceServer[]} */
  const servers = [];
  for (const { target, parameters } of parseLinkHeader(header)) {
    const relations = (parameters.get("rel") ?? "").toLowerCase().split(/\s+/);
    if (!relations.includes("ice-server") || !/^(stuns?|turns?):/i.test(target)) continue;
    /** @type {RTCIceServer} */
    const server = { urls: target };
    const username = parameters.get("username");
    const credential = parameters.get("credential");
    if (username !== undefined) server.username = username;
    if (credential !== undefined) server.credential = credential;
    servers.push(server);
  }
  return servers;
}

/**
 * @param {string} part
 * @returns {[name: string, content: string]}
 */
function parameter(part) {
  const equals = part.indexOf("=");
  if (equals < 0) return [part.trim().toLowerCase(), ""];
  const name = part.slice(0, equals).trim().toLowerCase();
  const content = part.slice(equals + 1).trim();
  if (!content.startsWith('"')) return [name, content];
  return [name, content.replace(/^"|"$/g, "").replace(/\\(.)/gs, "$1")];
}

/**
 * Splits where the separator stands outside "quoted strings" and <targets>, both of which may hold it.
 *
 * @param {string} text
 * @param {"," | ";"} separator
 * @returns {string[]}
 */
function splitOutsideQuotes(text, separator) {
  /** @type {string[]} */
  const parts = [];
  let start = 0;
  let closing = "";
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (closing !== "") {
      if (character === "\\" && closing === '"') at += 1;
      else if (character === closing) closing = "";
    } else if (character === '"') closing = '"';
    else if (character === "<") closing = ">";
    else if (character === separator) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
