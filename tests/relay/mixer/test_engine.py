"""The engine as a whole: against a float64 mix, with faulty and absent feeds, with rows that come and go."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from loacodecs.errors import ConfigurationError
from relay.mixer.block import FRAME, SILENCE_DBFS, MixerFull
from relay.mixer.ducking import DuckSettings
from relay.mixer.engine import STAGES, TAIL, MixEngine
from relay.mixer.silence import Silence, SilenceSettings

TOLERANCE = 1e-6


class Noise:
    """A feed of which every block is known: `left` and `right` are those of the last."""

    def __init__(self, seed: int, size: float = 0.1) -> None:
        self._random = np.random.default_rng(seed)
        self._size = size
        self.there = True
        self.last = np.zeros((2, FRAME), np.float32)

    def read(self, out: NDArray[np.float32]) -> bool:
        if not self.there:
            out[:] = 0.9  # what nobody may hear
            return False
        self.last = self._random.uniform(-self._size, self._size, (2, FRAME)).astype(np.float32)
        out[:] = self.last
        return True

    @property
    def exact(self) -> NDArray[np.float64]:
        return self.last.astype(np.float64)


class Constant:
    """The same value throughout, or what is put into `values`."""

    def __init__(self, value: float) -> None:
        self.values = np.full((2, FRAME), value, np.float32)

    def read(self, out: NDArray[np.float32]) -> bool:
        out[:] = self.values
        return True


def ticks(engine: MixEngine, count: int) -> None:
    for _ in range(count):
        engine.tick()


def test_mono_and_stereo_meet_on_mono_and_stereo_buses() -> None:
    engine = MixEngine(8, 8)
    mono, stereo = Noise(1), Noise(2)
    voice, music = engine.add_input(mono), engine.add_input(stereo, channels=2)
    narrow, wide = engine.add_bus(), engine.add_bus(channels=2)
    for bus in (narrow, wide):
        bus.route(voice, 0)
        bus.route(music, -6)
    voice.pan(-0.5)
    music.pan(0.5)
    ticks(engine, 2)
    said, quiet = mono.exact.mean(axis=0), stereo.exact * 10 ** (-6 / 20)
    far = math.sqrt(2) * math.cos(0.75 * math.pi / 2)
    assert engine.bus(narrow).shape == (1, FRAME)
    assert np.abs(engine.bus(narrow)[0] - (said + (quiet[0] * far + quiet[1]) / 2)).max() <= TOLERANCE
    assert np.abs(wide.samples[0] - (said * math.cos(math.pi / 8) + quiet[0] * far)).max() <= TOLERANCE
    assert np.abs(wide.samples[1] - (said * math.sin(math.pi / 8) + quiet[1])).max() <= TOLERANCE


def test_a_bus_without_one_input_is_its_mix_minus() -> None:
    engine = MixEngine(6, 6)
    feeds = [Noise(seed) for seed in range(6)]
    inputs = [engine.add_input(feed) for feed in feeds]
    buses = [engine.add_bus() for _ in inputs]
    for number, bus in enumerate(buses):
        for other, source in enumerate(inputs):
            bus.route(source, None if other == number else -3)
    ticks(engine, 2)
    for number, bus in enumerate(buses):
        others = [feed.exact.mean(axis=0) for other, feed in enumerate(feeds) if other != number]
        assert np.abs(bus.samples[0] - np.sum(others, axis=0) * 10 ** (-3 / 20)).max() <= TOLERANCE


def test_gain_mute_and_fade_work_together() -> None:
    engine = MixEngine(2, 2)
    source, bus = engine.add_input(Constant(0.5)), engine.add_bus()
    bus.route(source, 0)
    source.gain(-6)
    source.fade(-6, 0.02)
    ticks(engine, 2)
    assert bus.samples[0, -1] == pytest.approx(0.5 * 10 ** (-12 / 20), abs=1e-6)
    source.mute(True)
    ticks(engine, 2)
    assert not bus.samples.any()
    assert source.level().peak_dbfs == pytest.approx(-6.02, abs=0.01)


def test_the_announcement_pushes_the_programme_down_on_its_bus_only() -> None:
    engine = MixEngine(4, 4)
    programme, voice = Constant(0.5), Constant(0.0)
    music, speech = engine.add_input(programme), engine.add_input(voice)
    here, elsewhere = engine.add_bus(channels=2), engine.add_bus()
    for bus in (here, elsewhere):
        bus.route(music, 0)
        bus.route(speech, 0)
    rule = engine.add_duck(here, DuckSettings(depth_db=-20, attack_s=0.01, hold_s=0.02, release_s=0.01))
    rule.key(speech)
    rule.duck(music)
    ticks(engine, 2)
    middle = math.sqrt(0.5)
    assert here.samples[:, -1] == pytest.approx([0.5 * middle] * 2, abs=1e-6)
    voice.values[:] = 0.25
    ticks(engine, 1)
    assert here.samples[0, 0] == pytest.approx((0.25 + 0.5 * 10 ** (-1 / 480)) * middle, abs=1e-6)
    assert here.samples[:, -1] == pytest.approx([0.3 * middle] * 2, abs=1e-6)
    assert elsewhere.samples[0] == pytest.approx(np.full(FRAME, 0.75), abs=1e-6)
    speech.mute(True)
    ticks(engine, 4)
    assert here.samples[:, -1] == pytest.approx([0.5 * middle] * 2, abs=1e-6)


def test_a_rule_that_goes_gives_back_what_it_ducked() -> None:
    engine = MixEngine(2, 2)
    music, bus = engine.add_input(Constant(0.5)), engine.add_bus()
    bus.route(music, 0)
    for _ in range(5):
        rule = engine.add_duck(bus, DuckSettings(depth_db=-20, attack_s=0))
        rule.duck(music)
        rule.hold(True)
        ticks(engine, 2)
        assert bus.samples[0, -1] == pytest.approx(0.05, abs=1e-6)
        assert rule.gain == pytest.approx(0.1)
        engine.remove_duck(rule)
        ticks(engine, 2)
        assert bus.samples[0, -1] == pytest.approx(0.5, abs=1e-6)


def test_what_is_no_sound_becomes_silence_and_is_counted() -> None:
    engine = MixEngine(4, 2)
    broken, sound = Constant(0.25), Noise(1)
    inputs = [engine.add_input(broken, channels=2), engine.add_input(sound)]
    bus = engine.add_bus()
    for source in inputs:
        bus.route(source, 0)
    broken.values[0, :4] = [math.nan, math.inf, -math.inf, 1e30]
    broken.values[1, 7] = math.nan
    broken.values[1, 8] = 1e-30
    ticks(engine, 2)
    clean = np.full((2, FRAME), 0.25)
    clean[0, :4] = clean[1, 7:9] = 0
    assert np.abs(bus.samples[0] - clean.mean(axis=0) - sound.exact.mean(axis=0)).max() <= TOLERANCE
    assert [source.faults for source in inputs] == [10, 0]
    assert source.level().peak_dbfs < 0


def test_a_feed_that_has_nothing_is_silence_and_counted() -> None:
    engine = MixEngine(2, 2)
    here, gone = Noise(1), Noise(2)
    inputs = [engine.add_input(here), engine.add_input(gone)]
    bus = engine.add_bus()
    for source in inputs:
        bus.route(source, 0)
    ticks(engine, 2)
    gone.there = False
    ticks(engine, 10)
    assert np.abs(bus.samples[0] - here.exact.mean(axis=0)).max() <= TOLERANCE
    assert [source.missing for source in inputs] == [0, 10]
    assert inputs[1].level().rms_dbfs == SILENCE_DBFS
    gone.there = True
    ticks(engine, 1)
    both = here.exact.mean(axis=0) + gone.exact.mean(axis=0)
    assert np.abs(bus.samples[0] - both).max() <= TOLERANCE


class Counting:
    """A limiter that counts which sounds it was given, and lets the last block ring on, as one with look-ahead does."""

    latency = 240

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def process(self, block: NDArray[np.float32], firsts: NDArray[np.int64]) -> None:
        self.calls.append(firsts.tolist())

    def reset(self, row: int, channels: int = 1) -> None:
        pass

    def ceiling(self, first: int, dbtp: float) -> None:
        pass


def test_a_bus_rests_when_nothing_has_come_in_for_the_tail_and_wakes_with_the_first_block() -> None:
    from relay.mixer.operators import Bypass, Operators

    limiter, none = Counting(), Bypass()
    engine = MixEngine(2, 4, Operators(none, none, none, limiter, none))
    feed = Noise(1)
    source, used, idle = engine.add_input(feed), engine.add_bus(channels=2), engine.add_bus()
    used.route(source, 0)
    ticks(engine, 2)
    assert limiter.calls[-1] == [0]
    assert (used.sounding, idle.sounding) == (True, False)
    feed.there = False
    ticks(engine, TAIL)
    assert limiter.calls[-1] == [0]
    ticks(engine, 10)
    assert limiter.calls[-1] == []
    assert not used.sounding
    assert not used.samples.any()
    feed.there = True
    ticks(engine, 1)
    assert limiter.calls[-1] == [0]
    assert engine.latency == 240


class Ringing(Counting):
    """A limiter out of which something comes whatever goes in."""

    def process(self, block: NDArray[np.float32], firsts: NDArray[np.int64]) -> None:
        block[firsts] = 0.5


def test_nothing_is_left_of_what_an_operator_wrote_to_a_bus_that_has_come_to_rest() -> None:
    from relay.mixer.operators import Bypass, Operators

    none = Bypass()
    engine = MixEngine(1, 1, Operators(none, none, none, Ringing(), none))
    feed = Noise(1)
    source, bus = engine.add_input(feed), engine.add_bus()
    bus.route(source, 0)
    ticks(engine, 2)
    feed.there = False
    ticks(engine, TAIL)
    assert bus.samples.all()
    ticks(engine, 10)
    assert not bus.samples.any()


def test_a_bus_knows_its_silence_whether_it_rests_or_not() -> None:
    engine = MixEngine(2, 2)
    feed = Noise(1)
    source, bus = engine.add_input(feed), engine.add_bus()
    bus.route(source, 0)
    bus.watch(SilenceSettings(warn=3, switch=TAIL + 20, back=2))
    ticks(engine, 2)
    feed.there = False
    ticks(engine, 6)
    assert bus.silence is Silence.WARNED
    ticks(engine, TAIL + 20)
    assert bus.silence is Silence.SILENT
    feed.there = True
    ticks(engine, 2)
    assert bus.silence is Silence.HEARD


def test_rows_are_taken_freed_and_taken_again_without_a_past() -> None:
    engine = MixEngine(3, 2)
    bus = engine.add_bus(channels=2)
    first = engine.add_input(Constant(0.5), channels=2)
    bus.route(first, 0)
    first.gain(-40)
    first.mute(True)
    with pytest.raises(MixerFull, match="3 rows for inputs"):
        engine.add_input(Constant(0.1), channels=2)
    with pytest.raises(MixerFull):
        engine.add_bus()
    ticks(engine, 2)
    engine.remove_input(first)
    second = engine.add_input(Constant(0.25), channels=2)
    assert second.first == first.first
    ticks(engine, 1)
    assert not bus.samples.any()
    bus.route(second, 0)
    ticks(engine, 2)
    assert bus.samples == pytest.approx(np.full((2, FRAME), 0.25), abs=1e-7)
    with pytest.raises(ValueError, match="not in list"):
        engine.remove_input(first)


def test_a_removed_bus_takes_its_rules_along() -> None:
    engine = MixEngine(2, 2)
    music = engine.add_input(Constant(0.5))
    for _ in range(6):
        bus = engine.add_bus()
        bus.route(music, 0)
        rule = engine.add_duck(bus)
        rule.duck(music)
        rule.hold(True)
        ticks(engine, 1)
        engine.remove_bus(bus)
    bus = engine.add_bus()
    ticks(engine, 1)
    assert not bus.samples.any()
    bus.route(music, 0)
    ticks(engine, 2)
    assert bus.samples[0] == pytest.approx(np.full(FRAME, 0.5), abs=1e-7)


def test_each_bus_has_its_ceiling_and_who_takes_its_rows_does_not_inherit_it() -> None:
    from relay.mixer.standard import standard

    engine = MixEngine(2, 4, standard(2, 4))
    source = engine.add_input(Noise(1, size=4.0), channels=2)
    ceilings = {engine.add_bus(): -6.0, engine.add_bus(channels=2): -12.0, engine.add_bus(): None}
    for bus, ceiling in ceilings.items():
        bus.route(source, 0)
        if ceiling is not None:
            bus.ceiling(ceiling)
    with pytest.raises(ConfigurationError):
        next(iter(ceilings)).ceiling(0.5)
    ticks(engine, 50)
    for bus, ceiling in ceilings.items():
        limit = -1.0 if ceiling is None else ceiling
        assert limit - 4.5 < bus.level().peak_dbfs <= limit
        engine.remove_bus(bus)
    after = [engine.add_bus() for _ in ceilings]
    for bus in after:
        bus.route(source, 0)
    ticks(engine, 50)
    assert all(-5.5 < bus.level().peak_dbfs <= -1 for bus in after)


def test_a_tick_tells_its_stages_in_order() -> None:
    engine = MixEngine(2, 2)
    seen: list[str] = []
    engine.tick(seen.append)
    assert tuple(seen) == STAGES


def test_what_is_set_while_nothing_sounds_is_done_when_something_does() -> None:
    engine = MixEngine(1, 1)
    feed = Noise(1)
    source, bus = engine.add_input(feed), engine.add_bus()
    bus.route(source, 0)
    ticks(engine, 2)
    feed.there = False
    ticks(engine, 10)
    source.fade(-math.inf, 0.1)
    ticks(engine, 5)
    feed.there = True
    ticks(engine, 1)
    assert not bus.samples.any()
    feed.there = False
    source.fade(0, 0)
    ticks(engine, 10)
    source.mute(True)
    ticks(engine, 1)
    feed.there = True
    ticks(engine, 1)
    assert not bus.samples.any()


def test_the_block_in_which_an_input_falls_silent_is_heard_to_its_end() -> None:
    engine = MixEngine(2, 1)
    talker, music, bus = engine.add_input(Constant(0.5)), engine.add_input(Constant(0.25)), engine.add_bus()
    bus.route(talker, 0)
    bus.route(music, 0)
    ticks(engine, 2)
    talker.mute(True)
    music.fade(-math.inf, 0.02)
    ticks(engine, 1)
    place = np.arange(1, FRAME + 1)
    muting = 0.5 * (1 - np.minimum(place / 480, 1))
    fading = 0.25 * np.cos(place / FRAME * np.pi / 2)
    assert np.abs(bus.samples[0] - muting - fading).max() <= TOLERANCE
    ticks(engine, 1)
    assert not bus.samples.any()


def test_an_input_can_leave_a_rule_or_change_to_another() -> None:
    engine = MixEngine(1, 2)
    music, bus = engine.add_input(Constant(0.5)), engine.add_bus()
    bus.route(music, 0)
    deep, shallow = (engine.add_duck(bus, DuckSettings(depth_db=db, attack_s=0)) for db in (-20, -6))
    for rule in (deep, shallow):
        rule.hold(True)
    deep.duck(music)
    ticks(engine, 2)
    assert bus.samples[0, -1] == pytest.approx(0.05, abs=1e-6)
    shallow.duck(music)
    ticks(engine, 2)
    assert bus.samples[0, -1] == pytest.approx(0.5 * 10 ** (-6 / 20), abs=1e-6)
    shallow.duck(music, False)
    ticks(engine, 2)
    assert bus.samples[0, -1] == pytest.approx(0.5, abs=1e-6)
