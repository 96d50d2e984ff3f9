"""The silence detector, hours in milliseconds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mixer.block import blocks_of
from relay.mixer.silence import Silence, SilenceDetector, SilenceSettings

SHORT = SilenceSettings(level_dbfs=-45, warn=10, switch=20, back=5)
QUIET, LOUD = -60.0, -20.0


def feed(detector: SilenceDetector, level: float, blocks: int) -> list[Silence]:
    return [detector.update(level) for _ in range(blocks)]


def test_the_settings_asked_for_are_in_blocks_of_20_ms() -> None:
    usual = SilenceSettings()
    assert (usual.level_dbfs, usual.warn, usual.switch, usual.back) == (-45, 500, 1000, 250)
    assert blocks_of(0.05) == 3


def test_warns_switches_and_returns_with_the_very_block() -> None:
    detector = SilenceDetector(SHORT)
    states = feed(detector, QUIET, 25)
    assert states[:9] == [Silence.HEARD] * 9
    assert states[9:19] == [Silence.WARNED] * 10
    assert states[19:] == [Silence.SILENT] * 6
    assert feed(detector, LOUD, 5) == [Silence.SILENT] * 4 + [Silence.HEARD]


def test_a_pause_for_breath_is_no_silence() -> None:
    detector = SilenceDetector(SHORT)
    for _ in range(100):
        assert set(feed(detector, QUIET, 9)) | set(feed(detector, LOUD, 1)) == {Silence.HEARD}


def test_one_loud_block_takes_a_warning_back() -> None:
    detector = SilenceDetector(SHORT)
    assert feed(detector, QUIET, 15)[-1] is Silence.WARNED
    assert detector.update(LOUD) is Silence.HEARD
    assert feed(detector, QUIET, 15)[8:10] == [Silence.HEARD, Silence.WARNED]


def test_a_click_now_and_then_does_not_return_but_speech_with_pauses_does() -> None:
    detector = SilenceDetector(SHORT)
    feed(detector, QUIET, 20)
    for _ in range(50):
        assert detector.update(LOUD) is Silence.SILENT
        feed(detector, QUIET, 1)
    for _ in range(3):
        feed(detector, LOUD, 4)
        feed(detector, QUIET, 1)
    assert detector.state is Silence.HEARD


@given(st.lists(st.sampled_from([QUIET, LOUD]), max_size=200))
@settings(deadline=None)
def test_silent_only_after_enough_quiet_in_a_row(levels: list[float]) -> None:
    detector = SilenceDetector(SHORT)
    for number, level in enumerate(levels):
        before = detector.state
        after = detector.update(level)
        if before is not Silence.SILENT and after is Silence.SILENT:
            assert levels[number - 19 : number + 1] == [QUIET] * 20
        if before is Silence.SILENT and after is not Silence.SILENT:
            assert level == LOUD
