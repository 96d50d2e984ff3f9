from __future__ import annotations

import random
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from loacodecs import sdp
from loacodecs.errors import LoaError, NegotiationError, SdpError

OFFERS = Path(__file__).parent / "offers"
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
CAPTURE = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"


def offer_text(name: str) -> str:
    return "\r\n".join((OFFERS / f"{name}.sdp").read_text().splitlines()) + "\r\n"


def answer_to(offer: sdp.AudioDescription, direction: str = "recvonly", **changes: object) -> str:
    values: dict[str, object] = {
        "direction": direction,
        "ice_ufrag": "loaU",
        "ice_pwd": "p" * 24,
        "fingerprint": FINGERPRINT,
        "candidates": [("192.0.2.1", 8189), ("2001:db8::1", 8189)],
        "session_id": 7,
    }
    return sdp.make_answer(offer, **(values | changes))  # type: ignore[arg-type]  # keywords under test


def offer_of_ours(**changes: object) -> str:
    values: dict[str, object] = {
        "direction": "sendonly",
        "ice_ufrag": "cliU",
        "ice_pwd": "q" * 24,
        "fingerprint": FINGERPRINT,
        "ssrc": 42,
        "cname": "horn",
        "session_id": 3,
    }
    return sdp.make_offer(**(values | changes))  # type: ignore[arg-type]  # keywords under test


def test_chromium_publishing_sound_video_and_data() -> None:
    offer = sdp.parse_offer(offer_text("chromium_publish"))
    assert (offer.mid, offer.direction, offer.setup) == ("0", "sendrecv", "actpass")
    assert (offer.opus_payload_type, offer.red_payload_type, offer.nack) == (111, 63, False)
    assert offer.opus_parameters == {"minptime": "10", "useinbandfec": "1"}
    assert (offer.ice_ufrag, offer.ice_pwd) == ("36wH", "bGmGXpMaoyKER89Iny4pzslt")
    assert offer.ice_pwd not in repr(offer)
    assert offer.fingerprints[0][0] == "sha-256"
    assert offer.extensions[LEVEL] == 1
    assert [media.kind for media in offer.media_kinds] == ["audio", "video", "application"]
    assert [c.address for c in offer.candidates] == [
        ("127.0.0.1", 41445),
        ("192.0.2.2", 37845),
        ("::1", 35835),
        ("fd00::2", 60340),
    ]
    assert (offer.ssrc, offer.cname) == (941312885, "cy/43XtQHGLoW+R+")
    assert offer.bundled
    assert not offer.ice_lite


def test_the_answer_to_chromium_refuses_what_is_not_audio_in_its_place() -> None:
    offer = sdp.parse_offer(offer_text("chromium_publish"))
    text = answer_to(offer, ssrc=99, extensions=[LEVEL])
    sections = text.split("m=")[1:]
    assert [section.split()[:2] for section in sections] == [
        ["audio", "8189"],
        ["video", "0"],
        ["application", "0"],
    ]
    assert "a=group:BUNDLE 0\r\n" in text
    assert "a=ice-lite\r\n" in text.split("m=")[0]
    assert "a=setup:passive" in sections[0]
    assert "a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host" in sections[0]
    assert "a=candidate:2 1 udp 2130706175 2001:db8::1 8189 typ host" in sections[0]
    assert "ssrc" not in sections[0].replace(LEVEL, "")  # we do not send
    assert "a=rtpmap:63" not in text
    assert "a=mid:1" in sections[1]
    assert "a=mid:2" in sections[2]
    parsed = sdp.parse_answer(text)
    assert (parsed.direction, parsed.setup, parsed.ice_lite) == ("recvonly", "passive", True)
    assert parsed.extensions == {LEVEL: 1}
    assert [c.address[0] for c in parsed.candidates] == ["192.0.2.1", "2001:db8::1"]


def test_chromium_listening() -> None:
    offer = sdp.parse_offer(offer_text("chromium_listen"))
    assert offer.direction == "recvonly"
    answer = sdp.parse_answer(
        answer_to(offer, "sendonly", ssrc=99, cname="loa", delivery=sdp.Delivery(redundancy=1))
    )
    assert (answer.ssrc, answer.cname, answer.red_payload_type) == (99, "loa", 63)
    with pytest.raises(NegotiationError):
        answer_to(offer, "recvonly")


@pytest.mark.parametrize(
    ("name", "setup", "answered"),
    [("ffmpeg_passive", "passive", "active"), ("ffmpeg_active", "active", "passive")],
)
def test_ffmpeg_chooses_its_dtls_role(name: str, setup: str, answered: str) -> None:
    offer = sdp.parse_offer(offer_text(name))
    assert (offer.setup, offer.direction, offer.opus_payload_type, offer.mid) == (setup, "sendonly", 111, "0")
    answer = sdp.parse_answer(answer_to(offer))
    assert answer.setup == answered == sdp.answer_setup(offer)
    with pytest.raises(NegotiationError):
        answer_to(offer, setup=setup)


def test_gstreamer() -> None:
    offer = sdp.parse_offer(offer_text("gstreamer_publish"))
    assert (offer.mid, offer.opus_payload_type, offer.nack) == ("audio0", 96, True)
    text = answer_to(offer)
    assert "a=group:BUNDLE audio0" in text
    assert "a=rtpmap:96 opus/48000/2" in text
    assert "sprop-stereo=1" in text
    assert "a=rtcp-fb:96 nack\r\n" in text
    assert "nack" not in answer_to(offer, nack=False)


async def test_aiortc_offers_and_takes_our_answer() -> None:
    connection = RTCPeerConnection()
    connection.addTrack(AudioStreamTrack())
    try:
        await connection.setLocalDescription(await connection.createOffer())
        offer = sdp.parse_offer(connection.localDescription.sdp)
        assert [media.kind for media in offer.media_kinds] == ["audio"]
        assert {algorithm for algorithm, _ in offer.fingerprints} == {"sha-256", "sha-384", "sha-512"}
        answer = answer_to(offer, "sendrecv", ssrc=5)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    finally:
        await connection.close()


def test_our_offer_reads_back() -> None:
    text = offer_of_ours(extensions=[LEVEL, CAPTURE], red=True, candidates=[("2001:db8::5", 4000)])
    offer = sdp.parse_offer(text)
    assert (offer.setup, offer.direction, offer.nack, offer.red_payload_type) == (
        "actpass",
        "sendonly",
        True,
        63,
    )
    assert offer.extensions == {LEVEL: 1, CAPTURE: 2}
    assert offer.candidates[0].address == ("2001:db8::5", 4000)
    assert "c=IN IP6 2001:db8::5" in text
    assert str(SessionDescription.parse(text))
    plain = sdp.parse_offer(offer_of_ours(nack=False))
    assert not plain.nack
    assert plain.red_payload_type is None


def test_a_receiver_asks_for_its_rendition() -> None:
    text = offer_of_ours(
        direction="recvonly", red=2, red_first=True, ptime=60, session_attributes=["x-loa-idle:50"]
    )
    head, audio = text.split("m=")
    assert "a=x-loa-idle:50\r\n" in head
    assert audio.startswith("audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n")
    assert "a=fmtp:63 111/111/111\r\n" in audio
    assert "a=ptime:60\r\n" in audio
    offer = sdp.parse_offer(text)
    assert offer.red_payload_type == 63
    assert offer.delivery == sdp.Delivery(ptime_ms=60, redundancy=2, red_first=True, idle_s=50)
    assert "SAVPF 111 63" in offer_of_ours(red=1)


@pytest.mark.parametrize("name", ["chromium_listen", "chromium_publish"])
def test_browsers_offer_red_after_opus(name: str) -> None:
    offer = sdp.parse_offer(offer_text(name))
    assert offer.delivery == sdp.Delivery(redundancy=1)
    assert offer.red_payload_type == 63


def test_offers_that_say_nothing_wish_for_nothing() -> None:
    firefox = offer_of_ours().replace("SAVPF 111", "SAVPF 109 9 0 8 101").replace(":111 ", ":109 ")
    for text in (firefox, offer_text("gstreamer_publish"), offer_text("ffmpeg_active")):
        assert sdp.parse_offer(text).delivery == sdp.Delivery()


def test_the_answer_says_what_is_agreed_to() -> None:
    text = offer_of_ours(
        direction="recvonly", red=2, ptime=60, session_attributes=["x-loa-idle:50", "x-loa-adaptive"]
    )
    offer = sdp.parse_offer(text)
    assert offer.delivery == sdp.Delivery(60, 2, False, adaptive=True, idle_s=50)
    answer = answer_to(offer, "sendonly", delivery=offer.delivery)
    head, audio = answer.split("m=")
    assert "a=x-loa-idle:50\r\n" in head
    assert "a=x-loa-adaptive\r\n" in head
    assert audio.startswith("audio 8189 UDP/TLS/RTP/SAVPF 111 63\r\n")
    assert sdp.parse_answer(answer).delivery == offer.delivery
    first = sdp.Delivery(redundancy=1, red_first=True)
    answer = answer_to(offer, "sendonly", delivery=first)
    assert "SAVPF 63 111\r\n" in answer
    assert "a=fmtp:63 111/111\r\n" in answer
    assert "x-loa" not in answer
    assert "a=ptime" not in answer
    assert sdp.parse_answer(answer).delivery == first
    plain = sdp.parse_offer(offer_of_ours(direction="recvonly"))
    assert "red" not in answer_to(plain, "sendonly", delivery=first), "what was not offered is not agreed to"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=ptime:60", sdp.Delivery(ptime_ms=60)),
        ("a=ptime:121", sdp.Delivery()),
        ("a=ptime:-60", sdp.Delivery()),
        ("a=ptime:60.5", sdp.Delivery()),
        ("a=ptime:" + "9" * 5_000, sdp.Delivery()),
        ("a=ptime", sdp.Delivery()),
        ("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111", sdp.Delivery(redundancy=1)),
        ("a=rtpmap:63 red/48000/2", sdp.Delivery(redundancy=1)),
        ("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/109", sdp.Delivery()),
        ("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111" + "/111" * 900, sdp.Delivery(redundancy=15)),
    ],
)
def test_wishes_out_of_range_are_none(line: str, expected: sdp.Delivery) -> None:
    text = offer_of_ours().replace("SAVPF 111", "SAVPF 111 63") + line + "\r\n"
    assert sdp.parse_offer(text).delivery == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("5", 5), ("300", 300), ("4", 0), ("301", 0), ("\u0665\u0660", 0)]
)
def test_consent_may_rest_for_5_to_300_s(value: str, expected: int) -> None:
    offer = sdp.parse_offer(offer_of_ours(session_attributes=[f"x-loa-idle:{value}"]))
    assert offer.delivery.idle_s == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("rcvr-rtt=all", True),
        ("stat-summary=loss,dup rcvr-rtt=all:10000 voip-metrics", True),
        ("rcvr-rtt=sender", False),
        ("rcvr-rtt=allx", False),
        ("pkt-loss-rle", False),
    ],
)
def test_a_listener_may_ask_the_time(value: str, expected: bool) -> None:
    offer = sdp.parse_offer(offer_of_ours(session_attributes=[f"rtcp-xr:{value}"]))
    assert offer.delivery.clock is expected
    answer = answer_to(offer, delivery=offer.delivery)
    assert ("a=rtcp-xr:rcvr-rtt=all\r\n" in answer.partition("m=")[0]) is expected
    # Browsers say it of a section; for them it would be work without use.
    assert not sdp.parse_offer(offer_of_ours() + f"a=rtcp-xr:{value}\r\n").delivery.clock


def test_stereo_is_agreed_to_and_words_are_not_echoed() -> None:
    text = offer_of_ours(opus_parameters={"stereo": "1", "maxaveragebitrate": "64000", "usedtx": "yes;a=x"})
    answer = answer_to(sdp.parse_offer(text))
    assert "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=64000\r\n" in answer
    assert "a=fmtp:111 stereo=0\r\n" in answer_to(sdp.parse_offer(text), opus_parameters={"stereo": "0"})


def test_a_space_after_semicolon_and_unknown_attributes_do_not_matter() -> None:
    text = offer_of_ours().replace("minptime=10;", "minptime=10; ")
    text += (
        "a=fmtp:0 annexb\r\na=rtpmap:0 PCMU\r\na=ssrc:1 strange\r\na=extmap:5/recvonly uri:x y z\r\na=foo\r\n"
    )
    offer = sdp.parse_offer(text)
    assert offer.opus_parameters == {"minptime": "10", "useinbandfec": "1"}
    assert offer.extensions == {"uri:x": 5}
    assert (offer.ssrc, offer.cname) == (42, "horn")


def test_credentials_of_the_bundle_serve_a_section_without_its_own() -> None:
    text = offer_text("chromium_publish")
    head, audio, video, data = text.split("m=")
    lines = audio.split("\r\n")
    bare = [
        line for line in lines if not line.startswith(("a=ice-", "a=fingerprint", "a=setup", "a=candidate"))
    ]
    bare[0] = bare[0].replace("41445", "0")
    moved = "m=".join([head, video, "\r\n".join([*bare[:-1], "a=bundle-only", ""]), data])
    offer = sdp.parse_offer(moved)
    assert offer.index == 1
    assert offer.ice_ufrag == "36wH"
    assert offer.candidates[0].address == ("127.0.0.1", 34516)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("m=audio 9", "m=video 9", NegotiationError, "no audio"),
        ("m=audio 9", "m=audio 0", NegotiationError, "Opus"),
        ("opus/48000/2", "PCMU/8000", NegotiationError, "Opus"),
        ("opus/48000/2", "opus/16000/2", NegotiationError, "Opus"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", NegotiationError, "Opus"),
        ("a=ice-ufrag:cliU\r\n", "", NegotiationError, "ICE"),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-1", NegotiationError, "fingerprint"),
        ("a=fingerprint:sha-256 AB", "a=fingerprint:sha-256 XY", NegotiationError, "fingerprint"),
        ("a=rtcp-mux\r\n", "", NegotiationError, "rtcp-mux"),
        ("a=ice-ufrag:cliU", "a=ice-ufrag:cl", SdpError, "ice-ufrag"),
        ("a=ice-ufrag:cliU", "a=ice-ufrag:a:bcd", SdpError, "ice-ufrag"),
        ("a=ice-pwd:q", "a=ice-pwd:\u00e9", SdpError, "ice-pwd"),
        ("actpass", "holdconn", SdpError, "read"),
        ("v=0", "v=1", SdpError, "v=0"),
        ("a=mid:0", "a=mid:0 1", SdpError, "mid"),
        ("a=mid:0", "a=mid:" + "x" * 65, SdpError, "mid"),
        ("m=audio 9", "m=audio x", SdpError, "read"),
        ("SAVPF 111", "SAVPF 1x1", SdpError, "read"),
        ("SAVPF 111", "SAVPF 111 300", SdpError, "read"),
        ("SAVPF 111", "SAVPF 112", NegotiationError, "Opus"),
        ("s=-", "s=\x0b", SdpError, "control"),
        ("s=-", "s=\u2028a=x", SdpError, "control"),
        ("s=-", "s=-" + "\r\na=x" * 600, SdpError, "too many"),
        ("s=-", "s=-" + "\r\nm=video 9 RTP/AVP 96" * 40, SdpError, "too many"),
        ("s=-", "s=" + "\u00e9" * 40000, SdpError, "longer"),
    ],
)
def test_what_cannot_be_used_is_said(old: str, new: str, error: type[LoaError], words: str) -> None:
    text = offer_of_ours()
    assert old in text
    with pytest.raises(error, match=words):
        sdp.parse_offer(text.replace(old, new))


def test_an_answer_must_choose_a_role_and_take_the_audio() -> None:
    answer = answer_to(sdp.parse_offer(offer_of_ours()))
    assert sdp.parse_answer(answer).setup == "passive"
    with pytest.raises(NegotiationError, match="role"):
        sdp.parse_answer(answer.replace("a=setup:passive", "a=setup:actpass"))
    with pytest.raises(NegotiationError):
        sdp.parse_answer(answer.replace("m=audio 8189", "m=audio 0"))


def test_candidates_that_cannot_be_used_are_left_out() -> None:
    lines = [
        "1 1 udp 100 192.0.2.9 5000 typ host",
        "1 1 UDP 100 192.0.2.10 5000 typ srflx raddr 0.0.0.0 rport 0",
        "1 1 udp 100 ::ffff:192.0.2.11 5000 typ host",
        "1 1 udp 100 192.0.2.9 5000 typ host",  # repeated
        "1 2 udp 100 192.0.2.9 5001 typ host",  # RTCP component
        "1 1 tcp 100 192.0.2.9 9 typ host tcptype active",
        "1 1 udp 100 3c2f8a4e-aaaa.local 5000 typ host",  # mDNS
        "1 1 udp 100 224.0.0.1 5000 typ host",
        "1 1 udp 100 0.0.0.0 5000 typ host",
        "1 1 udp 100 192.0.2.9 0 typ host",
        "1 1 udp 100 192.0.2.9 70000 typ host",
        "1 1 udp x 192.0.2.9 5000 typ host",
        "1 1 udp 99999999999 192.0.2.9 5002 typ host",
        "1 1 udp",
        "x" * 5000,
    ]
    text = offer_of_ours() + "".join(f"a=candidate:{line}\r\n" for line in lines)
    addresses = [candidate.address for candidate in sdp.parse_offer(text).candidates]
    assert addresses == [("192.0.2.9", 5000), ("192.0.2.10", 5000), ("192.0.2.11", 5000)]
    many = offer_of_ours() + "".join(
        f"a=candidate:1 1 udp 1 192.0.2.1 {n} typ host\r\n" for n in range(1, 400)
    )
    assert len(sdp.parse_offer(many).candidates) == 32


def test_fragments() -> None:
    text = sdp.make_fragment(ufrag="abcd", pwd="w" * 22, candidates=[("192.0.2.1", 8189)], mid="audio0")
    fragment = sdp.parse_fragment(text)
    assert (fragment.ufrag, fragment.pwd, fragment.end) == ("abcd", "w" * 22, True)
    assert "w" * 22 not in repr(fragment)
    assert [c.address for c in fragment.candidates] == [("192.0.2.1", 8189)]
    bare = sdp.parse_fragment("a=candidate:1 1 udp 5 192.0.2.3 7 typ host\n")
    assert (bare.ufrag, bare.pwd, bare.end, len(bare.candidates)) == (None, None, False, 1)
    assert sdp.parse_fragment("").candidates == ()
    for hostile in ("hello", "a=ice-ufrag:x", "a=ice-pwd:short", "a=\0", "a=x\u2028", "a" * 70000):
        with pytest.raises(SdpError):
            sdp.parse_fragment(hostile)


@given(st.text(max_size=400))
def test_any_text_raises_only_ours(text: str) -> None:
    for parse in (sdp.parse_offer, sdp.parse_answer, sdp.parse_fragment):
        try:
            parse(text)
        except (SdpError, NegotiationError):
            continue
        try:
            parse("v=0\r\n" + text)
        except (SdpError, NegotiationError):
            continue


@pytest.mark.parametrize("name", [path.stem for path in sorted(OFFERS.glob("*.sdp"))])
def test_mutated_offers_raise_only_ours(name: str) -> None:
    generator = random.Random(name)
    text = offer_text(name)
    pieces = [
        "",
        "\r\n",
        ":",
        " ",
        "=",
        "/",
        "-1",
        "99999999999999999999",
        "\u0669",
        "a=",
        "m=audio",
        "é",
        "\t",
        "0",
    ]
    answered = 0
    for _ in range(400):
        characters = list(text)
        for _ in range(generator.randint(1, 12)):
            at = generator.randrange(len(characters))
            action = generator.randrange(3)
            if action == 0:
                del characters[at : at + generator.randint(1, 20)]
            elif action == 1:
                characters[at] = generator.choice(pieces)
            else:
                characters[at:at] = text[generator.randrange(len(text)) :][: generator.randint(1, 80)]
        try:
            offer = sdp.parse_offer("".join(characters))
        except (SdpError, NegotiationError):
            continue
        assert 0 <= offer.opus_payload_type <= 127
        direction = {"sendonly": "recvonly", "recvonly": "sendonly"}.get(offer.direction, "inactive")
        sdp.parse_answer(
            answer_to(offer, direction, ssrc=1, delivery=offer.delivery, extensions=list(offer.extensions))
        )
        answered += 1
    assert answered  # some mutations are harmless, and then our answer must be well-formed
