"""Against scipy's own filter in float64; switched without a click; nothing that stays for ever."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from loacodecs.errors import ConfigurationError
from relay.mixer.block import FRAME, SAMPLE_RATE
from relay.mixer.filters import HornFilter, HornSettings, horn_sections
from tests.relay.mixer.signals import run


def response(settings, *hz):
    _, values = signal.freqz_sos(horn_sections(settings), worN=list(hz), fs=SAMPLE_RATE)
    return 20 * np.log10(np.abs(values))


def test_what_it_does_to_a_tone():
    low, corner, middle, presence, high = response(HornSettings(), 62.5, 250, 1000, 3000, 16_000)
    assert low < -45
    assert corner == pytest.approx(-3, abs=0.1)
    assert abs(middle) < 1
    assert presence == pytest.approx(4, abs=0.05)
    assert abs(high) < 0.5
    assert response(HornSettings(high_pass_hz=0, presence_db=-6), 100, 3000) == pytest.approx(
        [0, -6], abs=0.05
    )
    assert horn_sections(HornSettings(high_pass_hz=0, presence_db=0)).shape == (0, 6)


def test_many_rows_are_filtered_as_by_scipy():
    rng = np.random.default_rng(1)
    sound = rng.uniform(-1, 1, (70, 10 * FRAME)).astype(np.float32)
    horn = HornFilter(70)
    rows = np.flatnonzero(np.arange(70) % 7)
    for row in rows:
        horn.switch(row, True)
        horn.reset(row)
    out = sound.copy()
    for start in range(0, out.shape[1], FRAME):
        block = out[:, start : start + FRAME].copy()
        horn.process(block, np.arange(70))
        out[:, start : start + FRAME] = block
    wanted = sound.astype(np.float64)
    wanted[rows] = signal.sosfilt(horn_sections(), wanted[rows], axis=1)
    assert 20 * np.log10(np.abs(out - wanted).max()) < -120
    off = np.arange(70) % 7 == 0
    assert np.array_equal(out[off], sound[off])


def test_a_switch_does_not_click():
    """Between two blocks, and within, a tone's second difference stays what it is by itself."""
    tone = 0.5 * np.sin(2 * np.pi * 400 * np.arange(30 * FRAME) / SAMPLE_RATE)[np.newaxis]
    horn = HornFilter(1)
    blocks = iter(range(30))

    def each():
        at = next(blocks)
        if at == 9:
            horn.switch(0, True)
        if at == 19:
            horn.switch(0, False)

    out = run(horn, tone, each)
    alone = np.abs(np.diff(tone, 2)).max()
    assert np.abs(np.diff(out, 2)).max() < 1.5 * alone
    assert np.array_equal(out[0, : 10 * FRAME], tone[0, : 10 * FRAME].astype(np.float32))
    assert np.array_equal(out[0, 21 * FRAME :], tone[0, 21 * FRAME :].astype(np.float32))
    assert not np.array_equal(
        out[0, 11 * FRAME : 20 * FRAME], tone[0, 11 * FRAME : 20 * FRAME].astype(np.float32)
    )


def test_no_number_does_not_stay():
    horn = HornFilter(1)
    horn.switch(0, True)
    sound = np.random.default_rng(1).uniform(-1, 1, (1, 6 * FRAME))
    sound[0, 100] = np.nan
    sound[0, 3 * FRAME] = np.inf
    out = run(horn, sound)
    assert np.isfinite(out).all()
    assert np.abs(out[0, 5 * FRAME :]).max() > 0.5


def test_silence_becomes_silence():
    """What rings out ends at zero, not among the denormal numbers."""
    horn = HornFilter(1)
    horn.switch(0, True)
    sound = np.zeros((1, 100 * FRAME))
    sound[0, :FRAME] = 1
    out = run(horn, sound)
    assert not out[0, -50 * FRAME :].any()
    tiny = np.abs(out[out != 0]).min()
    assert tiny > np.finfo(np.float32).tiny


def test_settings_out_of_range():
    for wrong in ({"high_pass_hz": 5}, {"presence_db": 20}, {"presence_hz": 50}, {"presence_q": 0}):
        with pytest.raises(ConfigurationError):
            HornSettings(**wrong)
