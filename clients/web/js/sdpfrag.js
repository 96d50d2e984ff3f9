/**
 * application/trickle-ice-sdpfrag bodies (RFC 8840 §9, RFC 9725 §4.3.1). Pure text, no browser objects.
 *
 * @module sdpfrag
 */

/**
 * What a fragment must repeat of the offer it belongs to.
 *
 * @typedef {object} IceIdentity
 * @property {string} media the whole m= line
 * @property {string} mid
 * @property {string} ufrag
 * @property {string} pwd
 */

/**
 * Reads the first media section of an offer, the one that carries ICE when everything is bundled.
 *
 * @param {string} sdp
 * @returns {IceIdentity | null} null when the description names no ICE credentials
 */
export function iceIdentity(sdp) {
  const lines = sdp.split(/\r?\n/);
  const first = lines.findIndex((line) => line.startsWith("m="));
  if (first < 0) return null;
  const following = lines.findIndex((line, at) => at > first && line.startsWith("m="));
  const section = lines.slice(first, following < 0 ? undefined : following);
  // Credentials may stand at session level; the media section's own come first (RFC 8839 §5.4).
  const candidates = [...section, ...lines.slice(0, first)];
  /** @param {string} name */
  const attribute = (name) => candidates.find((line) => line.startsWith(`a=${name}:`))?.slice(name.length + 3);
  const ufrag = attribute("ice-ufrag");
  const pwd = attribute("ice-pwd");
  if (ufrag === undefined || pwd === undefined) return null;
  return { media: section[0] ?? "", mid: attribute("mid") ?? "0", ufrag, pwd };
}

/**
 * The fragment that tells the server of further candidates.
 *
 * @param {IceIdentity} identity
 * @param {readonly string[]} candidates each as RTCIceCandidate.candidate gives it, "candidate:…"
 * @param {boolean} end whether gathering has finished
 * @returns {string} CRLF-terminated lines
 */
export function buildFragment(identity, candidates, end) {
  const lines = [
    `a=group:BUNDLE ${identity.mid}`,
    // The media line of a fragment carries no port of its own (RFC 8840 §9.2).
    identity.media.replace(/^(m=\S+) \d+/, "$1 9"),
    `a=mid:${identity.mid}`,
    `a=ice-ufrag:${identity.ufrag}`,
    `a=ice-pwd:${identity.pwd}`,
    ...candidates.filter((candidate) => candidate !== "").map((candidate) => `a=${candidate.replace(/^a=/, "")}`),
  ];
  if (end) lines.push("a=end-of-candidates");
  return lines.map((line) => `${line}\r\n`).join("");
}
