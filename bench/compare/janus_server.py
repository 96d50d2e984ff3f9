"""Janus with its streaming plugin and nothing else, configured by the bench: one audio mountpoint fed by plain RTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.compare import namespace
from bench.compare.child import Child
from loacodecs.address import Address

INSTALL = "apt-get install janus"
MOUNTPOINT = 1
# One thread for all media is the best of what was tried
EVENT_LOOPS = 1
# Janus's own default: a thread for every viewer
EVENT_LOOPS_DEFAULT = 0
# Nobody else lives in the private network, and the listeners' ports are all above. A mountpoint binds every address,
# so a port that is free on one of them would not do.
_HTTP_PORT = 8088
_FEED_PORT = 5002
# A mountpoint takes RTP and the RTCP beside it
_PORTS_EACH = 2
_PLUGIN = "plugins/libjanus_streaming.so"
_TRANSPORT = "transports/libjanus_http.so"
_MODULE_FOLDERS = (
    *("/usr/lib/*/janus", "/usr/lib/janus", "/usr/lib64/janus"),
    *("/usr/local/lib/janus", "/opt/janus/lib/janus"),
)

# ICE-lite changes nothing in the cost of a packet, but without it one viewer in ten stays outside when 200 come at
# once.
_CORE = """\
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{folder}/plugins"
    transports_folder = "{folder}/transports"
    events_folder = "{folder}/events"
    loggers_folder = "{folder}/loggers"
    debug_level = 3
    debug_colors = false
    event_loops = {event_loops}
    session_timeout = 0
}}
media: {{
    ipv6 = false
}}
nat: {{
    ice_lite = true
    ice_enforce_list = "{address}"
}}
"""
_HTTP = """\
general: {{
    json = "compact"
    http = true
    port = {http_port}
    ip = "127.0.0.1"
    https = false
}}
admin: {{
    admin_http = false
}}
"""
_STREAMING = """\
bench: {{
    type = "rtp"
    id = {mountpoint}
    audio = true
    video = false
    audioport = {feed_port}
    audiopt = {payload_type}
    audiocodec = "opus"
}}
"""


def missing() -> str | None:
    """The command that makes Janus available here; None when it is."""
    if shutil.which("janus") is None or _module(_PLUGIN) is None or _module(_TRANSPORT) is None:
        return INSTALL
    return namespace.missing()


class JanusServer(Child):
    """A running Janus; to be started inside `namespace.Namespace`."""

    def __init__(self, payload_type: int, event_loops: int = EVENT_LOOPS, number: int = 0) -> None:
        """Start it; `event_loops` 0 is Janus's own default, a thread for every viewer. `number` keeps the ports of
        several apart.

        Raises BenchError with its last words when it does not come up.
        """
        super().__init__("janus")
        self.http_port = _HTTP_PORT + number
        #: Where the mountpoint takes plain RTP
        self.feed: Address = ("127.0.0.1", _FEED_PORT + _PORTS_EACH * number)
        values = {
            "folder": self.folder,
            "address": namespace.ADDRESS,
            "event_loops": event_loops,
            "http_port": self.http_port,
            "feed_port": self.feed[1],
            "mountpoint": MOUNTPOINT,
            "payload_type": payload_type,
        }
        for name, text in (
            ("janus.jcfg", _CORE),
            ("janus.transport.http.jcfg", _HTTP),
            ("janus.plugin.streaming.jcfg", _STREAMING),
        ):
            (self.folder / name).write_text(text.format(**values))
        # Janus loads all that it finds in these folders
        for module in (_PLUGIN, _TRANSPORT):
            (self.folder / module).parent.mkdir()
            (self.folder / module).symlink_to(_module(module) or "")
        self.start([shutil.which("janus") or "janus", "-F", str(self.folder)], self.http_port, "/janus/info")

    def path(self, channel: int, protocol: str) -> str:
        """The API's root; the mountpoint is named in a request."""
        del channel, protocol
        return "/janus"


def _module(name: str) -> Path | None:
    """Where the distribution keeps a plugin or transport."""
    return next((path for path in _candidates(name) if path.exists()), None)


def _candidates(name: str) -> Iterator[Path]:
    for folder in _MODULE_FOLDERS:
        for found in Path("/").glob(folder.lstrip("/")):
            yield found / name
