"""A meeting by a hand-driven clock, without sound."""

from __future__ import annotations

import itertools

from relay.live.meeting import Meeting
from relay.live.meeting_actions import Dismiss, Hold, Report
from relay.live.settings import MeetingConfig
from relay.meeting_ports import Entered, Entry, MeetingView, Order, PersonView, SavedMeeting
from relay.tokens import MeetingRole


class Hall:
    """A meeting, its clock, and the microphones as the mixer would have them: by session, whether each is held."""

    def __init__(self, **settings: object) -> None:
        serial = itertools.count(1)
        self.settings = MeetingConfig.model_validate(settings)
        self.meeting = Meeting(self.settings, lambda: f"secret-{next(serial)}")
        self.now = 1000.0
        self.unix = 1_700_000_000.0
        """What the wall clock says when `now` is 0."""
        self.held: dict[str, bool] = {}
        self.missing: dict[str, int] = {}
        self.level = -20.0

    def enter(self, role: MeetingRole, name: str = "", *, secret: str = "", token: str = "t") -> Entered:
        return self.meeting.enter(self.now, Entry(role, "subject", token, name, secret))

    def microphone(self, person: str, session: str) -> None:
        self.held[session] = True  # as the mixer begins, see MixedChannel.admit
        self.meeting.connect(self.now, person, session)
        self._carry_out()

    def join(self, role: MeetingRole, name: str, **how: str) -> Entered:
        """Page and microphone; the session is the name."""
        entered = self.enter(role, name, **how)
        self.microphone(entered.person, name)
        return entered

    def obey(self, by: Entered, order: Order) -> None:
        self.meeting.obey(self.now, by.person, order)
        self._carry_out()

    def hang_up(self, session: str) -> None:
        del self.held[session]
        self.look()

    def look(self, seconds: float = 0.0) -> None:
        """Time passes, and the mixer is looked at every 200 ms, or once."""
        for _ in range(max(1, round(seconds / 0.2))):
            self.now += min(seconds, 0.2)
            reports = {
                session: Report(self.level, self.missing.get(session, 0), True) for session in self.held
            }
            self.meeting.report(self.now, reports)
            self.meeting.on_timer(self.now)
            self._carry_out()

    def wait(self, seconds: float) -> None:
        """The same in one step."""
        self.now += seconds
        self.look()

    @property
    def saved(self) -> SavedMeeting:
        """What is kept of the meeting now."""
        return self.meeting.saved(self.now, self.unix + self.now)

    def restart(self, seconds: float = 5.0, wrong_by: float = 0.0) -> None:
        """The relay dies and is back after so long with another monotonic clock; the wall clock is `wrong_by` off."""
        saved, wall = self.saved, self.unix + self.now + seconds + wrong_by
        self.now = 7.0
        self.unix = wall - self.now
        self.held, self.missing = {}, {}
        self.meeting = Meeting.taken_up(self.settings, saved, self.now, wall)

    def _carry_out(self) -> None:
        while (action := self.meeting.poll()) is not None:
            match action:
                case Hold(session, held):
                    self.held[session] = held
                case Dismiss(session):
                    self.held.pop(session, None)

    @property
    def heard(self) -> set[str]:
        return {session for session, held in self.held.items() if not held}

    def view(self, of: Entered) -> MeetingView:
        return self.meeting.view(self.now, of.person)

    def people(self, of: Entered) -> dict[str, PersonView]:
        return {each.name: each for each in self.view(of).people}
