"""What is kept of meetings, and when: soon after a decision, at no other time, and never at the meeting's expense."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pytest

from relay.errors import StoreUnavailable
from relay.live.meeting_keeping import AFRESH_S, MeetingKeeping
from relay.live.meetings import Meetings, Room
from relay.meeting_ports import Admit, End, Entered, Entry, Extend, Open, Remove, SavedMeeting
from tests.support.mixing import MixWorld

UNIX = 1_700_000_000.0


class Disk:
    """A `MeetingArchive` that outlives the relay; `broken` it refuses everything."""

    def __init__(self) -> None:
        self.kept: dict[str, SavedMeeting] = {}
        self.broken = False
        self.writes = 0

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("the disk is full; make room")

    async def load(self) -> Mapping[str, SavedMeeting]:
        self._check()
        return dict(self.kept)

    async def save(self, channel: str, saved: SavedMeeting) -> None:
        self._check()
        self.kept[channel] = saved
        self.writes += 1

    async def retain(self, channels: Collection[str]) -> None:
        self._check()
        self.kept = {name: each for name, each in self.kept.items() if name in channels}


class Run:
    """One run of a relay, with a meeting on the channel xa."""

    def __init__(self, disk: Disk, world: MixWorld) -> None:
        self.world = world
        self.set_by = 0.0
        """How far somebody has set the wall clock."""
        meetings = Meetings(world.studio.channels, lambda: world.now)
        self.keeping = MeetingKeeping(
            meetings.rooms, disk, wall=lambda: UNIX + world.now + self.set_by
        )  # fmt: skip
        found = meetings.room("xa")
        assert found is not None
        self.room: Room = found

    def enter(self, name: str, secret: str = "") -> Entered:
        role = "chair" if name == "chair" else "speaker"
        return self.room.enter(Entry(role, name, f"token of {name}", name, secret))  # type: ignore[arg-type]

    async def opened(self) -> tuple[Entered, Entered]:
        """A chair and a speaker who has been let in, all of it kept."""
        await self.keeping.begin()
        chair, lan = self.enter("chair"), self.enter("lan")
        self.room.obey(chair.person, Open())
        self.room.obey(chair.person, Admit(lan.person))
        await self.keeping.keep_all()
        return chair, lan


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def world() -> Iterator[MixWorld]:
    with MixWorld(meeting={}) as running:
        yield running


@pytest.fixture
def run(disk: Disk, world: MixWorld) -> Run:
    return Run(disk, world)


async def test_what_was_decided_is_taken_up_by_the_next_run(run: Run, disk: Disk) -> None:
    chair, lan = await run.opened()
    hoa = run.enter("hoa")
    run.room.obey(chair.person, Remove(hoa.person))
    await run.keeping.keep_all()
    again = Run(disk, run.world)
    await again.keeping.begin()
    assert again.enter("lan", lan.secret) == lan
    assert again.enter("hoa", hoa.secret) == hoa
    view = again.room.view(lan.person)
    assert view.phase == "open"
    assert [each.admitted for each in view.people if each.id == lan.person] == [True]
    assert again.room.view(hoa.person).removed


async def test_what_decides_nothing_is_not_written(run: Run, disk: Disk) -> None:
    _, lan = await run.opened()
    written = disk.writes
    for _ in range(20):
        run.room.leave(lan.person)
        run.enter("lan", lan.secret)
        run.room.look()
        await run.keeping.keep_all()
    assert disk.writes == written


async def test_an_end_that_is_put_off_is_written(run: Run, disk: Disk) -> None:
    chair, _ = await run.opened()
    run.world.now += 7_000
    await run.keeping.keep_all()
    before = disk.kept["xa"].ends
    run.room.obey(chair.person, Extend())
    await run.keeping.keep_all()
    assert disk.kept["xa"].ends == pytest.approx(before + 1_800)


async def test_an_end_stays_right_when_somebody_sets_the_clock(run: Run, disk: Disk) -> None:
    await run.opened()
    before = disk.kept["xa"].ends
    for set_by in (3_600.0, 0.0):
        run.set_by = set_by
        await run.keeping.keep_all()
        assert disk.kept["xa"].ends == pytest.approx(before + set_by)


async def test_an_open_meeting_is_written_once_a_minute_at_least(run: Run, disk: Disk) -> None:
    chair, _ = await run.opened()
    written = disk.writes
    for _ in range(10):
        run.world.now += AFRESH_S / 5
        await run.keeping.keep_all()
    assert disk.writes == written + 2
    run.room.obey(chair.person, End())
    await run.keeping.keep_all()
    assert disk.kept["xa"].phase == "ended"
    written = disk.writes
    run.world.now += 10 * AFRESH_S
    await run.keeping.keep_all()
    assert disk.writes == written


async def test_a_store_that_fails_is_told_once_and_disturbs_no_meeting(
    run: Run, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    chair, _ = await run.opened()
    disk.broken = True
    hoa = run.enter("hoa")
    for _ in range(5):
        await run.keeping.keep_all()
    run.room.obey(chair.person, Admit(hoa.person))
    await run.keeping.keep_all()
    assert [each.getMessage() for each in caplog.records if each.name == "loa.meetings"] == [
        "what is decided in meetings does not outlast the relay now: the disk is full; make room"
    ]
    assert len(disk.kept["xa"].people) == 2
    disk.broken = False
    await run.keeping.keep_all()
    assert [each.admitted for each in disk.kept["xa"].people] == [True, True, True]


async def test_what_cannot_be_read_at_the_start_is_taken_up_later(run: Run, disk: Disk) -> None:
    _, lan = await run.opened()
    again = Run(disk, run.world)
    disk.broken = True
    await again.keeping.begin()
    disk.broken = False
    await again.keeping.keep_all()
    assert again.enter("lan", lan.secret) == lan


async def test_a_meeting_that_began_while_nothing_could_be_read_is_another(run: Run, disk: Disk) -> None:
    _, lan = await run.opened()
    again = Run(disk, run.world)
    disk.broken = True
    await again.keeping.begin()
    new = again.enter("chair")
    again.room.obey(new.person, Open())
    await again.keeping.keep_all()
    disk.broken = False
    await again.keeping.keep_all()
    assert again.room.view(new.person).phase == "open"
    assert again.enter("lan", lan.secret).secret != lan.secret
    assert [each.name for each in disk.kept["xa"].people] == ["chair"]


async def test_a_channel_that_has_meetings_no_more_is_dropped(run: Run, disk: Disk) -> None:
    await run.opened()
    without = MeetingKeeping({}, disk)
    await without.begin()
    assert disk.kept == {}
