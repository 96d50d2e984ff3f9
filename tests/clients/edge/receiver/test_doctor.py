"""What doctor says about a receiver's surroundings, one by one."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from loacodecs.control import Hello, Telemetry
from loacodecs.errors import TransportError
from loacodecs.strict_json import to_base64url
from loaedge.client import ClientSettings, WebRtcClient
from loaedge.control.identity import KEY_FILE, IdentityStore
from loaedge.control.tls import forgiving
from loaedge.disk import Disk, DiskError
from loaedge.local.cache import Cache
from loaedge.local.timetable import Entry
from loaedge.local.wallclock import EARLIEST
from loaedge.receiver import doctor, doctor_relay
from loaedge.receiver.config import DEFAULT_STATE, Config
from loaedge.receiver.finding import Finding
from tests.support.fake_link_relay import DEVICE, RelayKeys, fake_relay
from tests.support.tones import write_wav


def config(folder: Path) -> Config:
    return Config(relays=("http://127.0.0.1:1",), state_dir=folder / "state", output="null", control=False)


def test_a_clock_of_1970_is_found() -> None:
    finding = doctor.clock(1000.0)
    assert (finding.verdict, finding.sentence) == (
        "failure",
        "it shows 1970-01-01 00:16 UTC, which is long past",
    )
    assert "timedatectl" in finding.mend
    assert doctor.clock(-5.0).verdict == "failure"
    assert doctor.clock(datetime(2027, 1, 1, tzinfo=UTC).timestamp()).verdict == "ok"


def test_a_state_directory_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (finding,) = doctor.disk(tmp_path / "state")
    assert finding.verdict in ("ok", "warning")
    assert list((tmp_path / "state").iterdir()) == []
    (tmp_path / "file").write_text("")
    (finding,) = doctor.disk(tmp_path / "file")
    assert finding.verdict == "failure"
    assert "cannot write" in finding.sentence


def test_sound_devices(tmp_path: Path) -> None:
    assert doctor.sound(config(tmp_path)).verdict == "ok"
    assert doctor.sound(replace(config(tmp_path), output="alsa:nonsense")).verdict == "failure"
    assert doctor.sound(replace(config(tmp_path), output="gramophone")).verdict == "failure"
    assert doctor.sound(replace(config(tmp_path), output="wav:/nowhere/a.wav")).verdict == "failure"
    assert doctor.sound(replace(config(tmp_path), output=f"wav:{tmp_path}/a.wav")).verdict == "warning"


def test_the_switch_of_the_amplifier(tmp_path: Path) -> None:
    assert list(doctor.amplifier("none")) == []
    program = tmp_path / "amplifier"
    (missing,) = doctor.amplifier(f"command:{program} left")
    assert (missing.verdict, missing.sentence) == ("failure", f"{program} does not exist")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (there,) = doctor.amplifier(f"command:{program} left")
    assert there.verdict == "ok"
    (chip,) = doctor.amplifier("gpio:gpiochip97:1")
    assert chip.sentence == "/dev/gpiochip97 does not exist"


def test_local_programmes_are_opened(tmp_path: Path) -> None:
    good = write_wav(tmp_path / "good.wav", [np.zeros(4800, np.float32)], 48_000)
    (tmp_path / "bad.opus").write_bytes(b"OggS rubbish")
    entries = [
        Entry(path.stem, frozenset(range(7)), time(5, 30), path)
        for path in (good, tmp_path / "bad.opus", tmp_path / "missing.wav")
    ]
    found = list(doctor.programmes(replace(config(tmp_path), timetable=tuple(entries))))
    assert [finding.verdict for finding in found] == ["ok", "failure", "failure"]


def test_a_programme_that_is_not_what_its_manifest_says_is_found(tmp_path: Path) -> None:
    """It would not be played."""
    path = write_wav(tmp_path / "news.wav", [np.zeros(4800, np.float32)], 48_000)
    Cache(tmp_path).adopt(path.name)
    entries = tuple(
        Entry(play.name, frozenset(range(7)), time(5, 30), play, limit_s=60.0) for play in (path, tmp_path)
    )
    receiver = replace(config(tmp_path), timetable=entries)
    assert [finding.verdict for finding in doctor.programmes(receiver)] == ["ok", "ok"]
    path.write_bytes(path.read_bytes()[:-100])
    for finding in doctor.programmes(receiver):
        assert finding.verdict == "failure"
        assert finding.sentence.startswith("news.wav: truncated")
        assert "copy it there again" in finding.mend


def test_what_mends_a_programme_depends_on_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"ID3")
    names = ("a.mp3", "missing.wav")
    entries = tuple(Entry(name, frozenset(range(7)), time(5, 30), tmp_path / name) for name in names)
    unsupported, missing = doctor.programmes(replace(config(tmp_path), timetable=entries))
    assert "ffmpeg" in unsupported.mend
    assert missing.mend == "copy it there"
    assert str(tmp_path) in missing.sentence


def test_a_card_that_has_turned_read_only_is_not_mended_by_chown(tmp_path: Path) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise DiskError("cannot write /x: read-only file system", read_only=True)

    with patch.object(Disk, "replace", refuse):
        (finding,) = doctor.disk(tmp_path)
    assert finding.verdict == "failure"
    assert "remount" in finding.mend
    assert "chown" not in finding.mend


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees more than the service")
def test_what_the_service_will_not_see_is_told_to_root(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    token.chmod(0o600)
    plain = replace(config(tmp_path), token_file=token, state_dir=DEFAULT_STATE)
    (hidden,) = doctor.for_the_service(plain)  # pytest's folders are below /tmp
    assert (hidden.about, hidden.verdict) == ("service", "warning")
    assert "below /tmp" in hidden.sentence
    with patch.object(doctor, "HIDDEN", ()):
        (unreadable,) = doctor.for_the_service(plain)
        assert "can be read by root and not by the service" in unreadable.sentence
        token.chmod(0o644)
        assert list(doctor.for_the_service(plain)) == []
    (elsewhere,) = doctor.for_the_service(replace(plain, state_dir=tmp_path))
    assert "the service of loa edge unit has /var/lib/loa-edge alone" in elsewhere.sentence


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        (4.9, "ok", "the same within 5 s"),
        (-86_500.0, "failure", "24 hours behind the relay's"),
        (400.0, "failure", "7 minutes ahead of the relay's"),
        (-12.0, "failure", "12 seconds behind"),
        (1e10, "failure", "115741 days ahead"),
    ],
)
def test_a_clock_that_is_possible_and_wrong_is_found_beside_the_relays(
    ahead: float, verdict: str, words: str
) -> None:
    finding = doctor_relay.clock_beside("a.example", ahead)
    assert finding.verdict == verdict
    assert words in finding.sentence
    assert bool(finding.mend) == (verdict == "failure")


async def findings(config: Config, relay: str) -> dict[str, Finding]:
    """By the first words of what they are about."""
    found = [finding async for finding in doctor_relay.RelayDoctor(config).examine(relay)]
    return {finding.about.rpartition(" ")[0]: finding for finding in found}


async def test_certificates_that_are_not_there_are_a_finding_like_others(tmp_path: Path) -> None:
    receiver = replace(config(tmp_path), channel="xa", ca_file=tmp_path / "none.pem")
    async with fake_relay(RelayKeys()) as relay:
        found = [finding async for finding in doctor_relay.RelayDoctor(receiver).examine(relay.url)]
    assert [(finding.about, finding.verdict) for finding in found][1:] == [("certificates", "failure")]
    assert "none.pem" in found[1].sentence


async def test_an_impossible_clock_keeps_doctor_from_no_session_that_the_receiver_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver does not look at a certificate's dates then."""
    asked: list[ClientSettings] = []

    def client(settings: ClientSettings, **_more: object) -> WebRtcClient:
        asked.append(settings)
        raise TransportError("that will do")

    monkeypatch.setattr(doctor_relay, "WebRtcClient", client)
    receiver = replace(config(tmp_path), channel="xa")
    flags = []
    async with fake_relay(RelayKeys()) as relay:
        for now in (1000.0, EARLIEST):
            monkeypatch.setattr("time.time", lambda now=now: now)
            await findings(receiver, relay.url)
            assert asked[-1].tls is not None
            flags.append(asked[-1].tls.verify_flags)
    expected = forgiving(ssl.create_default_context(), 1000.0).verify_flags
    assert flags == [expected, forgiving(ssl.create_default_context(), EARLIEST).verify_flags]
    assert flags[0] != flags[1]


async def test_a_relay_that_is_not_there(tmp_path: Path) -> None:
    found = await findings(replace(config(tmp_path), channel="xa"), "http://127.0.0.1:1")
    assert list(found) == ["network to"], "the rest would say the same again"
    network = found["network to"]
    assert (network.verdict, network.sentence) == ("failure", "port 1: connection refused")
    assert "is the relay running" in network.mend
    assert "SIM" not in network.mend


def enrolled(folder: Path, keys: RelayKeys) -> Config:
    """A configuration whose state directory holds an enrolment."""
    state = folder / "state"
    state.mkdir()
    (state / KEY_FILE).write_text(to_base64url(keys.device.private_bytes_raw()))
    IdentityStore(state).add(keys.enrolment())
    return replace(config(folder), control=True)


async def test_the_control_link_is_tried_as_the_receiver_would(tmp_path: Path) -> None:
    keys = RelayKeys()
    async with fake_relay(keys) as relay:
        relay.channel_on_air = True
        found = await findings(enrolled(tmp_path, keys), relay.url)
        assert relay.of(Hello)[0].device == DEVICE
        assert not relay.of(Telemetry), "it is a look, not a link"
    assert found["control link to"].verdict == "ok"
    assert "on air" in found["control link to"].sentence


@pytest.mark.parametrize(("word", "mend"), [("revoked", "loa edge enrol CODE"), ("signature", "--anew")])
async def test_a_receiver_that_the_relay_refuses_is_told_how_to_come_back(
    tmp_path: Path, word: str, mend: str
) -> None:
    keys = RelayKeys()
    async with fake_relay(keys, refuse=word) as relay:
        found = await findings(enrolled(tmp_path, keys), relay.url)
    assert found["control link to"].verdict == "failure"
    assert mend in found["control link to"].mend


async def test_a_relay_of_another_version_and_another_relay(tmp_path: Path) -> None:
    keys = RelayKeys()
    receiver = enrolled(tmp_path, keys)
    async with fake_relay(keys, protocol=2) as relay:
        link = (await findings(receiver, relay.url))["control link to"]
        assert link.verdict == "failure"
        assert "update" in link.mend
    async with fake_relay(keys, name="loa-other") as relay:
        link = (await findings(receiver, relay.url))["control link to"]
        assert (link.verdict, f"--relay {relay.url}" in link.mend) == ("failure", True)
        both = replace(receiver, relays=("http://127.0.0.1:1", relay.url))
        link = (await findings(both, relay.url))["control link to"]
        assert link.verdict == "warning", "the other relay's token may be good there"
