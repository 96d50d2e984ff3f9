"""Meetings over a restart of the relay, by hand-driven clocks: what was decided holds, and the time goes on."""

from __future__ import annotations

import pytest

from relay.errors import MeetingRefused
from relay.live.meeting import EMPTY_S
from relay.meeting_ports import Admit, End, Entered, Entry, Extend, Hand, Mute, Open, Remove
from tests.support.meeting_hall import Hall


def opened(**settings: object) -> tuple[Hall, Entered]:
    hall = Hall(**settings)
    chair = hall.join("chair", "chair", token="c")
    hall.obey(chair, Open())
    return hall, chair


def back(hall: Hall, who: Entered, session: str) -> Entered:
    """A page that comes by itself, with its secret and the token it has, and its microphone."""
    again = hall.enter(who.role, secret=who.secret)
    hall.microphone(again.person, session)
    return again


def test_who_was_let_in_is_heard_again_without_the_chair() -> None:
    hall, chair = opened()
    lan, hoa = hall.join("speaker", "lan"), hall.join("speaker", "hoa")
    hall.obey(chair, Admit(lan.person))
    hall.restart(seconds=20)
    assert back(hall, lan, "lan") == lan
    assert hall.heard == {"lan"}
    back(hall, hoa, "hoa")
    assert hall.heard == {"lan"}  # she waited before, and waits
    assert hall.meeting.may_hear("lan")
    assert not hall.meeting.may_hear("hoa")
    assert back(hall, chair, "chair") == chair
    assert hall.heard == {"lan", "chair"}
    assert hall.people(chair)["lan"].name == "lan"


def test_a_microphone_may_come_before_its_page() -> None:
    hall, chair = opened()
    lan = hall.join("speaker", "lan", token="t7")
    hall.obey(chair, Admit(lan.person))
    hall.restart()
    assert hall.meeting.seat(hall.now, Entry("speaker", "s", "t7", "", lan.secret)) == lan.person


def test_who_was_removed_stays_out() -> None:
    hall, chair = opened(admit=False)
    lan = hall.join("speaker", "lan", token="lan's")
    hall.obey(chair, Remove(lan.person))
    hall.restart()
    with pytest.raises(MeetingRefused, match="removed"):
        hall.meeting.seat(hall.now, Entry("speaker", "s", "lan's", "", lan.secret))
    back(hall, lan, "lan")
    assert hall.view(lan).removed
    assert "lan" not in hall.held
    anew = hall.join("speaker", "lan again", token="lan's")
    hoa = hall.join("speaker", "hoa", token="hoa's")
    assert hall.heard == {"hoa"}  # who comes with the same token must be let in, although nobody else must
    assert len({chair.person, lan.person, anew.person, hoa.person}) == 4


def test_who_was_muted_stays_so_and_only_by_whom_he_was() -> None:
    hall, chair = opened(admit=False)
    lan, hoa = hall.join("speaker", "lan"), hall.join("speaker", "hoa")
    hall.obey(chair, Mute(lan.person, True))
    hall.obey(hoa, Mute(hoa.person, True))
    hall.restart()
    for who, session in ((chair, "chair"), (lan, "lan"), (hoa, "hoa")):
        back(hall, who, session)
    assert hall.heard == {"chair"}
    hall.obey(lan, Mute(lan.person, False))
    hall.obey(chair, Mute(hoa.person, False))
    assert hall.heard == {"chair"}
    hall.obey(chair, Mute(lan.person, False))
    hall.obey(hoa, Mute(hoa.person, False))
    assert hall.heard == {"chair", "lan", "hoa"}


def test_hands_stay_in_their_order_before_those_raised_later() -> None:
    hall, chair = opened(admit=False)
    names = ("a", "b", "c")
    people = {name: hall.join("speaker", name) for name in names}
    for name in ("c", "a"):
        hall.wait(1)
        hall.obey(people[name], Hand(people[name].person, True))
    hall.restart()
    for name, who in people.items():
        back(hall, who, name)
    hall.obey(people["b"], Hand(people["b"].person, True))
    hall.obey(people["c"], Hand(people["c"].person, True))  # once more: the place is kept
    again = hall.enter("chair", secret=chair.secret)
    assert [hall.people(again)[name].hand for name in ("c", "a", "b")] == [1, 2, 3]


def test_a_publisher_without_page_is_known_by_its_token() -> None:
    hall, chair = opened()
    entry = Entry("speaker", "xe loa", "token-7")
    van = hall.meeting.seat(hall.now, entry)
    hall.microphone(van, "van")
    hall.obey(chair, Admit(van))
    hall.restart()
    assert hall.meeting.seat(hall.now, entry) == van
    hall.microphone(van, "van")
    assert hall.heard == {"van"}
    hall.microphone(hall.meeting.seat(hall.now, Entry("speaker", "xe loa", "token-8")), "another")
    assert hall.heard == {"van"}


def test_nobody_comes_back_by_what_is_on_the_disk() -> None:
    hall, chair = opened()
    hall.restart()
    for stolen in (hall.saved.people[0].digest.hex(), chair.person, "none", ""):
        assert hall.enter("speaker", "thief", secret=stolen).person != chair.person


def test_the_remaining_time_is_what_it_would_have_been() -> None:
    hall, chair = opened(cap="2h", warning="5m", extend="30m")
    hall.wait(6000)
    hall.restart(seconds=1000)
    back(hall, chair, "chair")
    view = hall.view(chair)
    assert view.remaining_s == pytest.approx(200)
    hall.look()
    assert hall.view(chair).warned
    hall.obey(chair, Extend())
    hall.restart(seconds=100)
    back(hall, chair, "chair")
    assert hall.view(chair).remaining_s == pytest.approx(1900)
    hall.wait(1899)
    assert hall.heard == {"chair"}
    hall.wait(2)
    assert hall.held == {}
    assert hall.view(chair).reason == "cap"


def test_a_cap_that_passed_while_the_relay_was_down_ends_the_meeting() -> None:
    hall, chair = opened(cap="2h")
    lan = hall.join("speaker", "lan", token="lan's")
    hall.obey(chair, Admit(lan.person))
    hall.obey(chair, Mute(lan.person, True))
    hall.restart(seconds=7200)
    back(hall, lan, "lan")
    back(hall, chair, "chair")
    view = hall.view(chair)
    assert (view.phase, view.reason, view.remaining_s) == ("ended", "cap", None)
    assert hall.heard == set()
    hall.obey(chair, Open())  # the next one, which begins afresh
    assert hall.heard == {"chair"}
    assert not hall.people(chair)["lan"].silenced


@pytest.mark.parametrize("wrong_by", [-86_400.0, -600.0])
def test_a_clock_that_is_behind_makes_no_meeting_longer(wrong_by: float) -> None:
    hall, chair = opened(cap="2h")
    hall.wait(5400)
    hall.restart(wrong_by=wrong_by)
    back(hall, chair, "chair")
    assert hall.view(chair).remaining_s == pytest.approx(1800)


def test_nothing_that_was_ended_is_opened() -> None:
    hall, chair = opened()
    lan = hall.join("speaker", "lan")
    hall.obey(chair, Admit(lan.person))
    hall.obey(chair, End())
    hall.restart()
    back(hall, chair, "chair")
    back(hall, lan, "lan")
    hall.wait(1)
    assert hall.heard == set()
    assert (hall.view(lan).phase, hall.view(lan).reason) == ("ended", "chair")


def test_nothing_is_opened_that_was_not_open() -> None:
    hall = Hall()
    chair, lan = hall.join("chair", "chair"), hall.join("speaker", "lan")
    hall.obey(chair, Admit(lan.person))
    hall.restart()
    back(hall, lan, "lan")
    back(hall, chair, "chair")
    assert hall.heard == set()
    assert hall.view(chair).phase == "closed"
    hall.obey(chair, Open())
    assert hall.heard == {"chair", "lan"}  # let in before it began


def test_a_meeting_to_which_nobody_comes_back_is_over_after_a_while() -> None:
    hall, chair = opened()
    hall.restart(seconds=1000)  # does not count: nobody could have come
    hall.wait(EMPTY_S - 1)
    assert hall.meeting.stats().open
    hall.wait(2)
    assert not hall.meeting.stats().open
    assert hall.view(hall.enter("chair", secret=chair.secret)).reason == "empty"


def test_who_comes_back_in_time_keeps_the_meeting() -> None:
    hall, chair = opened()
    hall.restart()
    hall.wait(EMPTY_S - 1)
    back(hall, chair, "chair")
    hall.wait(EMPTY_S)
    assert hall.heard == {"chair"}


def test_a_chair_is_a_chair_by_his_token_alone() -> None:
    hall, chair = opened()
    hall.restart()
    thief = hall.enter("speaker", secret=chair.secret)
    with pytest.raises(MeetingRefused):
        hall.obey(thief, End())


def test_what_is_kept_of_those_who_have_gone_is_forgotten() -> None:
    hall, chair = opened()
    hall.join("speaker", "lan")
    hall.obey(chair, End())
    hall.meeting.leave(hall.now, chair.person)
    hall.restart()
    assert not hall.meeting.idle  # there still is somebody to forget
    hall.wait(601)
    assert hall.meeting.idle
    assert hall.meeting.saved(hall.now, hall.now).people == ()
