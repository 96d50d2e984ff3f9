"""What the playout counts, for telemetry and receipts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class PlayoutStats:
    """Counters since the beginning, and the newest readings; plain attributes, free to read at any time.

    What the network lost for good is `lost - recovered_nack - recovered_red - recovered_second`; in-band FEC
    mends sound, not packets, and counts frames.
    """

    received: int = 0
    """Packets that brought something new or a copy of it, of all sources."""
    refused: int = 0
    """Datagrams that were no packets of their stream."""
    lost: int = 0
    """Packets that did not come by themselves, of all sources."""
    recovered_nack: int = 0
    """Lost packets that came on request, in time."""
    recovered_red: int = 0
    """Lost packets whose content came with a later packet (RFC 2198)."""
    recovered_second: int = 0
    """Packets one source lost and another brought."""
    recovered_fec: int = 0
    """Frames decoded from the copy in the frame after them (RFC 6716 §4.2.3)."""
    requests: int = 0
    """Packets asked for again, repetitions included."""
    late: int = 0
    """Frames that came after their time; they are never played."""
    duplicates: int = 0
    """Frames that were there already."""
    concealed_samples: int = 0
    """Samples in whose place nothing had come, told when the sound goes on after them."""
    paused_samples: int = 0
    """Samples in whose place the sender sent nothing: DTX, or nobody on air."""
    played_samples: int = 0
    """Samples decoded from frames."""
    jumps: int = 0
    """Times the playhead moved other than by playing, while sound was on."""
    restarts: int = 0
    """Times a source began a fresh stream: another SSRC, sequence or timestamp."""
    buffer_s: float = 0.0
    """Sound held ahead of the playhead."""
    error_s: float = 0.0
    """Where the playhead should be less where it is; positive when what is heard comes too late."""
    tied: bool = False
    """Whether capture times and the relay's clock decide; otherwise arrivals do, and neighbours are not in step."""
