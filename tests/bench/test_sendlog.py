from __future__ import annotations

import pytest

from bench.sendlog import TOC_BY_FRAME_MS, identify, payload
from loacodecs.opus_packet import packet_samples


def test_a_payload_tells_who_sent_it_and_which_it_is() -> None:
    assert identify(payload(7, 123_456_789_012, 120, 20)) == (7, 123_456_789_012)


def test_a_short_payload_tells_nothing() -> None:
    assert identify(bytes(12)) is None


@pytest.mark.parametrize("size", [13, 16, 120, 1200])
def test_a_payload_has_the_asked_size(size: int) -> None:
    assert len(payload(255, 2**40, size, 20)) == size


def test_payloads_of_different_packets_differ_beyond_their_numbers() -> None:
    assert payload(0, 1, 120, 20)[13:] != payload(0, 2, 120, 20)[13:]
    assert payload(0, 1, 120, 20)[13:] != payload(1, 1, 120, 20)[13:]


@pytest.mark.parametrize("frame_ms", sorted(TOC_BY_FRAME_MS))
def test_a_payload_is_one_opus_packet_of_the_asked_length(frame_ms: int) -> None:
    assert packet_samples(payload(3, 4, 120, frame_ms)) == 48 * frame_ms
