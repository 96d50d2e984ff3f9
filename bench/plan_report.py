"""A plan as JSON and as tables for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.plan import FORMULAS, IDLE_LIMIT_BYTES, MONTH_LIMIT_BYTES, Capacity, Plan, Tier
from bench.present import schema
from bench.present.schema import Report
from bench.wire import IP_BYTES, Rendition, controls

_SOURCE_KEYS = (
    *(
        "started",
        "version",
        "command",
        "listeners",
        "joined",
        "relay_cpu_us_per_packet",
        "floor_us_per_packet",
    ),
    *(
        "ratio_to_floor",
        "relay_upkeep_us_per_listener_s",
        "relay_kb_per_listener",
        "relay_rss_mb",
        "problems",
    ),
)


def to_json(plan: Plan, file: Path) -> dict[str, Any]:
    """The report; machine and versions are those of the measurement it rests on."""
    parameters = {
        "report": str(file),
        **asdict(plan.assumed),
        "renditions": [str(each) for each in plan.renditions],
    }
    head = schema.header("plan", started=time.time(), parameters=parameters, problems=plan.source["problems"])
    return head | {
        "machine": dict(plan.source["machine"]),
        "versions": dict(plan.source["versions"]),
        "source": {
            "file": file.name,
            **{key: plan.source[key] for key in _SOURCE_KEYS if key in plan.source},
        },
        "assumptions": asdict(plan.assumed),
        "measured": asdict(plan.measured),
        "renditions": [_rendition(plan, each) for each in plan.renditions],
        "control": [asdict(control) for control in controls(plan.assumed.ip)],
        "capacity": [_capacity(plan, each) for each in plan.capacities],
        "formulas": [{"name": name, "formula": formula} for name, formula in FORMULAS],
        "notes": plan.notes,
    }


def _rendition(plan: Plan, rendition: Rendition) -> dict[str, Any]:
    months = {f"ip{ip}": plan.month(rendition, ip) for ip in IP_BYTES}
    return {
        "name": str(rendition),
        "payload_bytes": rendition.payload_bytes,
        "packets_per_s": round(rendition.packets_per_s, 3),
        "packet_bytes": {f"ip{ip}": rendition.packet_bytes(ip) for ip in IP_BYTES},
        "kbps_to_receiver": {f"ip{ip}": round(rendition.down_kbps(ip), 2) for ip in IP_BYTES},
        "us_per_receiver_s": round(plan.measured.us_per_receiver_s(rendition), 2),
        "receivers_per_relay_by": plan.measured.limits(rendition, plan.assumed),
        "month": {
            name: {
                "sound_mb": round(each.sound / 1e6, 1),
                "control_mb": round(each.control / 1e6, 1),
                "idle_mb": round(each.idle / 1e6, 1),
                "with_sound_mb": round(each.with_sound / 1e6, 1),
                "total_mb": round(each.total / 1e6, 1),
                "within_limit": each.with_sound <= MONTH_LIMIT_BYTES,
                "idle_within_limit": each.idle <= IDLE_LIMIT_BYTES,
            }
            for name, each in months.items()
        },
    }


def _capacity(plan: Plan, each: Capacity) -> dict[str, Any]:
    return {
        "receivers": each.receivers,
        "rendition": str(each.rendition),
        "receivers_per_relay": each.per_relay,
        "limited_by": each.limited_by,
        "extrapolated": each.extrapolated,
        "relays": each.relays,
        "cores": round(each.cores, 2),
        "total_mbps": round(sum(tier.total_mbps for tier in each.tiers), 2),
        "tiers": [_tier(tier, number) for number, tier in enumerate(each.tiers, 1)],
        "hops": _hops(each, each.rendition.down_kbps(plan.assumed.ip) / 1000),
    }


def _tier(tier: Tier, number: int) -> dict[str, Any]:
    return {
        "tier": number,
        "relays": tier.relays,
        "sessions": tier.sessions,
        "most_sessions_per_relay": tier.most,
        "cores": round(tier.cores, 3),
        "cores_per_relay": round(tier.cores / tier.relays, 3),
    }


def _hops(each: Capacity, stream_mbps: float) -> list[dict[str, Any]]:
    """From the station down to the receivers: Mbit/s of one stream, of the busiest sender, of all
    together.
    """
    top = len(each.tiers)
    hops = [_hop("station", f"relay of tier {top}", stream_mbps, stream_mbps, stream_mbps)]
    for number in range(top, 0, -1):
        tier = each.tiers[number - 1]
        target = f"relays of tier {number - 1}" if number > 1 else "receivers"
        hops.append(_hop(f"tier {number}", target, stream_mbps, tier.mbps_out, tier.total_mbps))
    return hops


def _hop(sender: str, receiver: str, stream: float, busiest: float, total: float) -> dict[str, Any]:
    return {
        "from": sender,
        "to": receiver,
        "mbps_per_stream": round(stream, 4),
        "mbps_per_sender": round(busiest, 3),
        "total_mbps": round(total, 3),
    }


def tables(report: Report) -> str:
    """The report for people: capacity, hops, months, formulas, notes."""
    parts = [
        _table(capacity_rows(report)),
        _table(hop_rows(report)),
        _table(month_rows(report)),
        "\n".join(f"{each['name']} = {each['formula']}" for each in report["formulas"]),
        "\n".join(f"note: {note}" for note in [*report["notes"], *report["problems"]]),
    ]
    return "\n\n".join(parts)


def capacity_rows(report: Report) -> list[Sequence[str]]:
    """The heading and one row for each number of receivers and rendition."""
    rows: list[Sequence[str]] = [
        (
            "receivers",
            "rendition",
            "relays",
            "by tier",
            "per relay",
            "limited by",
            "cores",
            "Mbit/s per relay",
            "in all",
        )
    ]
    for each in report["capacity"]:
        busiest = max(hop["mbps_per_sender"] for hop in each["hops"][1:])
        rows.append(
            (
                f"{each['receivers']:,}",
                each["rendition"],
                f"{each['relays']:,}{' †' if each['extrapolated'] else ''}",
                " < ".join(f"{tier['relays']:,}" for tier in each["tiers"]),
                f"{each['receivers_per_relay']:,}",
                each["limited_by"],
                f"{each['cores']:,.1f}" if each["cores"] < 100 else f"{each['cores']:,.0f}",
                f"{busiest:,.1f}",
                f"{each['total_mbps']:,.0f}" if each["total_mbps"] >= 100 else f"{each['total_mbps']:,.1f}",
            )
        )
    return rows


def hop_rows(report: Report) -> list[Sequence[str]]:
    """The heading and one row for each hop of the largest number of receivers in the first rendition."""
    first = report["capacity"][0]["rendition"]
    largest = max(
        (each for each in report["capacity"] if each["rendition"] == first),
        key=lambda each: each["receivers"],
    )
    rows: list[Sequence[str]] = [
        (
            f"hop, {largest['receivers']:,} receivers of {first}",
            "one stream Mbit/s",
            "busiest sender",
            "all together",
        )
    ]
    for hop in largest["hops"]:
        figures = (hop["mbps_per_stream"], hop["mbps_per_sender"], hop["total_mbps"])
        rows.append((f"{hop['from']} to {hop['to']}", *(f"{value:,.3f}" for value in figures)))
    return rows


def month_rows(report: Report) -> list[Sequence[str]]:
    """The heading and one row for each rendition: bytes, kbit/s, and the month's data of one receiver."""
    hours = f"{report['assumptions']['hours']:g} h"
    rows: list[Sequence[str]] = [
        (
            "rendition",
            "packet IPv4/6",
            "kbit/s IPv4/6",
            f"{hours} a month",
            "idle",
            f"{hours} within 1 GB",
        )
    ]
    for each in report["renditions"]:
        four, six = each["month"]["ip4"], each["month"]["ip6"]
        kbps = each["kbps_to_receiver"]
        rows.append(
            (
                each["name"],
                f"{each['packet_bytes']['ip4']} / {each['packet_bytes']['ip6']} B",
                f"{kbps['ip4']:.1f} / {kbps['ip6']:.1f}",
                f"{four['with_sound_mb'] / 1000:.2f} / {six['with_sound_mb'] / 1000:.2f} GB",
                f"{four['idle_mb']:.0f} / {six['idle_mb']:.0f} MB",
                f"{_yes(four['within_limit'])} / {_yes(six['within_limit'])}",
            )
        )
    return rows


def limit_rows(report: Report) -> list[Sequence[str]]:
    """The heading and one row for each rendition: receivers on one relay by what would end first."""
    names = list(report["renditions"][0]["receivers_per_relay_by"])
    rows: list[Sequence[str]] = [("rendition", *names, "µs CPU per receiver and second")]
    for each in report["renditions"]:
        limits = each["receivers_per_relay_by"]
        rows.append(
            (each["name"], *(f"{limits[name]:,}" for name in names), f"{each['us_per_receiver_s']:.1f}")
        )
    return rows


def control_rows(report: Report) -> list[Sequence[str]]:
    """The heading and one row for each kind of control packet."""
    rows: list[Sequence[str]] = [("packet", "bytes above IP", "on air every", "idle every", "way")]
    for each in report["control"]:
        way = "to the receiver" if each["down"] else "from the receiver"
        every = (f"{each[key]:g} s" if each[key] else "never" for key in ("on_air_s", "idle_s"))
        rows.append((each["name"], f"{each['bytes']} B", *every, way))
    return rows


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )
