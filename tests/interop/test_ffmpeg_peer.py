"""Our server peer with FFmpeg's WHIP muxer (PyAV's, in a process of its own), in both DTLS roles.

PyAV's FFmpeg is built with GnuTLS, whose WHIP muxer would make a P-224 certificate that OpenSSL refuses, so it is
given one of P-256.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from loacodecs import opus_packet, rtp, sdp
from loacodecs.certificate import Certificate
from loacodecs.peer import Peer, generate_credentials
from tests.support.udp_peer import UdpPeer

CERTIFICATE = Certificate.generate()

# Publishes silence at the pace of the clock until its standard input closes.
PUBLISH = """
import sys, threading, time, av, numpy
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
key = sys.argv[2]
options = {"cert_file": key, "key_file": key, **({"whip_flags": "dtls_active"} if sys.argv[3] == "active" else {})}
with av.open(sys.argv[1], "w", format="whip", options=options) as container:
    stream = container.add_stream("libopus", rate=48000, layout="stereo")
    start, number = time.monotonic(), 0
    while not stop.wait(max(0.0, start + number * 0.02 - time.monotonic())):
        frame = av.AudioFrame.from_ndarray(numpy.zeros((1, 1920), numpy.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, number = 48000, number * 960, number + 1
        for packet in stream.encode(frame):
            container.mux(packet)
"""


class WhipServer:
    """As much HTTP as the muxer needs: one POST, one DELETE."""

    def __init__(self, shell: UdpPeer) -> None:
        self._shell = shell
        self.offer: sdp.AudioDescription | None = None
        self.peer: Peer | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].split(":")[1]) if lengths else 0)
        answer = await self._answer(body.decode()) if head.startswith("POST") else ""
        status = "201 Created\r\nLocation: /session\r\nContent-Type: application/sdp" if answer else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\n\r\n{answer}".encode())
        await writer.drain()
        writer.close()

    async def _answer(self, text: str) -> str:
        self.offer = offer = sdp.parse_offer(text)
        address = await self._shell.open()
        ufrag, pwd = generate_credentials(os.urandom)
        self.peer = Peer.server(certificate=CERTIFICATE, ufrag=ufrag, pwd=pwd, offer=offer, random=os.urandom)
        self._shell.run(self.peer)
        return sdp.make_answer(
            offer,
            direction="recvonly",
            ice_ufrag=ufrag,
            ice_pwd=pwd,
            fingerprint=CERTIFICATE.fingerprint,
            candidates=[address],
            session_id=1,
        )


@pytest.mark.parametrize("setup", ["active", "passive"])
async def test_ffmpeg_publishes_and_says_goodbye(setup: str, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(Certificate.generate("ffmpeg").to_pem())
    shell = UdpPeer()
    whip = WhipServer(shell)
    server = await asyncio.start_server(whip.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/whip"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUBLISH, url, str(key), setup, stdin=asyncio.subprocess.PIPE
    )
    try:
        await shell.until(lambda: len(shell.rtp) >= 20, 30.0)
        assert whip.offer is not None
        assert whip.peer is not None
        assert whip.offer.setup == setup
        packets = [rtp.parse(data) for data in shell.rtp]
        assert {packet.payload_type for packet in packets} == {whip.offer.opus_payload_type}
        assert {packet.ssrc for packet in packets} == {whip.offer.ssrc}
        assert all(opus_packet.packet_samples(packet.payload) == 960 for packet in packets)
        assert not whip.peer.refused
        assert process.stdin is not None
        process.stdin.close()
        await shell.until(lambda: shell.closed is not None)
        assert shell.closed is not None
        assert shell.closed.reason == "peer_closed"
    finally:
        if process.returncode is None:
            process.stdin.close() if process.stdin is not None else None
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()
        server.close()
        await shell.close()
