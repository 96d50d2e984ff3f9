"""The queue as a source of the list: its next items are opened ahead, and its decks follow one another in one input."""

from __future__ import annotations

import math
from typing import Final

from loacodecs.errors import LoaError
from relay.automation.decks import Deck, DeckFeed
from relay.automation.metering import MeteredFeed
from relay.automation.mixer import Mixer, MixerInput, Open
from relay.automation.queue import Queue
from relay.automation.rundown import Standing
from relay.automation.settings import WatchSettings
from relay.automation.strips import Place, Strip
from relay.automation.watch import Verdict
from relay.automation_ports import QueueItem
from relay.errors import RelayError

AHEAD: Final = 3
"""Items that are open: the one that is played and those after it, for jingles are short."""
KEEP_S: Final = 2.0
"""An empty queue keeps its place in the mixer for so long at the least, and until its last sound has faded."""


class QueueStrip(Strip):
    """Plays `queue`. `wall` times are unix seconds, all others monotonic."""

    optional = True

    def __init__(
        self, name: str, watching: WatchSettings, mixer: Mixer, queue: Queue, open_item: Open, *,
        gain_db: float, crossfade_s: float,
    ) -> None:  # fmt: skip
        super().__init__(name, name, watching)
        self._mixer = mixer
        self._queue = queue
        self._open = open_item
        self._gain_db = gain_db
        self._decks: dict[str, Deck] = {}
        self._chimes = mixer.chimes(name)
        self._feed = DeckFeed(crossfade_s, self._chimes)
        self._metered = MeteredFeed(self._feed)
        self._input: MixerInput | None = None
        self._running = False
        self._rest_at = math.inf
        self._leave_at = math.inf

    @property
    def title(self) -> str:
        """What is played."""
        return self._feed.title

    @property
    def input(self) -> MixerInput | None:
        """Its input of the mixer, while there is something to be played."""
        return self._input

    def deck(self, item_id: str) -> Deck | None:
        """The deck of an item that is open."""
        return self._decks.get(item_id)

    @property
    def running(self) -> bool:
        """Whether it plays, heard or not."""
        return self._running

    def close(self) -> None:
        """Let go of everything."""
        super().close()
        for deck in (*self._decks.values(), *self._feed.ended):
            deck.feed.close()

    def tidy(self, wall: float) -> None:
        """Note what has ended or failed, and open what comes next."""
        for deck in list(self._decks.values()):
            if deck.done or (deck.over and not self._feed.plays(deck)):
                self._finish(deck, wall)
        self._close_ended()
        current = self._feed.current
        if current is not None and current.sounded:
            self._queue.reached(current.item.id, current.feed.position_s)
        self._refill(current, wall)

    def look(self, now: float) -> Standing:
        """Listen to it; `tidy` first."""
        self._hold_place(now)
        deck = self._feed.current
        if deck is None or self._input is None:
            self.watch.restart()
            return self._stand(Verdict.ABSENT)
        if now >= self._rest_at:
            self._rest()
        level = self._metered.level_dbfs()
        self.fault = deck.feed.reason
        if not deck.sounded and not deck.feed.ready:
            return self._stand(Verdict.ABSENT, opening=True)
        if not self._feed.plays(deck):
            if self.verdict is not Verdict.READY:
                self.watch.restart()  # what was heard, or not, was the one before it
            return self._stand(Verdict.READY)
        return self._stand(self.watch.verdict if level is None else self.watch.look(now, level))

    def put(self, now: float, place: Place, fade_s: float) -> None:
        """Let it stand elsewhere; what begins is not faded in, whatever else is faded out for it."""
        if place is self.place:
            return
        deck = self._feed.current
        begins = place is Place.ON_AIR and deck is not None and not deck.sounded
        super().put(now, place, 0.0 if begins else fade_s)
        self._rest_at = math.inf
        if place is Place.STANDBY:
            self._rest_at = now + fade_s
        self._running = self._running or place is not Place.STANDBY
        if self._running:
            self._feed.run(begins=place is Place.ON_AIR)

    def _rest(self) -> None:
        self._rest_at = math.inf
        self._running = False
        self._feed.pause()
        self.watch.restart()

    def _close_ended(self) -> None:
        while self._feed.ended:
            self._feed.ended.popleft().feed.close()

    def _refill(self, current: Deck | None, wall: float) -> None:
        wanted = [item for item in self._queue.first(AHEAD) if not self._is_done(item)]
        if current is not None and wanted and wanted[0].id != current.item.id:
            # interrupted: it is faded out now, and opened anew where it was left if its turn comes again
            self._decks.pop(current.item.id, None)
        before = self._decks
        decks = [deck for deck in (self._opened(item, wall) for item in wanted) if deck is not None]
        self._decks = {deck.item.id: deck for deck in decks}
        self._feed.order(decks)
        for item_id, deck in before.items():
            if item_id not in self._decks and deck is not current:  # that one is closed when it has faded
                deck.feed.close()

    def _is_done(self, item: QueueItem) -> bool:
        deck = self._decks.get(item.id)
        return deck is not None and deck.done

    def _opened(self, item: QueueItem, wall: float) -> Deck | None:
        deck = self._decks.get(item.id)
        if deck is not None:
            return deck
        try:
            feed = self._open(
                item.source, trusted=False, loop=False, reconnect=False, start_s=item.position_s
            )
        except LoaError as error:  # a name that an older relay took for a source
            self._queue.finish(item.id, "failed", wall, str(error))
            return None
        return Deck(item, feed, self._chimes)

    def _finish(self, deck: Deck, wall: float) -> None:
        """Its turn is over; it may still be fading, and is closed after that."""
        deck.done = True
        del self._decks[deck.item.id]
        failed = deck.feed.state == "failed"
        self._queue.finish(deck.item.id, "failed" if failed else "played", wall, deck.feed.reason)
        if deck is not self._feed.current and not deck.sounded:
            deck.feed.close()

    def _hold_place(self, now: float) -> None:
        """Be an input of the mixer while there is something to be played: a mixer without inputs rests."""
        if len(self._queue):
            self._leave_at = math.inf
            if self._input is None:
                self._enter()
        elif self._input is not None:
            self._leave_at = min(self._leave_at, now + KEEP_S)
            fades = now < self._rest_at < math.inf
            if now >= self._leave_at and not fades:
                self._rest()
                self._close_ended()
                self._mixer.remove_input(self.name, 0.0)
                self._input, self._leave_at = None, math.inf

    def _enter(self) -> None:
        try:
            self._input = self._mixer.add_input(
                self.name, self._metered, role="programme", gain_db=self._gain_db, kind="file", label="queue"
            )
        except RelayError as error:
            self.fault = str(error)
            return
        self._input.fade(0.0 if self.place is Place.ON_AIR else -math.inf, 0.0)
