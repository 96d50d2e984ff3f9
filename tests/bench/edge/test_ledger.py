"""Losses are counted where they happen, each packet once."""

from __future__ import annotations

from bench.edge.ledger import STATION, Ledger


def rtp(sequence: int, kind: int = 111) -> bytes:
    return bytes([0x80, kind]) + sequence.to_bytes(2, "big") + bytes(60)


def tell(ledger: Ledger, client: int, data: bytes, *, up: bool = False, lost: bool = False) -> None:
    direction = "up" if up else "down"
    ledger.row(0.0, client, direction, len(data), () if lost else (0.1,))
    ledger.on_datagram(0.0, client, direction, data)


def test_each_media_packet_counts_when_it_was_sent_first() -> None:
    ledger = Ledger()
    tell(ledger, 1, rtp(10))
    tell(ledger, 1, rtp(11), lost=True)
    tell(ledger, 1, rtp(11))  # sent again
    tell(ledger, 2, rtp(11))
    tell(ledger, 1, rtp(12, kind=200))  # a report
    assert (ledger.media, ledger.lost, ledger.hearing) == (3, 1, 2)
    assert (ledger.datagrams, ledger.bytes, ledger.up_bytes) == (5, 5 * 64, 0)


def test_the_station_and_what_goes_up_are_no_media_of_receivers() -> None:
    ledger = Ledger()
    tell(ledger, STATION, rtp(1), up=True)
    tell(ledger, STATION, rtp(1))
    tell(ledger, 1, rtp(1), up=True, lost=True)
    assert (ledger.media, ledger.lost, ledger.hearing) == (0, 0, 0)
    assert (ledger.datagrams, ledger.bytes, ledger.up_bytes) == (1, 64, 64)
