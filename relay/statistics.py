"""Snapshots of the core's counters for metrics and the API.

Read from the HTTP thread while the media thread goes on: every figure is a whole number read at once, every dict that
the media thread may add to is copied at once before it is walked, and a snapshot may be as old as the last tick
(`reactor.IDLE_TICK_S`), when what compiled code forwarded is booked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from itertools import accumulate

from relay.channels.channel import Channel
from relay.net.histogram import HistogramCounter
from relay.net.reactor import Reactor
from relay.ports import ChannelState, ChannelStats, Histogram, RelayStats, RenditionStats, UpstreamStats
from relay.sessions.hub import Hub
from relay.sessions.listener import ListenerQuality


def snapshot(
    hub: Hub, reactor: Reactor, upstreams: Mapping[str, Callable[[float], UpstreamStats]],
    mixed: Container[str], now: float,
) -> RelayStats:  # fmt: skip
    """Everything `/metrics` shows. `mixed` names the mixed channels."""
    hub.read_reports()
    listeners = list(hub.listeners.values())
    qualities: dict[str, list[ListenerQuality]] = {}
    for listener in listeners:
        qualities.setdefault(listener.session.channel.name, []).append(listener.quality)
    channels = {
        name: _channel_stats(channel, qualities.get(name, []), name in mixed, now)
        for name, channel in dict(hub.channels).items()
        if not channel.private
    }
    return RelayStats(
        channels=channels,
        upstreams={name: stats(now) for name, stats in upstreams.items()},
        sessions=Counter(session.kind for session in list(hub.sessions.values())),
        joins=dict(hub.joins),
        leaves=dict(hub.leaves),
        refused=_refused(hub),
        send_errors=hub.send_drops + hub.deliveries.drops + reactor.send_errors,
        datagrams_in=reactor.datagrams,
        receive_overflows=reactor.overflows,
        packets_compiled=hub.compiled,
        packets_misnumbered=hub.misnumbered,
        batch_seconds=_histogram(hub.batch_seconds),
        loop_lag_seconds=_histogram(reactor.lag),
        join_seconds=_histogram(hub.join_seconds),
    )


def _refused(hub: Hub) -> dict[str, int]:
    """Packets that were not taken, by reason."""
    refused = dict(hub.refused)
    upkeep = hub.upkeep
    for reason, count in (("srtp_authentication", upkeep.failed), ("srtp_replay", upkeep.replayed)):
        if count:
            refused[reason] = refused.get(reason, 0) + count
    return refused


def channel_state(channel: Channel, now: float) -> ChannelState:
    """A channel as people see it."""
    on_air = channel.on_air(now)
    return ChannelState(
        name=channel.name,
        title=channel.title,
        public=channel.public,
        on_air=on_air,
        publisher=channel.source is not None and on_air,
        listeners=channel.renditions.listeners,
        level_dbov=channel.level_dbov if on_air else None,
        source=channel.origin,
        capture_delay_s=channel.capture_delay_s if on_air else None,
    )


def _channel_stats(channel: Channel, mine: list[ListenerQuality], mixed: bool, now: float) -> ChannelStats:
    count, received = max(1, len(mine)), channel.received
    return ChannelStats(
        listeners=channel.renditions.listeners,
        # of a mixed channel the source is the mixer, for ever
        publisher=bool(channel.sources) or channel.on_air(now) if mixed else channel.source is not None,
        on_air=channel.on_air(now),
        packets_in=channel.packets_in,
        bytes_in=channel.octets_in,
        packets_out=channel.packets_out,
        lost_in=received.lost,
        duplicates_in=received.duplicates,
        late_in=received.late,
        switches=channel.switches,
        nacks_received=channel.nacks_received,
        retransmitted=channel.retransmitted,
        nacks_refused=channel.nacks_refused,
        nacks_sent=received.nacks_sent,
        listener_fraction_lost=sum(quality.fraction_lost for quality in mine) / count,
        listener_jitter_s=sum(quality.jitter_s for quality in mine) / count,
        renditions=_renditions(channel),
    )


def _renditions(channel: Channel) -> dict[str, RenditionStats]:
    """By name; forms that differ only in the payload type within RED count as one."""
    sent = Counter(dict(channel.sent))
    listeners: Counter[str] = Counter()
    for rendition in channel.renditions:
        listeners[str(rendition.form)] += rendition.group.count
    return {name: RenditionStats(listeners[name], sent[name]) for name in sorted(sent | listeners)}


def _histogram(counter: HistogramCounter) -> Histogram:
    buckets = list(counter.buckets)
    cumulative = list(accumulate(buckets))
    return Histogram(counter.bounds, tuple(cumulative[:-1]), counter.total, cumulative[-1])
