import assert from "node:assert/strict";
import { test } from "node:test";

import { buildFragment, iceIdentity } from "../js/sdpfrag.js";

const OFFER = [
  "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE audio0",
  "m=audio 41234 UDP/TLS/RTP/SAVPF 111 63", "c=IN IP4 0.0.0.0", "a=ice-ufrag:EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
  "a=mid:audio0", "a=sendonly", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=ice-ufrag:other", "a=mid:1", "",
].join("\r\n");

test("a fragment repeats the section's identity and closes with end-of-candidates", () => {
  const identity = iceIdentity(OFFER);
  assert.ok(identity);
  const candidate = "candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw";
  assert.equal(buildFragment(identity, [candidate, ""], true), [
    "a=group:BUNDLE audio0",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
    "a=mid:audio0",
    "a=ice-ufrag:EsAw",
    "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
    `a=${candidate}`,
    "a=end-of-candidates",
    "",
  ].join("\r\n"));
  assert.ok(!buildFragment(identity, [candidate], false).includes("end-of-candidates"));
});

test("credentials may stand at session level; without any there is no identity", () => {
  const atTop = "v=0\r\na=ice-ufrag:top\r\na=ice-pwd:secret\r\nm=audio 9 X 0\r\na=mid:0\r\n";
  assert.deepEqual(iceIdentity(atTop), { media: "m=audio 9 X 0", mid: "0", ufrag: "top", pwd: "secret" });
  assert.equal(iceIdentity("v=0\r\nm=audio 9 X 0\r\n"), null);
  assert.equal(iceIdentity(""), null);
});
