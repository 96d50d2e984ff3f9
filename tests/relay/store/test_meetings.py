"""What is kept of meetings: all of it comes back, of the right channel, and no secret is in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.errors import StoreUnavailable
from relay.live.people import digest_of
from relay.meeting_ports import SavedMeeting, SavedPerson
from relay.store.database import Database
from relay.store.meetings import MeetingStore
from relay.store.schema import MIGRATIONS

SECRET = "a participant's secret"
CHAIR = SavedPerson(
    "p1", digest_of(SECRET), "chair", "Chủ tịch", "t1", False, True, False, True, False, 0
)  # fmt: skip
VAN = SavedPerson("p9", b"", "speaker", "xe loa", "t2", True, False, True, False, True, 2)
OPEN = SavedMeeting("open", "", 1_700_000_500.25, 1_700_000_000.5, 9, frozenset({"t2", "t3"}), (CHAIR, VAN))
ENDED = SavedMeeting("ended", "cap", 0.0, 1_700_000_001.0, 3, frozenset(), ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "loa.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    yield opened
    opened.close()


async def test_all_of_it_comes_back_after_a_restart(path: Path) -> None:
    before = Database(path)
    await MeetingStore(before).save("xa", OPEN)
    await MeetingStore(before).save("huyen", ENDED)
    before.close()
    after = Database(path)
    loaded = await MeetingStore(after).load()
    assert loaded == {"xa": OPEN, "huyen": ENDED}
    assert (loaded["xa"].ends, loaded["xa"].written) == (OPEN.ends, OPEN.written)
    after.close()


async def test_what_is_saved_takes_the_place_of_what_was(database: Database) -> None:
    store = MeetingStore(database)
    await store.save("xa", OPEN)
    await store.save("huyen", OPEN)
    later = replace(OPEN, watched=frozenset({"t3"}), people=(VAN,))
    await store.save("xa", later)
    assert await store.load() == {"xa": later, "huyen": OPEN}


async def test_a_channel_without_meetings_is_forgotten(database: Database) -> None:
    store = MeetingStore(database)
    await store.save("xa", OPEN)
    await store.save("huyen", OPEN)
    await store.retain({"huyen", "another"})
    assert await store.load() == {"huyen": OPEN}
    await store.retain(())
    assert await store.load() == {}


async def test_no_secret_is_in_the_file(path: Path) -> None:
    database = Database(path)
    await MeetingStore(database).save("xa", OPEN)
    database.close()
    content = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert "Chủ tịch".encode() in content
    assert SECRET.encode() not in content


async def test_a_file_of_before_meetings_were_kept_is_brought_up(path: Path) -> None:
    of_meetings = next(at for at, each in enumerate(MIGRATIONS) if "CREATE TABLE meeting " in each)
    with sqlite3.connect(path) as connection:
        for script in MIGRATIONS[:of_meetings]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {of_meetings}")
    connection.close()
    database = Database(path)
    await MeetingStore(database).save("xa", OPEN)
    assert await MeetingStore(database).load() == {"xa": OPEN}
    database.close()


async def test_what_cannot_be_a_meeting_is_not_kept(database: Database) -> None:
    store = MeetingStore(database)
    await store.save("xa", ENDED)
    with pytest.raises(StoreUnavailable):
        await store.save("xa", replace(OPEN, phase="begun"))  # type: ignore[arg-type]
    assert await store.load() == {"xa": ENDED}
