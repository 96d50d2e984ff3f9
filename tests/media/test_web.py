"""The web as it is: titles, redirects, broken connections, servers that say nothing, and doors that must stay shut."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from loamedia.errors import SourceError, SourceForbidden
from loamedia.feeding import PlayerSettings
from loamedia.policy import ANYTHING, Policy
from loamedia.web import Transfer, WebFile
from tests.support.media_files import encode, ffmpeg, tone_file
from tests.support.playing import QUICK, playing, pulled
from tests.support.tones import dominant_frequency, tone
from tests.support.waiting import until
from tests.support.web_radio import Asked, web_radio, with_titles

ONCE = PlayerSettings(reconnect=False, open_timeout_s=2.0, read_timeout_s=2.0)
HASTY = PlayerSettings(reconnect=False, open_timeout_s=0.3, read_timeout_s=0.3)


@pytest.fixture(scope="module")
def mp3(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tone_file(tmp_path_factory.mktemp("web") / "a.mp3", 4.0).read_bytes()


@pytest.fixture(scope="module")
def m4a(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its index is at the end, so it must be sought."""
    return tone_file(tmp_path_factory.mktemp("web") / "a.m4a", 4.0).read_bytes()


def test_a_file_of_the_web_plays_to_its_last_sample(mp3: bytes, m4a: bytes) -> None:
    with web_radio(lambda asked: asked.serve(m4a if "m4a" in asked.path else mp3)) as radio:
        for path in ("/a.mp3", "/a.m4a?token=1"):
            with playing(radio.url(path), settings=ONCE) as player:
                sound = pulled(player)
                assert sound.shape[1] == 4 * 48000
                assert dominant_frequency(sound[0]) == pytest.approx(440, abs=0.5)
                assert player.state == "ended"
                assert not player.live
                assert player.duration_s == pytest.approx(4.0, abs=0.1)


def test_a_download_that_breaks_off_is_taken_up_where_it_was(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        asked.serve(mp3, cut_at=20_000)

    with web_radio(respond) as radio:
        file = WebFile(radio.url("/a.mp3"), transfer(ANYTHING))
        assert b"".join(iter(lambda: file.read(4096), b"")) == mp3
        assert [asked.headers.get("range") for asked in radio.requests] == [None, "bytes=20000-"]


def test_a_download_that_cannot_be_taken_up_says_where_it_broke_off(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        asked.serve(mp3, ranges=False, cut_at=20_000)

    with web_radio(respond) as radio, playing(radio.url("/a.mp3"), settings=QUICK) as player:
        assert pulled(player).shape[1] > 48000, "what came is played"
        assert player.state == "failed"
        assert f"broke off after 20000 of {len(mp3)} bytes" in player.reason
        assert len(radio.requests) == 1, "it does not begin again from its beginning"


@pytest.mark.parametrize("first_line", ["HTTP/1.1 200 OK", "ICY 200 OK"])
def test_icecast_and_shoutcast_with_titles(mp3: bytes, first_line: str) -> None:
    def respond(asked: Asked) -> None:
        assert asked.headers["icy-metadata"] == "1"
        head = (
            f"{first_line}\r\nicy-name: Đài Tân Phú\r\nContent-Type: audio/mpeg\r\nicy-metaint: 4000\r\n\r\n"
        )
        asked.send(head.encode() + with_titles(mp3, 4000, {1: "Quê hương", 5: "Bản tin"}))
        asked.wait()

    with web_radio(respond) as radio, playing(radio.url("/live"), settings=ONCE) as player:
        sound = pulled(player, 2 * 48000)
        assert dominant_frequency(sound[0]) == pytest.approx(440, abs=0.5)
        assert player.title == "Bản tin"
        assert player.live
        assert player.duration_s is None


def test_a_stream_that_ends_comes_back(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        if len(radio.requests) == 2:
            asked.answer("404 Not Found")
        else:
            asked.answer("200 OK", {"icy-name": "Loa"}, mp3)

    with web_radio(respond) as radio, playing(radio.url("/live")) as player:
        sound = pulled(player, 10 * 48000)
        assert sound.shape[1] == 10 * 48000
        assert player.stats.connections >= 4
        assert player.stats.failures >= 3
        assert player.stats.decoded.cleaned == 0


def test_a_dead_stream_says_what_and_when(mp3: bytes) -> None:
    with (
        web_radio(lambda asked: asked.answer("404 Not Found")) as radio,
        playing(radio.url("/live")) as player,
    ):
        until(lambda: player.stats.failures > 1 and player.reason != "")
        assert player.state == "opening"
        assert "/live answers 404 Not Found; trying again in 0.0" in player.reason


def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with (
        web_radio(lambda asked: asked.wait()) as radio,
        playing(radio.url("/live"), settings=HASTY) as player,
    ):
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"/live does not answer within 0\.3 s"):
            player.pull(960)
        assert time.monotonic() - began < 2.0


def test_a_server_that_answers_a_byte_at_a_time_is_given_up_in_time() -> None:
    def respond(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nX: ")
        while not asked.closing.wait(0.02):
            asked.send(b"x")

    with (
        web_radio(respond) as radio,
        playing(radio.url("/live"), settings=HASTY) as player,
        pytest.raises(SourceError, match=r"does not answer within 0\.3 s"),
    ):
        player.pull(960)


def test_a_stream_that_falls_silent_is_given_up_in_time(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        asked.answer("200 OK", {"icy-name": "Loa"}, mp3)
        asked.wait()

    with web_radio(respond) as radio, playing(radio.url("/live"), settings=HASTY) as player:
        assert pulled(player).shape[1] > 3 * 48000
        assert player.state == "failed"
        assert "/live sent nothing for 0.3 s" in player.reason


def test_closing_ends_a_read_at_once(mp3: bytes) -> None:
    patient = PlayerSettings(read_timeout_s=60.0, open_timeout_s=60.0)
    transfers: list[str] = []

    def respond(asked: Asked) -> None:
        asked.answer("200 OK", {"icy-name": "Loa"}, mp3[:3000])
        try:
            if not asked.connection.recv(1):
                transfers.append("ended")
        except OSError:
            transfers.append("ended")

    with web_radio(respond) as radio:
        with playing(radio.url("/live"), settings=patient):
            until(lambda: len(radio.requests) == 1)
        until(lambda: transfers == ["ended"])


def test_a_list_of_a_station_leads_to_its_stream(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        if asked.path == "/listen.pls":
            asked.answer("200 OK", {}, f"[playlist]\nNumberOfEntries=1\nFile1={radio.url('/a')}\n".encode())
        elif asked.path == "/listen":
            asked.answer(
                "200 OK", {"Content-Type": "audio/x-mpegurl"}, f"#EXTM3U\n#x\n{radio.url('/a')}\r\n".encode()
            )
        else:
            asked.serve(mp3)

    with web_radio(respond) as radio:
        for path in ("/listen.pls", "/listen"):
            with playing(radio.url(path), settings=ONCE) as player:
                assert pulled(player, 48000).shape[1] == 48000


def test_hls_plays_through_its_parts(tmp_path: Path) -> None:
    tone_file(tmp_path / "a.wav", 6.0)
    ffmpeg(
        "-i",
        tmp_path / "a.wav",
        "-c:a",
        "aac",
        "-f",
        "hls",
        "-hls_time",
        "2",
        "-hls_list_size",
        "0",
        tmp_path / "a.m3u8",
    )

    def respond(asked: Asked) -> None:
        path = asked.path.partition("?")[0]
        kind = "application/vnd.apple.mpegurl" if path == "/live" else "video/mp2t"
        asked.serve((tmp_path / ("a.m3u8" if path == "/live" else path[1:])).read_bytes(), kind)

    with web_radio(respond) as radio, playing(radio.url("/live"), settings=ONCE) as player:
        sound = pulled(player)
        assert sound.shape[1] == pytest.approx(6 * 48000, abs=6000)
        assert dominant_frequency(sound[0]) == pytest.approx(440, abs=0.5)
        assert player.state == "ended"
    assert {asked.path for asked in radio.requests} >= {"/live", "/a0.ts", "/a1.ts", "/a2.ts"}


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "http://10.9.8.7/x.ts",
        "concat:/etc/passwd|/etc/passwd",
        "crypto:/etc/passwd",
    ],
)
def test_a_playlist_opens_nothing_inside(target: str) -> None:
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n".encode()
    names = {"radio.example": ["127.0.0.1"], "10.9.8.7": ["10.9.8.7"]}
    policy = Policy(allow_private=True, allow_hosts=("radio.example",))
    with web_radio(lambda asked: asked.answer("200 OK", {}, text)) as radio:
        url = radio.url("/a.m3u8", "radio.example")
        with playing(url, policy, ONCE, resolve=lambda host, port: names[host]) as player:
            with pytest.raises(SourceError):
                player.pull(960)
            assert player.state == "failed"
        assert {asked.path for asked in radio.requests} <= {"/a.m3u8", "//etc/passwd", "/etc/passwd"}


def transfer(policy: Policy, **names: str) -> Transfer:
    return Transfer(
        policy, timeout_s=2.0, resolve=lambda host, port: [names.get(host.partition(".")[0], host)]
    )


@pytest.mark.parametrize("way", ["named", "redirect", "playlist"])
def test_addresses_may_be_written_as_people_write_them(mp3: bytes, way: str) -> None:
    """In Vietnamese, and from elsewhere with blanks; what is escaped already stays so."""
    address = "/bản tin%20sáng.mp3?mã=đ%C4%91" if way != "named" else "/bản-tin%20sáng.mp3?mã=đ%C4%91"

    def respond(asked: Asked) -> None:
        if asked.path == "/moved":
            asked.answer("302 Found", {"Location": address})
        elif asked.path == "/list.m3u":
            asked.serve(radio.url(address).encode(), "audio/x-mpegurl")
        else:
            asked.serve(mp3)

    with web_radio(respond) as radio:
        first = {"named": address, "redirect": "/moved", "playlist": "/list.m3u"}[way]
        with playing(radio.url(first), settings=ONCE) as player:
            assert pulled(player).shape[1] == 4 * 48000
        blank = "-" if way == "named" else "%20"
        path = f"/b%E1%BA%A3n{blank}tin%20s%C3%A1ng.mp3?m%C3%A3=%C4%91%C4%91"
        assert radio.requests[-1].path == path


def test_a_station_that_waits_is_heard_as_it_is_then(tmp_path: Path) -> None:
    """It was made ready long before, behind other items of a queue."""
    earlier, now = tone(400, 24.0), tone(900, 14.0)
    sound = encode(tmp_path / "live.mp3", np.concatenate((earlier, now))).read_bytes()
    clock = [1000.0]

    def respond(asked: Asked) -> None:
        asked.answer("200 OK", {"icy-name": "Loa"}, sound)
        asked.wait()

    def passed(seconds: float) -> bool:
        clock[0] += 1.0
        return player.buffered_s > seconds

    with (
        web_radio(respond) as radio,
        playing(radio.url("/live"), settings=ONCE, paused=True, clock=lambda: clock[0]) as player,
    ):
        until(lambda: player.buffered_s > 8)
        until(lambda: passed(36))
        player.play()
        heard = pulled(player, 48_000)
        assert dominant_frequency(heard[0]) == pytest.approx(900, abs=1)
        assert player.position_s == pytest.approx(1.0, abs=0.05)


def test_a_redirect_does_not_lead_inside(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        if asked.path == "/inside":
            asked.answer("302 Found", {"Location": radio.url("/secret")})
        elif asked.path == "/file":
            asked.answer("302 Found", {"Location": "file:///etc/passwd"})
        elif asked.path == "/circle":
            asked.answer("302 Found", {"Location": "/circle"})
        elif asked.path == "/moved":
            asked.answer("301 Moved", {"Location": "/a.mp3"})
        else:
            asked.serve(mp3)

    public = Policy(allow_hosts=("public.example",), allow_private=True)
    with web_radio(respond) as radio:
        reach = transfer(public, public="127.0.0.1")
        with pytest.raises(SourceForbidden, match=r"127\.0\.0\.1 is not among the hosts"):
            WebFile(radio.url("/inside", "public.example"), reach)
        with pytest.raises(SourceError, match="not an address of the web"):
            WebFile(radio.url("/file", "public.example"), reach)
        with pytest.raises(SourceError, match="round in circles"):
            WebFile(radio.url("/circle", "public.example"), reach)
        moved = WebFile(radio.url("/moved", "public.example"), reach)
        assert moved.name == radio.url("/a.mp3", "public.example")
        assert moved.read(10) == mp3[:10]
        assert "/secret" not in {asked.path for asked in radio.requests}


def test_the_address_that_was_judged_is_the_one_asked(mp3: bytes) -> None:
    """A name server that answers something else the second time (DNS rebinding) gains nothing."""
    answers = iter([["192.0.2.1", "8.8.8.8"], ["127.0.0.1"]])
    with web_radio(lambda asked: asked.serve(mp3)) as radio:
        reach = Transfer(Policy(), timeout_s=0.2, resolve=lambda host, port: next(answers))
        with pytest.raises(SourceError):
            WebFile(radio.url("/", "rebinding.example"), reach)
        with pytest.raises(SourceForbidden, match="is an internal address"):
            WebFile(radio.url("/", "rebinding.example"), reach)
        assert radio.requests == []


def test_a_password_is_sent_to_its_server_alone_and_shown_to_nobody(mp3: bytes) -> None:
    def respond(asked: Asked) -> None:
        if "authorization" not in asked.headers and asked.path == "/a":
            asked.answer("401 Unauthorized")
        elif asked.path == "/a":
            asked.answer("302 Found", {"Location": other.url("/b")})
        else:
            asked.serve(mp3)

    with web_radio(respond) as radio, web_radio(respond) as other:
        address = f"http://loa:b%C3%AD@127.0.0.1:{radio.port}/a"
        WebFile(address, transfer(ANYTHING))
        assert radio.requests[0].headers["authorization"] == "Basic bG9hOmLDrQ=="
        assert "authorization" not in other.requests[0].headers
        with playing(address.replace("/a", "/a?key=secret"), settings=ONCE) as player:
            player.pull(960)
            assert "secret" not in player.title + player.reason


def test_a_stream_that_is_no_sound_fails_in_a_sentence() -> None:
    page = b"<html>" + b"x" * 100_000
    with (
        web_radio(lambda asked: asked.answer("200 OK", {}, page)) as radio,
        playing(radio.url("/"), settings=ONCE) as player,
        pytest.raises(SourceError, match="cannot open http"),
    ):
        player.pull(960)


def test_what_is_not_taken_is_not_read(mp3: bytes) -> None:
    """A server that sends as fast as it can does not fill our memory."""

    def respond(asked: Asked) -> None:
        asked.answer("200 OK", {"icy-name": "Loa"})
        while not asked.closing.is_set():
            asked.send(mp3)

    with web_radio(respond) as radio, playing(radio.url("/live")) as player:
        until(lambda: player.buffered_s > 8.5)
        out = np.zeros((2, 960), np.float32)
        for _ in range(3000):
            until(lambda: player.buffered_s > 0.1)
            assert player.take(out) == 960
            assert player.buffered_s <= 9.0
        assert (player.dropped_s, player.stats.dry, player.stats.ratio) == (0.0, 0, 1.0)
