"""Receipts against a relay whose power is cut: what it has acknowledged is there, and nothing is there twice."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed

from loacodecs.control import Receipt, ReceiptOk
from loacodecs.signing import private_key, public_octets, relay_name
from loacodecs.strict_json import from_base64url, to_base64url
from tests.support.edge_link import Receiver
from tests.support.relay_process import RelayProcess

RECEIPTS = [
    Receipt(f"r-{number:03}", "Bản tin", "xa", 1.8e9 + number, 1.8e9 + 60 + number, 1.0, 0.0, -18.0, "played")
    for number in range(90)
]


def enrol(relay: RelayProcess) -> Receiver:
    headers = {"Authorization": f"Bearer {relay.token('admin')}"}
    made = httpx.post(f"{relay.base}/api/v1/devices/codes", json={"channel": "xa"}, headers=headers)
    key = private_key(os.urandom(32))
    body = {"code": made.json()["code"], "public_key": to_base64url(public_octets(key)), "name": "Chợ"}
    told = httpx.post(f"{relay.base}/api/v1/edge/enrol", json=body).json()
    assert told["relay"] == relay_name(from_base64url(told["command_key"]))
    return Receiver(relay.http_port, told["device"], told["relay"], key)


def stored(relay: RelayProcess, receiver: Receiver) -> list[str]:
    answer = httpx.get(
        f"{relay.base}/api/v1/devices/{receiver.device}/receipts?limit=1000",
        headers={"Authorization": f"Bearer {relay.token('admin')}"},
    )
    return [receipt["id"] for receipt in answer.json()["receipts"]]


async def hand_in(relay: RelayProcess, receiver: Receiver, *, kill_after: int | None = None) -> set[str]:
    """Send every receipt at once; the ids that were acknowledged, up to the moment of the power cut."""
    acknowledged: set[str] = set()
    try:
        async with receiver.link() as link:
            for receipt in RECEIPTS:
                await link.send(receipt)
            while len(acknowledged) < len(RECEIPTS):
                acknowledged.add((await link.receive(ReceiptOk)).id)
                if len(acknowledged) == kill_after:
                    relay.kill()
    except ConnectionClosed:
        assert kill_after is not None
    return acknowledged


async def test_a_power_cut_loses_no_receipt_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "relay"
    with RelayProcess(folder, {"xa": []}) as relay:
        receivers = [enrol(relay) for _ in range(3)]
        port = relay.http_port
    acknowledged: list[set[str]] = []
    for receiver, kill_after in zip(receivers, (1, 7, 40), strict=True):
        with RelayProcess(folder, {"xa": []}, http_port=port) as relay:
            acknowledged.append(await hand_in(relay, receiver, kill_after=kill_after))
        assert len(acknowledged[-1]) >= kill_after
    with RelayProcess(folder, {"xa": []}, http_port=port) as relay:
        for receiver, ids in zip(receivers, acknowledged, strict=True):
            assert ids <= set(stored(relay, receiver))
            assert await hand_in(relay, receiver) == {receipt.id for receipt in RECEIPTS}
            assert sorted(stored(relay, receiver)) == [receipt.id for receipt in RECEIPTS]
        relay.terminate()
        assert relay.process_wait(15)
    assert "Traceback" not in (folder / "relay.log").read_text()
    assert (folder / "state" / "command-key").stat().st_mode & 0o077 == 0
    assert (folder / "state" / "loa.sqlite3").stat().st_mode & 0o077 == 0
