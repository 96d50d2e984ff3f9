"""Compile the packet path and the mixer before anybody waits for them: `python -m relay.precompile`.

The first `loa serve` after an installation or an update would do the same, a minute long and without a word.
"""

from __future__ import annotations

from relay.app import build
from relay.config import Config
from relay.live.warm import warm_up


def precompile() -> None:
    """Fill the cache on disk; instant when it is full. Raises ConfigurationError where no UDP port can be had."""
    relay = build(
        Config.model_validate({"media": {"listen": ["127.0.0.1:0"], "listeners_max": 16, "threads": 1}})
    )
    try:
        relay.engine.warm_up()
        relay.watch.warm_up()
    finally:
        relay.engine.close()
        for port in relay.ports:
            port.close()
    warm_up()


if __name__ == "__main__":
    precompile()
