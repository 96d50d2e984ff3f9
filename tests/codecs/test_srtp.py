from __future__ import annotations

import ctypes
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from loacodecs import srtp
from loacodecs.srtp import Keys, Profile, Receiver, Sender, SrtpError

C_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))


def keys_for(profile: Profile) -> tuple[Keys, Keys]:
    length = profile.key_length + profile.salt_length
    ours, theirs = bytes(range(length)), bytes(range(100, 100 + length))
    return Keys(profile, ours, theirs), Keys(profile, theirs, ours)


def rtp(
    sequence: int, ssrc: int = 0x10203040, payload: bytes = b"opus" * 20, extension: bytes = b""
) -> bytes:
    if extension:
        body = extension + bytes(-len(extension) % 4)
        header = struct.pack("!BBHIIHH", 0x90, 111, sequence, 960, ssrc, 0xBEDE, len(body) // 4) + body
    else:
        header = struct.pack("!BBHII", 0x80, 111, sequence, 960, ssrc)
    return header + payload


def rtcp(ssrc: int = 0x10203040) -> bytes:
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)


def call(address: int, handle: int, packet: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(packet, len(packet) + 64)
    length = ctypes.c_int(len(packet))
    assert C_FUNCTION(address)(handle, ctypes.addressof(buffer), ctypes.byref(length)) == 0
    return buffer.raw[: length.value]


@pytest.mark.parametrize("profile", list(Profile))
@given(
    sequence=st.integers(0, 0x7FFF),
    payload=st.binary(min_size=1, max_size=1200),
    extension=st.binary(max_size=40),
)
def test_c_entry_point_equals_session_protect(
    profile: Profile, sequence: int, payload: bytes, extension: bytes
) -> None:
    ours, theirs = keys_for(profile)
    policy = Policy(key=ours.local, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.value[3])
    packet = rtp(sequence, payload=payload, extension=extension)
    expected = Session(policy).protect(packet)
    sender = Sender(ours, ssrc=0x10203040)
    assert call(srtp.PROTECT_ADDRESS, sender.handle, packet) == expected
    assert Sender(ours).protect(packet) == expected
    assert call(srtp.UNPROTECT_ADDRESS, Receiver(theirs).handle, expected) == packet


@pytest.mark.parametrize("profile", list(Profile))
def test_c_entry_points_of_rtcp(profile: Profile) -> None:
    ours, theirs = keys_for(profile)
    policy = Policy(key=ours.local, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.value[3])
    expected = Session(policy).protect_rtcp(rtcp())
    assert call(srtp.PROTECT_RTCP_ADDRESS, Sender(ours).handle, rtcp()) == expected
    assert call(srtp.UNPROTECT_RTCP_ADDRESS, Receiver(theirs).handle, expected) == rtcp()
    assert len(expected) - len(rtcp()) <= srtp.MAX_RTCP_OVERHEAD


@pytest.mark.parametrize("profile", list(Profile))
def test_both_directions(profile: Profile) -> None:
    ours, theirs = keys_for(profile)
    here, there = (Sender(ours), Receiver(ours)), (Sender(theirs), Receiver(theirs))
    for sequence in range(5):
        packet = rtp(sequence)
        sealed = here[0].protect(packet)
        assert len(packet) < len(sealed) <= len(packet) + srtp.MAX_OVERHEAD
        assert there[1].unprotect(sealed) == packet
        assert here[1].unprotect(there[0].protect(packet)) == packet
    assert there[1].unprotect_rtcp(here[0].protect_rtcp(rtcp())) == rtcp()


@pytest.mark.parametrize("profile", list(Profile))
def test_a_repeated_packet_may_be_sealed_again_and_is_then_a_replay(profile: Profile) -> None:
    ours, theirs = keys_for(profile)
    sender, receiver = Sender(ours), Receiver(theirs)
    first = sender.protect(rtp(7))
    sender.protect(rtp(8))
    assert sender.protect(rtp(7)) == first
    receiver.unprotect(first)
    with pytest.raises(SrtpError) as caught:
        receiver.unprotect(first)
    assert caught.value.reason == "replay"


@pytest.mark.parametrize("profile", list(Profile))
def test_a_packet_a_thousand_late_is_taken_and_an_older_one_is_not(profile: Profile) -> None:
    ours, theirs = keys_for(profile)
    sender, receiver = Sender(ours), Receiver(theirs)
    sealed = [sender.protect(rtp(sequence)) for sequence in range(1100)]
    receiver.unprotect(sealed[1099])
    assert receiver.unprotect(sealed[99]) == rtp(99)
    with pytest.raises(SrtpError) as caught:
        receiver.unprotect(sealed[50])
    assert caught.value.reason == "replay"


@pytest.mark.parametrize("profile", list(Profile))
def test_refusals_say_why(profile: Profile) -> None:
    ours, theirs = keys_for(profile)
    sealed = Sender(ours).protect(rtp(7))
    sealed_rtcp = Sender(ours).protect_rtcp(rtcp())
    receiver = Receiver(theirs)
    for damaged in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:20] + b"\xff" + sealed[21:]):
        with pytest.raises(SrtpError) as caught:
            receiver.unprotect(damaged)
        assert caught.value.reason == "authentication"
    with pytest.raises(SrtpError) as caught:
        receiver.unprotect_rtcp(sealed_rtcp[:-1] + bytes([sealed_rtcp[-1] ^ 1]))
    assert caught.value.reason == "authentication"
    for short in (b"", sealed[:11], sealed[:12], b"\x9f" + sealed[1:13], bytes(2000)):
        with pytest.raises(SrtpError) as caught:
            receiver.unprotect(short)
        assert caught.value.reason in ("malformed", "authentication")
    for short in (b"", sealed_rtcp[:7], sealed_rtcp[:8], bytes(2000)):
        with pytest.raises(SrtpError) as caught:
            receiver.unprotect_rtcp(short)
        assert caught.value.reason in ("malformed", "authentication")
    assert receiver.unprotect(sealed) == rtp(7)


def test_an_authenticated_peer_cannot_grow_the_session_by_inventing_sources() -> None:
    ours, theirs = keys_for(Profile.AEAD_AES_128_GCM)
    sender, receiver = Sender(ours), Receiver(theirs, max_sources=4)
    for ssrc in range(1, 5):
        receiver.unprotect(sender.protect(rtp(1, ssrc)))
    with pytest.raises(SrtpError) as caught:
        receiver.unprotect(sender.protect(rtp(1, 5)))
    assert caught.value.reason == "too_many_sources"
    with pytest.raises(SrtpError):
        receiver.unprotect_rtcp(sender.protect_rtcp(rtcp(6)))
    assert receiver.unprotect(sender.protect(rtp(2, 4))) == rtp(2, 4)


def test_a_sender_for_one_source_refuses_others() -> None:
    ours, _ = keys_for(Profile.AEAD_AES_128_GCM)
    with pytest.raises(SrtpError):
        Sender(ours, ssrc=1).protect(rtp(1, 2))


def test_too_long_a_packet_is_refused_when_sealing() -> None:
    ours, _ = keys_for(Profile.AEAD_AES_128_GCM)
    with pytest.raises(SrtpError):
        Sender(ours).protect(rtp(1, payload=bytes(1400)))
    with pytest.raises(SrtpError):
        Sender(ours).protect_rtcp(bytes(1400))


def test_keys_hide_themselves_and_check_their_length() -> None:
    ours, _ = keys_for(Profile.AES128_CM_SHA1_80)
    assert "local" not in repr(ours)
    assert repr(ours.local) not in repr(ours)
    with pytest.raises(ValueError):
        Keys(Profile.AEAD_AES_128_GCM, bytes(30), bytes(28))
