"""Settings outlast a restart, or are given up; they are never made up."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from loacodecs.control import Settings
from loaedge.control.settings import KeptSettings, SettingsStore
from tests.support.fake_link_relay import RELAY_TIME
from tests.support.full_disk import SmallDisk
from tests.support.slow_disk import SlowDisk

WANTED = Settings("commune-1", 700, 12, -3.5, True)


def test_a_restart_without_network_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    assert SettingsStore(path).load() is None
    assert SettingsStore(path).save(WANTED, RELAY_TIME)
    store = SettingsStore(path)
    assert store.load() == KeptSettings(WANTED, RELAY_TIME)
    assert store.fault == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"at": 1}',
        b'{"at": "now", "settings": {}}',
        b'{"at": 1, "settings": {"channel": "a", "delay_ms": 1, "trim_ms": 0, "volume_db": 0, "muted": false}}',
        b'{"at": 1, "settings": {"channel": "a", "delay_ms": 700, "trim_ms": 0, "volume_db": 99, "muted": false}}',
        b"\xff\xfe",
        b"[" * 16_384,
    ],
)
def test_a_broken_file_is_no_settings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    store = SettingsStore(path)
    assert store.load() is None
    assert "broken" in store.fault


def test_every_cut_of_the_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    SettingsStore(path).save(WANTED, RELAY_TIME)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert SettingsStore(path).load() is None


def test_a_full_disk_keeps_the_old_ones_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    SettingsStore(path).save(WANTED, RELAY_TIME)
    store = SettingsStore(path, SmallDisk(room=20))
    assert not store.save(Settings("commune-2", 700, 0, 0.0, False), RELAY_TIME)
    assert "no space left" in store.fault
    kept = SettingsStore(path).load()
    assert kept is not None
    assert kept.settings == WANTED


def test_two_threads_at_a_slow_disk_keep_what_came_last(tmp_path: Path) -> None:
    disk = SlowDisk()
    store = SettingsStore(tmp_path / "settings.json", disk)
    disk.slow = True
    kept: list[bool] = []
    first = threading.Thread(target=lambda: kept.append(store.save(WANTED, RELAY_TIME)))
    first.start()
    assert disk.began.wait(5)
    newer = replace(WANTED, channel="commune-2")
    kept.append(store.save(newer, RELAY_TIME + 1))
    first.join(5)
    assert kept == [True, True]
    assert store.load() == KeptSettings(newer, RELAY_TIME + 1)
