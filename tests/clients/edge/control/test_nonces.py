"""Ten thousand commands that must not be obeyed, restarts between them, and disks that fail."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path

from loacodecs.control import Command
from loacodecs.signing import LIFETIME_MAX_S, CommandGuard, Verdict
from loaedge.control.nonces import NonceMemory
from tests.support.fake_link_relay import DEVICE, RELAY_TIME, RelayKeys
from tests.support.full_disk import SmallDisk
from tests.support.slow_disk import SlowDisk

COUNT = 10_000


def guard(keys: RelayKeys, path: Path, *, new: bool = False, count: int = 1024) -> CommandGuard:
    """As after a start of the receiver."""
    return CommandGuard(DEVICE, keys.public, NonceMemory(path, new=new, count=count))


def accepted(verdict: Verdict) -> bool:
    return verdict.body is not None


def test_none_of_ten_thousand_forged_replayed_and_stale_commands_is_accepted(tmp_path: Path) -> None:
    keys, attacker = RelayKeys(), RelayKeys()
    dice = random.Random(10)
    path = tmp_path / "nonces.bin"
    doorman = guard(keys, path, new=True)
    genuine = [
        keys.command_for(f"good-{n}", RELAY_TIME + n * 0.01, expires=RELAY_TIME + 3000) for n in range(500)
    ]
    now = RELAY_TIME + 10.0
    assert all(accepted(doorman.check(command, now)) for command in genuine)
    taken = 0
    for number in range(COUNT):
        if number % 1000 == 999:
            doorman = guard(keys, path)  # a restart: only the disk remembers
        command, at = bad_command(keys, attacker, genuine, dice, number, now)
        taken += accepted(doorman.check(command, at))
        now += 0.05
    assert taken == 0
    assert accepted(doorman.check(keys.command_for("the-last-word", now), now))


def bad_command(
    keys: RelayKeys,
    attacker: RelayKeys,
    genuine: list[Command],
    dice: random.Random,
    number: int,
    now: float,
) -> tuple[Command, float]:
    """One of everything that may be tried, and the relay time at which it is."""
    old = dice.choice(genuine)
    kinds = {
        0: lambda: attacker.command_for(f"forged-{number}", now),
        1: lambda: old,
        2: lambda: keys.command_for(f"stale-{number}", now - dice.uniform(31, 1e6)),
        3: lambda: keys.command_for(f"early-{number}", now + dice.uniform(61, 1e6)),
        4: lambda: keys.command_for(f"other-{number}", now, device=f"dev-{dice.randrange(2, 99)}"),
        5: lambda: replace(old, body=old.body.replace("false", "true")),
        6: lambda: replace(old, body=old.body.replace("good-", "new-")),
        7: lambda: replace(old, signature=dice.choice(genuine[:-1]).signature[:-2] + "AA"),
        8: lambda: keys.command_for(f"long-{number}", now, expires=now + LIFETIME_MAX_S + 1),
        9: lambda: Command("{" * dice.randrange(1, 200), old.signature),
    }
    return kinds[number % 10](), now


def test_a_memory_that_is_full_forgets_nothing_that_could_come_again(tmp_path: Path) -> None:
    keys = RelayKeys()
    path = tmp_path / "nonces.bin"
    doorman = guard(keys, path, new=True, count=16)
    sent = [keys.command_for(f"n{n}", RELAY_TIME, expires=RELAY_TIME + 100 + n) for n in range(60)]
    first = [accepted(doorman.check(command, RELAY_TIME)) for command in sent]
    assert all(first)
    assert not any(accepted(doorman.check(command, RELAY_TIME + 1)) for command in sent)
    again = guard(keys, path, count=16)
    assert not any(accepted(again.check(command, RELAY_TIME + 1)) for command in sent)
    assert accepted(
        again.check(keys.command_for("later", RELAY_TIME, expires=RELAY_TIME + 3000), RELAY_TIME + 1)
    )


def test_places_of_expired_nonces_are_used_again(tmp_path: Path) -> None:
    keys = RelayKeys()
    doorman = guard(keys, tmp_path / "nonces.bin", new=True, count=16)
    size = (tmp_path / "nonces.bin").stat().st_size
    for number in range(200):
        now = RELAY_TIME + 40.0 * number
        assert accepted(doorman.check(keys.command_for(f"n{number}", now), now))
    assert (tmp_path / "nonces.bin").stat().st_size == size


def test_a_full_disk_takes_no_command_away(tmp_path: Path) -> None:
    """The file has its size from the enrolment on, and is written in place."""
    keys = RelayKeys()
    disk = SmallDisk(room=200_000)
    memory = NonceMemory(tmp_path / "nonces.bin", disk, new=True)
    disk.room = 0
    doorman = CommandGuard(DEVICE, keys.public, memory)
    command = keys.command_for("n1")
    assert accepted(doorman.check(command, RELAY_TIME))
    assert memory.fault == ""
    assert not accepted(guard(keys, tmp_path / "nonces.bin").check(command, RELAY_TIME))


def test_what_cannot_be_remembered_is_not_accepted(tmp_path: Path) -> None:
    keys = RelayKeys()
    disk = SmallDisk(room=200_000)
    memory = NonceMemory(tmp_path / "nonces.bin", disk, new=True)
    doorman = CommandGuard(DEVICE, keys.public, memory)
    disk.broken = True
    command = keys.command_for("n1")
    assert not accepted(doorman.check(command, RELAY_TIME))
    assert "input/output error" in memory.fault
    disk.broken = False
    assert accepted(doorman.check(command, RELAY_TIME))
    assert memory.fault == ""


def test_a_lost_memory_refuses_everything_it_could_have_seen(tmp_path: Path) -> None:
    keys = RelayKeys()
    path = tmp_path / "nonces.bin"
    command = keys.command_for("n1", expires=RELAY_TIME + LIFETIME_MAX_S)
    for damage in (
        lambda: path.unlink(),
        lambda: path.write_bytes(b"x"),
        lambda: path.write_bytes(bytes(48_000)),
    ):
        path.unlink(missing_ok=True)
        assert accepted(guard(keys, path, new=True).check(command, RELAY_TIME))
        damage()
        assert NonceMemory(path).fault  # once, and the loss itself must outlast the start after the next
        doorman = guard(keys, path)
        assert not accepted(doorman.check(command, RELAY_TIME + 1))
        assert not accepted(guard(keys, path).check(command, RELAY_TIME + 2))
        later = RELAY_TIME + LIFETIME_MAX_S + 120
        assert accepted(doorman.check(keys.command_for("n2", later), later))


def test_a_torn_write_costs_one_slot(tmp_path: Path) -> None:
    keys = RelayKeys()
    path = tmp_path / "nonces.bin"
    doorman = guard(keys, path, new=True)
    commands = [keys.command_for(f"n{n}") for n in range(5)]
    assert all(accepted(doorman.check(command, RELAY_TIME)) for command in commands)
    data = bytearray(path.read_bytes())
    stride = len(data) // 1024
    data[3 * stride + 20] ^= 0xFF
    path.write_bytes(data)
    again = guard(keys, path)
    assert sum(accepted(again.check(command, RELAY_TIME)) for command in commands) == 1


def test_a_disk_that_was_full_at_the_start_keeps_no_command_out_for_ever(tmp_path: Path) -> None:
    disk = SmallDisk(room=100)
    memory = NonceMemory(tmp_path / "n", disk)
    assert not memory.remember("a", RELAY_TIME + 30, RELAY_TIME)
    assert memory.fault
    disk.room = 1 << 20
    # What was seen before is not known: everything that could have been is refused, and nothing after that.
    assert not memory.remember("b", RELAY_TIME + 30, RELAY_TIME)
    later = RELAY_TIME + 3 * LIFETIME_MAX_S
    assert memory.remember("c", later + 30, later)
    assert memory.fault == ""
    again = NonceMemory(tmp_path / "n")
    assert not again.remember("c", later + 30, later)
    assert not again.remember("b", RELAY_TIME + 30, RELAY_TIME)


def test_two_threads_at_a_slow_disk_forget_nothing(tmp_path: Path) -> None:
    disk = SlowDisk()
    memory = NonceMemory(tmp_path / "n", disk, new=True)
    disk.slow = True
    taken: list[bool] = []

    def remember(nonce: str) -> None:
        taken.append(memory.remember(nonce, RELAY_TIME + 30, RELAY_TIME))

    first = threading.Thread(target=remember, args=("a",))
    first.start()
    assert disk.began.wait(5)
    remember("b")
    first.join(5)
    assert taken == [True, True]
    for known in (memory, NonceMemory(tmp_path / "n")):
        assert not known.remember("a", RELAY_TIME + 30, RELAY_TIME)
        assert not known.remember("b", RELAY_TIME + 30, RELAY_TIME)
