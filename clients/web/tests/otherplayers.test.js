/** The address that other players are given. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { playerAddress } from "../js/otherplayers.js";

const place = { channel: "xa", base: new URL("https://relay.example/loa/") };
const channel = (changes = {}) => ({
  name: "xa", title: "Xã", public: true, onAir: true, listeners: 0, stream: true, ...changes,
});

test("a public channel's address holds no token", () => {
  assert.equal(playerAddress(place, channel(), "se.cr.et"), "https://relay.example/loa/xa.opus");
});

test("a private channel's address holds the token, which players cannot send otherwise", () => {
  const address = playerAddress(place, channel({ public: false }), "a+b/c.d==");
  assert.equal(address, "https://relay.example/loa/xa.opus?token=a%2Bb%2Fc.d%3D%3D");
  assert.equal(playerAddress(place, channel({ public: false }), null), null);
});

test("a channel without stream has no address", () => {
  assert.equal(playerAddress(place, channel({ stream: false }), "se.cr.et"), null);
});
