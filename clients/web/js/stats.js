/**
 * Figures from getStats (W3C webrtc-stats). Pure: takes anything that iterates like an RTCStatsReport.
 *
 * @module stats
 */

import { dbfs } from "./sound.js";

/** @typedef {Record<string, any>} Row one statistics object; browsers leave out what they do not know */
/** @typedef {{ forEach(visit: (row: any) => void): void }} Report */

/**
 * @typedef {object} ListenFigures
 * @property {number} packets received since the session began
 * @property {number} lost
 * @property {number} lostShare 0…1 over the last interval
 * @property {number} concealedShare 0…1, invented sound that was not silence, over the last interval
 * @property {number | null} bufferMs mean time in the jitter buffer over the last interval
 * @property {number | null} playoutMs mean time from the buffer to the loudspeaker
 * @property {number | null} roundTripMs
 * @property {number | null} jitterMs
 * @property {number | null} bitrate bit/s of payload
 * @property {number | null} levelDbfs of everything decoded in the last interval, without a gap
 * @property {Raw} raw to be handed in next time
 */

/**
 * @typedef {object} PublishFigures
 * @property {number} packets sent since the session began
 * @property {number} report time stamp of the newest receiver report, 0 for none
 * @property {number} fractionLost 0…1, of that report
 * @property {number} lost
 * @property {number | null} roundTripMs
 * @property {number | null} jitterMs
 * @property {number | null} bitrate
 * @property {number | null} targetBitrate
 * @property {number | null} levelDbfs
 * @property {Raw} raw
 */

/** @typedef {Record<string, number>} Raw cumulative counters */

/**
 * @param {Report} report
 * @param {Raw} before
 * @returns {ListenFigures}
 */
export function listenFigures(report, before) {
  const inbound = find(report, (row) => row.type === "inbound-rtp" && row.kind === "audio");
  const playout = find(report, (row) => row.type === "media-playout");
  const raw = counters(inbound, [
    "timestamp", "packetsReceived", "packetsLost", "bytesReceived", "jitterBufferDelay", "jitterBufferEmittedCount",
    "concealedSamples", "silentConcealedSamples", "totalSamplesReceived", "totalAudioEnergy", "totalSamplesDuration",
  ]);
  Object.assign(raw, counters(playout, ["totalPlayoutDelay", "totalSamplesCount"]));
  const delta = difference(raw, before);
  const arrived = delta("packetsReceived");
  const missing = Math.max(0, delta("packetsLost"));
  const invented = Math.max(0, delta("concealedSamples") - delta("silentConcealedSamples"));
  return {
    packets: raw.packetsReceived ?? 0,
    lost: Math.max(0, raw.packetsLost ?? 0),
    lostShare: ratio(missing, arrived + missing) ?? 0,
    concealedShare: ratio(invented, delta("totalSamplesReceived")) ?? 0,
    bufferMs: times(1000, ratio(delta("jitterBufferDelay"), delta("jitterBufferEmittedCount"))),
    playoutMs: times(1000, ratio(delta("totalPlayoutDelay"), delta("totalSamplesCount"))),
    roundTripMs: times(1000, number(activePair(report)?.currentRoundTripTime)),
    jitterMs: times(1000, number(inbound?.jitter)),
    bitrate: times(8000, ratio(delta("bytesReceived"), delta("timestamp"))),
    levelDbfs: energyLevel(delta),
    raw,
  };
}

/**
 * @param {Report} report
 * @param {Raw} before
 * @returns {PublishFigures}
 */
export function publishFigures(report, before) {
  const outbound = find(report, (row) => row.type === "outbound-rtp" && row.kind === "audio");
  const remote = find(report, (row) => row.type === "remote-inbound-rtp" && row.kind === "audio");
  const source = find(report, (row) => row.type === "media-source" && row.kind === "audio");
  const raw = counters(outbound, ["timestamp", "packetsSent", "bytesSent"]);
  Object.assign(raw, counters(source, ["totalAudioEnergy", "totalSamplesDuration"]));
  const delta = difference(raw, before);
  return {
    packets: raw.packetsSent ?? 0,
    report: number(remote?.timestamp) ?? 0,
    fractionLost: number(remote?.fractionLost) ?? 0,
    lost: Math.max(0, number(remote?.packetsLost) ?? 0),
    roundTripMs: times(1000, number(remote?.roundTripTime) ?? number(activePair(report)?.currentRoundTripTime)),
    jitterMs: times(1000, number(remote?.jitter)),
    bitrate: times(8000, ratio(delta("bytesSent"), delta("timestamp"))),
    targetBitrate: number(outbound?.targetBitrate),
    levelDbfs: energyLevel(delta),
    raw,
  };
}

/**
 * The estimated delay from the relay to the ear: half the round trip, the jitter buffer and the way to the speaker.
 *
 * @param {Pick<ListenFigures, "roundTripMs" | "bufferMs" | "playoutMs">} figures
 * @returns {number | null} milliseconds
 */
export function relayToEarMs({ roundTripMs, bufferMs, playoutMs }) {
  if (bufferMs === null) return null;
  return (roundTripMs ?? 0) / 2 + bufferMs + (playoutMs ?? 0);
}

/**
 * The transport's chosen candidate pair; Firefox does not name it and marks the pair itself.
 *
 * @param {Report} report
 * @returns {Row | undefined}
 */
function activePair(report) {
  const chosen = find(report, (row) => row.type === "transport")?.selectedCandidatePairId;
  return find(report, (row) => row.type === "candidate-pair" && (row.id === chosen || row.selected === true))
    ?? find(report, (row) => row.type === "candidate-pair" && row.nominated === true && row.state === "succeeded");
}

/**
 * @param {Report} report
 * @param {(row: Row) => boolean} wanted
 * @returns {Row | undefined}
 */
function find(report, wanted) {
  /** @type {Row | undefined} */
  let found;
  report.forEach((row) => {
    if (found === undefined && wanted(row)) found = row;
  });
  return found;
}

/**
 * @param {Row | undefined} row
 * @param {readonly string[]} names
 * @returns {Raw}
 */
function counters(row, names) {
  /** @type {Raw} */
  const raw = {};
  for (const name of names) {
    const value = number(row?.[name]);
    if (value !== null) raw[name] = value;
  }
  return raw;
}

/**
 * @param {Raw} raw
 * @param {Raw} before
 * @returns {(name: string) => number} growth of a counter; 0 while it is unknown, or in the first sample
 */
function difference(raw, before) {
  return (name) => {
    const [now, then] = [raw[name], before[name]];
    return now === undefined || then === undefined ? 0 : now - then;
  };
}

/**
 * Energy is the sum of squared amplitude times seconds, so its quotient with the duration is the mean square.
 *
 * @param {(name: string) => number} delta
 * @returns {number | null} dBFS
 */
function energyLevel(delta) {
  const square = ratio(Math.max(0, delta("totalAudioEnergy")), delta("totalSamplesDuration"));
  return square === null ? null : dbfs(Math.sqrt(square));
}

/**
 * @param {unknown} value
 * @returns {number | null}
 */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/**
 * @param {number} part
 * @param {number} whole
 * @returns {number | null}
 */
function ratio(part, whole) {
  return whole > 0 ? part / whole : null;
}

/**
 * @param {number} factor
 * @param {number | null} value
 * @returns {number | null}
 */
function times(factor, value) {
  return value === null ? null : factor * value;
}
