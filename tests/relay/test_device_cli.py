"""`loa device`: against a relay in a thread, and against relays that are none."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from loacodecs.control import Receipt, ReceiptOk
from relay.channel_cli import channel
from relay.device_cli import device
from tests.support.edge_link import PATIENCE_S, Receiver, idle
from tests.support.running_relay import Running, running_relay


@pytest.fixture
def loa(tmp_path: Path) -> Iterator[Running]:
    with running_relay(tmp_path, device) as running:
        yield running


def test_a_code_is_all_that_is_printed_and_it_enrols(loa: Running) -> None:
    result = loa("code", "--channel", "xa", "--name", "Cụm 1", "--ttl", "10m")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.strip()) == 19
    enrolling = loa.relay.desk.enrol(result.stdout.strip(), public_key=b"k" * 32, name="")
    assert asyncio.run_coroutine_threadsafe(enrolling, loa.loop).result(PATIENCE_S).channel == "xa"


def test_set_and_list_a_receiver_that_is_away(loa: Running) -> None:
    name = loa.receiver().device
    assert loa("set", name, "--volume", "nan").exit_code == 2
    result = loa("set", name, "--volume", "-6.5", "--trim", "85ms", "--delay", "1s", "--name", "Đình")
    assert result.output == f"{name} is away; it will be told when it connects\n"
    heading, row = loa("list").stdout.splitlines()
    assert heading.split() == ["DEVICE", "NAME", "CHANNEL", "DELAY", "TRIM", "VOLUME", "STATE", "HEARD"]
    assert row.split() == [name, "Đình", "xa", "1000", "ms", "85", "ms", "-6.5", "dB", "away", "never"]
    assert loa("set", name, "--mute").exit_code == 0
    assert "muted" in loa("list").stdout


async def _play(receiver: Receiver, ready: threading.Event, stop: threading.Event, ok: bool) -> None:
    async with receiver.link() as link:
        await link.obey()
        await link.send(idle(state="live", faults=("disk full",)))
        await link.send(Receipt("r-1", "Bản tin", "xa", 1.8e9, 1.8e9 + 60, 0.999, 20.0, -18.5, "played"))
        await link.receive(ReceiptOk)
        ready.set()
        await link.obey(ok=ok, detail="" if ok else "too loud for this horn")
        await asyncio.to_thread(stop.wait, PATIENCE_S)


@pytest.mark.parametrize("ok", [True, False])
def test_a_receiver_that_is_there_answers(loa: Running, ok: bool) -> None:
    receiver = loa.receiver()
    ready, stop = threading.Event(), threading.Event()
    playing = asyncio.run_coroutine_threadsafe(_play(receiver, ready, stop, ok), loa.loop)
    assert ready.wait(PATIENCE_S)
    assert "live, disk full" in loa("list").stdout
    result = loa("set", receiver.device, "--volume", "12")
    assert result.exit_code == (0 if ok else 1)
    said = "has applied it" if ok else "refuses: too loud for this horn"
    assert said in result.output
    (row,) = loa("receipts", receiver.device).stdout.splitlines()[1:]
    assert row.split()[-6:] == ["99.9%", "20", "ms", "-18.5", "dBFS", "played"]
    assert json.loads(loa("receipts", receiver.device, "--json", "--limit", "1").stdout)[0]["id"] == "r-1"
    assert loa("restart", receiver.device).output == f"{receiver.device} has been told\n"
    assert json.loads(loa("list", "--json").stdout)[0]["telemetry"]["state"] == "live"
    stop.set()
    playing.result(PATIENCE_S)


def test_a_revoked_receiver_is_listed_only_when_asked_for(loa: Running) -> None:
    name = loa.receiver().device
    assert loa("revoke", name).output == f"{name} is revoked\n"
    assert name not in loa("list").stdout
    assert "revoked" in loa("list", "--all").stdout


def test_every_failure_is_one_line(loa: Running, tmp_path: Path) -> None:
    name = loa.receiver().device
    failures = {
        ("restart", name): f"{name} is not connected",
        ("set", "rx-none", "--mute"): "there is no device rx-none",
        ("set", "../../healthz", "--mute"): "there is nothing at this address",
        ("code", "--channel", "nix"): "the configuration has no channel 'nix'",
        ("code", "--ttl", "1s"): "ttl_s: ",
    }
    for arguments, sentence in failures.items():
        result = loa(*arguments)
        assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
        assert sentence in result.output
    assert "give a token with --token-file" in loa("list", token=False).output
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert "cannot be read as a token" in loa("list").output
    (tmp_path / "token").write_text("two words")
    assert "copy the whole of it" in loa("list").output


def test_usage_that_cannot_be_understood(loa: Running) -> None:
    for arguments in (("set", "rx-1"), ("set", "rx-1", "--trim", "85"), ("receipts", "rx-1", "--limit", "0")):
        assert loa(*arguments).exit_code == 2
    assert CliRunner().invoke(device, ["list", "--url", "ftp://host"]).exit_code == 2


def test_an_emergency_is_declared_shown_and_withdrawn(loa: Running) -> None:
    def say(*arguments: str) -> str:
        result = loa("class", *arguments, command=channel)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert say("xa") == "xa: normal\n"
    declared = say("xa", "emergency", "--for", "10m")
    assert re.fullmatch(r"xa: emergency until \S+ \S+, declared by đài; 0 receivers told\n", declared), (
        declared
    )
    assert say("xa").startswith("xa: emergency until ")
    assert say("xa", "normal") == "xa: normal; 0 receivers told\n"
    refused = loa("class", "nowhere", "emergency", command=channel)
    assert refused.exit_code == 1
    assert "there is no channel" in refused.output
    too_long = loa("class", "xa", "emergency", "--for", "2h", command=channel)
    assert too_long.exit_code == 1
    assert "ttl_s" in too_long.output
