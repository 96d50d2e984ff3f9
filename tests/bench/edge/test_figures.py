"""From what was heard to the figures of the report."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.edge.figures import Measured, Sample, Stretch, figures, problems, reasons
from bench.edge.hearing import Programme
from bench.edge.programme import FRAME, Mono, mixture
from bench.edge.receivers import Told
from bench.edge.recording import Recording
from bench.edge.report import table
from bench.present import schema
from bench.present.headlines import headlines
from bench.present.pages import page
from loacodecs.opus import SAMPLE_RATE

SECONDS, TARGET = 8.0, 0.7
SOUND = mixture(SECONDS, seed=3)
PROGRAMME = Programme(SOUND, 0.0, TARGET)
BEGIN, END = 1.0, 8.0


def measured(*sounds: Mono, **more: object) -> Measured:
    """A run of 7 s in which these were played, each a millisecond later than the one before."""
    recordings = [
        Recording(sound, PROGRAMME.due(0) + number / 1000, SAMPLE_RATE) for number, sound in enumerate(sounds)
    ]
    count = len(sounds)
    told = tuple(Told(at, 10 * at, int(at), int(at), 1.0) for at in (2.0, 7.0))
    began = Sample(BEGIN, 1000, 100, (0,) * count, (50.0,) * count, 0, 0, (told[0],) * count)
    busy = tuple(70_000_000 * (number + 1) for number in range(count))
    ended = Sample(END, 45_000, 1200, busy, (55.0,) * count, 1000, 20, (told[1],) * count)
    return Measured(PROGRAMME, recordings, Stretch(began, ended), **more)  # type: ignore[arg-type]


def without(begin: float, end: float) -> Mono:
    """Silence where sound was due between two moments."""
    sound = SOUND.copy()
    first, last = (round((moment - PROGRAMME.due(0)) * SAMPLE_RATE) for moment in (begin, end))
    sound[first:last] = 0
    return sound


def test_the_figures_of_a_quiet_run() -> None:
    found = figures(measured(SOUND, SOUND))
    assert found["concealed_ratio"] == 0
    assert found["recovered_ratio"] == 1
    assert found["delay_ms"] == {
        "target": 700.0,
        "p50": pytest.approx(700.5, abs=0.51),
        "p99": pytest.approx(701, abs=0.02),
        "max_error": pytest.approx(1, abs=0.02),
    }
    assert found["skew_ms"]["max"] == pytest.approx(1, abs=0.02)
    assert found["data_bytes_per_s"] == pytest.approx(45_100 / 7 / 2, abs=0.1)
    assert found["data_parts"] == {"media": 3142.9, "control_link": 78.6}
    assert found["edge_cpu_percent"] == pytest.approx(2.0)
    assert found["edge_mb"] == 55.0
    assert found["link_lost_ratio"] == pytest.approx(0.02)
    assert (found["stall_recovery_s"], found["kill"], found["idle_bits_per_s"]) == (None, None, None)
    assert found["receivers"][1]["counters"] == {
        "seconds": 5.0,
        "from_s": 1.0,
        "to_s": 6.0,
        "heard_concealed_ratio": 0,
        "concealed_ratio": pytest.approx(0.01),
        "lost": 5,
        "recovered": 5,
        "clock_error_ms": 1.0,
    }
    assert reasons(measured(SOUND)) == problems(measured(SOUND)) == []


def test_frames_that_were_lost_and_not_mended_are_told() -> None:
    frame = FRAME / SAMPLE_RATE
    start = PROGRAMME.due(150 * FRAME)
    found = figures(measured(without(start, start + 4 * frame)))
    assert found["concealed_ratio"] == pytest.approx(4 / found["receivers"][0]["frames"], abs=1e-6)
    assert found["recovered_ratio"] == pytest.approx(1 - found["concealed_ratio"] / 0.02, abs=1e-4)
    assert found["receivers"][0]["wrong_at_s"] == [(round(start - BEGIN, 2), 4)]


def test_counters_stand_beside_what_was_heard_in_the_same_time() -> None:
    """Telemetry comes every 10 s: what is lost after the last one is in no counter, and that is no riddle."""
    before, after = (figures(measured(without(at, at + 0.1))) for at in (6.5, 7.5))
    for found in (before, after):
        assert found["concealed_ratio"] == pytest.approx(0.1 / 7, rel=0.3)
        assert found["receivers"][0]["counters"]["to_s"] == 6.0
    assert before["receivers"][0]["counters"]["heard_concealed_ratio"] == pytest.approx(0.1 / 5, rel=0.3)
    assert after["receivers"][0]["counters"]["heard_concealed_ratio"] == 0


def test_stalls_are_left_out_and_the_return_is_timed() -> None:
    found = figures(measured(without(2.7, 4.3), stalls=((2.0, 4.0), (7.5, 9.5))))
    assert found["concealed_ratio"] == 0
    assert found["concealed_ratio_with_stalls"] > 0.2
    assert found["stalls"] == 1
    assert found["stall_recovery_s"] == pytest.approx(0.3, abs=0.03)
    assert found["delay_error_after_stall_ms"] < 0.05


def test_sound_that_does_not_come_back_is_no_recovery() -> None:
    found = figures(measured(SOUND, without(2.7, 9.0), stalls=((2.0, 4.0),)))
    assert found["receivers"][1]["stall_recovery_s"] is None
    assert found["receivers"][1]["stalls_without_recovery"] == 1
    assert found["stall_recovery_s"] is None
    parameters = {"link": "P4", "mode": "first", "rendition": "auto", "output": "wav"}
    report = schema.header("edge", started=0, parameters=parameters) | found
    (told,) = [line for line in headlines(report) if line.label == "sound back after a stall"]
    assert (told.value, told.met) == ("not back", False)


def test_a_relays_death_costs_what_was_not_heard_around_it() -> None:
    found = figures(measured(SOUND, without(4.2, 5.2), killed=4.0))
    assert found["kill"]["at_s"] == 3.0
    assert found["kill"]["concealed_frames"] == pytest.approx(50, abs=1)
    assert found["kill"]["silence_s"] == pytest.approx(1.0, abs=0.02)


def test_quiet_is_weighed_in_bits_of_one_receiver() -> None:
    idle = Stretch(Sample(20, 0, 0), Sample(120, 1500, 500))
    found = figures(measured(SOUND, SOUND, idle=idle))
    assert found["idle_bits_per_s"] == 80
    assert found["idle_parts"] == {"media": 60, "control_link": 20}


def test_a_receiver_that_is_not_heard_makes_the_run_invalid() -> None:
    silent = measured(SOUND, np.zeros_like(SOUND))
    assert any("receiver 2 was heard in 0%" in reason for reason in reasons(silent))
    stalled = measured(np.zeros_like(SOUND), without(2.7, 9.0), stalls=((2.0, 4.0),))
    (reason,) = reasons(stalled)
    assert "receiver 1 was heard in 0%" in reason
    assert len(reasons(measured(np.zeros_like(SOUND), killed=4.0))) == 1
    busy = dataclasses.replace(measured(SOUND), station_late_ms=80.0, heard=[])
    assert any("too busy" in reason for reason in reasons(busy))


def test_recordings_placed_by_their_sound_tell_no_delay() -> None:
    found = figures(measured(SOUND, SOUND, relative=True))
    assert found["delay_ms"] == {"target": 700.0, "p50": None, "p99": None, "max_error": None}
    assert found["skew_ms"]["p95"] == pytest.approx(1, abs=0.02)


def test_the_report_has_its_model_its_page_and_its_table() -> None:
    parameters = {"link": "P2", "mode": "both", "rendition": "60ms", "output": "wav"}
    found = figures(measured(SOUND, without(4.2, 5.2), killed=4.0))
    quality = {"loss_percent": [0.0, 5.0], "stoi": {"FEC": [0.99, 0.9]}, "kbit_per_s": {"FEC": [40.0, 41.0]}}
    report = schema.header("edge", started=0, parameters=parameters) | found | {"quality": quality}
    schema.validate(report)
    met = {line.label: line.met for line in headlines(report)}
    assert met["concealed audio, P2"] is False
    assert met["concealed when a relay died"] is False
    assert met["skew p95"] is True
    assert met["memory of a receiver"] is True
    shown = page(report)
    assert len(shown.charts) == 4
    assert len(shown.tables[0][1]) == 3
    text = table(report)
    for words in ("concealed", "relay died", "kbit/s", "STOI by loss", "receiver 2 itself counted"):
        assert words in text
