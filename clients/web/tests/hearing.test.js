/** What the relay says of who is heard, as a page takes it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Hearing } from "../js/hearing.js";

class FakeEvents extends EventTarget {
  constructor(address) {
    super();
    FakeEvents.newest = this;
    this.address = address;
    this.closed = false;
  }

  says(heard, awaits) {
    const data = JSON.stringify({ heard, awaits_chime: awaits });
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  close() {
    this.closed = true;
  }
}

const followed = () => {
  globalThis.EventSource = FakeEvents;
  const hearing = new Hearing();
  hearing.follow("/xa/whip/secret/hearing");
  return { hearing, events: FakeEvents.newest };
};

test("where the relay says nothing nothing is known", () => {
  assert.equal(new Hearing().word, "unknown");
});

test("a speaker is not heard until the relay says so", () => {
  const { hearing, events } = followed();
  const words = [hearing.word];
  for (const said of [[false, false], [false, true], [true, false], [false, true]]) {
    events.says(...said);
    words.push(hearing.word);
  }
  assert.deepEqual(words, ["not-yet", "not-yet", "chime", "heard", "chime"]);
});

test("who is cut off from the relay's word claims nothing", () => {
  const { hearing, events } = followed();
  events.says(false, true);
  events.dispatchEvent(new Event("error"));
  assert.equal(hearing.word, "unknown");
  events.says(true, false);
  assert.equal(hearing.word, "heard");
});

test("the end of the session ends it", () => {
  const { hearing, events } = followed();
  events.says(false, true);
  hearing.close();
  assert.deepEqual([hearing.word, events.closed], ["unknown", true]);
});
