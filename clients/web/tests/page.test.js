/** The pages as documents: texts, addresses, contrast. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { isChannelName, placeOf } from "../js/address.js";
import { clock } from "../js/audiofile.js";
import { SOURCE_FORM, TOKEN_FORM } from "../js/forms.js";
import { fill, firstLanguage } from "../js/i18n.js";
import { en, vi } from "../js/messages.js";
import { Ballistics, scalePosition } from "../js/meter.js";

const folder = new URL("..", import.meta.url);
const read = (/** @type {string} */ name) => readFileSync(new URL(name, folder), "utf8");
const pages = ["index.html", "listen.html", "publish.html", "meeting.html"];

test("the first language is the one chosen, else the browser's, else Vietnamese", () => {
  assert.equal(firstLanguage(null, ["vi-VN", "en"]), "vi");
  assert.equal(firstLanguage(null, ["fr-FR", "vi"]), "vi");
  assert.equal(firstLanguage(null, ["de-DE"]), "en");
  assert.equal(firstLanguage(null, []), "vi");
  assert.equal(firstLanguage("en", ["vi"]), "en");
  assert.equal(firstLanguage("klingon", ["vi"]), "vi");
});

test("both languages have every text, with the same gaps to fill", () => {
  assert.deepEqual(Object.keys(en).sort(), Object.keys(vi).sort());
  for (const [key, text] of Object.entries(vi)) {
    const gaps = (/** @type {string} */ of) => [...of.matchAll(/\{\w+\}/g)].map(String).sort();
    assert.deepEqual(gaps(en[/** @type {keyof typeof en} */ (key)]), gaps(text), key);
  }
  assert.equal(fill("{a} {b} {a}", { a: 1 }), "1 {b} 1");
});

test("every text a page names exists, and every text that exists is used", () => {
  const html = [...pages.map(read), SOURCE_FORM, TOKEN_FORM].join("");
  const named = [...html.matchAll(/data-i18n(?:-attr)?="(?:[\w-]+:)?([\w.-]+)"/g)].map((match) => match[1]);
  for (const key of named) assert.ok(key !== undefined && key in vi, key);
  const scripts = readdirSync(new URL("js/", folder)).filter((name) => !name.startsWith("messages"));
  const code = scripts.map((name) => read(`js/${name}`)).join("");
  const composed = [/^refused\./, /^listen\.state\./, /^publish\.state\./, /^meeting\.(state|note|end|link|facts|why)\./];
  for (const key of Object.keys(vi)) {
    const used = named.includes(key) || code.includes(`"${key}"`) || composed.some((pattern) => pattern.test(key));
    assert.ok(used, `${key} is used nowhere`);
  }
});

test("pages load nothing from elsewhere, and nothing inline that their policy forbids", () => {
  const forms = [["SOURCE_FORM", SOURCE_FORM], ["TOKEN_FORM", TOKEN_FORM]];
  for (const [page, html] of [...pages.map((name) => [name, read(name)]), ...forms]) {
    assert.ok(!/(?:src|href)="(?:https?:)?\/\//.test(html), page);
    assert.ok(!/<style|\sstyle="|\son\w+="|<script(?![^>]*\ssrc=)/.test(html), page);
    for (const label of html.matchAll(/<label for="([\w-]+)"/g)) assert.ok(html.includes(`id="${label[1]}"`), label[0]);
    for (const help of html.matchAll(/aria-(?:describedby|labelledby)="([\w -]+)"/g)) {
      for (const id of help[1].split(" ")) assert.ok(html.includes(`id="${id}"`), `${page}: ${id}`);
    }
  }
});

test("no id stands twice on a page with its forms", () => {
  for (const page of pages) {
    const html = read(page);
    const forms = (html.includes('id="source"') ? SOURCE_FORM : "") + (html.includes('id="token-form"') ? TOKEN_FORM : "");
    const ids = [...(html + forms).matchAll(/\sid="([\w-]+)"/g)].map((match) => match[1]);
    assert.deepEqual(ids, [...new Set(ids)], page);
  }
});

test("a page finds its relay from its address, under a proxy's prefix too", () => {
  const listen = placeOf("https://loa.vn/xa-tan-phu?x#y", "listen");
  assert.equal(listen.channel, "xa-tan-phu");
  assert.equal(listen.endpoint.href, "https://loa.vn/xa-tan-phu/whep");
  const publish = placeOf("https://loa.vn:8889/tinh/loa/xa.1/publish", "publish");
  assert.equal(publish.channel, "xa.1");
  assert.equal(publish.base.href, "https://loa.vn:8889/tinh/loa/");
  assert.equal(publish.endpoint.href, "https://loa.vn:8889/tinh/loa/xa.1/whip");
  for (const name of ["xa", "0", "xa-1.b_c"]) assert.ok(isChannelName(name), name);
  for (const name of ["", "Xã", "-xa", "a/b", "a".repeat(64)]) assert.ok(!isChannelName(name), name);
});

test("the meter rises at once, falls 24 dB a second, and holds its peak", () => {
  const meter = new Ballistics();
  meter.update(1, -20, -10);
  assert.deepEqual([meter.level, meter.peak], [-20, -10]);
  meter.update(1.5, -90, -90);
  assert.deepEqual([meter.level, meter.peak], [-32, -10]);
  meter.update(3, -90, -90);
  assert.equal(meter.level, -68);
  assert.ok(meter.peak < -10);
  assert.deepEqual([scalePosition(-60), scalePosition(-30), scalePosition(3), scalePosition(-100)], [0, 0.5, 1, 0]);
});

test("times are written as people read them", () => {
  assert.deepEqual([0, 61.9, 3723, Number.NaN, Infinity].map(clock), ["0:00", "1:01", "1:02:03", "0:00", "0:00"]);
});

/**
 * WCAG 2.2 contrast of two "#rrggbb" colours.
 *
 * @param {string} one
 * @param {string} other
 */
function contrast(one, other) {
  const [lighter = 0, darker = 0] = [one, other].map((colour) => {
    const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
      const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }).sort((a, b) => b - a);
  return (lighter + 0.05) / (darker + 0.05);
}

test("text has a contrast of 4.5 and the edges of controls of 3, light and dark", () => {
  const css = read("css/base.css");
  const [light = "", dark = ""] = [...css.matchAll(/:root \{([^}]*)\}/g)].map((match) => match[1]);
  for (const block of [light, dark]) {
    const colours = Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((match) => [match[1], match[2]]));
    const check = (/** @type {string} */ front, /** @type {string} */ back, /** @type {number} */ least) => {
      const value = contrast(colours[front], colours[back]);
      assert.ok(value >= least, `${front} on ${back}: ${value.toFixed(2)}`);
    };
    for (const front of ["ink", "soft", "accent", "air", "wait"]) for (const back of ["paper", "card"]) check(front, back, 4.5);
    for (const [front, back] of [["on-accent", "accent"], ["on-accent", "accent-press"], ["on-air", "air"], ["on-air", "air-press"],
      ["ink", "warn-paper"], ["soft", "faint"], ["ink", "raised"], ["paper", "wait"]]) check(front, back, 4.5);
    for (const back of ["paper", "card"]) check("edge", back, 3);
    for (const front of ["meter-good", "meter-hot"]) check(front, "faint", 3);
  }
});
