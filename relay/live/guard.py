"""A feed that cannot do harm: what it raises is a fault of its own and no end of the mix."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from relay.mixer.intake import Feed

log = logging.getLogger("loa.live")


class GuardedFeed:
    """Passes `feed` on; after a mistake in it there is silence, and `broken` says what happened."""

    def __init__(self, feed: Feed) -> None:
        self.broken = ""
        self._feed = feed

    def read(self, out: NDArray[np.float32]) -> bool:
        """As the feed does."""
        if self.broken:
            return False
        try:
            return self._feed.read(out)
        except Exception as error:  # a feed may be anybody's; the others on the bus are not to suffer
            self.broken = f"its reader failed: {type(error).__name__}: {error}"
            log.exception("an input of the mixer failed and is silent from now on")
            return False
