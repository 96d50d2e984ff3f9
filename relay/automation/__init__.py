"""Programme automation of a mixed channel: which of its sources is on air, and what is played after what.

`watch` hears whether a source sounds, `rundown` decides which of them is on air, `queue` is the order of what is
played, `decks` plays it without gaps. `programme` puts them together for one channel, `service` for all.
"""
