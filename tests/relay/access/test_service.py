"""Revoking as a whole: in what order, over a restart, with a disk that fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relay.access.service import AFTERWARDS_S, RevocationService
from relay.store.database import Database
from relay.tokens import LIFE_MAX, Grant, Secret, Tokens

NOW = 1_800_000_000.0


class World:
    """A service, its disk, and a relay whose sessions are those of `grants`."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.path = path
        self.tokens = Tokens(Secret(b"s" * 32), clock=lambda: self.now)
        self.grants: list[Grant] = []
        self.void_when_ending: list[bool] = []
        self.databases: list[Database] = []
        self.service = self._started()

    def _started(self) -> RevocationService:
        self.databases.append(Database(self.path, clock=lambda: self.now))
        return RevocationService(self.databases[-1], self.end, lambda: self.now)

    async def restart(self) -> RevocationService:
        """As after a SIGKILL: nothing is written that has not been before."""
        self.service = self._started()
        await self.service.begin()
        return self.service

    def grant(self, subject: str = "đài", ttl: float = 3600) -> Grant:
        made = self.tokens.mint(subject=subject, scopes=["listen"], channels=["*"], ttl=ttl)
        return self.tokens.verify(made)

    async def end(self, void: Callable[[Grant], bool]) -> int:
        ended = [grant for grant in self.grants if void(grant)]
        self.void_when_ending += [self.service.is_revoked(grant) for grant in ended]
        self.grants = [grant for grant in self.grants if grant not in ended]
        return len(ended)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "loa.sqlite3")
    yield made
    for database in made.databases:
        database.close()


async def test_a_token_is_void_before_its_sessions_end_and_over_a_restart(world: World) -> None:
    leaked, other = world.grant(), world.grant()
    world.grants = [leaked, other, leaked]
    done = await world.service.revoke_token(leaked.id, subject="đài", until=leaked.expires, by="admin")
    assert (done.sessions, done.kept) == (2, True)
    assert world.grants == [other]
    assert world.void_when_ending == [True, True], "or a new one could begin meanwhile"
    again = await world.restart()
    assert again.is_revoked(leaked)
    assert not again.is_revoked(other)
    assert again.revocations() == [done.revocation]


async def test_a_subject_is_void_until_now_and_what_is_minted_afterwards_is_good(world: World) -> None:
    before = world.grant()
    world.now += 0.5
    done = await world.service.revoke_subject("đài", by="admin")
    world.now += 0.001
    after = world.grant()
    for service in (world.service, await world.restart()):
        assert service.is_revoked(before)
        assert not service.is_revoked(after)
    assert done.revocation.until == NOW + 0.5 + LIFE_MAX + AFTERWARDS_S


async def test_it_is_kept_a_day_longer_than_the_token_would_have_been_good(world: World) -> None:
    leaked = world.grant(ttl=100)
    await world.service.revoke_token(leaked.id, subject="đài", until=leaked.expires, by="admin")
    unknown = await world.service.revoke_token("c0ffee", subject="", until=None, by="admin")
    world.now += 100 + AFTERWARDS_S - 1
    await world.service.keep_house()
    assert (await world.restart()).is_revoked(leaked)
    world.now += 1
    await world.service.keep_house()
    assert world.service.revocations() == [unknown.revocation]
    assert (await world.restart()).revocations() == [unknown.revocation]


async def test_a_disk_that_does_not_take_it_is_no_reason_to_wait_and_gets_it_later(world: World) -> None:
    await world.service.begin()
    leaked = world.grant()
    world.grants = [leaked]
    other = sqlite3.connect(world.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    done = await world.service.revoke_token(leaked.id, subject="", until=None, by="admin")
    assert (done.sessions, done.kept) == (1, False)
    assert world.service.is_revoked(leaked)
    other.execute("ROLLBACK")
    other.close()
    world.now += 2
    await world.service.keep_house()
    assert (await world.restart()).is_revoked(leaked)


async def test_a_relay_that_could_not_read_what_is_revoked_learns_it_and_ends_what_began_with_it(
    world: World,
) -> None:
    leaked = world.grant()
    await world.service.revoke_token(leaked.id, subject="", until=None, by="admin")
    await asyncio.to_thread(world.databases[0].close)
    content = world.path.read_bytes()
    world.path.write_bytes(b"this is no database" * 1000)
    again = await world.restart()
    assert not again.is_revoked(leaked)
    world.grants = [leaked]
    await again.keep_house()
    assert world.grants == [leaked]
    world.path.write_bytes(content)
    await again.keep_house()
    assert again.is_revoked(leaked)
    assert world.grants == []
