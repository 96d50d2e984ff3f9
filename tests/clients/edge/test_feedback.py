"""What a listener tells the relay."""

from __future__ import annotations

from itertools import pairwise

from loacodecs import rtcp
from loaedge.feedback import Feedback


def feedback() -> Feedback:
    return Feedback(1, "me", lambda count: bytes([128]) * count, interval_s=4.0)


def test_nothing_is_due_without_a_source() -> None:
    assert feedback().due(5.0) is None
    assert rtcp.parse(feedback().goodbye(5.0))[-1] == rtcp.Goodbye((1,))


def test_reports_are_due_at_once_and_then_every_interval() -> None:
    speaker = feedback()
    speaker.follow(9, 0.0)
    speaker.statistics.on_packet(7, 0, 0.0)
    due = [tick / 10 for tick in range(200) if speaker.due(tick / 10) is not None]
    assert due[0] == 0.0
    assert [round(b - a, 1) for a, b in pairwise(due)] == [4.1, 4.1, 4.1, 4.1]


def test_a_report_names_source_and_listener() -> None:
    speaker = feedback()
    speaker.follow(9, 0.0)
    speaker.statistics.on_packet(7, 0, 0.0)
    report, description = rtcp.parse(speaker.due(0.0) or b"")
    assert isinstance(report, rtcp.ReceiverReport)
    assert (report.ssrc, report.reports[0].ssrc, report.reports[0].highest_sequence) == (1, 9, 7)
    assert description == rtcp.SourceDescription(1, "me")


def test_requests_wrap_and_name_the_source() -> None:
    speaker = feedback()
    speaker.follow(9, 0.0)
    request = rtcp.parse(speaker.request([65_535, 65_536, 65_540]))
    assert request == [rtcp.ReceiverReport(1), rtcp.Nack(1, 9, (65_535, 0, 4))]


def test_another_source_is_counted_afresh() -> None:
    speaker = feedback()
    speaker.follow(9, 0.0)
    for sequence in (1, 2, 9):
        speaker.statistics.on_packet(sequence, 0, 0.0)
    speaker.follow(10, 1.0)
    speaker.statistics.on_packet(500, 0, 1.0)
    report = rtcp.parse(speaker.due(1.0) or b"")[0]
    assert isinstance(report, rtcp.ReceiverReport)
    assert (report.reports[0].ssrc, report.reports[0].packets_lost) == (10, 0)
