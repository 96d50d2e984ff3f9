/** The meeting's page without a browser: the link with the relay, and what is told to whom. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { MeetingLink, standing } from "../js/meetinglink.js";
import { actsOn, conditionOf } from "../js/roster.js";

const person = (changes = {}) => ({
  id: "p1", name: "Lan", role: "speaker", here: true, connected: true, admitted: true, on_air: true, muted: false,
  silenced: false, hand: 0, ...changes,
});
const meeting = (changes = {}) => ({ phase: "open", reason: "", warned: false, extend_s: 1800, removed: false, people: [], ...changes });

class FakeSocket {
  constructor() {
    this.sent = [];
    this.readyState = 1;
    this.closed = false;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  says(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

/** A link over sockets that the test holds; nobody waits. */
function linked() {
  const sockets = [];
  const heard = [];
  const waits = [];
  const note = (name) => (value) => heard.push([name, value]);
  let secret = "";
  const link = new MeetingLink({
    introduction: () => ({ token: "t", name: "Lan", secret }),
    open: () => {
      sockets.push(new FakeSocket());
      return sockets.at(-1);
    },
    listener: {
      onWelcome: (welcome) => {
        secret = welcome.secret;
        heard.push(["welcome", welcome.person]);
      },
      onState: note("state"), onLevels: note("levels"), onInvitation: note("invitation"), onRefused: note("refused"),
    },
    sleep: (seconds) => {
      waits.push(seconds);
      return Promise.resolve();
    },
    random: () => 0.5,
  });
  return { link, sockets, heard, waits };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a page comes back as who it was, waiting longer each time it is not let in", async () => {
  const { link, sockets, heard, waits } = linked();
  link.start();
  sockets[0].onopen();
  assert.deepEqual(sockets[0].sent, [{ type: "join", token: "t", name: "Lan", secret: "" }]);
  link.order("open");
  assert.equal(sockets[0].sent.length, 1, "nothing is wanted before the welcome");
  sockets[0].says({ type: "welcome", person: "p1", secret: "s", role: "speaker" });
  assert.equal((await link.welcomed()).person, "p1");
  link.order("hand", { person: "p1", raised: true });
  assert.deepEqual(sockets[0].sent[1], { type: "hand", person: "p1", raised: true });
  sockets[0].onclose({ code: 1006 });
  await turn();
  sockets[1].onopen();
  assert.equal(sockets[1].sent[0].secret, "s");
  for (const at of [1, 2, 3]) {
    sockets[at].onclose({ code: 1006 });
    await turn();
  }
  assert.ok(waits[3] > waits[1], String(waits));
  for (let at = 4; at < 12; at += 1) {
    sockets[at].onclose({ code: 1006 });
    await turn();
  }
  assert.ok(Math.max(...waits) <= 8, String(waits));
  assert.deepEqual(heard, [["welcome", "p1"]]);
  link.stop();
});

test("a refusal is the end, and so is leaving", async () => {
  const { link, sockets, heard } = linked();
  link.start();
  sockets[0].says({ type: "refused", order: "join", status: 401, detail: "no" });
  sockets[0].onclose({ code: 4403 });
  await turn();
  assert.equal(sockets.length, 1);
  assert.equal(heard[0][0], "refused");
  link.start();
  link.stop();
  sockets[1].says({ type: "state" });
  sockets[1].onclose({ code: 1000 });
  await turn();
  assert.equal(sockets.length, 2);
  assert.equal(heard.length, 1);
  assert.ok(sockets[1].closed);
});

test("a participant is told what matters most", () => {
  assert.equal(standing(meeting({ removed: true }), person({ admitted: false })), "removed");
  assert.equal(standing(meeting(), person({ admitted: false })), "waiting");
  assert.equal(standing(meeting({ phase: "closed" }), person()), "closed");
  assert.equal(standing(meeting({ phase: "ended" }), person()), "closed");
  assert.equal(standing(meeting(), person({ muted: true, silenced: true })), "silenced");
  assert.equal(standing(meeting(), person({ muted: true })), "muted");
  assert.equal(standing(meeting(), person({ on_air: true })), "on-air");
  assert.equal(standing(meeting(), person({ on_air: false, connected: false })), "connecting");
});

test("a chair is shown what can be done about each", () => {
  const keys = (changes) => actsOn(person(changes)).map((act) => act.key.replace("meeting.", ""));
  assert.deepEqual(keys({ admitted: false }), ["admit", "refuse"]);
  assert.deepEqual(keys({}), ["silence", "remove"]);
  assert.deepEqual(keys({ silenced: true, hand: 1 }), ["unsilence", "lower", "remove"]);
  assert.equal(conditionOf(person({ admitted: false, connected: false }), meeting()), "waiting");
  assert.equal(conditionOf(person({ connected: false }), meeting()), "no-microphone");
  assert.equal(conditionOf(person(), meeting({ phase: "closed" })), "closed");
});
