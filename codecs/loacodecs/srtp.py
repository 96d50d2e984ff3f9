"""SRTP and SRTCP protection (RFC 3711, RFC 7714) by libsrtp, and its C entry points for compiled callers.

The only module that knows pylibsrtp's private names (`_binding.ffi`, `_binding.lib`, `Session._srtp`); the
distribution pins pylibsrtp 1.0.0, and tests compare the C entry points with `Session.protect` byte by byte.

Nonce discipline: two senders made from the same keys must never protect the same SSRC's RTP, nor may two of
them protect RTCP for the same SSRC, because each counts its SRTCP index from zero (RFC 7714 §8.3).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import pylibsrtp
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from .errors import MalformedError

# Bits of the replay window (RFC 3711 §3.3.2): 20 s of 20 ms packets, enough for any retransmission we accept.
WINDOW_SIZE = 1024
# libsrtp keeps about 2 KB for each SSRC it has seen; an authenticated peer must not be able to grow that.
MAX_SOURCES = 16

# The tag both profiles add to an RTP packet is at most this long, in bytes.
MAX_OVERHEAD = 16
# SRTCP adds the 4-byte index as well.
MAX_RTCP_OVERHEAD = 20


def _address_of(name: str) -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))


# C functions `int f(srtp_t session, void *packet, int *length)`: 0 is success; in place; `length` in and out.
PROTECT_ADDRESS: int = _address_of("srtp_protect")
PROTECT_RTCP_ADDRESS: int = _address_of("srtp_protect_rtcp")
UNPROTECT_ADDRESS: int = _address_of("srtp_unprotect")
UNPROTECT_RTCP_ADDRESS: int = _address_of("srtp_unprotect_rtcp")


class Profile(enum.Enum):
    """SRTP protection profiles we negotiate, in our order of preference (RFC 5764 §4.1.2, RFC 7714 §14.2).

    Value: name OpenSSL uses, bytes of master key, bytes of master salt, pylibsrtp's number.
    """

    AEAD_AES_128_GCM = (b"SRTP_AEAD_AES_128_GCM", 16, 12, Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    AES128_CM_SHA1_80 = (b"SRTP_AES128_CM_SHA1_80", 16, 14, Policy.SRTP_PROFILE_AES128_CM_SHA1_80)

    @property
    def openssl_name(self) -> bytes:
        """Name in OpenSSL's `use_srtp` lists."""
        return self.value[0]

    @property
    def key_length(self) -> int:
        """Bytes of master key."""
        return self.value[1]

    @property
    def salt_length(self) -> int:
        """Bytes of master salt."""
        return self.value[2]

    @property
    def tag_length(self) -> int:
        """Bytes that sealing adds to an RTP packet."""
        return 16 if self is Profile.AEAD_AES_128_GCM else 10


@dataclass(frozen=True, slots=True)
class Keys:
    """Master key followed by master salt for each direction; `local` protects what this side sends."""

    profile: Profile
    local: bytes = field(repr=False)
    remote: bytes = field(repr=False)

    def __post_init__(self) -> None:
        length = self.profile.key_length + self.profile.salt_length
        if len(self.local) != length or len(self.remote) != length:
            raise ValueError(f"{self.profile.name} needs {length} bytes of key and salt for each direction")


@dataclass(frozen=True, slots=True)
class AeadSecrets:
    """The session key (16 bytes) and session salt (12 bytes) that seal RTP under AEAD_AES_128_GCM (RFC 7714 §11)."""

    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)


def aead_secrets(keys: Keys) -> AeadSecrets:
    """Derive what seals this side's RTP, for callers that drive the cipher themselves (RFC 3711 §4.3, kdr = 0).

    Raises ValueError for a profile that is not AEAD_AES_128_GCM.
    """
    if keys.profile is not Profile.AEAD_AES_128_GCM:
        raise ValueError(f"{keys.profile.name} is not an AEAD profile")
    master, salt = keys.local[:16], keys.local[16:]
    return AeadSecrets(_derive(master, salt, 0x00, 16), _derive(master, salt, 0x02, 12))


def _derive(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """AES-CM pseudo-random bytes for `label` (RFC 3711 §4.3.3; the salt is padded as RFC 7714 §11 says)."""
    start = bytearray(salt.ljust(16, b"\0"))
    start[7] ^= label
    return Cipher(AES(master), CTR(bytes(start))).encryptor().update(bytes(size))


class SrtpError(MalformedError):
    """A packet libsrtp refused; `reason` is "authentication", "replay", "malformed" or "too_many_sources"."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"SRTP packet refused: {detail}")
        self.reason = reason


_REASONS = {
    "authentication failure": "authentication",
    "replay check failed (bad index)": "replay",
    "replay check failed (index too old)": "replay",
    "packet index is too old to consider": "replay",
}


def _session(key: bytes, profile: Profile, ssrc_type: int, ssrc: int) -> Session:
    policy = Policy(key=key, ssrc_type=ssrc_type, ssrc_value=ssrc, srtp_profile=profile.value[3])
    policy.allow_repeat_tx = True  # a NACKed packet is sealed again under its old sequence number
    policy.window_size = WINDOW_SIZE
    return Session(policy)


class Sender:
    """Seals what this side sends. Not thread-safe, and neither is `handle` (an `srtp_t` has no lock)."""

    __slots__ = ("_session", "handle")

    def __init__(self, keys: Keys, ssrc: int | None = None) -> None:
        """With `ssrc` the session seals that source only; without, any source on its first packet."""
        kind = Policy.SSRC_ANY_OUTBOUND if ssrc is None else Policy.SSRC_SPECIFIC
        self._session = _session(keys.local, keys.profile, kind, ssrc or 0)
        #: The `srtp_t` as an integer, for compiled callers; valid as long as this object lives.
        self.handle: int = int(ffi.cast("uintptr_t", self._session._srtp[0]))

    def protect(self, packet: bytes) -> bytes:
        """Seal one RTP packet of at most 1356 bytes; raises SrtpError when libsrtp refuses it."""
        try:
            return bytes(self._session.protect(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError("malformed", str(error)) from error

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Seal one compound RTCP packet of at most 1352 bytes; raises SrtpError when libsrtp refuses it."""
        try:
            return bytes(self._session.protect_rtcp(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError("malformed", str(error)) from error


class Receiver:
    """Opens what the other side sent, for at most `max_sources` SSRCs. Not thread-safe."""

    __slots__ = ("_max_sources", "_session", "_sources", "handle")

    def __init__(self, keys: Keys, max_sources: int = MAX_SOURCES) -> None:
        self._session = _session(keys.remote, keys.profile, Policy.SSRC_ANY_INBOUND, 0)
        self._sources: set[bytes] = set()
        self._max_sources = max_sources
        #: The `srtp_t` as an integer; valid as long as this object lives. Compiled callers are not bounded
        #: by `max_sources`.
        self.handle: int = int(ffi.cast("uintptr_t", self._session._srtp[0]))

    def unprotect(self, packet: bytes) -> bytes:
        """Open one SRTP packet of at most 1500 bytes; raises SrtpError."""
        if len(packet) < 12:
            raise SrtpError("malformed", "shorter than an RTP header")
        self._admit(packet[8:12])
        opened = self._open(self._session.unprotect, packet)
        self._sources.add(packet[8:12])
        return opened

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Open one SRTCP packet of at most 1500 bytes; raises SrtpError."""
        if len(packet) < 8:
            raise SrtpError("malformed", "shorter than an RTCP header")
        self._admit(packet[4:8])
        opened = self._open(self._session.unprotect_rtcp, packet)
        self._sources.add(packet[4:8])
        return opened

    def _admit(self, ssrc: bytes) -> None:
        if ssrc not in self._sources and len(self._sources) >= self._max_sources:
            raise SrtpError("too_many_sources", f"more than {self._max_sources} SSRCs in one session")

    @staticmethod
    def _open(function: Callable[[bytes], bytes], packet: bytes) -> bytes:
        try:
            return bytes(function(packet))
        except pylibsrtp.Error as error:
            raise SrtpError(_REASONS.get(str(error), "malformed"), str(error)) from error
        except ValueError as error:
            raise SrtpError("malformed", str(error)) from error
