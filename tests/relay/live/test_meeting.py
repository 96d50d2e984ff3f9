"""Meetings by a hand-driven clock: who is heard, who may do what, when it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.errors import MeetingRefused, Unavailable
from relay.meeting_ports import (
    Admit,
    End,
    Entered,
    Entry,
    Extend,
    Hand,
    Link,
    Mute,
    Open,
    Order,
    Remove,
    Rename,
)  # fmt: skip
from tests.support.meeting_hall import Hall


def opened(**settings: object) -> tuple[Hall, Entered]:
    hall = Hall(**settings)
    chair = hall.join("chair", "chair", token="c")
    hall.obey(chair, Open())
    return hall, chair


def test_nobody_is_heard_before_a_chair_opens_the_meeting() -> None:
    hall = Hall(admit=False)
    chair, speaker = hall.join("chair", "chair"), hall.join("speaker", "lan")
    assert hall.heard == set()
    assert hall.view(speaker).phase == "closed"
    with pytest.raises(MeetingRefused, match="chair"):
        hall.obey(speaker, Open())
    hall.obey(chair, Open())
    assert hall.heard == {"chair", "lan"}
    assert hall.people(speaker)["lan"].on_air


def test_a_speaker_is_heard_when_a_chair_has_let_him_in() -> None:
    hall, chair = opened()
    lan = hall.join("speaker", "lan")
    assert hall.heard == {"chair"}
    assert not hall.meeting.may_hear("lan")
    assert set(hall.people(lan)) == {"chair", "lan"}
    assert not hall.people(chair)["lan"].admitted
    hall.obey(chair, Admit(lan.person))
    assert hall.heard == {"chair", "lan"}
    assert hall.meeting.may_hear("lan")


def test_without_waiting_a_speaker_is_heard_at_once() -> None:
    hall, _ = opened(admit=False)
    hall.join("speaker", "lan")
    assert hall.heard == {"chair", "lan"}


@pytest.mark.parametrize(
    "order",
    [
        Open, End, Extend,
        lambda hall: Admit("p2"), lambda hall: Remove("p1"), lambda hall: Mute("p1", True),
        lambda hall: Hand("p1", False), lambda hall: Hand("p1", True),
    ],
)  # fmt: skip
def test_a_speaker_cannot_do_what_is_a_chairs(order: Callable[..., Order]) -> None:
    hall, chair = opened()
    lan = hall.join("speaker", "lan")
    before = hall.view(chair)
    with pytest.raises(MeetingRefused):
        hall.obey(lan, order() if isinstance(order, type) else order(hall))
    assert hall.view(chair) == before
    assert hall.heard == {"chair"}


def test_what_a_chair_closed_only_a_chair_opens() -> None:
    hall, chair = opened(admit=False)
    lan = hall.join("speaker", "lan")
    hall.obey(chair, Mute(lan.person, True))
    assert hall.heard == {"chair"}
    hall.obey(lan, Mute(lan.person, False))
    assert hall.heard == {"chair"}
    assert hall.people(lan)["lan"].silenced
    hall.obey(chair, Mute(lan.person, False))
    assert hall.heard == {"chair", "lan"}


def test_nobody_opens_the_microphone_that_a_speaker_closed() -> None:
    hall, chair = opened(admit=False)
    lan = hall.join("speaker", "lan")
    hall.obey(lan, Mute(lan.person, True))
    hall.obey(chair, Mute(lan.person, False))
    assert hall.heard == {"chair"}
    hall.obey(lan, Mute(lan.person, False))
    assert hall.heard == {"chair", "lan"}


def test_what_was_decided_survives_a_broken_connection() -> None:
    hall, chair = opened()
    lan, hoa = hall.join("speaker", "lan"), hall.join("speaker", "hoa")
    hall.obey(chair, Admit(lan.person))
    hall.obey(chair, Admit(hoa.person))
    hall.obey(chair, Mute(hoa.person, True))
    for person, session in ((lan, "lan"), (hoa, "hoa")):
        hall.meeting.leave(hall.now, person.person)
        hall.hang_up(session)
    hall.wait(300)
    assert set(hall.people(chair)) == {"chair"}
    again = hall.enter("speaker", "Lan", secret=lan.secret, token="renewed")
    assert again == lan
    hall.microphone(again.person, "lan-2")
    hall.microphone(hall.enter("speaker", "", secret=hoa.secret).person, "hoa-2")
    assert hall.heard == {"chair", "lan-2"}


def test_another_with_the_same_invitation_is_another() -> None:
    hall, chair = opened()
    lan = hall.join("speaker", "lan", token="invitation")
    hall.obey(chair, Admit(lan.person))
    hoa = hall.join("speaker", "hoa", token="invitation")
    assert hoa.person != lan.person
    assert hall.heard == {"chair", "lan"}
    guess = hall.enter("speaker", "mallory", secret="secret-99")
    assert guess.person not in (lan.person, hoa.person)


def test_a_secret_lends_nobody_a_role() -> None:
    hall, chair = opened()
    thief = hall.enter("speaker", "thief", secret=chair.secret)
    with pytest.raises(MeetingRefused):
        hall.obey(thief, End())


def test_who_is_removed_stays_out_until_the_meeting_ends() -> None:
    hall, chair = opened(admit=False)
    lan = hall.join("speaker", "lan", token="lan's")
    hall.obey(chair, Remove(lan.person))
    assert hall.heard == {"chair"}
    assert "lan" not in hall.held
    assert hall.view(lan).removed
    with pytest.raises(MeetingRefused, match="removed"):
        hall.meeting.seat(hall.now, Entry("speaker", "s", "lan's", "", lan.secret))
    with pytest.raises(MeetingRefused, match="removed"):
        hall.obey(lan, Hand(lan.person, True))
    anew = hall.join("speaker", "lan again", token="lan's")
    assert "lan again" not in hall.heard  # must be let in, although nobody else must
    with pytest.raises(MeetingRefused, match="no such"):
        hall.obey(chair, Admit("p99"))
    hall.obey(chair, Admit(anew.person))
    assert "lan again" in hall.heard


def test_a_microphone_that_connects_while_its_owner_is_removed_is_ended() -> None:
    hall, chair = opened(admit=False)
    lan = hall.enter("speaker", "lan")
    hall.obey(chair, Remove(lan.person))
    hall.microphone(lan.person, "lan")
    assert "lan" not in hall.held


def test_a_publisher_without_page_waits_like_everybody() -> None:
    hall, chair = opened()
    entry = Entry("speaker", "xe loa", "token-7")
    person = hall.meeting.seat(hall.now, entry)
    hall.microphone(person, "van")
    assert hall.heard == {"chair"}
    assert not hall.people(chair)["xe loa"].here
    hall.obey(chair, Admit(person))
    hall.hang_up("van")
    assert hall.meeting.seat(hall.now, entry) == person
    hall.microphone(person, "van-2")
    assert hall.heard == {"chair", "van-2"}
    with pytest.raises(Unavailable):
        hall.meeting.seat(hall.now, Entry("speaker", "s", "t", "", "forgotten"))


def test_the_end_silences_all_and_the_next_meeting_begins_afresh() -> None:
    hall, chair = opened()
    lan = hall.join("speaker", "lan")
    hall.obey(chair, Admit(lan.person))
    hall.obey(chair, End())
    assert hall.held == {}
    view = hall.view(lan)
    assert (view.phase, view.reason, view.remaining_s) == ("ended", "chair", None)
    hall.microphone(lan.person, "lan-2")  # a client that comes back by itself
    assert hall.heard == set()
    hall.obey(chair, Open())
    hall.microphone(chair.person, "chair-2")
    assert hall.heard == {"chair-2"}


def test_the_cap_warns_and_ends() -> None:
    hall, chair = opened(cap="2h", warning="5m")
    assert hall.view(chair).remaining_s == 7200
    with pytest.raises(MeetingRefused, match="soon"):
        hall.obey(chair, Extend())
    hall.wait(6899)
    assert not hall.view(chair).warned
    seen = hall.meeting.changes
    hall.wait(1)
    assert hall.view(chair).warned
    assert hall.meeting.changes > seen  # pages are told at once
    hall.wait(299)
    assert hall.heard == {"chair"}
    hall.wait(1)
    assert hall.held == {}
    assert (hall.view(chair).phase, hall.view(chair).reason) == ("ended", "cap")


def test_a_chair_puts_the_end_off() -> None:
    hall, chair = opened(cap="2h", extend="30m")
    hall.wait(7000)
    hall.obey(chair, Extend())
    assert hall.view(chair).remaining_s == 200 + 1800
    assert not hall.view(chair).warned
    hall.wait(1990)
    assert hall.heard == {"chair"}
    hall.wait(20)
    assert hall.view(chair).reason == "cap"


def test_a_meeting_that_everybody_has_left_ends_after_a_while() -> None:
    hall, chair = opened()
    hall.meeting.leave(hall.now, chair.person)
    hall.wait(1000)
    assert hall.heard == {"chair"}  # his page is closed, his microphone is not
    hall.hang_up("chair")
    hall.wait(290)
    again = hall.enter("chair", secret=chair.secret)
    assert hall.view(again).phase == "open"
    hall.meeting.leave(hall.now, again.person)
    hall.wait(300)
    assert hall.view(hall.enter("chair")).reason == "empty"


def test_hands_stand_in_the_order_they_were_raised() -> None:
    hall, chair = opened(admit=False)
    lan, hoa = hall.join("speaker", "lan"), hall.join("speaker", "hoa")
    hall.obey(hoa, Hand(hoa.person, True))
    hall.wait(1)
    hall.obey(lan, Hand(lan.person, True))
    hall.wait(1)
    hall.obey(hoa, Hand(hoa.person, True))
    assert [hall.people(chair)[name].hand for name in ("hoa", "lan", "chair")] == [1, 2, 0]
    hall.obey(chair, Hand(hoa.person, False))
    assert hall.people(chair)["lan"].hand == 1


def test_a_speaker_sees_neither_who_waits_nor_others_links() -> None:
    hall, chair = opened()
    lan, hoa = hall.join("speaker", "lan"), hall.join("speaker", "hoa")
    hall.obey(chair, Admit(lan.person))
    hall.missing = {"chair": 0}
    hall.look(0.4)
    hall.obey(chair, Mute(chair.person, True))
    seen = hall.people(lan)
    assert set(seen) == {"chair", "lan"}
    assert seen["chair"].level_dbfs == -200  # who is muted is not watched
    assert seen["lan"].level_dbfs == -20
    assert set(hall.people(hoa)) == {"chair", "lan", "hoa"}
    assert hall.people(chair)["hoa"].level_dbfs == -20


@pytest.mark.parametrize(("lost", "link"), [(0, "good"), (3, "fair"), (15, "poor")])
def test_a_link_is_judged_by_the_last_seconds(lost: int, link: Link) -> None:
    hall, chair = opened()
    hall.missing["chair"] = 1000
    hall.look(0.4)
    hall.missing["chair"] = 1100  # while it begins
    hall.look(6)
    assert hall.people(chair)["chair"].link == "good"
    hall.missing["chair"] += lost  # of 250 blocks in 5 s
    hall.look(1)
    assert hall.people(chair)["chair"].link == link
    hall.look(6)
    assert hall.people(chair)["chair"].link == "good"
    hall.hang_up("chair")
    assert hall.people(chair)["chair"].link == "none"


def test_names_are_one_line_that_prints() -> None:
    hall, chair = opened()
    lan = hall.enter("speaker", "  Chị\n\tLan \u202egnol ")
    assert "Chị Lan gnol" in hall.people(chair)
    hall.obey(lan, Rename("x" * 100))
    assert "x" * 60 in hall.people(chair)
    hall.obey(lan, Rename("\x00 "))
    assert "x" * 60 in hall.people(chair)


def test_a_crowd_cannot_grow_the_meeting_without_end() -> None:
    hall, chair = opened()
    lan = hall.enter("speaker", "lan")
    hall.obey(chair, Admit(lan.person))
    hall.meeting.leave(hall.now, lan.person)
    for number in range(1000):
        person = hall.enter("speaker", str(number))
        hall.meeting.leave(hall.now, person.person)
    assert hall.enter("speaker", secret=lan.secret) == lan  # a crowd of strangers puts nobody out
    for number in range(198):
        hall.enter("speaker", str(number))
    with pytest.raises(MeetingRefused, match="200"):
        hall.enter("speaker", "one more")
    assert len(hall.view(chair).people) == 200


def test_a_crowd_keeps_no_chair_out() -> None:
    hall = Hall()
    for number in range(200):
        hall.enter("speaker", str(number))
    chair = hall.enter("chair", "chair")
    hall.obey(chair, Remove("p1"))
    with pytest.raises(MeetingRefused, match="200"):
        hall.enter("speaker", "one more")
    for number in range(19):
        hall.enter("chair", f"chair {number}")
    with pytest.raises(MeetingRefused, match="200"):
        hall.enter("chair", "one more")


def test_who_is_there_is_counted_once_by_what_he_does() -> None:
    hall = Hall()
    assert (hall.meeting.stats().open, sum(hall.meeting.stats().people.values())) == (False, 0)

    def counted() -> tuple[int, ...]:
        people = hall.meeting.stats().people
        return tuple(people[state] for state in ("waiting", "listening", "muted", "on_air"))

    chair = hall.join("chair", "chair")
    lan = hall.join("speaker", "lan")
    hall.enter("chair", "minh")
    assert counted() == (1, 1, 1, 0)
    hall.obey(chair, Open())
    assert hall.meeting.stats().open
    assert counted() == (1, 1, 0, 1)
    hall.obey(chair, Admit(lan.person))
    assert counted() == (0, 1, 0, 2)
    hall.obey(chair, Mute(lan.person, True))
    assert counted() == (0, 1, 1, 1)
    hall.obey(chair, Remove(lan.person))
    assert counted() == (0, 1, 0, 1)
    hall.hang_up("chair")
    assert counted() == (0, 2, 0, 0)
    hall.meeting.leave(hall.now, chair.person)
    assert counted() == (0, 1, 0, 0)
