"""What a listener hears of a channel, by its offer."""

from __future__ import annotations

from collections.abc import Sequence

from loacodecs import rtp, sdp
from relay.channels.renditions import Form, choose
from relay.sessions.listener import Terms


def agree(offer: sdp.AudioDescription, allowed: Sequence[str]) -> tuple[Terms, sdp.Delivery]:
    """Which of the `allowed` renditions the offer gets, and what the answer says of it (docs/protocol.md)."""
    wished, opus = offer.delivery, offer.opus_payload_type
    possible = choose(Form(wished.ptime_ms, wished.redundancy, opus), allowed)
    # Browsers name RED after Opus: they can take it, and do not ask for it.
    form = possible if wished.red_first else Form(possible.ptime_ms)
    most = possible.redundancy if wished.adaptive else 0
    extension = offer.extensions.get(rtp.ABS_CAPTURE_TIME_URI, 0)
    # A two-byte header extension is never sent, so only ids of the one-byte form can be used (RFC 8285 §4.2).
    usable = extension if extension < 15 else 0
    terms = Terms(opus, offer.red_payload_type, usable, form, most, wished.recent_ms, wished.clock)
    delivery = sdp.Delivery(
        ptime_ms=form.ptime_ms,
        redundancy=max(form.redundancy, most),
        red_first=form.redundancy > 0,
        adaptive=most > 0,
        idle_s=wished.idle_s,
        recent_ms=wished.recent_ms,
        clock=wished.clock,
    )
    return terms, delivery
