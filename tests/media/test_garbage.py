"""What a source leaves behind that could not be opened: nothing that only the collector would find.

A relay sets aside what is alive every 20 s, and a circle there is never found: a leak with each file that is missing.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from loamedia.feeding import Feeder, PlayerSettings
from loamedia.player import Player
from loamedia.policy import Policy
from loamedia.ring import Ring
from loamedia.spec import parse_spec
from tests.support.waiting import until
from tests.support.web_radio import web_radio

ONCE = PlayerSettings(reconnect=False)


def left() -> int:
    return sum(isinstance(each, Feeder | Ring) for each in gc.get_objects())


def fail(address: str, policy: Policy) -> None:
    player = Player(parse_spec(address), policy, ONCE)
    until(lambda: player.state == "failed")
    player.close()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("what", ["missing", "no sound", "forbidden", "refused", "not found"])
def test_a_source_that_fails_leaves_nothing(tmp_path: Path, what: str) -> None:
    (tmp_path / "text.mp3").write_bytes(b"this is no sound" * 100)
    with web_radio(lambda asked: asked.answer("404 Not Found")) as radio:
        address = {
            "missing": str(tmp_path / "none.mp3"),
            "no sound": str(tmp_path / "text.mp3"),
            "forbidden": radio.url("/a.mp3"),
            "refused": "http://127.0.0.1:9/a.mp3",
            "not found": radio.url("/a.mp3"),
        }[what]
        policy = Policy() if what == "forbidden" else Policy(trusted=True)
        before = left()
        fail(address, policy)
        until(lambda: left() == before)  # its thread is on its way out
