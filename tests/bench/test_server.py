"""What a report tells of the relay's log."""

from __future__ import annotations

from bench.server import entries

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
