"""aiortc's MediaRelay as a server: WHIP in, WHEP out. A program; `bench.compare.aiortc_server` starts it.

Mode "encode": the publisher comes in by WHIP; aiortc decodes it, MediaRelay hands every listener the decoded frames,
and each listener's sender encodes them anew. This is what `relay.subscribe(track)` does for whoever follows aiortc's
examples.

Mode "packets": plain RTP comes in, a track gives its payloads as `av.Packet`, and aiortc forwards them without
encoding, as it does for `MediaPlayer(decode=False)`. WHIP cannot feed this: aiortc's receiver always decodes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import uvicorn
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    rtcrtpreceiver,
    rtcrtpsender,
)
from aiortc.codecs.opus import OpusEncoder
from aiortc.contrib.media import MediaRelay
from av import Packet
from av.frame import Frame
from fastapi import FastAPI, HTTPException, Request, Response

from loacodecs import rtp
from loacodecs.errors import MalformedError

MODES = ("encode", "packets")
# The RTP timestamp with which a re-encoded stream says that it is the publisher's timestamp 0
TIMESTAMP_ORIGIN = 0x10A
_TIME_BASE = Fraction(1, 48_000)
_BACKLOG = 512  # packets of the feed, 10 s


class FeedTrack(MediaStreamTrack, asyncio.DatagramProtocol):
    """The payloads of plain RTP as encoded packets."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets: asyncio.Queue[Packet[Any]] = asyncio.Queue(_BACKLOG)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Queue one packet of the publisher."""
        with contextlib.suppress(MalformedError, asyncio.QueueFull):
            received = rtp.parse(data)
            packet = Packet(received.payload)
            packet.pts = received.timestamp
            packet.time_base = _TIME_BASE
            self._packets.put_nowait(packet)

    async def recv(self) -> Packet[Any]:
        """The next packet."""
        return await self._packets.get()


class Server:
    """One publisher, any number of listeners."""

    def __init__(self, source: MediaStreamTrack | None) -> None:
        self._source = source
        self._relay = MediaRelay()
        self._connections: set[RTCPeerConnection] = set()

    async def publish(self, request: Request) -> Response:
        """WHIP."""
        connection = self._connect()

        def take(track: MediaStreamTrack) -> None:
            self._source = track

        connection.on("track", take)
        return await self._answer(connection, request)

    async def listen(self, request: Request) -> Response:
        """WHEP."""
        if self._source is None:
            raise HTTPException(409, "nobody publishes")
        connection = self._connect()
        connection.addTrack(self._relay.subscribe(self._source))
        return await self._answer(connection, request)

    async def close(self) -> None:
        """End all sessions."""
        for connection in list(self._connections):
            await connection.close()

    def _connect(self) -> RTCPeerConnection:
        # without an empty list aiortc would ask a public STUN server
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections.add(connection)
        return connection

    async def _answer(self, connection: RTCPeerConnection, request: Request) -> Response:
        offer = (await request.body()).decode()
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = connection.localDescription.sdp
        return Response(answer, 201, {"Location": f"/{id(connection)}"}, "application/sdp")


class SourceTimestamps:
    """In place of aiortc's TimestampMapper: decoded frames keep the publisher's timestamps."""

    def map(self, timestamp: int) -> int:
        """The timestamp itself; a run is too short for it to wrap."""
        return timestamp


class NumberedEncoder(OpusEncoder):
    """aiortc's encoder whose packets have their frame's own timestamp, and the size of the publisher's packets."""

    def __init__(self, bit_rate: int) -> None:
        super().__init__()
        self.codec.bit_rate = bit_rate
        self.codec.options = {"application": "voip", "vbr": "off"}

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Encode as aiortc does: one frame in, its packet out."""
        payloads, timestamp = super().encode(frame, force_keyframe)
        return payloads, timestamp if frame.pts is None else frame.pts


def number_packets(bit_rate: int) -> None:
    """Let an encoded packet's RTP timestamp tell which packet of the publisher it holds.

    aiortc starts timestamps at random and at each listener's first frame. The work it does stays the same. The
    bit rate, variable about 96 kb/s in aiortc, becomes that of the publisher and constant, so that packets have
    the same size everywhere.
    """
    vars(rtcrtpsender).update(
        random32=lambda: TIMESTAMP_ORIGIN, get_encoder=lambda codec: NumberedEncoder(bit_rate)
    )
    vars(rtcrtpreceiver).update(TimestampMapper=SourceTimestamps)


def application(mode: str, feed_port: int) -> FastAPI:
    """The HTTP endpoints `/whip` and `/whep`."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        source = None
        if mode == "packets":
            loop = asyncio.get_running_loop()
            _, source = await loop.create_datagram_endpoint(FeedTrack, ("127.0.0.1", feed_port))
        server = Server(source)
        app.add_api_route("/whip", server.publish, methods=["POST"])
        app.add_api_route("/whep", server.listen, methods=["POST"])
        yield
        await server.close()

    return FastAPI(lifespan=lifespan, openapi_url=None)


def main() -> None:
    """Serve until SIGTERM."""
    arguments = argparse.ArgumentParser(prog="aiortc_app")
    arguments.add_argument("--mode", choices=MODES, required=True)
    arguments.add_argument("--http-port", type=int, required=True)
    arguments.add_argument("--feed-port", type=int, required=True)
    arguments.add_argument("--bit-rate", type=int, required=True)
    arguments.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    chosen = arguments.parse_args()
    if chosen.mode == "encode":
        number_packets(chosen.bit_rate)
    uvicorn.run(
        application(chosen.mode, chosen.feed_port),
        host="127.0.0.1",
        port=chosen.http_port,
        loop=chosen.loop,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
