"""The two header packets of Ogg Opus (RFC 7845 §5): identification and comments."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .errors import CodecError, MalformedError

HEAD_MAGIC = b"OpusHead"
TAGS_MAGIC = b"OpusTags"

_HEAD = struct.Struct("<8sBBHIhB")


@dataclass(frozen=True, slots=True)
class OpusHead:
    """The identification header (RFC 7845 §5.1): `pre_skip` in samples at 48 kHz, `output_gain` in dB."""

    channels: int = 1
    pre_skip: int = 312
    input_rate: int = 48000
    output_gain: float = 0.0

    def to_bytes(self) -> bytes:
        """The header packet, mapping family 0."""
        gain = round(self.output_gain * 256)
        return _HEAD.pack(HEAD_MAGIC, 1, self.channels, self.pre_skip, self.input_rate, gain, 0)

    @classmethod
    def parse(cls, packet: bytes) -> OpusHead:
        """Raises MalformedError for a broken header, CodecError for surround sound."""
        try:
            magic, version, channels, pre_skip, rate, gain, family = _HEAD.unpack_from(packet)
        except struct.error:
            raise MalformedError("the Opus header is cut short") from None
        if magic != HEAD_MAGIC or version >> 4 != 0 or channels == 0:
            raise MalformedError("the Opus header is of no known version")
        if family != 0:
            raise CodecError(f"the Ogg Opus stream has {channels} channels of surround sound, not 1 or 2")
        if channels > 2:
            raise MalformedError(f"the Opus header names {channels} channels where 1 or 2 are possible")
        return cls(channels, pre_skip, rate, gain / 256)


@dataclass(frozen=True, slots=True)
class OpusTags:
    """The comment header (RFC 7845 §5.2): pairs such as ("TITLE", "Evening news") in their order.

    `padding` zero octets come after them, for whoever wants a longer header; it is not read back.
    """

    vendor: str = "loa"
    comments: tuple[tuple[str, str], ...] = ()
    padding: int = 0

    def get(self, name: str) -> str | None:
        """The first value of the tag `name`, whatever its case."""
        return next((value for key, value in self.comments if key.upper() == name.upper()), None)

    def to_bytes(self) -> bytes:
        """The header packet. Raises ValueError for a name that is not printable ASCII without "="."""
        fields = [self.vendor.encode()]
        for name, value in self.comments:
            if not name or not all(" " <= letter <= "}" and letter != "=" for letter in name):
                raise ValueError(f"{name!r} cannot be the name of an Ogg tag")
            fields.append(f"{name}={value}".encode())
        sized = [len(text).to_bytes(4, "little") + text for text in fields]
        count = len(self.comments).to_bytes(4, "little")
        return TAGS_MAGIC + sized[0] + count + b"".join(sized[1:]) + bytes(self.padding)

    @classmethod
    def parse(cls, packet: bytes) -> OpusTags:
        """Comments without "=" are passed over. Raises MalformedError."""
        if not packet.startswith(TAGS_MAGIC):
            raise MalformedError("the second Ogg packet is no Opus comment header")
        position = len(TAGS_MAGIC)

        def number() -> int:
            nonlocal position
            position += 4
            if position > len(packet):
                raise MalformedError("the Opus comment header is cut short")
            return int.from_bytes(packet[position - 4 : position], "little")

        def text() -> str:
            nonlocal position
            size = number()
            position += size
            if position > len(packet):
                raise MalformedError("the Opus comment header is cut short")
            return packet[position - size : position].decode("utf-8", "replace")

        vendor = text()
        pairs = (text().partition("=") for _ in range(number()))
        return cls(vendor, tuple((name, value) for name, equals, value in pairs if equals))
