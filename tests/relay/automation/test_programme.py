"""One channel's automation, by hand clock and by ear: the real engine, sources that are arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from relay.automation_ports import InputChange, InputSetting, Saved
from relay.errors import InputNotFound, ItemNotFound
from tests.support.hand_mixer import HandMixer, HandSource, endless, tone_source
from tests.support.hand_station import Station, Switch, hertz, two
from tests.support.interleaving import at_every_turn
from tests.support.tones import dominant_frequency, level_dbfs


def test_the_fallback_comes_after_twenty_seconds_and_goes_after_five() -> None:
    switch = Switch()
    station = two(switch)
    assert hertz(station.run(3)) == pytest.approx(500, abs=1)

    switch.on = False
    station.run(9.5)
    assert station.verdicts()["tinh"] == "heard"
    station.run(1)
    assert station.verdicts()["tinh"] == "warned"
    quiet = station.run(9.3)
    assert level_dbfs(quiet) < -60
    assert station.on_air == "tinh"
    station.run(0.4)
    assert station.on_air == "music"
    assert station.automation.view(True).reason == "tinh is silent"
    station.run(1)
    assert hertz(station.run(2)) == pytest.approx(800, abs=1)

    switch.on = True
    sound = station.run(4.8)
    assert hertz(sound) == pytest.approx(800, abs=1)
    station.run(0.5)
    assert station.on_air == "tinh"
    station.run(1)
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)
    assert station.automation.switches == 3


def test_the_switch_is_a_cross_fade_without_a_gap() -> None:
    switch = Switch()
    station = two(switch)
    station.automation.play(station.now, station.now, source="music", item=None)
    sound = station.run(1.5)
    for start in range(0, len(sound) - 4800, 2400):
        assert level_dbfs(sound[start : start + 4800]) > -19, "equal power, and never a hole"


def test_a_file_to_fall_back_on_goes_on_where_it_was_left() -> None:
    switch = Switch()
    station = two(switch)
    music = station.opens["music.flac"]
    assert isinstance(music, HandSource)
    assert (music.state, music.position) == ("paused", 0), "ready, and not playing"
    station.automation.play(station.now, station.now, source="music", item=None)
    station.run(3)
    station.automation.play(station.now, station.now, source=None, item=None)
    station.run(2)
    assert music.state == "paused"
    assert music.position_s == pytest.approx(4.0, abs=0.3)


def test_a_stream_that_breaks_off_falls_back_and_its_fault_is_named() -> None:
    station = two(Switch())
    stream = station.opens["https://tinh/live"]
    assert isinstance(stream, HandSource)
    stream.state, stream.reason = "opening", "https://tinh/live ended; trying again in 0.5 s"
    station.run(20.3)
    assert station.on_air == "music"
    view = station.automation.view(True).sources[1]
    assert (view.verdict, view.fault) == ("silent", "https://tinh/live ended; trying again in 0.5 s")
    stream.state, stream.reason = "playing", ""
    station.run(5.3)
    assert station.on_air == "tinh"


def test_a_file_that_was_taken_away_is_missed_at_once_and_taken_up_again() -> None:
    files = [tone_source(500, 9.0, loop=True), tone_source(600, 9.0, loop=True)]
    first = files[0]
    station = Station(
        {"a.mp3": files, "b.mp3": tone_source(800, 9.0, loop=True)},
        [{"source": "a.mp3", "name": "a"}, {"source": "b.mp3", "name": "b"}],
        {"fade": "0s"},
    )
    station.run(1)
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)
    first.fail("cannot open a.mp3: no such file or directory")
    station.run(0.2)
    assert station.on_air == "b"
    assert station.automation.view(True).sources[1].fault == "cannot open a.mp3: no such file or directory"
    station.run(9)
    assert hertz(station.run(0.5)) == pytest.approx(800, abs=1)
    station.run(1)
    assert first.closed
    assert hertz(station.run(1)) == pytest.approx(600, abs=1)
    assert station.automation.view(True).sources[1].fault == ""


def test_the_queue_goes_first_plays_to_the_last_sample_and_gives_back() -> None:
    switch = Switch()
    station = two(switch)
    sounds = {name: tone_source(frequency, 1.0) for name, frequency in (("x", 1000), ("y", 1200))}
    station.opens |= sounds
    station.add("x", "y")
    assert station.on_air == "queue"
    sound = station.run(4)
    assert dominant_frequency(sound[9600:47_000]) == pytest.approx(1000, abs=2)
    assert dominant_frequency(sound[57_600:95_000]) == pytest.approx(1200, abs=2)
    assert [each.id for each in station.automation.view(True).past] == ["y", "x"]
    assert all(sound.position == 48_000 for sound in sounds.values())
    assert station.on_air == "tinh"
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)
    station.run(3)
    assert "queue" not in station.mixer.inputs, "a mixer without inputs may rest"


def test_what_begins_in_the_queue_is_not_faded_in() -> None:
    station = Station({"x": tone_source(1000, 2.0)}, (), {"fade": "2s"})
    station.run(0.1)
    station.add("x")
    assert level_dbfs(station.run(0.1)[960:]) == pytest.approx(-15.05, abs=0.1)


def test_a_queue_that_cannot_be_opened_keeps_nothing_from_the_air() -> None:
    station = two(Switch())
    bad = HandSource(state="opening")
    station.opens |= {"bad": bad, "good": tone_source(1000, 1.0)}
    station.add("bad", "good")
    assert hertz(station.run(2)) == pytest.approx(500, abs=1)
    bad.fail("bad does not answer within 10 s")
    station.run(0.3)
    assert station.on_air == "queue"
    assert dominant_frequency(station.run(0.5)) == pytest.approx(1000, abs=3)
    past = station.automation.view(True).past[0]
    assert (past.id, past.outcome, past.fault) == ("bad", "failed", "bad does not answer within 10 s")


def test_thousands_of_items_are_not_opened_before_their_time() -> None:
    station = Station({}, (), {"queue_max": 5000})
    for number in range(5000):
        station.opens[str(number)] = tone_source(500, 0.5)
    station.add(*map(str, range(5000)))
    station.run(1.1)
    assert len(station.opened) < 8
    view = station.automation.view(True)
    assert (view.length, len(view.queue)) == (4998, 20)


def test_skip_remove_move_and_clear() -> None:
    station = two(Switch())
    station.opens |= {
        name: HandSource(generate=endless(1000 + 200 * place)) for place, name in enumerate("xyz")
    }
    station.add("x", "y", "z")
    station.run(1)
    station.automation.skip(station.now, station.now)
    assert hertz(station.run(1)[4800:]) == pytest.approx(1200, abs=1)
    assert station.automation.view(True).past[0].outcome == "skipped"
    station.automation.queue.remove("y")
    station.automation.queue_changed(station.now, station.now)
    assert hertz(station.run(1)[4800:]) == pytest.approx(1400, abs=1)
    station.automation.queue.clear()
    station.automation.queue_changed(station.now, station.now)
    station.run(1.2)
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)
    with pytest.raises(ItemNotFound):
        station.automation.skip(station.now, station.now)


def test_who_is_interrupted_goes_on_where_he_was() -> None:
    station = Station(
        {"long": [tone_source(500, 9.0), tone_source(500, 9.0)], "news": tone_source(1000, 1.0)}
    )
    station.add("long")
    station.run(2)
    station.add("news", place=0)
    assert hertz(station.run(0.8)[4800:]) == pytest.approx(1000, abs=2)
    station.run(1)
    assert station.starts[-1] == pytest.approx(2.0, abs=0.15)
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)


def test_stop_and_play() -> None:
    station = two(Switch())
    station.automation.stop(station.now, fade_s=0.5)
    station.run(0.6)
    assert level_dbfs(station.run(5)) < -100
    assert station.automation.view(True).stopped
    station.automation.play(station.now, station.now, source=None, item=None)
    station.run(1)
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)
    with pytest.raises(InputNotFound, match="it has queue, tinh, music"):
        station.automation.play(station.now, station.now, source="radio", item=None)


def test_who_publishes_is_the_programme_and_the_list_comes_back_behind_him() -> None:
    station = Station(
        {"music.flac": tone_source(800, 30.0, loop=True)},
        ["publishers", {"source": "music.flac", "name": "music"}],
    )
    station.run(2)
    assert station.on_air == "music"
    voice = HandSource(state="playing", generate=endless(300))
    station.mixer.add_input("publisher-1", voice, kind="publisher", label="đài xã")
    station.run(0.3)
    assert station.on_air == "publishers"
    station.run(1)
    assert hertz(station.run(1)) == pytest.approx(300, abs=1)
    assert station.automation.view(True).sources[1].title == "đài xã"
    station.mixer.remove_input("publisher-1")
    station.run(1.3)
    assert hertz(station.run(1)) == pytest.approx(800, abs=1)


def test_a_restart_finds_queue_position_choice_and_gains() -> None:
    station = two(Switch())
    station.opens |= {"x": tone_source(1000, 20.0), "y": tone_source(1200, 20.0)}
    station.add("x", "y")
    station.run(3)
    station.automation.change_input("tinh", InputChange(gain_db=-12.0))
    station.automation.play(station.now, station.now, source="queue", item=None)
    saved = station.automation.saved()
    assert [item.position_s for item in saved.items] == [pytest.approx(3.0, abs=0.15), 0.0]

    again = Station(
        {
            "https://tinh/live": Switch().source(500),
            "music.flac": tone_source(800, 30.0, loop=True),
            "x": tone_source(1000, 20.0),
            "y": tone_source(1200, 20.0),
        },
        station.sources,
        saved=saved,
    )
    assert hertz(again.run(2)[4800:]) == pytest.approx(1000, abs=1)
    assert again.starts[again.opened.index("x")] == pytest.approx(3.0, abs=0.15)
    assert again.automation.view(True).pinned == "queue"
    assert again.mixer.inputs["tinh"].gains[-1] == -12.0


def test_an_input_that_was_muted_is_not_heard_for_a_moment_after_a_restart() -> None:
    """The configuration's own are there before automation is."""
    mixer = HandMixer()
    mixer.add_input("studio", HandSource(state="playing", generate=endless(500)))
    saved = Saved(inputs={"studio": InputSetting(gain_db=-6.0, muted=True)})
    station = Station({}, saved=saved, mixer=mixer)
    station.mixer.hear(1)  # a mute takes 10 ms
    assert level_dbfs(station.run(0.5)) < -100


def test_an_operator_duck_holds_until_it_is_let_go() -> None:
    station = two(Switch())
    station.automation.duck(True)
    assert station.mixer.held
    station.automation.duck(False)
    assert not station.mixer.held


def test_noise_that_is_no_sound_counts_as_silence() -> None:
    switch = Switch()
    station = two(switch)
    stream = station.opens["https://tinh/live"]
    assert isinstance(stream, HandSource)
    stream.generate = lambda _at, count: np.full(count, np.nan, np.float32)
    station.run(20.3)
    assert station.on_air == "music"
    station.run(1.2)
    assert hertz(station.run(1)) == pytest.approx(800, abs=1)


def test_a_mixer_without_room_for_the_queue_says_so() -> None:
    switch = Switch()
    station = two(switch)
    for number in range(6):
        station.mixer.add_input(f"publisher-{number}", HandSource())
    station.opens["x"] = tone_source(1000, 1.0)
    station.add("x")
    station.run(1)
    assert station.automation.view(True).sources[0].fault == "no room"
    assert hertz(station.run(1)) == pytest.approx(500, abs=1)


def test_who_leaves_while_his_fader_is_moved_is_not_there() -> None:
    """He leaves by the mixer's thread; whoever moves the fader is told that he is not there, if anything."""

    def make() -> tuple[Callable[[], bool], Callable[[], None]]:
        station = Station({}, ["publishers"])
        station.mixer.add_input("publisher-1", HandSource(live=True), label="xã", kind="publisher")
        return lambda: moved(station), lambda: station.mixer.remove_input("publisher-1")

    def moved(station: Station) -> bool:
        try:
            station.automation.change_input("publisher-1", InputChange(muted=True))
        except InputNotFound:
            return False
        return True

    assert set(at_every_turn(make)) == {False, True}
