"""Reports as `loa bench` writes them, with the figures a test wants."""

from __future__ import annotations

from typing import Any

MACHINE: dict[str, Any] = {
    "cpu": "Test CPU",
    "cores": 2,
    "memory_mb": 24_000,
    "kernel": "6.1",
    "architecture": "x86_64",
}


def envelope(scenario: str, /, **more: Any) -> dict[str, Any]:
    """What every report has, and `more` instead or beside."""
    return {
        "schema": "loa.bench/1",
        "scenario": scenario,
        "version": "0.1.0",
        "started": "2026-11-23T03:00:00Z",
        "command": f"loa bench {scenario} --json x.json",
        "valid": True,
        "invalid_because": [],
        "problems": [],
        "parameters": {
            "listeners": 1000,
            "duration": 60.0,
            "channels": 1,
            "frame_ms": 20,
            "payload_bytes": 120,
        },
        "machine": dict(MACHINE),
        "versions": {"loa": "0.1.0", "python": "3.11.9"},
        **more,
    }


def relay_report(**more: Any) -> dict[str, Any]:
    """A good run of `loa bench relay`: 1,000 listeners, 6 µs a packet over a floor of 4.5."""
    cpu = more.get("relay_cpu_us_per_packet", 6.0)
    floor = more.get("floor_us_per_packet", 4.5)
    ratio = more.get("ratio_to_floor", round(cpu / floor, 3))
    figures = {
        "listeners": 1000,
        "joined": 1000,
        "join_s": 2.2,
        "sent": 3_000_000,
        "received": 3_000_000,
        "lost": 0,
        "relay_cpu_us_per_packet": cpu,
        "floor_us_per_packet": floor,
        "ratio_to_floor": ratio,
        "latency_ms": {"p50": 2.3, "p95": 5.0, "p99": 7.6, "max": 17.0},
        "jitter_ms": {"p50": 0.9, "p99": 2.5, "max": 14.8},
        "relay_rss_mb": 260.0,
        "generator_saturated": False,
        "generator_cpu_us_per_packet": 4.8,
        "relay_kb_per_listener": 65.0,
        "relay_upkeep_us_per_listener_s": 50.0,
        "softirq_threads_us_per_packet": 0.0,
        "datagram_bytes": 148,
        "segments": [
            {"packets": 500_000, "relay_us_per_packet": cpu, "floor_us_per_packet": floor, "ratio": ratio}
        ]
        * 6,
        "distribution": {
            "latency_ms": [(0.0, 0.4), (0.5, 2.3), (0.9, 4.1), (0.99, 7.6), (0.999, 11.0), (1.0, 17.0)],
            "jitter_ms": [(0.0, 0.0), (0.5, 0.9), (0.9, 1.4), (0.99, 2.5), (0.999, 9.0), (1.0, 14.8)],
            "timeline": {
                "interval_s": 1.0,
                "start_s": [0.0, 1.0, 2.0],
                "packets": [50_000, 50_000, 50_000],
                "latency_ms": {
                    "p50": [2.2, 2.3, 2.4],
                    "p90": [4.0, 4.1, 4.2],
                    "p99": [7.0, 7.6, 8.0],
                    "max": [9.0, 17.0, 10.0],
                },
                "jitter_ms": {
                    "p50": [0.9, 0.9, 0.9],
                    "p90": [1.4, 1.4, 1.5],
                    "p99": [2.4, 2.5, 2.6],
                    "max": [5.0, 14.8, 6.0],
                },
            },
        },
    }
    return envelope("relay", **{**figures, **more})


def compare_report(**more: Any) -> dict[str, Any]:
    """A run of `loa bench compare` with Janus there and one of aiortc's ways not."""
    figures = {
        "listeners": 100,
        "servers": {
            "loa": server(6.0, 2.0, 6.0),
            "janus": server(34.0, 4.4, 11.0),
            "aiortc_encode": {"missing": "pip install 'loa[bench]'"},
            "aiortc_packets": server(180.0, 9.0, 40.0),
        },
        "floor_us_per_packet": 4.5,
        "ratio": {"janus": 5.67, "aiortc_packets": 30.0, "aiortc_encode": None},
    }
    return envelope("compare", **{**figures, **more})


def server(cpu: float, p50: float, p99: float) -> dict[str, Any]:
    """One server's figures in a comparison."""
    return {"cpu_us_per_packet": cpu, "latency_ms": {"p50": p50, "p99": p99}, "listeners": 100, "lost": 0}


def _reception() -> dict[str, Any]:
    latency = {"p50": 2.0, "p99": 6.0, "max": 9.0}
    return {"sent": 1000, "lost": 0, "latency_ms": latency, "jitter_ms": latency}


def join_figures(**more: Any) -> dict[str, Any]:
    """What follows the envelope of `loa bench join`."""
    until = {"p50": 0.8, "p99": 1.4, "all": 1.5}
    crowd = {
        "listeners": 500,
        "joined": 500,
        "until_s": until,
        "joins_per_s": 333.0,
        "joins_per_core_s": 700.0,
    }
    return {
        "listeners": 500,
        "joined": 500,
        "first": crowd,
        "back": crowd,
        "stayed": {"before": _reception(), "during": _reception()},
        "restart": {**crowd, "down_s": 1.1, "silence_s": until},
        "after_restart": _reception(),
        **more,
    }


def soak_figures(**more: Any) -> dict[str, Any]:
    """What follows the envelope of `loa bench soak`."""
    slope = {"per_hour": 0.1, "low": -0.1, "high": 0.3, "confidence": 0.95, "allowed_over_run": 1.0}
    return {
        "listeners": 5,
        "joined": 5,
        "sent": 1000,
        "lost": 0,
        "flat": True,
        "not_flat_because": [],
        "slopes": {"memory_mb": {"verdict": "flat", "median": 128.0, **slope}},
        "series": {"interval_s": 60.0, "memory_mb": [1.0, 2.0, None]},
        **more,
    }
