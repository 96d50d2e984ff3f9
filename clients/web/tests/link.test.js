import assert from "node:assert/strict";
import { test } from "node:test";

import { iceServersFromLink, linkTarget, parseLinkHeader } from "../js/link.js";

// RFC 9725 §4.6
const RFC9725 =
  '<stun:stun.example.net>; rel="ice-server", ' +
  '<turn:turn.example.net?transport=udp>; rel="ice-server"; ' +
  'username="user"; credential="myPassword"; credential-type="password", ' +
  '<turns:turn.example.net?transport=tcp>; rel="ice-server"; ' +
  'username="user"; credential="myPassword"; credential-type="password"';

test("the example of RFC 9725", () => {
  assert.deepEqual(iceServersFromLink(RFC9725), [
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net?transport=udp", username: "user", credential: "myPassword" },
    { urls: "turns:turn.example.net?transport=tcp", username: "user", credential: "myPassword" },
  ]);
});

test("separators inside quotes and targets do not separate; escapes are taken off", () => {
  const header = '<turn:a.vn?x=1,2;3>; rel="ice-server"; username="a,b;c=d"; credential="q\\"u\\\\o"';
  assert.deepEqual(iceServersFromLink(header), [
    { urls: "turn:a.vn?x=1,2;3", username: "a,b;c=d", credential: 'q"u\\o' },
  ]);
});

test("names have no case, values need no quotes, a relation may have company", () => {
  assert.deepEqual(iceServersFromLink("<STUN:s.vn>;REL=\"x ice-server\", <stun:t.vn>;rel=ice-server"), [
    { urls: "STUN:s.vn" },
    { urls: "stun:t.vn" },
  ]);
});

test("other relations, other schemes and rubbish are passed over", () => {
  assert.deepEqual(iceServersFromLink('<https://evil.example>; rel="ice-server", <stun:a>; rel="help"'), []);
  for (const rubbish of [null, "", ",", ";;", "<", "<stun:a", "stun:a; rel=ice-server", '<stun:a>; rel="ice-server']) {
    assert.ok(iceServersFromLink(rubbish).length <= 1);
  }
  assert.deepEqual(parseLinkHeader(null), []);
});

test("a link is found by its relation", () => {
  const header = '<stun:s.example>; rel="ice-server", </xa/whep?without=a,b>; rel="urn:x-loa:mix-minus"';
  assert.equal(linkTarget(header, "urn:x-loa:mix-minus"), "/xa/whep?without=a,b");
  assert.equal(linkTarget(header, "next"), null);
  assert.equal(linkTarget(null, "next"), null);
});
