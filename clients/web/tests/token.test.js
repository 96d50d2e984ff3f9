import assert from "node:assert/strict";
import { test } from "node:test";

import { tokenExpired, tokenExpiry, tokenFromFragment, tokenFromInput, TokenKeeper } from "../js/token.js";

/** @param {object} claims */
function jwt(claims) {
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.sig`;
}

function storage() {
  const kept = new Map();
  return {
    kept,
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
    removeItem: (/** @type {string} */ key) => void kept.delete(key),
  };
}

test("a token is found in a fragment, bare, after Bearer and in a pasted link", () => {
  assert.equal(tokenFromFragment("#token=a.b-c_d"), "a.b-c_d");
  assert.equal(tokenFromFragment("#x=1&token=a.b"), "a.b");
  assert.equal(tokenFromFragment("#main"), null);
  assert.equal(tokenFromInput("  a.b.c\n"), "a.b.c");
  assert.equal(tokenFromInput("Bearer a.b.c"), "a.b.c");
  assert.equal(tokenFromInput("https://loa.vn/xa/publish#token=a.b.c"), "a.b.c");
});

test("what cannot be a token, and would break a header, is none", () => {
  for (const text of ["", "hé hé", "a b", "a\r\nX-Evil: 1", "https://loa.vn/xa"]) assert.equal(tokenFromInput(text), null, text);
});

test("the expiry is read where there is one", () => {
  assert.equal(tokenExpiry(jwt({ exp: 1234 })), 1234);
  assert.equal(tokenExpiry(jwt({ exp: "soon" })), null);
  assert.equal(tokenExpiry("nonsense"), null);
  assert.equal(tokenExpiry("a.%%%.c"), null);
  assert.ok(tokenExpired(jwt({ exp: 100, sub: "Uỷ ban nhân dân xã" }), 100));
  assert.ok(!tokenExpired(jwt({ exp: 101 }), 100));
  assert.ok(!tokenExpired("opaque", 100));
});

test("the token leaves the address and stays for the tab", () => {
  const store = storage();
  /** @type {string[]} */
  const addresses = [];
  const history = { state: null, replaceState: (/** @type {unknown} */ _state, /** @type {string} */ _unused, /** @type {string} */ url) => void addresses.push(url) };
  const keeper = new TokenKeeper("listen:xa", store);
  assert.ok(keeper.takeFromAddress({ hash: "#token=a.b.c", pathname: "/xa", search: "?x=1" }, history));
  assert.deepEqual(addresses, ["/xa?x=1"]);
  assert.equal(new TokenKeeper("listen:xa", store).token, "a.b.c");
  assert.equal(new TokenKeeper("publish:xa", store).token, null);
  keeper.keep(null);
  assert.equal(new TokenKeeper("listen:xa", store).token, null);
});

test("an unreadable token leaves the address as well, and a plain fragment stays", () => {
  /** @type {string[]} */
  const addresses = [];
  const history = { state: null, replaceState: (/** @type {unknown} */ _state, /** @type {string} */ _unused, /** @type {string} */ url) => void addresses.push(url) };
  const keeper = new TokenKeeper("listen:xa", storage());
  assert.ok(!keeper.takeFromAddress({ hash: "#token=h%20h", pathname: "/xa", search: "" }, history));
  assert.deepEqual(addresses, ["/xa"]);
  assert.ok(!keeper.takeFromAddress({ hash: "#main", pathname: "/xa", search: "" }, history));
  assert.deepEqual(addresses, ["/xa"]);
  assert.equal(keeper.token, null);
});

test("the token of the channels' page serves where there is no other", () => {
  const store = storage();
  new TokenKeeper("index", store).keep("general");
  assert.equal(new TokenKeeper("listen:xa", store).token, "general");
  new TokenKeeper("listen:xa", store).keep("own");
  assert.equal(new TokenKeeper("listen:xa", store).token, "own");
});

test("forbidden storage costs nothing but the memory of a reload", () => {
  const forbidden = {
    getItem() { throw new Error("denied"); },
    setItem() { throw new Error("denied"); },
    removeItem() { throw new Error("denied"); },
  };
  const keeper = new TokenKeeper("listen:xa", forbidden);
  keeper.keep("a.b.c");
  assert.equal(keeper.token, "a.b.c");
});
