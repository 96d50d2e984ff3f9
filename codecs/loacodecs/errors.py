"""The tree of errors every part of Loa raises.

    LoaError                    anything a person or a caller should read as one sentence
    ├── ConfigurationError      a setting is missing, unknown or impossible; names the key
    ├── MalformedError          bytes or text from a peer do not follow their specification
    │   └── SdpError            a session description that cannot be used
    ├── NegotiationError        a well-formed offer or answer with nothing both sides can do
    ├── TransportError          a session with a peer could not be set up or was lost
    │   └── HandshakeError      DTLS failed or the certificate is not the one announced
    └── CodecError              libopus refused, or is not there

The packet path never lets one of these out: it counts the datagram and drops it.
"""

from __future__ import annotations


def reason(error: BaseException) -> str:
    """What an error of the system, or of a library, says, as it goes on after a colon."""
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return text[:1].lower() + text[1:]


class LoaError(Exception):
    """Base of the tree; its text is one sentence that says what is wrong and, where known, the mend."""


class ConfigurationError(LoaError):
    """A setting is missing, unknown or impossible."""


class MalformedError(LoaError):
    """Bytes or text from a peer do not follow their specification."""


class SdpError(MalformedError):
    """A session description that cannot be parsed (RFC 8866)."""


class NegotiationError(LoaError):
    """A well-formed session description with nothing both sides can do (no audio, no Opus, …)."""


class TransportError(LoaError):
    """A session with a peer could not be set up or was lost."""


class HandshakeError(TransportError):
    """The DTLS handshake failed, or the peer's certificate is not the one its SDP announced (RFC 8122)."""


class CodecError(LoaError):
    """libopus refused the call, or no usable libopus was found."""
