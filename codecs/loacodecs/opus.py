"""Opus encoder and decoder at 48 kHz on libopus (RFC 6716), with concealment and FEC decoding.

PCM is float32, full scale ±1, shape (samples, channels). An encoder or decoder belongs to one thread at a
time; different ones run in parallel, since calls into libopus hold no GIL. What can be read off a packet
without decoding it is in `opus_packet`, and exported here.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int
from typing import Literal

import numpy as np
import numpy.typing as npt

from . import libopus
from .errors import CodecError, MalformedError
from .libopus import MAX_PACKET_SAMPLES, SAMPLE_RATE
from .opus_packet import Toc, has_fec, is_dtx, packet_frames, packet_samples, split_frames, toc

__all__ = [
    "MAX_PACKET_SAMPLES",
    "SAMPLE_RATE",
    "Application",
    "OpusDecoder",
    "OpusEncoder",
    "Pcm",
    "Toc",
    "has_fec",
    "is_dtx",
    "packet_frames",
    "packet_samples",
    "split_frames",
    "toc",
]

Application = Literal["audio", "voip", "lowdelay"]
Pcm = npt.NDArray[np.float32]

_APPLICATIONS: dict[Application, int] = {"voip": 2048, "audio": 2049, "lowdelay": 2051}
_APPLICATION_NAMES: dict[int, Application] = {code: name for name, code in _APPLICATIONS.items()}
_FRAME_MS = (2.5, 5, 10, 20, 40, 60, 80, 100, 120)
_STEP = 120  # concealment comes in units of 2.5 ms


class OpusEncoder:
    """Encodes frames of `frame_ms` (2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms) to packets.

    `bitrate` in bits/s, `complexity` 0…10, `expected_loss` in percent. The settings are properties and can be
    changed between two frames. Raises CodecError for impossible settings or a missing libopus.
    """

    def __init__(
        self,
        channels: int = 1,
        application: Application = "audio",
        bitrate: int = 32000,
        complexity: int = 5,
        frame_ms: float = 20,
        fec: bool = False,
        dtx: bool = False,
        expected_loss: int = 0,
    ) -> None:
        _check_channels(channels)
        if frame_ms not in _FRAME_MS:
            raise CodecError(f"Opus has no frames of {frame_ms} ms; choose one of {_FRAME_MS}")
        self._library = library = libopus.library()
        self.channels = channels
        self.frame_samples = round(frame_ms * SAMPLE_RATE / 1000)
        # The state lives in memory of ours, so that nothing has to be destroyed.
        self._state = ctypes.create_string_buffer(library.encoder_get_size(channels))
        code = library.encoder_init(self._state, SAMPLE_RATE, channels, _application_code(application))
        library.check(code, "to make an encoder")
        self._pcm = np.zeros((self.frame_samples, channels), np.float32)
        self._pcm_address = self._pcm.ctypes.data
        # Every 20 ms become a frame of at most 1,275 bytes, with two bytes for its length.
        self._packet = ctypes.create_string_buffer(1277 * max(1, self.frame_samples // 960) + 2)
        self._packet_view = memoryview(self._packet).cast("B")
        self.bitrate = bitrate
        self.complexity = complexity
        self.fec = fec
        self.dtx = dtx
        self.expected_loss = expected_loss

    def encode(self, pcm: Pcm) -> bytes:
        """One packet of one frame: `pcm` is (frame_samples, channels), or (frame_samples,) when mono.

        With DTX a packet for silence has one or two bytes (`is_dtx`). Raises CodecError for another shape or
        for integers.
        """
        if pcm.dtype.kind != "f":
            raise CodecError(f"PCM is float, full scale ±1, and not {pcm.dtype}")
        if pcm.shape != self._pcm.shape and not (self.channels == 1 and pcm.shape == (self.frame_samples,)):
            raise CodecError(f"a frame of this encoder has the shape {self._pcm.shape}, not {pcm.shape}")
        self._pcm[:] = pcm.reshape(self._pcm.shape)
        size = self._library.encode_float(
            self._state, self._pcm_address, self.frame_samples, self._packet, len(self._packet)
        )
        self._library.check(size, "to encode a frame")
        return bytes(self._packet_view[:size])

    @property
    def lookahead(self) -> int:
        """Samples by which the encoded sound comes later than the input: the pre-skip of Ogg Opus."""
        return self._get(libopus.GET_LOOKAHEAD)

    @property
    def bitrate(self) -> int:
        """Bits per second, 500…512,000."""
        return self._get(libopus.GET_BITRATE)

    @bitrate.setter
    def bitrate(self, value: int) -> None:
        if not 500 <= value <= 512_000:  # libopus would clamp in silence
            raise CodecError(f"an Opus bitrate lies in 500…512,000 bits/s, not {value}")
        self._set(libopus.SET_BITRATE, value, "bitrate")

    @property
    def complexity(self) -> int:
        """0 (least work) … 10 (best sound)."""
        return self._get(libopus.GET_COMPLEXITY)

    @complexity.setter
    def complexity(self, value: int) -> None:
        self._set(libopus.SET_COMPLEXITY, value, "complexity")

    @property
    def fec(self) -> bool:
        """In-band FEC: a packet repeats the one before, in SILK and hybrid mode, if loss is expected."""
        return bool(self._get(libopus.GET_INBAND_FEC))

    @fec.setter
    def fec(self, value: bool) -> None:
        self._set(libopus.SET_INBAND_FEC, int(value), "fec")

    @property
    def dtx(self) -> bool:
        """Discontinuous transmission: silence needs no packets but one every 400 ms."""
        return bool(self._get(libopus.GET_DTX))

    @dtx.setter
    def dtx(self, value: bool) -> None:
        self._set(libopus.SET_DTX, int(value), "dtx")

    @property
    def expected_loss(self) -> int:
        """Loss on the way in percent, 0…100; FEC spends bits by it."""
        return self._get(libopus.GET_PACKET_LOSS_PERC)

    @expected_loss.setter
    def expected_loss(self, value: int) -> None:
        self._set(libopus.SET_PACKET_LOSS_PERC, value, "expected loss")

    @property
    def application(self) -> Application:
        """ "audio", "voip" or "lowdelay". Changing it within a stream starts the encoder's history anew."""
        return _APPLICATION_NAMES[self._get(libopus.GET_APPLICATION)]

    @application.setter
    def application(self, value: Application) -> None:
        code = _application_code(value)
        if value == self.application:
            return
        # libopus takes another application before the first frame only; a reset makes the next one the first.
        self._library.check(self._library.encoder_ctl(self._state, libopus.RESET_STATE), "a reset")
        self._set(libopus.SET_APPLICATION, code, "application")

    def _get(self, request: int) -> int:
        value = c_int()
        self._library.check(
            self._library.encoder_ctl(self._state, request, byref(value)), f"request {request}"
        )
        return value.value

    def _set(self, request: int, value: int, name: str) -> None:
        self._library.check(self._library.encoder_ctl(self._state, request, c_int(value)), f"{name} {value}")


class OpusDecoder:
    """Decodes packets of any mode and duration to `channels` (1 or 2), whatever the packets carry.

    Every call gives an array of its own. Raises CodecError for another number of channels or without libopus.
    """

    def __init__(self, channels: int = 1) -> None:
        _check_channels(channels)
        self._library = library = libopus.library()
        self.channels = channels
        self._state = ctypes.create_string_buffer(library.decoder_get_size(channels))
        library.check(library.decoder_init(self._state, SAMPLE_RATE, channels), "to make a decoder")
        # libopus writes here, call after call; callers get copies, lest they change under their hands.
        self._pcm = np.zeros((MAX_PACKET_SAMPLES, channels), np.float32)
        self._pcm_address = self._pcm.ctypes.data

    def decode(self, packet: bytes) -> Pcm:
        """The sound of `packet`, (samples, channels). Raises MalformedError when libopus refuses it."""
        if not packet:  # which would mean concealment to libopus
            raise MalformedError("an Opus packet has at least one byte")
        return self._decode(packet, MAX_PACKET_SAMPLES, fec=False)

    def conceal(self, samples: int) -> Pcm:
        """Sound in place of `samples` that never came, a multiple of 120 up to 5,760 (120 ms); it fades out.

        Raises CodecError for another number.
        """
        return self._decode(None, _check_gap(samples), fec=False)

    def decode_fec(self, packet: bytes, samples: int) -> Pcm:
        """The `samples` before `packet`, from the copy it carries of the frame before it (in-band FEC).

        Where there is no copy, or it is shorter, libopus conceals. Then `packet` itself is to be decoded as
        usual. Raises MalformedError for a broken packet, CodecError for an impossible number of samples.
        """
        if not packet:
            raise MalformedError("an Opus packet has at least one byte")
        return self._decode(packet, _check_gap(samples), fec=True)

    def reset(self) -> None:
        """Forget the stream decoded so far."""
        self._library.check(self._library.decoder_ctl(self._state, libopus.RESET_STATE), "a reset")

    def _decode(self, packet: bytes | None, room: int, fec: bool) -> Pcm:
        size = 0 if packet is None else len(packet)
        samples = self._library.decode_float(self._state, packet, size, self._pcm_address, room, int(fec))
        if samples == libopus.INVALID_PACKET:
            raise MalformedError("libopus does not take this for an Opus packet")
        self._library.check(samples, "to decode")
        return self._pcm[:samples].copy()


def _application_code(name: str) -> int:
    for known, code in _APPLICATIONS.items():
        if known == name:
            return code
    raise CodecError(f"an Opus application is one of {', '.join(_APPLICATIONS)}, not {name!r}")


def _check_channels(channels: int) -> None:
    if channels not in (1, 2):
        raise CodecError(f"an Opus stream has 1 or 2 channels, not {channels}")


def _check_gap(samples: int) -> int:
    if samples % _STEP or not 0 < samples <= MAX_PACKET_SAMPLES:
        raise CodecError(f"libopus conceals 2.5…120 ms in steps of 2.5 ms, not {samples} samples")
    return samples
