"""PCM as devices take it."""

from __future__ import annotations

import numpy as np
import pytest

from loaedge.outputs.output import DeviceSettings
from loaedge.outputs.samples import encode, frame_bytes

MONO = np.array([[0.5], [-1.0], [3.0]], np.float32)
FLOAT, WORDS = DeviceSettings(channels=2), DeviceSettings(channels=2, sample_format="s16")


def test_mono_goes_to_both_loudspeakers() -> None:
    assert np.frombuffer(encode(MONO, 3, FLOAT), np.float32).tolist() == [0.5, 0.5, -1, -1, 1, 1]
    assert np.frombuffer(encode(MONO, 3, WORDS), np.int16).tolist() == [
        *(16384, 16384),
        *(-32767, -32767),
        *(32767, 32767),
    ]


def test_stereo_is_averaged_for_one_loudspeaker() -> None:
    stereo = np.array([[0.5, -0.5], [1.0, 0.5]], np.float32)
    assert np.frombuffer(encode(stereo, 2, DeviceSettings()), np.float32).tolist() == [0, 0.75]


def test_what_is_no_number_is_silence() -> None:
    broken = np.array([[np.nan], [np.inf], [-np.inf], [0.25]], np.float32)
    settings = DeviceSettings()
    assert np.frombuffer(encode(broken, 4, settings), np.float32).tolist() == [0, 0, 0, 0.25]


def test_a_block_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="4 frames were asked for"):
        encode(MONO, 4, FLOAT)


def test_frames_are_as_long_as_their_samples() -> None:
    assert frame_bytes(FLOAT) == 8
    assert frame_bytes(DeviceSettings(sample_format="s16")) == 2
    assert len(encode(MONO, 3, WORDS)) == 3 * frame_bytes(WORDS)
