"""The relay's own figures of mixing, from /metrics: what was counted between two looks."""

from __future__ import annotations

import contextlib
import http.client
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from bench.errors import BenchError

JITTER: Final = "loa_mix_tick_jitter_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Counters:
    """Values by name, labels left out and summed; `buckets` by upper bound in seconds, cumulative."""

    values: dict[str, float]
    buckets: dict[float, float]

    def since(self, before: Counters) -> Counters:
        """What came on top."""
        return Counters(
            {name: value - before.values.get(name, 0.0) for name, value in self.values.items()},
            {bound: count - before.buckets.get(bound, 0.0) for bound, count in self.buckets.items()},
        )

    def jitter_ms(self, share: float) -> float:
        """Lateness that `share` of the ticks did not exceed, within its bucket by a straight line, ms."""
        total = max(self.buckets.values(), default=0.0)
        below, lower = 0.0, 0.0
        for bound in sorted(self.buckets):
            count = self.buckets[bound]
            if count >= share * total and total:
                if bound == float("inf"):
                    return lower * 1e3
                within = (share * total - below) / max(count - below, 1e-9)
                return (lower + within * (bound - lower)) * 1e3
            below, lower = count, bound
        return 0.0


def read(host: str, port: int) -> Counters:
    """Look now. Raises BenchError when the relay does not answer."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"the relay did not tell its metrics: {error}") from error
    values: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == JITTER:
                buckets[float(sample.labels["le"])] = sample.value
            else:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
    return Counters(values, buckets)
