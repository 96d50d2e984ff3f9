import assert from "node:assert/strict";
import { test } from "node:test";

import { listenFigures, publishFigures, relayToEarMs } from "../js/stats.js";

/** @param {...Record<string, unknown>} rows */
function report(...rows) {
  return new Map(rows.map((row, at) => [String(at), { id: String(at), ...row }]));
}

const INBOUND = {
  type: "inbound-rtp", kind: "audio", timestamp: 1000, packetsReceived: 50, packetsLost: 0, bytesReceived: 4000, jitter: 0.004,
  jitterBufferDelay: 10, jitterBufferEmittedCount: 100, concealedSamples: 0, silentConcealedSamples: 0,
  totalSamplesReceived: 48000, totalAudioEnergy: 0, totalSamplesDuration: 1,
};

test("a listener's figures are of the last interval, totals since the beginning", () => {
  const first = listenFigures(report(INBOUND), {});
  assert.equal(first.packets, 50);
  assert.equal(first.bitrate, null);
  assert.equal(first.levelDbfs, null);
  const second = listenFigures(report(
    {
      ...INBOUND, timestamp: 2000, packetsReceived: 95, packetsLost: 5, bytesReceived: 8000, jitterBufferDelay: 16,
      jitterBufferEmittedCount: 200, concealedSamples: 6000, silentConcealedSamples: 1200, totalSamplesReceived: 96000,
      totalAudioEnergy: 0.01, totalSamplesDuration: 2,
    },
    { type: "transport", selectedCandidatePairId: "3" },
    { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 9 },
    { type: "candidate-pair", currentRoundTripTime: 0.05 },
  ), first.raw);
  assert.equal(second.lostShare, 0.1);
  assert.equal(second.lost, 5);
  assert.equal(second.concealedShare, 0.1);
  assert.equal(second.bufferMs?.toFixed(3), "60.000");
  assert.equal(second.bitrate, 32000);
  assert.equal(second.roundTripMs, 50);
  assert.equal(second.jitterMs, 4);
  assert.equal(second.levelDbfs?.toFixed(2), "-20.00");
  assert.equal(relayToEarMs(second), 85);
});

test("a browser that leaves figures out leaves them unknown", () => {
  const figures = listenFigures(report({ type: "inbound-rtp", kind: "audio" }, { type: "inbound-rtp", kind: "video", packetsReceived: 9 }), {});
  assert.deepEqual([figures.packets, figures.lostShare, figures.bufferMs, figures.levelDbfs], [0, 0, null, null]);
  assert.equal(relayToEarMs(figures), null);
  assert.equal(listenFigures(report(), {}).packets, 0);
});

test("a publisher is acknowledged by the time stamp of a receiver report", () => {
  const outbound = { type: "outbound-rtp", kind: "audio", timestamp: 1000, packetsSent: 50, bytesSent: 4000, targetBitrate: 32000 };
  const first = publishFigures(report(outbound), {});
  assert.deepEqual([first.packets, first.report, first.fractionLost], [50, 0, 0]);
  const second = publishFigures(report(
    { ...outbound, timestamp: 2000, packetsSent: 100, bytesSent: 8000 },
    { type: "remote-inbound-rtp", kind: "audio", timestamp: 1990, fractionLost: 0.25, packetsLost: 12, roundTripTime: 0.12, jitter: 0.003 },
  ), first.raw);
  assert.deepEqual([second.packets, second.report, second.fractionLost, second.lost], [100, 1990, 0.25, 12]);
  assert.deepEqual([second.roundTripMs, second.jitterMs, second.bitrate, second.targetBitrate], [120, 3, 32000, 32000]);
});
