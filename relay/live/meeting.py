"""A meeting on a channel: who is let in, who is heard, when it ends. Sans-I/O; knows neither sound nor network.

Time is an argument, monotonic seconds. Each call changes the meeting; then drain `poll` for what is to be done about
microphones. Call `on_timer` a few times a second. `changes` grows with whatever participants should see at once.

Nobody is heard before a chair has opened the meeting, and nobody after its end. What was decided about a participant is
his until the meeting ends, however often his connection breaks or the relay restarts: `saved`, `taken_up`.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Self, get_args

from relay.errors import MeetingFull, MeetingRefused, Unavailable
from relay.live.meeting_actions import Action, Announce, Dismiss, Hold, Report
from relay.live.people import Person, digest_of, tidy
from relay.live.settings import MeetingConfig
from relay.meeting_ports import (
    Admit,
    End,
    EndReason,
    Entered,
    Entry,
    Extend,
    Hand,
    MeetingStats,
    MeetingView,
    Mute,
    Open,
    Order,
    PersonView,
    Phase,
    Presence,
    Remove,
    Rename,
    SavedMeeting,
)
from relay.tokens import MeetingRole

PEOPLE_MAX: Final = 200
CHAIRS_MORE: Final = 20
"""So many chairs find a place when all others are taken."""
AWAY_KEPT_S: Final = 600.0
"""Who is away for longer is forgotten, unless he was removed."""
EMPTY_S: Final = 300.0
"""A meeting that everybody has left for so long is over."""


class Meeting:
    """The meetings of one channel, one after the other. `secret` makes what only the participant knows."""

    def __init__(
        self, settings: MeetingConfig, secret: Callable[[], str] = lambda: secrets.token_urlsafe(18)
    ) -> None:
        self.changes = 0
        self._settings = settings
        self._secret = secret
        self._people: dict[str, Person] = {}
        self._number = 0
        self._phase: Phase = "closed"
        self._reason: EndReason = ""
        self._ends = 0.0
        self._was_warned = False
        self._empty_since: float | None = None
        self._watched: set[str] = set()
        """Tokens of those who were removed: who comes with one must be let in, whatever `admit` says."""
        self._actions: deque[Action] = deque()
        self._held: dict[str, bool] = {}

    # -- coming and going

    def enter(self, now: float, entry: Entry) -> Entered:
        """A page comes, or comes back with its secret. Raises MeetingFull when there is no room."""
        person, secret = self._find(entry.secret), entry.secret
        if person is None:
            secret = self._secret()
            person = self._new(now, entry, secret)
        person.role = entry.role
        person.admitted |= entry.role == "chair"
        person.name = tidy(entry.name) or person.name
        person.pages += 1
        self._changed(now, person)
        return Entered(person.id, secret, person.role)

    def leave(self, now: float, person: str) -> None:
        """A page has gone."""
        known = self._people.get(person)
        if known is not None:
            known.pages = max(0, known.pages - 1)
            self._changed(now, known)

    def seat(self, now: float, entry: Entry) -> str:
        """Whose microphone is about to come: his who has the secret, or his who has the token and no page.

        Raises MeetingRefused for who was removed, MeetingFull, Unavailable for a secret that is none.
        """
        if entry.secret:
            person = self._find(entry.secret)
            if person is None:
                raise Unavailable("the relay knows this participant no longer; enter the meeting again", 1)
            person.role = entry.role
        else:
            bare = (each for each in self._people.values() if each.bare and each.token == entry.token)
            person = next(bare, None) or self._new(now, entry)
        if person.removed:
            raise MeetingRefused("the chair has removed this participant from the meeting")
        return person.id

    def connect(self, now: float, person: str, session: str) -> None:
        """A participant's microphone is there; closed until `poll` says otherwise."""
        known = self._people.get(person)
        if known is None or known.removed:  # he was removed while it connected
            self._actions.append(Dismiss(session))
            return
        known.sessions.add(session)
        self._held[session] = True
        self._changed(now, known)

    def report(self, now: float, reports: Mapping[str, Report]) -> None:
        """How all microphones of the channel are, by session; one that is not among them has gone."""
        for person in self._people.values():
            gone = person.sessions - reports.keys()
            if gone:
                person.sessions -= gone
                for session in gone:
                    self._held.pop(session, None)
                self._changed(now, person)
            levels = [-200.0]
            for session in person.sessions:
                report = reports[session]
                levels.append(report.level_dbfs if report.came else -200.0)
                person.watch.update(now, report.missing, report.came)
            person.level_dbfs = max(levels)

    def may_hear(self, session: str) -> bool:
        """Whether who speaks by that session may hear the others: once he is let in, while the meeting is on."""
        return self._phase == "open" and any(
            session in each.sessions and each.admitted and not each.removed for each in self._people.values()
        )

    # -- orders

    def obey(self, now: float, by: str, order: Order) -> None:
        """Do what a participant wants. Raises MeetingRefused."""
        person = self._person(by)
        if person.removed:
            raise MeetingRefused("the chair has removed this participant from the meeting")
        match order:
            case Rename(name):
                person.name = tidy(name) or person.name
            case Mute(whom, muted):
                self._mute(person, self._person(whom), muted)
            case Hand(whom, raised):
                self._raise_hand(now, person, self._person(whom), raised)
            case _:
                if person.role != "chair":
                    raise MeetingRefused("only a chair of the meeting may do that")
                self._preside(now, person, order)
        self._changed(now, person)

    def _preside(self, now: float, chair: Person, order: Order) -> None:
        match order:
            case Open():
                if self._phase != "open":
                    self._phase, self._reason, self._ends = "open", "", now + self._settings.cap
                    self._actions.append(Announce())
                    self._empty_since = None
            case End():
                self._end(now, "chair")
            case Extend():
                if not self._warned(now):
                    raise MeetingRefused("the meeting does not end soon; there is nothing to put off yet")
                self._ends += self._settings.extend
            case Admit(whom):
                person = self._person(whom)
                if person.removed:
                    raise MeetingRefused("this participant was removed; he has to come anew")
                person.admitted = True
            case Remove(whom):
                self._remove(chair, self._person(whom))
            case _:
                raise AssertionError(order)

    def _mute(self, by: Person, whom: Person, muted: bool) -> None:
        if by is whom:
            whom.muted = muted
        elif by.role == "chair":
            whom.silenced = muted
        else:
            raise MeetingRefused("only a chair of the meeting may mute others")

    def _raise_hand(self, now: float, by: Person, whom: Person, raised: bool) -> None:
        if by is not whom and (by.role != "chair" or raised):
            raise MeetingRefused("a hand is raised by whose it is; lowered by a chair, too")
        whom.hand = (now if whom.hand is None else whom.hand) if raised else None

    def _remove(self, by: Person, whom: Person) -> None:
        if by is whom:
            raise MeetingRefused("who wants to go leaves; removing is for others")
        whom.removed, whom.admitted, whom.hand = True, False, None
        self._watched.add(whom.token)
        self._dismiss(whom)

    # -- time

    def on_timer(self, now: float) -> None:
        """End what is to end."""
        for person in list(self._people.values()):
            if person.away and not person.removed and now - person.seen > AWAY_KEPT_S:
                del self._people[person.id]
                self.changes += 1
        if self._phase != "open":
            return
        if self._warned(now) != self._was_warned:
            self._was_warned = not self._was_warned
            self.changes += 1
        if now >= self._ends:
            self._end(now, "cap")
        elif self._empty_since is not None and now - self._empty_since >= EMPTY_S:
            self._end(now, "empty")

    def poll(self) -> Action | None:
        """What is to be done next; None when that is all."""
        return self._actions.popleft() if self._actions else None

    @property
    def idle(self) -> bool:
        """Whether nothing is to come to an end, and nobody is there or still to be forgotten."""
        return self._phase != "open" and all(each.away and each.removed for each in self._people.values())

    def role(self, person: str) -> MeetingRole:
        """What a participant is. Raises MeetingRefused."""
        return self._person(person).role

    def keeps_free(self, person: str) -> bool:
        """Whether a microphone of that participant leaves a place free: a chair's is not there yet, nor is this one."""
        return not any(
            each.role == "chair" and (each.sessions or each.id == person) for each in self._people.values()
        )

    # -- seeing

    def stats(self) -> MeetingStats:
        """Who is there, in numbers."""
        people: dict[Presence, int] = dict.fromkeys(get_args(Presence), 0)
        for each in self._people.values():
            if not (each.away or each.removed):
                people[each.presence(self._is_heard(each))] += 1
        return MeetingStats(self._phase == "open", people)

    def view(self, now: float, person: str) -> MeetingView:
        """The meeting as a participant may see it. Raises MeetingRefused for one who is forgotten."""
        viewer = self._person(person)
        open_now = self._phase == "open"
        places = self._places()
        return MeetingView(
            phase=self._phase,
            reason=self._reason,
            remaining_s=max(0.0, self._ends - now) if open_now else None,
            warned=self._warned(now),
            extend_s=self._settings.extend,
            removed=viewer.removed,
            people=[
                self._seen(now, each, viewer, places.get(each.id, 0))
                for each in self._people.values()
                if each is viewer or not (viewer.removed or each.removed or each.away)
                if each is viewer or viewer.role == "chair" or each.admitted
            ],
        )

    def _seen(self, now: float, person: Person, viewer: Person, hand: int) -> PersonView:
        private = viewer.role != "chair" and person is not viewer
        return PersonView(
            id=person.id,
            name=person.name,
            role=person.role,
            here=person.pages > 0,
            connected=bool(person.sessions),
            admitted=person.admitted,
            on_air=self._is_heard(person) and bool(person.sessions),
            muted=person.muted,
            silenced=person.silenced,
            hand=hand,
            level_dbfs=-200.0 if private and not self._is_heard(person) else person.level_dbfs,
            link="good" if private else person.watch.link(now) if person.sessions else "none",
        )

    # -- outlasting the process

    @property
    def untouched(self) -> bool:
        """Whether nobody has ever come."""
        return self._number == 0

    def saved(self, now: float, wall: float) -> SavedMeeting:
        """What a later run of the relay has to know; `wall` is the unix time of `now`."""
        places = self._places()
        return SavedMeeting(
            self._phase, self._reason, wall + self._ends - now if self._phase == "open" else 0.0, wall,
            self._number, frozenset(self._watched),
            tuple(each.saved(places.get(each.id, 0)) for each in self._people.values()),
        )  # fmt: skip

    @classmethod
    def taken_up(cls, settings: MeetingConfig, saved: SavedMeeting, now: float, wall: float) -> Self:
        """A meeting goes on from what was `saved`, with everybody away; one whose end has passed meanwhile is over.

        Where the clock is behind what was saved, the meeting lasts no longer than it was to last then.
        """
        meeting = cls(settings)
        meeting._phase, meeting._reason, meeting._number = saved.phase, saved.reason, saved.number
        meeting._watched = set(saved.watched)
        meeting._people = {each.id: Person.taken_up(each, now) for each in saved.people}
        if saved.phase == "open":
            meeting._ends = now + saved.ends - max(wall, saved.written)
            meeting._empty_since = now
            meeting.on_timer(now)
        return meeting

    # -- inside

    def _places(self) -> dict[str, int]:
        """Of raised hands by participant, from 1."""
        hands = sorted((each.hand, each.id) for each in self._people.values() if each.hand is not None)
        return {name: at for at, (_, name) in enumerate(hands, 1)}

    def _find(self, secret: str) -> Person | None:
        digest = digest_of(secret) if secret.isascii() and secret else b"none"
        same = (each for each in self._people.values() if secrets.compare_digest(each.digest, digest))
        return next(same, None)

    def _person(self, name: str) -> Person:
        person = self._people.get(name)
        if person is None:
            raise MeetingRefused("no such participant is in the meeting; he may have left")
        return person

    def _new(self, now: float, entry: Entry, secret: str = "") -> Person:
        """Somebody who was not there before; without a `secret` one who has no page."""
        if len(self._people) >= PEOPLE_MAX + (CHAIRS_MORE if entry.role == "chair" else 0):
            away = [each for each in self._people.values() if each.away and not each.removed]
            if not away:
                raise MeetingFull(f"the meeting has its {PEOPLE_MAX} participants")
            del self._people[min(away, key=lambda each: (each.admitted, each.seen)).id]
        self._number += 1
        admitted = entry.role == "chair" or not (self._settings.admit or entry.token in self._watched)
        person = Person(
            f"p{self._number}", digest_of(secret) if secret else b"", entry.role,
            tidy(entry.name or entry.subject), entry.token, not secret, admitted, seen=now,
        )  # fmt: skip
        self._people[person.id] = person
        return person

    def _is_heard(self, person: Person) -> bool:
        allowed = person.admitted and not person.removed
        return self._phase == "open" and allowed and not person.muted and not person.silenced

    def _changed(self, now: float, person: Person) -> None:
        """Something about a participant, or the meeting, is different."""
        self.changes += 1
        person.seen = now
        self._apply()
        empty = all(each.away for each in self._people.values())
        self._empty_since = (self._empty_since or now) if empty else None

    def _apply(self) -> None:
        """Close and open microphones as has been decided."""
        for person in self._people.values():
            held = not self._is_heard(person)
            for session in person.sessions:
                if self._held.get(session) != held:
                    self._held[session] = held
                    self._actions.append(Hold(session, held))

    def _dismiss(self, person: Person) -> None:
        for session in person.sessions:
            self._held.pop(session, None)
            self._actions.append(Dismiss(session))
        person.sessions = set()

    def _warned(self, now: float) -> bool:
        return self._phase == "open" and now >= self._ends - self._settings.warning

    def _end(self, now: float, reason: EndReason) -> None:
        """Nobody is heard any more; who comes to the next meeting comes as to the first."""
        if self._phase != "open":
            raise MeetingRefused("the meeting is not open")
        self._phase, self._reason, self._empty_since = "ended", reason, None
        self._watched.clear()
        for person in list(self._people.values()):
            self._dismiss(person)
            person.removed = person.silenced = False
            person.hand = None
            person.admitted = person.role == "chair" or not self._settings.admit
            person.seen = now
        self.changes += 1
