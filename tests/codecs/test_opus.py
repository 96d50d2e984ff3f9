from __future__ import annotations

from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loacodecs import opus
from loacodecs.errors import CodecError, LoaError, MalformedError
from loacodecs.opus import OpusDecoder, OpusEncoder, Pcm
from tests.support.tones import dominant_frequency, tone

RATE = 48000


def voice(seconds: float) -> Pcm:
    """Something SILK takes for speech: a gliding pitch with harmonics, swelling like syllables."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.3 * time)) / RATE
    wave = sum(np.sin(k * phase) / k for k in range(1, 25))
    return (0.15 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def frames_of(pcm: Pcm, samples: int = 960) -> list[Pcm]:
    return [pcm[n : n + samples] for n in range(0, len(pcm) - samples + 1, samples)]


def rms(pcm: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


@pytest.mark.parametrize("application", ["audio", "voip", "lowdelay"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_comes_back_late_by_the_lookahead(application: opus.Application, channels: int) -> None:
    encoder = OpusEncoder(channels, application, bitrate=64000 * channels)
    decoder = OpusDecoder(channels)
    sent = np.stack([tone(440 * (n + 1), 1.0) for n in range(channels)], axis=1)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames_of(sent)])
    assert heard.shape == sent.shape
    assert heard.dtype == np.float32
    late = encoder.lookahead
    assert late == (120 if application == "lowdelay" else 312)
    for n in range(channels):
        assert dominant_frequency(heard[4800:, n]) == pytest.approx(440 * (n + 1), abs=1)
    # The waveform comes back, each channel its own; for speech a high-pass filter shifts the phase a little.
    error = heard[late + 4800 :] - sent[4800 : len(sent) - late]
    assert rms(error) < (0.4 if application == "voip" else 0.05) * rms(sent)


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60, 120])
def test_every_frame_size(frame_ms: float) -> None:
    encoder, decoder = OpusEncoder(frame_ms=frame_ms), OpusDecoder()
    samples = round(frame_ms * 48)
    assert encoder.frame_samples == samples
    packet = encoder.encode(tone(440, frame_ms / 1000))
    assert opus.packet_samples(packet) == samples
    assert decoder.decode(packet).shape == (samples, 1)


def test_our_packets_are_decoded_by_pyav() -> None:
    encoder = OpusEncoder(bitrate=64000)
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = RATE, "mono"
    heard: list[npt.NDArray[Any]] = []
    for frame in frames_of(tone(440, 1.0)):
        for decoded in decoder.decode(av.Packet(encoder.encode(frame))):
            heard.append(decoded.to_ndarray().reshape(-1))
    pcm = np.concatenate(heard)
    assert len(pcm) == RATE
    assert dominant_frequency(pcm[4800:]) == pytest.approx(440, abs=1.5)


def test_packets_of_pyav_are_decoded_by_us() -> None:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", av.AudioFormat("flt")
    decoder, heard = OpusDecoder(), []
    for frame in [*frames_of(tone(1000, 1.0)), None]:
        source = None
        if frame is not None:
            source = av.AudioFrame.from_ndarray(frame.reshape(1, -1), format="flt", layout="mono")
            source.sample_rate = RATE
        heard += [decoder.decode(bytes(packet)) for packet in encoder.encode(source)]
    pcm = np.concatenate(heard)
    assert len(pcm) >= RATE
    assert dominant_frequency(pcm[4800:48000, 0]) == pytest.approx(1000, abs=1.5)


def test_channels_are_mixed_as_the_decoder_wants_them() -> None:
    stereo = OpusEncoder(2, bitrate=64000)
    sound = np.repeat(tone(440, 0.2)[:, None], 2, axis=1)
    packets = [stereo.encode(frame) for frame in frames_of(sound)]
    mono = OpusDecoder(1)
    heard = np.concatenate([mono.decode(packet) for packet in packets])
    assert heard.shape == (9600, 1)
    assert rms(heard[4800:]) == pytest.approx(rms(sound), rel=0.1)


def test_concealment_goes_on_where_the_sound_stopped_and_fades() -> None:
    encoder, decoder = OpusEncoder(bitrate=64000), OpusDecoder()
    for frame in frames_of(tone(440, 0.5)):
        heard = decoder.decode(encoder.encode(frame))
    first = decoder.conceal(960)
    assert first.shape == (960, 1)
    assert rms(first) > 0.3 * rms(heard)
    assert dominant_frequency(np.concatenate([heard, first])[:, 0]) == pytest.approx(440, abs=30)
    for _ in range(20):
        last = decoder.conceal(960)
    assert rms(last) < 0.1 * rms(first)


@pytest.mark.parametrize("samples", [120, 480, 960, 2880, 5760])
def test_concealment_has_the_length_asked_for(samples: int) -> None:
    assert OpusDecoder(2).conceal(samples).shape == (samples, 2)


@pytest.mark.parametrize("samples", [0, -120, 100, 5880])
def test_impossible_gaps_are_refused(samples: int) -> None:
    decoder = OpusDecoder()
    with pytest.raises(CodecError):
        decoder.conceal(samples)
    with pytest.raises(CodecError):
        decoder.decode_fec(OpusEncoder().encode(tone(440, 0.02)), samples)


def test_fec_brings_a_lost_frame_back_better_than_concealment() -> None:
    encoder = OpusEncoder(application="voip", bitrate=24000, complexity=10, fec=True, expected_loss=20)
    packets = [encoder.encode(frame) for frame in frames_of(voice(2.0))]
    assert all(opus.toc(packet).mode != "celt" for packet in packets[10:])
    assert sum(opus.has_fec(packet) for packet in packets) > len(packets) // 2
    whole, by_fec, by_concealment = OpusDecoder(), OpusDecoder(), OpusDecoder()
    fec_error = concealment_error = 0.0
    for number in range(len(packets)):
        truth = whole.decode(packets[number])
        if number % 7 == 5 and number + 1 < len(packets) and opus.has_fec(packets[number + 1]):
            fec_error += rms(by_fec.decode_fec(packets[number + 1], 960) - truth) ** 2
            concealment_error += rms(by_concealment.conceal(960) - truth) ** 2
        else:
            by_fec.decode(packets[number])
            by_concealment.decode(packets[number])
    assert concealment_error > 0
    assert fec_error < 0.7 * concealment_error


def test_fec_of_a_packet_without_it_conceals() -> None:
    encoder, decoder = OpusEncoder(bitrate=64000), OpusDecoder()
    packets = [encoder.encode(frame) for frame in frames_of(tone(440, 0.4))]
    for packet in packets[:-1]:
        heard = decoder.decode(packet)
    assert not opus.has_fec(packets[-1])
    assert rms(decoder.decode_fec(packets[-1], 960)) > 0.3 * rms(heard)


def test_settings_are_live() -> None:
    encoder = OpusEncoder(bitrate=32000, complexity=5)
    sound = frames_of((np.random.default_rng(1).standard_normal(RATE * 2) * 0.1).astype(np.float32))
    before = sum(len(encoder.encode(frame)) for frame in sound[:50])
    encoder.bitrate = 96000
    after = sum(len(encoder.encode(frame)) for frame in sound[50:])
    assert before * 8 == pytest.approx(32000, rel=0.2)
    assert after * 8 == pytest.approx(96000, rel=0.2)
    encoder.complexity, encoder.fec, encoder.dtx, encoder.expected_loss = 9, True, True, 15
    assert (encoder.bitrate, encoder.complexity, encoder.expected_loss) == (96000, 9, 15)
    assert encoder.fec
    assert encoder.dtx


def test_the_application_changes_within_a_stream_and_keeps_the_settings() -> None:
    encoder = OpusEncoder(application="audio", bitrate=20000, complexity=7, fec=True, expected_loss=10)
    decoder = OpusDecoder()
    sound = frames_of(voice(1.0))
    for frame in sound:
        decoder.decode(encoder.encode(frame))
    encoder.application = "lowdelay"
    assert encoder.application == "lowdelay"
    assert {opus.toc(encoder.encode(frame)).mode for frame in sound} == {"celt"}
    encoder.application = "voip"
    packets = [encoder.encode(frame) for frame in sound]
    assert {opus.toc(packet).mode for packet in packets} <= {"silk", "hybrid"}
    assert (encoder.bitrate, encoder.complexity, encoder.fec, encoder.expected_loss) == (20000, 7, True, 10)
    assert rms(np.concatenate([decoder.decode(packet) for packet in packets])) > 0.05


def test_dtx_spares_the_packets_of_silence() -> None:
    encoder = OpusEncoder(application="voip", bitrate=16000, dtx=True)
    silence = np.zeros(960, np.float32)
    packets = [encoder.encode(frame) for frame in frames_of(voice(0.4))]
    assert not any(opus.is_dtx(packet) for packet in packets)
    packets = [encoder.encode(silence) for _ in range(100)]
    spared = sum(opus.is_dtx(packet) for packet in packets)
    assert spared > 70
    encoder.dtx = False
    assert not any(opus.is_dtx(encoder.encode(silence)) for _ in range(5))


def test_settings_that_cannot_be_are_one_sentence() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"channels": 3},
        {"application": "music"},
        {"frame_ms": 30},
        {"bitrate": 100},
        {"bitrate": 600_000},
        {"complexity": 11},
        {"expected_loss": 101},
    )
    for arguments in wrong:
        with pytest.raises(CodecError) as caught:
            OpusEncoder(**arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(CodecError, match="complexity -1"):
        OpusEncoder().complexity = -1
    with pytest.raises(CodecError):
        OpusDecoder(0)


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(959, np.float32),
        np.zeros((960, 2), np.float32),
        np.zeros((1, 960), np.float32),
        np.zeros(960, np.int16),
    ],
    ids=["length", "channels", "planar", "integers"],
)
def test_pcm_of_another_shape_is_refused(pcm: npt.NDArray[Any]) -> None:
    with pytest.raises(CodecError):
        OpusEncoder().encode(pcm)


def test_a_frame_need_be_neither_contiguous_nor_float32() -> None:
    sound: npt.NDArray[Any] = tone(440, 0.02)
    plain = OpusEncoder().encode(sound)
    assert OpusEncoder().encode(np.repeat(sound, 2)[::2]) == plain
    assert OpusEncoder().encode(sound.astype(np.float64)) == plain
    assert OpusEncoder().encode(sound[:, None]) == plain


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30])
def test_senseless_samples_do_not_poison_the_encoder(poison: float) -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    decoder.decode(encoder.encode(np.full(960, poison, np.float32)))
    heard = [decoder.decode(encoder.encode(frame)) for frame in frames_of(tone(440, 0.4))]
    assert dominant_frequency(np.concatenate(heard)[4800:, 0]) == pytest.approx(440, abs=5)


def test_decoded_sound_stays_when_the_next_packet_is_decoded() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = [encoder.encode(frame) for frame in frames_of(tone(440, 0.2))]
    first = decoder.decode(packets[3])
    kept = first.copy()
    decoder.decode(packets[4])
    assert np.array_equal(first, kept)


def test_reset_forgets_the_stream() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = [encoder.encode(frame) for frame in frames_of(tone(440, 0.2))]
    fresh = OpusDecoder().decode(packets[5])
    for packet in packets:
        decoder.decode(packet)
    decoder.reset()
    assert np.array_equal(decoder.decode(packets[5]), fresh)


def test_an_empty_packet_is_not_taken_for_concealment() -> None:
    with pytest.raises(MalformedError):
        OpusDecoder().decode(b"")
    with pytest.raises(MalformedError):
        OpusDecoder().decode_fec(b"", 960)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(1, 2))
def test_random_packets_raise_only_errors_of_ours(packet: bytes, channels: int) -> None:
    decoder = OpusDecoder(channels)
    try:
        assert decoder.decode(packet).shape == (opus.packet_samples(packet), channels)
        decoder.decode_fec(packet, 960)
    except LoaError as error:
        assert isinstance(error, MalformedError | CodecError)  # noqa: PT017 - either is right, no other is


@settings(max_examples=100)
@given(st.data())
def test_mutated_packets_raise_only_errors_of_ours(data: st.DataObject) -> None:
    encoder = OpusEncoder(
        application=data.draw(st.sampled_from(["audio", "voip"])), fec=True, expected_loss=20
    )
    decoder = OpusDecoder()
    for frame in frames_of(voice(0.1)):
        packet = bytearray(encoder.encode(frame))
        for _ in range(data.draw(st.integers(0, 3))):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        try:
            heard = decoder.decode(bytes(packet))
        except MalformedError:
            heard = decoder.conceal(960)
        assert np.isfinite(heard).all()
