"""One UDP port, two queues: the kernel puts media in one socket and everything else in another.

Both sockets are bound to the same address (SO_REUSEPORT), and a four-line classic BPF program looks at the first two
octets (RFC 7983, RFC 5761). So connectivity checks and handshakes, of a thousand listeners or of an attacker, can
neither fill the buffer that media waits in nor wake the thread that carries it (docs/adr/005).
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_REUSEPORT_CBPF = 51

# Opcodes of classic BPF (linux/filter.h): load a byte of the payload, jump if ≥, return a constant.
_LOAD_BYTE, _JUMP_IF_AT_LEAST, _RETURN = 0x30, 0x35, 0x06

MEDIA, CONTROL = 0, 1
"""Places of the two sockets in their group: the order they were bound in."""

_PROGRAM = (
    (_LOAD_BYTE, 0, 0, 0),
    (_JUMP_IF_AT_LEAST, 0, 5, 128),  # below: STUN, DTLS
    (_JUMP_IF_AT_LEAST, 4, 0, 192),  # above: nothing we speak
    (_LOAD_BYTE, 0, 0, 1),
    (_JUMP_IF_AT_LEAST, 0, 1, 192),  # below: RTP
    (_JUMP_IF_AT_LEAST, 0, 1, 224),  # between: RTCP; above: RTP with the marker set
    (_RETURN, 0, 0, MEDIA),
    (_RETURN, 0, 0, CONTROL),
)


def steer(sock: socket.socket) -> None:
    """Divide what comes to `sock`'s group of two; raises OSError where the kernel cannot."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _PROGRAM)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(_PROGRAM), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
