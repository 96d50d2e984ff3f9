"""Decks follow one another at the very sample; fades are of equal power; nothing waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relay.automation.decks import Deck, DeckFeed
from relay.automation_ports import QueueItem
from relay.sources.feed import OPERATOR, open_source
from tests.support.hand_mixer import HandChimes, HandSource, Sound, endless, tone_source
from tests.support.interleaving import at_every_turn
from tests.support.media_files import encode
from tests.support.tones import dominant_frequency, level_dbfs, tone
from tests.support.waiting import until


def item(name: str, gain_db: float = 0.0) -> QueueItem:
    return QueueItem(name, f"{name}.wav", "", gain_db, 0.0, "")


def heard(feed: DeckFeed, blocks: int) -> Sound:
    """The left side of so many blocks."""
    out = np.full((2, 960), 9, np.float32)
    found = []
    for _ in range(blocks):
        found.append(out[0].copy() if feed.read(out) else np.zeros(960, np.float32))
    return np.concatenate(found)


def ramp(start: int, count: int) -> HandSource:
    """Every sample of it can be told from all others."""
    return HandSource(np.arange(start, start + count, dtype=np.float32) / np.float32(65536))


def test_a_joint_has_no_sample_too_few_or_too_many() -> None:
    feed = DeckFeed()
    feed.order(
        [Deck(item("a"), ramp(0, 1500)), Deck(item("b"), ramp(1500, 7)), Deck(item("c"), ramp(1507, 2000))]
    )
    feed.run()
    assert np.array_equal(heard(feed, 3)[:2880] * 65536, np.arange(2880))
    assert [deck.item.id for deck in feed.ended] == ["a", "b"]
    assert all(deck.done for deck in feed.ended)
    rest = heard(feed, 1) * 65536
    assert np.array_equal(rest[:627], np.arange(2880, 3507))
    assert not rest[627:].any()
    assert feed.current is None or feed.current.over


@pytest.mark.parametrize(("suffix", "likeness_db"), [("flac", 70), ("mp3", 15), ("m4a", 15)])
def test_two_halves_of_a_tone_in_files_are_one_tone(tmp_path: Path, suffix: str, likeness_db: float) -> None:
    whole = tone(500, 1.0)
    paths = [
        encode(tmp_path / f"{number}.{suffix}", half)
        for number, half in enumerate((whole[:24_011], whole[24_011:]))
    ]
    others = set(threading.enumerate())
    feeds = [open_source(str(path), OPERATOR, paused=True) for path in paths]
    readers = [each for each in threading.enumerate() if each not in others and each.name == "loa-file"]
    # read to the end: here it is played faster than any file is decoded
    until(lambda: not any(reader.is_alive() for reader in readers))
    feed = DeckFeed()
    feed.order([Deck(item(str(number)), each) for number, each in enumerate(feeds)])
    feed.run()
    sound = heard(feed, 51)
    for half in (slice(2400, 21_600), slice(26_400, 45_600)):
        assert level_dbfs(sound[half] - whole[half]) < level_dbfs(whole) - likeness_db, "the phase is right"
    assert not sound[48_000:].any(), "and the padding of neither file is heard"


def test_a_crossfade_keeps_the_power() -> None:
    feed = DeckFeed(crossfade_s=0.5)
    noise = np.random.default_rng(3).normal(0, 0.1, (2, 96_000)).astype(np.float32)
    feed.order([Deck(item("a"), HandSource(noise[0])), Deck(item("b"), HandSource(noise[1]))])
    feed.run()
    sound = heard(feed, 176)
    for start in range(0, 160_000, 8_000):
        assert level_dbfs(sound[start : start + 8_000]) == pytest.approx(-20, abs=0.5)
    assert not sound[168_000:].any(), "2 s and 2 s with half a second in common"
    assert [deck.item.id for deck in feed.ended] == ["a", "b"]


def test_a_jingle_shorter_than_the_fade_is_heard_in_full_for_a_while() -> None:
    feed = DeckFeed(crossfade_s=5.0)
    feed.order([Deck(item("a"), tone_source(500, 1.0)), Deck(item("b"), tone_source(500, 8.0))])
    feed.run()
    assert level_dbfs(heard(feed, 25)) == pytest.approx(-15.05, abs=0.1)


def test_an_interruption_fades_out_without_a_click() -> None:
    feed = DeckFeed()
    first = Deck(item("a"), HandSource(live=True, generate=endless(500)))
    feed.order([first])
    feed.run()
    heard(feed, 5)
    feed.order([Deck(item("b"), HandSource(live=True, generate=endless(800)))])
    sound = heard(feed, 10)
    assert np.abs(np.diff(sound)).max() < 0.25 * 2 * np.pi * 800 / 48_000 * 1.3
    assert dominant_frequency(sound[960:]) == pytest.approx(800, abs=3)
    assert list(feed.ended) == [first]
    assert not first.done


def test_nothing_is_waited_for() -> None:
    feed = DeckFeed()
    slow = HandSource(tone(500, 1.0), state="opening")
    feed.order([Deck(item("a"), ramp(0, 960)), Deck(item("b"), slow)])
    feed.run()
    assert heard(feed, 1).any()
    assert not heard(feed, 3).any()
    slow.state = "playing"
    assert heard(feed, 1).any()


def test_one_that_fails_makes_room_for_the_next() -> None:
    feed = DeckFeed()
    broken = HandSource(tone(500, 1.0))
    feed.order([Deck(item("a"), broken), Deck(item("b"), tone_source(800, 1.0))])
    feed.run()
    heard(feed, 5)
    broken.fail("cannot read on")
    assert dominant_frequency(heard(feed, 40)) == pytest.approx(800, abs=3)


def test_gain_and_pause() -> None:
    feed = DeckFeed()
    feed.order([Deck(item("a", -6.0), HandSource(generate=endless(500)))])
    assert not heard(feed, 1).any(), "it begins paused"
    feed.run()
    assert level_dbfs(heard(feed, 10)) == pytest.approx(-21.05, abs=0.1)
    feed.pause()
    assert not heard(feed, 1).any()
    feed.run()
    assert heard(feed, 1).any()


def test_what_is_done_is_not_played_again_by_who_does_not_know_yet() -> None:
    feed = DeckFeed()
    decks = [Deck(item("a"), ramp(0, 960)), Deck(item("b"), ramp(960, 9600))]
    feed.order(decks)
    feed.run()
    heard(feed, 2)
    feed.order(decks)
    assert np.array_equal(heard(feed, 1) * 65536, np.arange(1920, 2880))


def test_an_item_begins_with_the_sample_after_its_chime() -> None:
    chimes = HandChimes()
    feed = DeckFeed(chimes=chimes)
    news = replace(item("b", gain_db=-6.0206), chime=True)
    feed.order([Deck(item("a"), ramp(0, 500)), Deck(news, ramp(0, 2000), chimes)])
    feed.run()
    sound = heard(feed, 4)
    assert np.array_equal(sound[:500] * 65536, np.arange(500))
    assert (sound[500:1500] == 0.5).all(), "the item's gain is not the chime's"
    assert np.allclose(sound[1500:3500] * 65536, np.arange(2000) / 2, atol=0.01)
    assert chimes.notes == [(True, True), (True, False), (True, False), (True, False)]
    heard(feed, 1)
    assert chimes.notes[-1] == (False, False)


def test_a_chime_waits_for_an_item_that_is_not_open_yet() -> None:
    chimes = HandChimes()
    source = ramp(0, 2000)
    source.state = "opening"
    feed = DeckFeed(chimes=chimes)
    feed.order([Deck(replace(item("a"), chime=True), source, chimes)])
    feed.run()
    assert not heard(feed, 3).any()
    source.state = "playing"
    assert (heard(feed, 1) == 0.5).all()


def test_an_item_with_a_chime_is_not_faded_into() -> None:
    chimes = HandChimes()
    feed = DeckFeed(0.5, chimes)
    feed.order([Deck(item("a"), ramp(0, 4800)), Deck(replace(item("b"), chime=True), ramp(0, 9600), chimes)])
    feed.run()
    sound = heard(feed, 8)
    assert np.array_equal(sound[:4800] * 65536, np.arange(4800))
    assert (sound[4800:5800] == 0.5).all()


def test_it_may_be_looked_at_while_the_last_of_it_ends() -> None:
    """The event loop looks, the mixer reads."""

    def make() -> tuple[Callable[[], tuple[Deck | None, str]], Callable[[], None]]:
        feed, last = DeckFeed(), ramp(0, 900)
        last.title = "the last"
        feed.order([Deck(item("a"), last)])
        feed.run()
        return lambda: (feed.current, feed.title), lambda: end(feed)

    def end(feed: DeckFeed) -> None:
        heard(feed, 1)
        assert len(feed.ended) == 1

    titles = {title for _, title in at_every_turn(make)}
    assert titles == {"", "the last"}
