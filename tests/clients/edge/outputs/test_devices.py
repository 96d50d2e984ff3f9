"""Devices by the names that open them, and the choice for those who name none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.edge.pulse import PulseServer
from loacodecs.errors import ConfigurationError
from loaedge.outputs import alsa_lib, native, pulse_lib
from loaedge.outputs.devices import list_devices
from loaedge.outputs.opening import open_output
from loaedge.outputs.output import OutputError, SampleFormat


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")


def configure_alsa(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "asoundrc").write_text(text)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(folder / "asoundrc"))


QUIET = 'pcm.!default { type null hint { show on description "Nothing\nat all" } }\n'


def test_devices_are_listed_as_they_are_opened(
    pulse: PulseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_alsa(tmp_path, monkeypatch, QUIET)
    devices, problems = list_devices()
    about = {device.spec: device.about for device in devices}
    assert "Remapped" in about["pulse:front"]
    assert about["alsa:default"] == "Nothing, at all"
    assert problems == []
    for device in devices:
        assert open_output(device.spec).name == device.spec


def test_without_a_server_the_rest_is_listed_and_the_reason_told(
    no_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_alsa(tmp_path, monkeypatch, QUIET)
    devices, problems = list_devices()
    assert [device.spec for device in devices] == ["alsa:default"]
    assert len(problems) == 1
    assert "no PulseAudio server answers" in problems[0]


def test_auto_takes_the_server_if_there_is_one(pulse: PulseServer) -> None:
    assert open_output("auto").name == "pulse"


def test_auto_takes_alsa_if_there_is_no_server(
    no_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_alsa(tmp_path, monkeypatch, QUIET)
    assert open_output("auto").name == "alsa:default"


def test_auto_says_what_to_do_when_there_is_nothing(
    no_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_alsa(tmp_path, monkeypatch, "")
    with pytest.raises(OutputError, match=r"no sound device was found: .*`loa edge devices`"):
        open_output("auto")


@pytest.mark.parametrize("spec", ["", "wav:", "null:x", "jack", "pulseaudio:x"])
def test_what_names_no_output_is_refused_with_the_choice(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="names no sound output; write auto, pulse"):
        open_output(spec)


@pytest.mark.parametrize("latency", [0.0, -1.0, 5.0, float("nan")])
def test_a_latency_out_of_range_is_refused(latency: float) -> None:
    with pytest.raises(ConfigurationError, match="out of range"):
        open_output("null", latency_s=latency)


def test_only_mono_and_stereo_are_played() -> None:
    with pytest.raises(ConfigurationError, match="5 channels"):
        open_output("null", channels=5)
    formats: tuple[SampleFormat, ...] = ("float32", "s16")
    for sample_format in formats:
        assert open_output("null", channels=2, sample_format=sample_format).name == "null"


def test_a_missing_library_is_told_with_its_package() -> None:
    with pytest.raises(OutputError, match=r"libnothing\.so\.0 is not there: install libnothing0"):
        native.load("libnothing.so.0", {}, "install libnothing0")
    with pytest.raises(OutputError, match="too old, it has no snd_of_tomorrow: install libasound2"):
        native.load(alsa_lib.LIBRARY, {"snd_of_tomorrow": (None, ())}, alsa_lib.MEND)
    assert "libpulse0" in pulse_lib.MEND
