"""Whether the generator was good enough for its figures to be believed."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import Generator

IDLE_SHARE_MIN = 0.02
# Latency and jitter are counted from the real time of sending; a later pacer only makes the load less even
PACER_LAG_SHARE_MAX = 0.5
TIMER_LAG_MS_MAX = 1000.0
OTHERS_CORES_MAX = 0.1
STEAL_SHARE_MAX = 0.01


def saturated_by(generator: Generator, frame_ms: int) -> Sequence[str]:
    """One sentence for each way in which the generator, not the relay, set the limit; empty when it did
    not.
    """
    reasons = []
    if generator.socket_overflows:
        reasons.append(f"{generator.socket_overflows} datagrams overflowed its own sockets (SO_RXQ_OVFL)")
    if generator.backlog_drops:
        reasons.append(f"the kernel dropped {generator.backlog_drops} packets in its softirq backlog")
    if generator.not_handed_over:
        reasons.append(f"{generator.not_handed_over} datagrams found the ring to Python full")
    if generator.publish_failures:
        reasons.append(f"{generator.publish_failures} packets could not be published")
    if (lag := generator.pacer_lag_ms.get("p99") or 0.0) > frame_ms * PACER_LAG_SHARE_MAX:
        reasons.append(f"its pacer was {lag:.1f} ms late at p99")
    if (lag := generator.timer_lag_ms.get("p99") or 0.0) > TIMER_LAG_MS_MAX:
        reasons.append(f"its session timers were {lag:.0f} ms late at p99")
    if generator.idle_share < IDLE_SHARE_MIN:
        reasons.append(f"all cores were busy ({generator.idle_share:.1%} idle)")
    return reasons


def disturbed_by(generator: Generator) -> Sequence[str]:
    """What else was going on: it does not make a run invalid, but its latencies are not the relay's alone."""
    reasons = []
    if generator.others_cores > OTHERS_CORES_MAX:
        reasons.append(
            f"other processes used {generator.others_cores:.2f} cores meanwhile; run on a quiet machine"
        )
    if generator.steal_share > STEAL_SHARE_MAX:
        reasons.append(f"the hypervisor took {generator.steal_share:.1%} of the CPU for others")
    return reasons
