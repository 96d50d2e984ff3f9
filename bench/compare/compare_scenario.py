"""`loa bench compare`: the same load on this relay, on Janus and on aiortc, in one run, in turns.

The order of a run:

1. A private network, if this process may make one (`bench.compare.namespace`); else plain loopback, without Janus.
2. One booth a server: its listeners' sockets, the server, the publisher, the listeners. All of them stay.
3. A turn each that does not count, and then rounds. In each, every server has one turn: the floor on its listeners'
   sockets, then sound, then silence. This relay's turn is in the middle, near all others, and every second round goes
   backwards (A B C D, D C B A), so that what drifts evenly falls on all alike.
4. A ratio is taken within each round, since a shared machine changes its speed from minute to minute; told is the
   middle of the rounds (`report.middle`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import procfs
from bench.compare.booth import BOOTHS, Booth, JanusBooth, missing
from bench.compare.janus_server import EVENT_LOOPS
from bench.compare.namespace import ADDRESS, Namespace
from bench.compare.namespace import missing as namespace_missing
from bench.compare.report import OURS, Comparison
from bench.errors import BenchError
from bench.receivers import LOOPBACK
from bench.stage import Parameters, Say

FRAME_MS = 20
PAYLOAD_BYTES = 120


@dataclass(frozen=True, slots=True)
class Wish:
    """What to compare. `listeners` has one entry a server; `duration` is each server's sound, seconds.

    `janus_event_loops`: how many threads the server `janus` shares its viewers among; 0 is one for every
    viewer, as `janus_default` has it.
    """

    listeners: Mapping[str, int]
    duration: float
    rounds: int
    janus_event_loops: int = EVENT_LOOPS


def run(wish: Wish, say: Say) -> Comparison:
    """Do the whole comparison. Raises BenchError when it could not be done."""
    started = time.time()
    mends = {name: mend for name in wish.listeners if (mend := missing(name)) is not None}
    present = [name for name in BOOTHS if name in wish.listeners and name not in mends]
    private = namespace_missing() is None
    with contextlib.ExitStack() as undo:
        if private:
            undo.enter_context(Namespace())
        booths = _booths(wish, present, say, ADDRESS if private else LOOPBACK)
        for booth in booths:
            if type(booth) is JanusBooth:  # not the one with the defaults
                booth.share(wish.janus_event_loops)
        procfs.require_descriptors(sum(booth.parameters.sockets for booth in booths))
        backlog_drops = procfs.machine().backlog_drops
        _open(booths, undo)
        _play(booths, wish, say)
        return Comparison.of(
            booths,
            mends,
            started=started,
            parameters={
                "listeners": {booth.name: booth.parameters.listeners for booth in booths},
                "duration": wish.duration,
                "rounds": wish.rounds,
                "servers": list(wish.listeners),
                "janus_event_loops": wish.janus_event_loops,
            },
            environment="network namespace" if private else "loopback",
            backlog_drops=procfs.machine().backlog_drops - backlog_drops,
        )


def _booths(wish: Wish, present: Sequence[str], say: Say, host: str) -> list[Booth]:
    return [
        BOOTHS[name](
            Parameters(
                listeners=wish.listeners[name],
                duration=wish.duration,
                frame_ms=FRAME_MS,
                payload_bytes=PAYLOAD_BYTES,
            ),
            say,
            host,
        )
        for name in present
    ]


def _open(booths: Sequence[Booth], undo: contextlib.ExitStack) -> None:
    """Put up one booth after the other, keeping those alive that are up."""
    for index, booth in enumerate(booths):
        undo.enter_context(booth)
        booth.rivals = list(booths[:index])
        booth.open()
        if not booth.playing():
            problems = booth.crowd.problems if booth.crowd is not None else ()
            raise BenchError(f"{booth.title}: no listener heard sound: {', '.join(problems)}")
    for booth in booths:
        booth.rivals = [rival for rival in booths if rival is not booth]


def _play(booths: Sequence[Booth], wish: Wish, say: Say) -> None:
    for booth in booths:
        say(f"rehearsal, {booth.title}")
        booth.rehearse()
    seconds, order = wish.duration / wish.rounds, _order(booths)
    for number in range(wish.rounds):
        for booth in order if number % 2 == 0 else reversed(order):
            say(f"round {number + 1} of {wish.rounds}, {booth.title}")
            booth.take_turn(seconds)


def _order(booths: Sequence[Booth]) -> list[Booth]:
    ours = [booth for booth in booths if booth.name == OURS]
    theirs = [booth for booth in booths if booth.name != OURS]
    half = len(theirs) // 2
    return [*theirs[:half], *ours, *theirs[half:]]
