"""Devices and codes: who may enrol, and what is remembered of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from loacodecs.control import Settings
from relay.errors import CodeRefused, DeviceExists, DeviceNotFound
from relay.store.database import Database
from relay.store.devices import DEFAULT_DELAY_MS, CodeRecord, DeviceStore

NOW = 1_800_000_000.0
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    database = Database(tmp_path / "loa.sqlite3")
    yield DeviceStore(database)
    database.close()


def code(value: bytes = b"h", expires: float = NOW + 3600, created: float = NOW) -> CodeRecord:
    return CodeRecord(value, "Cụm 1", "xa", created, "operator", expires)


async def test_a_code_enrols_one_device_with_its_channel(store: DeviceStore) -> None:
    await store.add_code(code())
    record = await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)
    assert (record.id, record.name, record.public_key, record.enrolled) == ("rx-1", "Cụm 1", KEY, NOW)
    assert record.settings == Settings("xa", DEFAULT_DELAY_MS, 0, 0.0, False)
    assert await store.find("rx-1") == record
    with pytest.raises(CodeRefused, match="has been used"):
        await store.enrol(b"h", device="rx-2", name="", public_key=OTHER_KEY, now=NOW)


async def test_the_name_a_receiver_gives_itself_comes_first(store: DeviceStore) -> None:
    await store.add_code(code())
    assert (await store.enrol(b"h", device="rx-1", name="Chợ", public_key=KEY, now=NOW)).name == "Chợ"


async def test_a_lost_answer_costs_no_code(store: DeviceStore) -> None:
    await store.add_code(code())
    first = await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)
    assert await store.enrol(b"h", device="rx-2", name="", public_key=KEY, now=NOW + 9) == first
    await store.revoke("rx-1", NOW + 10)
    with pytest.raises(CodeRefused):
        await store.enrol(b"h", device="rx-2", name="", public_key=KEY, now=NOW + 11)


async def test_two_devices_race_for_a_code_and_one_wins(store: DeviceStore) -> None:
    await store.add_code(code())
    tries = [
        store.enrol(b"h", device=f"rx-{n}", name="", public_key=bytes([n]) * 32, now=NOW) for n in range(20)
    ]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, CodeRefused) for outcome in outcomes) == 19
    assert len(await store.all()) == 1


@pytest.mark.parametrize(("value", "later"), [(b"x", 0.0), (b"h", 3600.0)])
async def test_unknown_and_expired_codes_are_refused(store: DeviceStore, value: bytes, later: float) -> None:
    await store.add_code(code())
    with pytest.raises(CodeRefused, match="unknown or has expired"):
        await store.enrol(value, device="rx-1", name="", public_key=KEY, now=NOW + later)
    assert await store.all() == []


async def test_a_key_that_is_enrolled_spends_no_second_code(store: DeviceStore) -> None:
    await store.add_code(code())
    await store.add_code(code(b"i"))
    await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)
    with pytest.raises(DeviceExists, match="make a new one"):
        await store.enrol(b"i", device="rx-2", name="", public_key=KEY, now=NOW)
    assert (await store.enrol(b"i", device="rx-2", name="", public_key=OTHER_KEY, now=NOW)).id == "rx-2"


async def test_old_codes_go_when_new_ones_come(store: DeviceStore) -> None:
    await store.add_code(code(b"h", expires=NOW + 60))
    await store.add_code(code(b"i", created=NOW + 90_000, expires=NOW + 93_600))
    with pytest.raises(CodeRefused):
        await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)


async def test_settings_change_one_by_one(store: DeviceStore) -> None:
    await store.add_code(code())
    await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)
    changed = await store.change("rx-1", settings={"volume_db": -6.5, "muted": True})
    assert changed.settings == Settings("xa", DEFAULT_DELAY_MS, 0, -6.5, True)
    changed = await store.change("rx-1", name="Đình", settings={"channel": "huyen", "trim_ms": 12})
    assert changed.name == "Đình"
    assert changed.settings == Settings("huyen", DEFAULT_DELAY_MS, 12, -6.5, True)
    assert await store.find("rx-1") == changed


async def test_revoking_is_for_ever_and_keeps_the_first_moment(store: DeviceStore) -> None:
    await store.add_code(code())
    await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)
    assert (await store.revoke("rx-1", NOW + 5)).revoked == NOW + 5
    assert (await store.revoke("rx-1", NOW + 9)).revoked == NOW + 5


async def test_when_a_device_was_seen(store: DeviceStore) -> None:
    await store.add_code(code())
    await store.enrol(b"h", device="rx-1", name="", public_key=KEY, now=NOW)
    await store.note_seen({"rx-1": NOW + 7, "gone": NOW})
    assert [record.seen for record in await store.all()] == [NOW + 7]


async def test_devices_that_are_not_there(store: DeviceStore) -> None:
    with pytest.raises(DeviceNotFound, match="no device rx-9"):
        await store.find("rx-9")
    with pytest.raises(DeviceNotFound):
        await store.change("rx-9", settings={"muted": True})
    with pytest.raises(DeviceNotFound):
        await store.revoke("rx-9", NOW)
