"""What is heard when the link falls and comes back, and at the edges of the quiet hours. Hand clock throughout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loacodecs.opus import Pcm
from loaedge.local.cache import Cache
from loaedge.local.director import Fallback
from loaedge.local.quiet import QuietHours
from loaedge.local.selector import LiveState, SelectorSettings, Sounding
from loaedge.local.timetable import BulletinClass, Entry, parse_days, parse_time
from tests.support.hand_receiver import RATE, HandReceiver, write_wav

LIVE, LOCAL = 0.5, 0.25
SMOOTH = 0.002
"""Per sample; a click would be a step of the sound's own size."""


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "news.wav", 40.0, LOCAL)


def news(path: Path, at: str = "12:00", name: str = "news", **more: object) -> Entry:
    return Entry(name, parse_days("daily"), parse_time(at), path, **more)  # type: ignore[arg-type]


def first(pcm: Pcm) -> float | None:
    """Seconds until something is heard."""
    sounding = np.flatnonzero(pcm)
    return float(sounding[0]) / RATE if len(sounding) else None


def steepest(pcm: Pcm) -> float:
    return float(np.abs(np.diff(pcm)).max())


def test_live_sound_passes_untouched(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T11:59:50", (news(wav),))
    receiver.link(True)
    receiver.live.on = True
    assert np.all(receiver.run(30.0) == np.float32(LIVE))
    assert receiver.selector.sounding == Sounding("live")


def test_a_programme_begins_at_its_time_while_the_link_is_down(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T11:59:30", (news(wav),))
    receiver.link(False)
    begin = first(receiver.run(60.0))
    assert begin is not None
    assert 30.0 <= begin <= 31.0
    assert receiver.selector.sounding == Sounding("local", "news")


@pytest.mark.parametrize("falls_at", [-29.0, -10.0, -1.0, 0.0, 10.0])
def test_a_link_that_dies_unseen_around_that_time_is_found_out_in_time(wav: Path, falls_at: float) -> None:
    """The session seems to stand, since an idle one is looked at once a minute only: so the selector has it probed."""
    receiver = HandReceiver("2026-11-26T11:59:30", (news(wav),))
    receiver.link(True)
    heard = []
    for _ in range(140):
        if receiver.selector.probe_due(receiver.now):
            alive = receiver.now - 1000.0 < 30.0 + falls_at
            asked = receiver.selector.live_state.unanswered
            unanswered = None if alive else asked or receiver.now
            receiver.selector.live_state = LiveState(True, 1000.0, unanswered)
        heard.append(receiver.run(0.5))
    begin = first(np.concatenate(heard))
    assert begin is not None
    assert begin - 30.0 <= 30.0


def test_the_probe_is_not_a_habit(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T06:00:00", (news(wav),))
    receiver.link(True)
    probes = []
    for _ in range(12 * 3600):
        if receiver.selector.probe_due(receiver.now):
            probes.append(receiver.now)
        receiver.leap(1.0)
    assert 2 <= len(probes) <= 6


def test_while_the_link_is_up_the_relay_decides(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T11:59:30", (news(wav),))
    receiver.link(True)
    assert first(receiver.run(90.0)) is None


def test_a_programme_that_the_relay_has_played_is_not_played_again(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T11:59:50", (news(wav),))
    receiver.link(True)
    receiver.live.on = True
    receiver.run(30.0)
    receiver.live.on = False
    receiver.link(False)
    assert first(receiver.run(60.0)) is None


def test_a_programme_plays_once_a_day(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", (news(wav),))
    receiver.link(False)
    assert np.count_nonzero(receiver.run(300.0)) == 40 * RATE
    receiver.leap(24 * 3600 - 310)
    assert np.count_nonzero(receiver.run(100.0)) == 40 * RATE


def test_the_way_back_is_a_fade_at_a_pause(tmp_path: Path) -> None:
    """Speech of 6 s, a pause, speech: the live sound comes in the pause and not in a word."""
    for number, level in enumerate((LOCAL, 0.0, LOCAL)):
        write_wav(tmp_path / f"{number}.wav", (6.0, 2.0, 60.0)[number], level)
    receiver = HandReceiver("2026-11-26T12:00:00", (news(tmp_path),))
    receiver.link(False)
    begun = first(receiver.run(7.0))
    assert begun is not None
    receiver.link(True)
    receiver.live.on = True
    heard = receiver.run(14.0)
    word_ends = 6.0 + begun - 7.0
    changed = np.flatnonzero(np.abs(heard - LOCAL) > 1e-4)[0] / RATE
    assert word_ends <= changed <= word_ends + 0.05
    fade = heard[round((word_ends + 0.2) * RATE) :]
    assert steepest(fade) < SMOOTH
    assert np.all(heard[-RATE:] == np.float32(LIVE))
    assert receiver.director.current is None


def test_without_a_pause_it_comes_in_time_and_no_click_is_heard(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", (news(wav),), settings=SelectorSettings(back_within_s=8.0))
    receiver.link(False)
    receiver.run(7.0)
    receiver.link(True)
    receiver.live.on = True
    heard = receiver.run(14.0)
    assert steepest(heard) < SMOOTH
    assert np.all(heard[: 9 * RATE] == np.float32(LOCAL))
    assert np.all(heard[12 * RATE :] == np.float32(LIVE))
    # Equal power: the two are in phase here, so the sum may rise, and it must never fall into a hole.
    assert heard.min() >= LOCAL - 1e-3


def test_the_way_back_may_wait_for_the_end(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", 20.0, LOCAL)
    receiver = HandReceiver("2026-11-26T12:00:00", (news(path),), settings=SelectorSettings(back="end"))
    receiver.link(False)
    receiver.run(8.0)
    receiver.link(True)
    receiver.live.on = True
    heard = receiver.run(25.0)
    local = np.flatnonzero(heard == np.float32(LOCAL))
    assert 16.0 <= len(local) / RATE <= 18.5
    assert np.all(heard[-5 * RATE :] == np.float32(LIVE))


def test_a_short_appearance_of_live_sound_is_not_believed(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", (news(wav),))
    receiver.link(False)
    receiver.run(7.0)
    for _ in range(4):
        receiver.link(True)
        receiver.live.on = True
        assert np.all(receiver.run(1.5) == np.float32(LOCAL))
        receiver.live.on = False
        receiver.link(False)
        assert np.all(receiver.run(1.5) == np.float32(LOCAL))


def test_a_live_emergency_takes_over_at_once(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", (news(wav),), settings=SelectorSettings(back="end"))
    receiver.link(False)
    receiver.run(7.0)
    receiver.live.on = True
    receiver.link(True, kind="emergency")
    heard = receiver.run(3.0)
    assert np.flatnonzero(heard != np.float32(LOCAL))[0] < 0.6 * RATE
    assert heard[2 * RATE] == np.float32(LIVE)


def test_a_local_emergency_pre_empts_a_normal_programme(tmp_path: Path, wav: Path) -> None:
    siren = write_wav(tmp_path / "siren.wav", 5.0, 0.75)
    entries = (news(wav), news(siren, "12:01", "flood", kind="emergency"))
    receiver = HandReceiver("2026-11-26T12:00:30", entries)
    receiver.link(False)
    heard = receiver.run(50.0)
    assert heard[25 * RATE] == np.float32(LOCAL)
    assert np.flatnonzero(heard == np.float32(0.75))[0] <= 31 * RATE
    assert receiver.selector.sounding.source == "silence"


def test_the_fallback_plays_when_the_channel_was_on_air(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", fallback=Fallback(wav, after_s=20.0))
    receiver.link(True)
    receiver.live.on = True
    receiver.run(5.0)
    receiver.live.on = False
    receiver.link(False)
    begin = first(receiver.run(30.0))
    assert begin is not None
    assert 19.5 <= begin <= 21.0
    assert receiver.selector.sounding.programme == "fallback"


def test_the_fallback_is_silent_when_nothing_was_on_air(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", fallback=Fallback(wav))
    receiver.link(False)
    assert first(receiver.run(60.0)) is None
    always = HandReceiver("2026-11-26T12:00:00", fallback=Fallback(wav, always=True))
    always.link(False)
    assert first(always.run(60.0)) is not None


def test_a_timetabled_programme_comes_before_the_fallback(wav: Path, tmp_path: Path) -> None:
    filler = write_wav(tmp_path / "filler.wav", 5.0, 0.125)
    fallback = Fallback(filler, always=True, repeat=True)
    receiver = HandReceiver("2026-11-26T11:59:00", (news(wav),), fallback=fallback)
    receiver.link(False)
    heard = receiver.run(100.0)
    assert heard[50 * RATE] == np.float32(0.125)
    assert heard[65 * RATE] == np.float32(LOCAL)


def test_with_the_clock_at_1970_nothing_scheduled_plays_and_nothing_live_either(wav: Path) -> None:
    receiver = HandReceiver(None, (news(wav),), fallback=Fallback(wav, always=True))
    receiver.wall.note_system(3600.0, receiver.now)
    receiver.link(False)
    assert first(receiver.run(60.0)) is None
    receiver.link(True)
    receiver.live.on = True
    assert first(receiver.run(5.0)) is None
    assert receiver.selector.words(receiver.now) == ("time unknown: no timetable, quiet",)
    receiver.wall.note_system(1_795_000_000.0, receiver.now)  # 2026-11-18 18:06 in Vietnam
    assert first(receiver.run(1.0)) == 0.0


def test_a_fallback_may_be_allowed_without_time(wav: Path) -> None:
    receiver = HandReceiver(None, fallback=Fallback(wav, always=True, without_time=True))
    receiver.link(False)
    assert first(receiver.run(60.0)) is not None


@pytest.mark.parametrize("kind", ["normal", "priority"])
def test_live_sound_is_silent_to_the_sample_in_quiet_hours(kind: BulletinClass) -> None:
    receiver = HandReceiver("2026-11-26T20:59:58")
    receiver.live.on = True
    receiver.link(True, kind=kind)
    heard = receiver.run(4.0)
    assert heard[RATE] == np.float32(LIVE)
    assert steepest(heard[RATE:]) < SMOOTH
    assert np.all(heard[2 * RATE :] == 0)
    assert receiver.selector.sounding == Sounding("live", "", kind, quiet=True)
    assert receiver.selector.words(receiver.now) == ("quiet hours",)
    receiver.leap(8 * 3600 - 4)
    morning = receiver.run(4.0)
    assert np.all(morning[: 2 * RATE] == 0)
    assert morning[-1] == np.float32(LIVE)
    assert steepest(morning) < SMOOTH


def test_an_emergency_is_heard_at_night(tmp_path: Path) -> None:
    siren = write_wav(tmp_path / "siren.wav", 5.0, 0.75)
    receiver = HandReceiver("2026-11-26T03:14:55", (news(siren, "03:15", "flood", kind="emergency"),))
    receiver.link(False)
    assert first(receiver.run(20.0)) is not None
    receiver.live.on = True
    receiver.link(True, kind="emergency")
    assert np.all(receiver.run(2.0)[RATE:] == np.float32(LIVE))


def test_a_programme_set_to_the_night_is_refused_and_named(wav: Path) -> None:
    """Also not heard late, when the quiet hours end within the time it may still begin."""
    entries = (news(wav, "03:15"), news(wav, "04:55", "early"))
    receiver = HandReceiver("2026-11-26T03:14:00", entries)
    receiver.link(False)
    receiver.run(120.0)
    receiver.leap(5880.0)
    assert first(receiver.run(600.0)) is None
    assert [word.split(":")[0] for word in receiver.selector.words(receiver.now)] == ["news", "early"]


def test_a_programme_that_runs_into_the_quiet_hours_is_faded_out(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T20:59:30", (news(wav, "20:59"),))
    receiver.link(False)
    heard = receiver.run(50.0)
    assert heard[20 * RATE] == np.float32(LOCAL)
    assert np.all(heard[30 * RATE :] == 0)


def test_a_programme_that_begins_just_before_the_night_is_not_heard_in_it(wav: Path, tmp_path: Path) -> None:
    """The gate was left open by a programme of the evening."""
    short = write_wav(tmp_path / "short.wav", 2.0, LOCAL)
    entries = (news(short, "20:58", "evening"), news(wav, "20:59", "late"))
    receiver = HandReceiver("2026-11-26T20:58:40", entries)
    receiver.link(False)
    assert first(receiver.run(15.0)) is not None
    receiver.link(True)
    receiver.run(59.3)
    receiver.link(False)
    assert not np.any(receiver.run(40.0)[round(5.7 * RATE) :])


def test_hours_that_are_not_quiet_have_no_edge() -> None:
    receiver = HandReceiver("2026-11-26T20:59:59", quiet=QuietHours.parse("00:00-00:00"))
    receiver.live.on = True
    receiver.link(True)
    assert np.all(receiver.run(3.0) == np.float32(LIVE))


def chime() -> Pcm:
    return np.full((RATE // 2, 1), 0.1, np.float32)


def test_a_chime_comes_before_a_local_programme_and_takes_none_of_it(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", (news(wav),), chime=chime())
    receiver.link(False)
    heard = receiver.run(60.0)
    begin = np.flatnonzero(heard)[0]
    assert np.all(heard[begin : begin + RATE // 2] == np.float32(0.1))
    assert np.count_nonzero(heard == np.float32(LOCAL)) == 40 * RATE


def test_a_programme_out_of_silence_waits_for_the_amplifier_and_one_after_another_does_not(wav: Path) -> None:
    entries = (news(wav, limit_s=20.0), news(wav, at="12:01", name="more"))
    settings = SelectorSettings(lead_s=2.0)
    receiver = HandReceiver("2026-11-26T11:59:50", entries, settings=settings, chime=chime())
    receiver.link(False)
    assert not np.any(receiver.run(10.0))
    heard = receiver.run(1.0)
    assert not np.any(heard)
    assert receiver.selector.sounding == Sounding("local", "news"), "what the amplifier is switched on by"
    heard = np.concatenate([heard, receiver.run(25.0)])
    begin = first(heard)
    assert begin is not None
    assert 2.0 <= begin <= 2.6
    assert np.count_nonzero(heard == np.float32(LOCAL)) == pytest.approx(19.5 * RATE, abs=2), (
        "none of it is lost"
    )


def test_a_programme_that_takes_over_from_live_sound_waits_for_nothing(wav: Path) -> None:
    receiver = HandReceiver("2026-11-26T11:59:40", (news(wav),), settings=SelectorSettings(lead_s=2.0))
    receiver.link(True)
    receiver.live.on = True
    receiver.run(5.0)
    receiver.link(False)  # what is buffered is heard on
    assert np.all(receiver.run(30.0) > 0)
    assert receiver.selector.sounding.source == "local"


def test_a_chime_rings_once_before_live_sound_and_again_after_a_rest() -> None:
    receiver = HandReceiver("2026-11-26T12:00:00", chime=chime())
    receiver.link(True)
    for rest, rings in ((5.0, True), (30.0, False), (70.0, True)):
        receiver.run(rest)
        receiver.live.on = True
        heard = receiver.run(3.0)
        receiver.live.on = False
        assert (heard[RATE // 10] != np.float32(LIVE)) is np.bool_(rings)
        assert heard[-1] == np.float32(LIVE)


def test_no_chime_at_night() -> None:
    receiver = HandReceiver("2026-11-26T20:59:59.700000", chime=chime())
    receiver.link(True)
    receiver.live.on = True
    assert np.all(receiver.run(60.0)[round(0.3 * RATE) :] == 0)


def test_a_broken_file_is_named_and_the_rest_of_the_day_goes_on(tmp_path: Path, wav: Path) -> None:
    broken = tmp_path / "broken.opus"
    broken.write_bytes(b"OggS")
    receiver = HandReceiver("2026-11-26T11:59:59", (news(broken, name="first"), news(wav, "12:01", "second")))
    receiver.link(False)
    heard = receiver.run(80.0)
    assert heard[65 * RATE] == np.float32(LOCAL)
    assert receiver.selector.words(receiver.now) == (
        "first: broken.opus: corrupt: this is no Ogg Opus stream",
    )


def test_a_truncated_cache_is_noticed_before_it_plays(tmp_path: Path, wav: Path) -> None:
    Cache(tmp_path).adopt(wav.name)
    wav.write_bytes(wav.read_bytes()[:100_000])
    receiver = HandReceiver("2026-11-26T11:59:59", (news(wav),))
    receiver.link(False)
    assert first(receiver.run(20.0)) is None
    (word,) = receiver.selector.words(receiver.now)
    assert word.startswith("news: news.wav: truncated")


@pytest.mark.parametrize("block", [7, 441, 960, 4800, 48_000])
def test_the_night_begins_to_the_sample_in_blocks_of_any_size(block: int) -> None:
    receiver = HandReceiver("2026-11-26T20:59:59.300000")
    receiver.live.on = True
    receiver.link(True)
    receiver.selector.tick(receiver.now)
    starts = range(0, RATE, block)
    pcm = np.concatenate(
        [receiver.selector.render(block, receiver.now + start / RATE)[:, 0] for start in starts]
    )
    assert pcm.dtype == np.float32
    assert pcm[RATE // 20] == np.float32(LIVE), "before the edge: it and a block of it fit before the night"
    assert steepest(pcm) < SMOOTH
    assert np.all(pcm[7 * RATE // 10 :] == 0)
