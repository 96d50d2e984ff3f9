"""What a report tells of the relay's log."""

from __future__ import annotations

import time

import jwt

from bench.receivers import LOOPBACK
from bench.relay_scenario import FLOOR_S, SEGMENT_S
from bench.server import Server, entries

LOG = """\
2026-11-27 21:20:01.100 warning relay.ice: many wrong passwords
2026-11-27 21:21:33.845 error   loa.live: an input of the mixer failed and is silent from now on
Traceback (most recent call last):
  File "/relay/live/stretching.py", line 67, in _best
    return least + int(alike[-1])
                       ~~~~~^^^^
IndexError: index -1 is out of bounds for axis 0 with size 0
"""


def test_an_exception_is_told_by_what_was_logged_and_by_what_it_ends_with() -> None:
    assert entries(LOG.splitlines()) == [
        "2026-11-27 21:20:01.100 warning relay.ice: many wrong passwords",
        "2026-11-27 21:21:33.845 error   loa.live: an input of the mixer failed and is silent from now on: "
        "IndexError: index -1 is out of bounds for axis 0 with size 0",
    ]


def test_a_relay_that_ends_without_a_log_is_told_by_its_last_line() -> None:
    ended = ["Traceback (most recent call last):", '  File "x.py"', "ImportError: no libopus", ""]
    assert entries(ended) == ["ImportError: no libopus"]
    assert entries(["Error: media.listen: in use"]) == ["Error: media.listen: in use"]
    assert entries([]) == []


def test_a_token_is_good_to_the_end_of_a_day_of_sound_and_of_the_pauses_in_it() -> None:
    with Server(1, 1, LOOPBACK) as server:
        claims = jwt.decode(server.token("listen"), options={"verify_signature": False})
    segments = 86_400 / SEGMENT_S
    assert claims["exp"] - time.time() > 86_400 + segments * (FLOOR_S + 1)
