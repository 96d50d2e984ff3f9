"""CPU, memory and punctuality of ticks."""

from __future__ import annotations

import multiprocessing
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.mixer.console import Console
from relay.mixer.block import FRAME, SAMPLE_RATE

TICK_S = FRAME / SAMPLE_RATE
ROW_BYTES = 4 * FRAME
WARM_UP = 100
"""Ticks before anything is counted: kernels are compiled or loaded, ramps have ended, ducking is down."""


class Stopwatch:
    """CPU time of the calling thread by stage, in microseconds per block."""

    def __init__(self) -> None:
        self._ns: dict[str, int] = {}
        self._last = 0

    def start(self) -> None:
        """The next stage begins now."""
        self._last = time.thread_time_ns()

    def mark(self, stage: str) -> None:
        """A stage is done."""
        now = time.thread_time_ns()
        self._ns[stage] = self._ns.get(stage, 0) + now - self._last
        self._last = now

    def per_block(self, blocks: int) -> dict[str, float]:
        """By stage, after their sum as `total`."""
        stages = {stage: ns / 1000 / blocks for stage, ns in self._ns.items()}
        return {"total": sum(stages.values())} | stages


def cpu_us(console: Console, blocks: int) -> float:
    """CPU microseconds of the calling thread for a block."""
    began = time.thread_time_ns()
    for _ in range(blocks):
        console.tick()
    return (time.thread_time_ns() - began) / 1000 / blocks


def allocations(console: Console, blocks: int) -> float:
    """Blocks of samples that a tick allocates, kept or not.

    tracemalloc sees numpy's buffers; what a tick raises the peak by over what is held is counted in rows of a block
    (3,840 bytes). Python's own small objects, some hundred bytes of views and numbers, are less than one.
    """
    tracemalloc.start()
    try:
        console.tick()
        rows = 0
        for _ in range(blocks):
            tracemalloc.reset_peak()
            held, _ = tracemalloc.get_traced_memory()
            console.tick()
            _, peak = tracemalloc.get_traced_memory()
            rows += max(peak - held, 0) // ROW_BYTES
        return rows / blocks
    finally:
        tracemalloc.stop()


def lateness_ms(console: Console, ticks: int) -> dict[str, float]:
    """Ticks by the real clock on an absolute schedule: by how much they began late."""
    late = np.zeros(ticks)
    began = time.monotonic() + TICK_S
    for number in range(ticks):
        due = began + number * TICK_S
        time.sleep(max(due - time.monotonic(), 0.0))
        late[number] = time.monotonic() - due
        console.tick()
    p50, p99, most = np.percentile(late, (50, 99, 100)) * 1000
    return {"p50": float(p50), "p99": float(p99), "max": float(most)}


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many other processes that want a whole core each."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_spin, args=(os.getpid(),), daemon=True) for _ in range(processes)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def _spin(parent: int) -> None:
    """Until whoever measures is gone, however: nobody else would ever end this."""
    while os.getppid() == parent:
        for _ in range(10_000):
            time.perf_counter()
