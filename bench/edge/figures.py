"""What a run has measured, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.edge.hearing import Heard, Programme, listen, skews
from bench.edge.receivers import Told
from bench.edge.recording import Recording

BACK_S: Final = 1.0
"""So long after a stall it still is one."""
AFTER_S: Final = 10.0
"""How long after a stall the delay is looked at."""
KILL_S: Final = 10.0
SERIES_MAX: Final = 600
CLEAR_SHARE: Final = 0.5
"""A receiver that was not heard clearly in more windows than this was not heard."""
WRONG_MAX: Final = 100
"""Runs of wrong frames that a report names, for each receiver."""
STATION_LATE_MS: Final = 50.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters at a moment (monotonic seconds); per receiver: CPU, Pss, and what it had said last.

    media_bytes, link_bytes  of IP packets of all sessions; of HTTP and control links
    """

    at: float
    media_bytes: int
    link_bytes: int
    cpu_ns: tuple[int, ...] = ()
    memory_mb: tuple[float, ...] = ()
    media: int = 0
    lost: int = 0
    told: tuple[Told | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Between two samples."""

    began: Sample
    ended: Sample

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.ended.at - self.began.at

    def bytes_per_s(self, receivers: int) -> tuple[float, float]:
        """Of one receiver, both directions: media, and control link."""
        media = self.ended.media_bytes - self.began.media_bytes
        link = self.ended.link_bytes - self.began.link_bytes
        return media / self.seconds / receivers, link / self.seconds / receivers


@dataclass(frozen=True, slots=True)
class Measured:
    """A run. `stalls`: begin and end of each that the steady part met, or a piece of it.

    `relative`: the recordings' place in time was found by the sound, so that only skew is absolute.
    """

    programme: Programme
    recordings: Sequence[Recording]
    steady: Stretch
    idle: Stretch | None = None
    stalls: tuple[tuple[float, float], ...] = ()
    killed: float | None = None
    payload_bits_per_s: float = 0.0
    station_late_ms: float = 0.0
    link_late_ms: float | None = None
    link_problems: tuple[str, ...] = ()
    relative: bool = False
    heard: list[Heard] = field(default_factory=list)

    @property
    def whole_stalls(self) -> list[tuple[float, float]]:
        """Those that began in the steady part and left time to come back."""
        begin, end = self.steady.began.at, self.steady.ended.at
        return [stall for stall in self.stalls if begin < stall[0] and stall[1] + 2 * BACK_S < end]

    def __post_init__(self) -> None:
        begin, end = self.steady.began.at, self.steady.ended.at
        self.heard.extend(listen(each, self.programme, begin, end) for each in self.recordings)


def figures(measured: Measured) -> dict[str, Any]:
    """Everything that goes into the report beside its envelope."""
    steady, heard = measured.steady, measured.heard
    edges = [_edge(measured, number) for number in range(len(heard))]
    calm = np.concatenate([_calm(measured, one) for one in heard])
    every = np.concatenate([one.wrong for one in heard])
    concealed = _share(calm)
    lost = steady.ended.lost - steady.began.lost
    media = steady.ended.media - steady.began.media
    data = steady.bytes_per_s(len(heard))
    return {
        "edges": len(heard),
        "seconds": round(steady.seconds, 3),
        "concealed_ratio": concealed,
        "concealed_ratio_with_stalls": _share(every),
        "recovered_ratio": _recovered(measured, concealed, lost, media),
        "delay_ms": _delay(measured),
        "skew_ms": _percentiles(skews(heard) * 1000, ("p50", "p95", "max")),
        "stall_recovery_s": None
        if any(edge["stalls_without_recovery"] for edge in edges)
        else _worst([edge["stall_recovery_s"] for edge in edges]),
        "delay_error_after_stall_ms": _worst([edge["delay_error_after_stall_ms"] for edge in edges]),
        "stalls": len(measured.whole_stalls),
        "kill": _kill(measured),
        "data_bytes_per_s": round(sum(data), 1),
        "data_parts": {"media": round(data[0], 1), "control_link": round(data[1], 1)},
        "payload_bits_per_s": round(measured.payload_bits_per_s),
        **_idle(measured.idle, len(heard)),
        "edge_cpu_percent": max(edge["cpu_percent"] for edge in edges),
        "edge_mb": max(edge["mb"] for edge in edges),
        "link_lost_ratio": lost / media if media else 0.0,
        "link_late_p99_ms": measured.link_late_ms,
        "station_late_ms": round(measured.station_late_ms, 2),
        "receivers": edges,
        "series": _series(measured),
    }


def reasons(measured: Measured) -> list[str]:
    """Why the figures may not be believed, a sentence each."""
    found = []
    if measured.station_late_ms > STATION_LATE_MS:
        found.append(
            f"the station itself was late by {measured.station_late_ms:.0f} ms: this machine is too busy"
        )
    for number, one in enumerate(measured.heard, 1):
        clear = 1 - float(np.mean(np.isnan(one.delays))) if one.delays.size else 0.0
        disturbed = bool(measured.stalls) or measured.killed is not None
        if clear == 0 or (clear < CLEAR_SHARE and not disturbed):
            found.append(
                f"receiver {number} was heard in {clear:.0%} of the time only: its delay is more than 100 ms off, "
                "or it is silent"
            )
    return found


def problems(measured: Measured) -> list[str]:
    """What made the path worse than its model: receivers had it harder, and may be believed."""
    found = list(measured.link_problems)
    for number, one in enumerate(measured.heard, 1):
        if unclear := int(np.count_nonzero(np.isnan(one.delays))):
            found.append(f"receiver {number} was not heard clearly in {unclear} of {one.delays.size} windows")
    return found


def _edge(measured: Measured, number: int) -> dict[str, Any]:
    one, steady = measured.heard[number], measured.steady
    errors = _errors_ms(measured, one)
    stalls = measured.whole_stalls
    back = [one.sound_back(end) for _, end in stalls]
    after = [_error_after(measured, one, end, gone) for (_, end), gone in zip(stalls, back, strict=True)]
    cpu = steady.ended.cpu_ns[number] - steady.began.cpu_ns[number]
    return {
        "concealed_ratio": _share(_calm(measured, one)),
        "frames": int(one.wrong.size),
        "delay_error_ms": _percentiles(errors, ("p50", "p95", "max")),
        "unclear_windows": int(np.count_nonzero(np.isnan(one.delays))),
        "stall_recovery_s": None if None in back else _worst(back),
        "stalls_without_recovery": sum(each is None for each in back),
        "delay_error_after_stall_ms": _worst(after),
        "cpu_percent": round(cpu / steady.seconds / 1e7, 3),
        "mb": round(steady.ended.memory_mb[number], 1),
        "wrong_at_s": one.wrong_runs(steady.began.at)[:WRONG_MAX],
        "counters": _counters(measured, number),
    }


def _counters(measured: Measured, number: int) -> dict[str, Any] | None:
    """What the receiver itself counted between its two reports nearest to the ends, and what was heard meanwhile.

    It reports every 10 s: what the measured part has beyond the last report is not in it.
    """
    steady = measured.steady
    first, last = steady.began.told[number], steady.ended.told[number]
    if first is None or last is None or last.at <= first.at:
        return None
    meanwhile = listen(measured.recordings[number], measured.programme, first.at, last.at)
    return {
        "seconds": round(last.at - first.at, 1),
        "from_s": round(first.at - steady.began.at, 1),
        "to_s": round(last.at - steady.began.at, 1),
        "heard_concealed_ratio": _share(meanwhile.wrong),
        "concealed_ratio": (last.concealed_ms - first.concealed_ms) / 1000 / (last.at - first.at),
        "lost": last.lost - first.lost,
        "recovered": last.recovered - first.recovered,
        "clock_error_ms": last.clock_error_ms,
    }


def _calm(measured: Measured, one: Heard) -> NDArray[np.bool_]:
    """Wrong or not, of the frames outside of stalls."""
    calm = np.ones(one.wrong.size, bool)
    for begin, end in measured.stalls:
        calm &= (one.due < begin) | (one.due >= end + BACK_S)
    return one.wrong[calm]


def _recovered(measured: Measured, concealed: float | None, lost: int, media: int) -> float | None:
    """Of the media packets that the path lost, the share whose sound was heard all the same."""
    if not lost or concealed is None or not media:
        return None
    return round(min(1.0, max(0.0, 1 - concealed / (lost / media))), 5)


def _errors_ms(measured: Measured, one: Heard) -> NDArray[np.float64]:
    return (one.clear - measured.programme.target_s) * 1000


def _delay(measured: Measured) -> dict[str, float | None]:
    target = measured.programme.target_s * 1000
    if measured.relative:
        return {"target": target, "p50": None, "p99": None, "max_error": None}
    delays = np.concatenate([one.clear for one in measured.heard]) * 1000
    found = _percentiles(delays, ("p50", "p99"))
    error = round(float(np.max(np.abs(delays - target))), 3) if delays.size else None
    return {"target": target, **found, "max_error": error}


def _error_after(measured: Measured, one: Heard, end: float, back: float | None) -> float | None:
    """Largest deviation (ms) of the delay in the seconds after the sound was back."""
    if back is None:
        return None
    begin = end + back + 0.5
    part = one.delays[(one.times >= begin) & (one.times < begin + AFTER_S)]
    part = part[~np.isnan(part)]
    return round(float(np.max(np.abs(part - measured.programme.target_s))) * 1000, 3) if part.size else None


def _idle(idle: Stretch | None, receivers: int) -> dict[str, Any]:
    """Bits a second of one receiver while nothing is on air."""
    if idle is None:
        return {"idle_bits_per_s": None}
    media, link = idle.bytes_per_s(receivers)
    return {
        "idle_bits_per_s": round(8 * (media + link), 1),
        "idle_parts": {"media": round(8 * media, 1), "control_link": round(8 * link, 1)},
        "idle_seconds": round(idle.seconds, 1),
    }


def _kill(measured: Measured) -> dict[str, float | int] | None:
    """What the death of the first relay cost: over all receivers the sum of frames, the longest silence."""
    if measured.killed is None:
        return None
    begin, end = measured.killed - 1, measured.killed + KILL_S
    return {
        "at_s": round(measured.killed - measured.steady.began.at, 2),
        "concealed_frames": sum(one.wrong_between(begin, end) for one in measured.heard),
        "silence_s": round(max(one.longest_gap(begin, end) for one in measured.heard), 3),
    }


def _series(measured: Measured) -> dict[str, Any]:
    """Delay error and concealed share of each receiver over time, at most `SERIES_MAX` values."""
    begin, seconds = measured.steady.began.at, measured.steady.seconds
    interval = max(1.0, seconds / SERIES_MAX)
    edges = np.arange(begin, begin + seconds + 1e-6, interval)
    found: dict[str, Any] = {"interval_s": round(interval, 6)}
    for number, one in enumerate(measured.heard, 1):
        slots = np.digitize(one.times, edges) - 1
        errors = (one.delays - measured.programme.target_s) * 1000
        found[f"delay_error_{number}_ms"] = [
            None if np.all(np.isnan(part)) else round(float(np.nanmedian(part)), 3)
            for part in (errors[slots == slot] for slot in range(len(edges) - 1))
            if part.size
        ]
        slots = np.digitize(one.due, edges) - 1
        found[f"concealed_{number}_%"] = [
            round(100 * float(np.mean(part)), 2)
            for part in (one.wrong[slots == slot] for slot in range(len(edges) - 1))
            if part.size
        ]
    return found


def _percentiles(values: NDArray[np.float64], names: Sequence[str]) -> dict[str, float | None]:
    """By name: pNN, or max, of absolute values."""
    if not values.size:
        return dict.fromkeys(names)
    apart = np.abs(values)
    return {
        name: round(float(apart.max() if name == "max" else np.percentile(apart, float(name[1:]))), 4)
        for name in names
    }


def _share(wrong: NDArray[np.bool_]) -> float | None:
    return round(float(np.mean(wrong)), 6) if wrong.size else None


def _worst(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 4) if known else None
