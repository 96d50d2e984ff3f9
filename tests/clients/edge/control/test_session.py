"""One connection by a hand clock: what is said when, and how many bytes an idle receiver costs."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from loacodecs import stun
from loacodecs.clocksync import ClockSync
from loacodecs.control import (
    Challenge,
    Clock,
    ClockAnswer,
    Command,
    Hello,
    Message,
    OnAir,
    Receipt,
    ReceiptOk,
    Refused,
    Result,
    Telemetry,
    Token,
    Welcome,
    decode,
    encode,
)
from loacodecs.strict_json import to_base64url
from loaedge.control.session import BURST, BURST_PAUSE_S, RECEIPT_AGAIN_S, LinkSession
from loaedge.control.telemetry import Place, Report, telemetry
from tests.support.fake_link_relay import RELAY_TIME, RelayKeys

RECEIPT = Receipt("r1", "news", "commune-1", RELAY_TIME, RELAY_TIME + 60, 1.0, 0.0, -20.0, "played")


class World:
    """A session, its relay's answers after `way_s`, and every text with the time it was sent."""

    def __init__(self, way_s: float = 0.06) -> None:
        self.keys = RelayKeys()
        self.now = 86_400.123456
        self.way_s = way_s
        self.on_air = False
        self.receipt: Receipt | None = None
        self.answering = True
        self.clock = ClockSync()
        self.sent: list[tuple[float, Message, str]] = []
        self.answers: list[tuple[float, str]] = []
        self.session = self.begin()

    def begin(self) -> LinkSession:
        return LinkSession(
            self.keys.identities(),
            self.clock,
            version="0.1.0",
            capabilities=("settings",),
            telemetry=self.telemetry,
            on_air=lambda: self.on_air,
            receipt=lambda: self.receipt,
            now=self.now,
        )

    def telemetry(self, number: int, now: float) -> Telemetry:
        report = Report(self.on_air, None, 0.0, 123_456.0, 1234, 1200, None, "idle")
        return telemetry(report, Place(number, now, 0.0123, 3, 51.5, "wwan0 -101 dBm"), now)

    def relay_time(self, now: float) -> float:
        return RELAY_TIME + now

    def tell(self, message: Message) -> None:
        self.session.receive(encode(message), self.now)

    def greet(self) -> None:
        self.tell(Challenge(1, self.keys.name, to_base64url(os.urandom(32)), self.relay_time(self.now)))
        self.flush()
        self.tell(Welcome(10.0, 60.0, "jwt", RELAY_TIME + 1e6, False))
        self.flush()

    def flush(self) -> None:
        while (text := self.session.poll(self.now)) is not None:
            message = decode(text)
            self.sent.append((self.now, message, text))
            if isinstance(message, Clock | Telemetry) and self.answering:
                arrived = self.relay_time(self.now + self.way_s)
                answer = encode(ClockAnswer(message.sent, arrived, arrived + 0.0001))
                self.answers.append((self.now + 2 * self.way_s, answer))

    def run(self, seconds: float) -> None:
        """Let time go by from event to event."""
        end = self.now + seconds
        while self.session.ended is None:
            due = min([self.session.next_deadline()] + [at for at, _ in self.answers])
            if due > end:
                break
            self.now = max(self.now, due)
            for answer in [entry for entry in self.answers if entry[0] <= self.now]:
                self.answers.remove(answer)
                self.session.receive(answer[1], self.now)
            self.flush()
        self.now = max(self.now, end)

    def times(self, *kinds: type) -> list[float]:
        return [at for at, message, _ in self.sent if isinstance(message, kinds)]


@pytest.fixture
def world() -> World:
    made = World()
    made.greet()
    return made


def test_clocks_are_tied_within_seconds(world: World) -> None:
    begin = world.now
    world.run(5.0)
    burst = world.times(Clock, Telemetry)
    assert BURST <= len(burst) <= BURST + 4
    assert burst[BURST - 1] - begin <= BURST * BURST_PAUSE_S + 0.01
    relay = world.clock.relay_time(world.now)
    assert relay is not None
    assert relay == pytest.approx(world.relay_time(world.now), abs=0.001)


def test_telemetry_comes_every_minute_and_on_air_every_ten_seconds(world: World) -> None:
    begun = world.now
    world.run(300.0)
    assert len(world.times(Telemetry)) == 6
    assert len(world.times(Clock)) <= 30
    assert max(world.times(Clock)) < begun + 60.0
    world.on_air = True
    world.session.poll(world.now)
    begin = len(world.times(Telemetry))
    world.run(60.0)
    assert 5 <= len(world.times(Telemetry)) - begin <= 7
    numbers = [message.number for _, message, _ in world.sent if isinstance(message, Telemetry)]
    assert numbers == sorted(set(numbers))


class Restless(ClockSync):
    """A clock that is never content."""

    def pause_s(self, on_air: bool) -> float:
        return 0.5


def test_a_clock_that_never_settles_is_kept_short_while_idle() -> None:
    world = World()
    world.clock = Restless()
    world.session = world.begin()
    world.greet()
    world.run(86_400.0)
    assert len(world.times(Clock)) <= 4 + 86_400 / 120 + BURST
    assert len(world.times(Telemetry)) == pytest.approx(1440, abs=2)
    world.on_air = True
    world.session.poll(world.now)
    before = len(world.times(Clock))
    world.run(60.0)
    assert len(world.times(Clock)) - before > 100
    world.on_air = False
    world.session.poll(world.now)
    before = len(world.times(Clock))
    world.run(900.0)
    assert 5 <= len(world.times(Clock)) - before <= 20, "what was spent on air is not owed"


def test_ten_idle_minutes_of_a_clock_that_never_settles_fit_the_allowance() -> None:
    world = World()
    world.clock = Restless()
    world.session = world.begin()
    world.on_air = True
    world.greet()
    world.run(60.0)
    world.on_air = False
    world.session.poll(world.now)
    world.run(25.0)
    world.sent.clear()
    world.run(600.0)
    assert idle_bits(world, 600.0, 0) <= 150.0


def test_asking_brings_telemetry_at_once(world: World) -> None:
    world.run(20.0)
    before = len(world.times(Telemetry))
    world.session.ask(world.now)
    world.flush()
    assert len(world.times(Telemetry)) == before + 1
    assert world.session.unanswered == world.now
    world.run(1.0)
    assert world.session.unanswered is None


def test_a_relay_that_falls_silent_is_noticed(world: World) -> None:
    world.run(30.0)
    world.answering = False
    world.session.ask(world.now)
    world.flush()
    begin = world.now
    world.run(100.0)
    assert world.session.ended is not None
    assert world.session.ended.word == "silent"
    assert world.session.unanswered == begin


def test_a_relay_that_never_speaks_is_noticed() -> None:
    world = World()
    world.run(60.0)
    assert world.session.ended is not None
    assert world.session.ended.word == "silent"


def test_answers_to_questions_nobody_asked_teach_nothing(world: World) -> None:
    world.run(5.0)
    before = world.clock.relay_time(world.now)
    for _ in range(50):
        world.tell(ClockAnswer(world.now, RELAY_TIME * 1.5, RELAY_TIME * 1.5))
    assert world.clock.relay_time(world.now) == before


def test_one_answer_counts_once(world: World) -> None:
    world.run(5.0)
    world.session.ask(world.now)
    world.flush()
    sent = world.times(Telemetry)[-1]
    lie = ClockAnswer(sent, world.relay_time(world.now), world.relay_time(world.now))
    for _ in range(20):
        world.tell(lie)
    relay = world.clock.relay_time(world.now)
    assert relay == pytest.approx(world.relay_time(world.now), abs=0.01)


def test_receipts_go_one_by_one_and_wait_for_their_acknowledgement(world: World) -> None:
    world.receipt = RECEIPT
    world.flush()
    world.run(5.0)
    assert len(world.times(Receipt)) == 1
    world.tell(ReceiptOk("another"))
    assert [event for event in iter(world.session.next_event, None) if isinstance(event, ReceiptOk)] == []
    world.tell(ReceiptOk("r1"))
    world.flush()
    assert len(world.times(Receipt)) == 1, "it was not sent again while the book still had it"
    assert isinstance(world.session.next_event(), ReceiptOk)
    world.receipt = Receipt("r2", "news", "commune-1", RELAY_TIME, RELAY_TIME, 1.0, 0.0, None, "played")
    world.flush()
    assert len(world.times(Receipt)) == 2


def test_a_receipt_that_is_not_acknowledged_is_offered_again_and_the_link_stays(world: World) -> None:
    """A relay whose disk is in trouble keeps silent about receipts, and answers everything else."""
    world.receipt = RECEIPT
    world.flush()
    world.run(3 * RECEIPT_AGAIN_S + 1)
    assert world.session.ended is None
    assert len(world.times(Receipt)) == 4
    world.receipt = None  # the book was full, and dropped it
    world.run(2 * RECEIPT_AGAIN_S)
    assert len(world.times(Receipt)) == 4
    assert world.session.next_deadline() > world.now, "nothing is due, so nobody needs to be woken"


def test_what_the_relay_wants_comes_out_in_order(world: World) -> None:
    assert isinstance(world.session.next_event(), Welcome)
    command = world.keys.command_for("n1")
    for message in (OnAir("commune-1", True), command, Token("jwt-2", RELAY_TIME)):
        world.tell(message)
    assert list(iter(world.session.next_event, None)) == [
        OnAir("commune-1", True),
        command,
        Token("jwt-2", RELAY_TIME),
    ]
    world.session.reply(Result("n1", True))
    world.flush()
    assert world.sent[-1][1] == Result("n1", True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "malformed"),
        ("{}", "malformed"),
        ("[" * 10_000, "malformed"),
        (b"\x00\x01", "malformed"),
        ('{"type":"clock","sent":NaN,"received":1,"replied":1}', "malformed"),
        (encode(Hello("d", "1", 1, (), to_base64url(bytes(64)))), "malformed"),
        (encode(Refused("revoked", "")), "revoked"),
    ],
)
def test_hostile_texts_end_the_session_and_raise_nothing(world: World, text: str | bytes, word: str) -> None:
    world.session.receive(text, world.now)
    assert world.session.ended is not None
    assert world.session.ended.word == word
    world.session.receive(encode(OnAir("x", True)), world.now)
    world.flush()


@pytest.mark.parametrize(
    "first",
    [
        Welcome(10.0, 60.0, "jwt", RELAY_TIME, True),
        OnAir("commune-1", True),
        ReceiptOk("r1"),
        Command("{}", to_base64url(bytes(64))),
    ],
)
def test_nothing_counts_before_the_challenge_was_answered(first: Message) -> None:
    world = World()
    world.tell(first)
    assert world.session.ended is not None
    assert world.session.next_event() is None
    assert world.session.poll(world.now) is None


def test_noise_for_a_whole_session() -> None:
    dice = random.Random(8)
    genuine: list[Callable[[World], Message]] = [
        lambda world: ClockAnswer(world.now, 1.0, 1.0),
        lambda world: OnAir("c", True),
        lambda world: world.keys.command_for("n"),
        lambda world: Welcome(10.0, 60.0, "jwt", RELAY_TIME, True),
    ]
    for _ in range(300):
        world = World()
        if dice.random() < 0.7:
            world.greet()
        text = bytearray(encode(dice.choice(genuine)(world)).encode())
        for _ in range(dice.randrange(4)):
            text[dice.randrange(len(text))] = dice.randrange(256)
        world.session.receive(text.decode("utf-8", "replace"), world.now)
        world.flush()
        world.run(5.0)


# What one message costs below the JSON text.
WEBSOCKET_HEAD = 2
"""RFC 6455 §5.2: two octets, two more for 126 octets of payload and up."""
WEBSOCKET_MASK = 4
"""Only from the client."""
TLS_RECORD = 5 + 1 + 16
"""RFC 8446 §5.2: header, content type, AEAD tag."""
TCP_IP = 20 + 20 + 12
"""IPv4 and TCP with time stamps, as Linux sends them; an acknowledgement without data is the same."""
UDP_IP = 20 + 8
IPV6_MORE = 20
CONSENT_S = 50.0
"""How often an idle media session is looked at (a=x-loa-idle)."""


def wire_bytes(text: str, *, masked: bool, ip_more: int) -> int:
    size = len(text.encode())
    head = WEBSOCKET_HEAD + (2 if size >= 126 else 0) + (WEBSOCKET_MASK if masked else 0)
    return size + head + TLS_RECORD + TCP_IP + ip_more


def consent_bytes(ip_more: int) -> int:
    """One consent check of the media session and its answer (RFC 7675), with user names of eight letters."""
    request = stun.binding_request(
        bytes(12),
        username="abcdefgh:ijklmnop",
        password="p" * 24,
        priority=1,
        controlling=True,
        tie_breaker=1,
    )
    answer = stun.binding_response(bytes(12), ("203.0.113.7", 40_000), "p" * 24)
    return len(request) + len(answer) + 2 * (UDP_IP + ip_more)


def idle_bits(world: World, seconds: float, ip_more: int) -> float:
    """Bits a second for what was sent within `seconds`, its answers with their acknowledgements, media's consent."""
    up = sum(wire_bytes(text, masked=True, ip_more=ip_more) for _, _, text in world.sent)
    relay = world.relay_time(world.now)
    answer = encode(ClockAnswer(world.now, relay + 0.123456, relay + 0.123556))
    down = len(world.sent) * (wire_bytes(answer, masked=False, ip_more=ip_more) + TCP_IP + ip_more)
    control, media = (up + down) * 8 / seconds, consent_bytes(ip_more) * 8 / CONSENT_S
    print(f"idle: control {control:.1f} bit/s, media {media:.1f} bit/s")
    return control + media


@pytest.mark.parametrize("ip_more", [0, IPV6_MORE])
def test_an_idle_day_costs_less_than_150_bits_a_second(ip_more: int, world: World) -> None:
    """Telemetry, its answer (which acknowledges it), and the acknowledgement of the answer; and the media's consent."""
    world.run(60.0)
    world.sent.clear()
    day = 86_400.0
    world.run(day)
    bits = idle_bits(world, day, ip_more)
    assert len(world.sent) == pytest.approx(day / 60.0, rel=0.01)
    assert bits <= 150.0
    month = bits / 8 * 30 * day
    assert month <= 50e6
