"""Mixed channels: publishers, files, streams, line inputs and other channels, mixed and put on air.

`studio` holds one mixing engine for all of them and is sans-thread; `thread` ticks it. What the media thread and the
mixing thread hand each other goes through bounded queues (`packets`, `outbox`), never through a lock.
"""
