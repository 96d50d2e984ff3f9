"""The playout: packets to sound that is heard when it ought to be."""

from .playout import Playout
from .schedule import PlayoutSettings, RelayClock
from .source import Source
from .stats import PlayoutStats

__all__ = ["Playout", "PlayoutSettings", "PlayoutStats", "RelayClock", "Source"]
