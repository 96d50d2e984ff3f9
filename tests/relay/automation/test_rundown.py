"""The rule: the first that is heard, and never a change from silence to silence."""

from __future__ import annotations

import pytest

from relay.automation.rundown import Rundown, Standing
from relay.automation.watch import Verdict

A, R, H, W, S = Verdict.ABSENT, Verdict.READY, Verdict.HEARD, Verdict.WARNED, Verdict.SILENT


def standing(*verdicts: Verdict) -> list[Standing]:
    return [Standing(name, verdict) for name, verdict in zip("abc", verdicts, strict=True)]


@pytest.mark.parametrize(
    ("verdicts", "chosen"),
    [
        ((H, H, R), "a"),
        ((R, H, R), "a"),
        ((W, H, R), "a"),
        ((S, H, R), "b"),
        ((S, S, R), "c"),
        ((A, R, R), "b"),
        ((A, S, A), "b"),
        ((A, A, A), None),
    ],
)
def test_the_first_that_is_heard(verdicts: tuple[Verdict, ...], chosen: str | None) -> None:
    assert Rundown().decide(0, standing(*verdicts)) == chosen


def test_where_nothing_is_heard_nothing_changes() -> None:
    rundown = Rundown()
    assert rundown.decide(0, standing(S, S, R)) == "c"
    assert rundown.decide(1, standing(S, S, S)) == "c"
    assert rundown.reason == "no source is heard"
    assert rundown.decide(2, standing(S, S, A)) == "a"
    assert rundown.decide(3, standing(S, H, A)) == "b"


def test_a_pinned_source_stays_while_it_is_there() -> None:
    rundown = Rundown()
    rundown.pinned = "b"
    assert rundown.decide(0, standing(H, S, R)) == "b"
    assert rundown.decide(1, standing(H, A, R)) == "a"
    assert rundown.decide(2, standing(H, R, R)) == "b"
    rundown.pinned = None
    assert rundown.decide(3, standing(H, R, R)) == "a"


def test_stopped_is_nothing_until_it_goes_on() -> None:
    rundown = Rundown()
    rundown.stopped = True
    assert rundown.decide(0, standing(H, H, H)) is None
    rundown.stopped = False
    assert rundown.decide(1, standing(H, H, H)) == "a"


def test_at_the_start_the_first_is_waited_for_a_little() -> None:
    rundown = Rundown(patience_s=5)
    opening = [Standing("a", A, opening=True), Standing("b", R)]
    assert rundown.decide(100, opening) is None
    assert rundown.decide(104.9, opening) is None
    assert rundown.decide(105, opening) == "b"
    assert rundown.decide(106, opening) == "b"


def test_it_says_why() -> None:
    rundown = Rundown()
    rundown.decide(0, standing(S, H, R))
    assert rundown.reason == "a is silent"
    rundown.decide(1, standing(A, H, R))
    assert rundown.reason == "a is not there"
    rundown.decide(2, [Standing("a", A, optional=True), Standing("b", H)])
    assert rundown.reason == "the first of the list"
    rundown.decide(3, standing(H, H, R))
    assert rundown.reason == "the first of the list"
