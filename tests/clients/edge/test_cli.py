"""`loa publish` and `loa listen` as processes: tokens, signals, files after a kill."""

from __future__ import annotations

import asyncio
import signal
import sys
import wave
from pathlib import Path

import pytest

from loacodecs import rtcp
from tests.clients.edge.test_listen import send_tone
from tests.support.loopback_relay import LoopbackRelay
from tests.support.whip_server import Reply


async def loa(*arguments: str, token: str | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loaedge", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin", **({"LOA_TOKEN": token} if token else {})},
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def seconds_of(path: Path) -> float:
    with wave.open(str(path), "rb") as file:
        return len(file.readframes(file.getnframes())) / 2 / 48000


async def test_published_for_a_duration_and_heard_by_its_summary() -> None:
    async with LoopbackRelay() as relay:
        code, output, errors = await ended(await loa("publish", relay.url, "tone:440", "--duration", "500ms"))
        assert (code, output) == (0, "sent 0:00 of tone 440 Hz: 25 packets, mean level -15.1 dBFS\n")
        assert errors == f"on air: tone 440 Hz at {relay.url}/whip\n"


async def test_a_signal_ends_the_wait_for_a_source_that_says_nothing() -> None:
    asked = asyncio.Event()
    server = await asyncio.start_server(lambda _reader, _writer: asked.set(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await loa("publish", "http://127.0.0.1:9/x", f"http://127.0.0.1:{port}/live.mp3")
    await asyncio.wait_for(asked.wait(), 30)
    process.send_signal(signal.SIGINT)
    code, _, errors = await ended(process)
    server.close()
    assert (code, errors.strip()) == (130, ""), "1 and a sentence when the source was waited for to the end"


@pytest.mark.parametrize("where", ["environment", "file", "option", "address"])
async def test_the_token_comes_from_where_it_is_put(where: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("from.a.file\n")
    async with LoopbackRelay(refuse=lambda _request: Reply(403)) as relay:
        options = {
            "environment": [],
            "file": ["--token-file", str(path)],
            "option": ["--token", "from.the.option"],
            "address": [],
        }[where]
        url = f"{relay.url}#token=from.the.address"
        in_environment = None if where in ("address", "option") else "from.the.environment"
        code, output, errors = await ended(await loa("listen", url, *options, token=in_environment))
        expected = {"file": "from.a.file"}.get(where, f"from.the.{where}")
        assert relay.requests[0].headers["authorization"] == f"Bearer {expected}"
        assert (code, output) == (1, "")
        assert errors == "loa: the token does not allow listening to channel\n"


async def test_a_token_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("two words\nand a line")
    async with LoopbackRelay() as relay:
        code, _, errors = await ended(await loa("listen", relay.url, "--token-file", str(path)))
        assert code == 2
        assert errors.count("\n") == 1
        assert "words" not in errors.replace("one word of", "")
        assert relay.requests == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_listening_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    async with LoopbackRelay() as relay:
        process = await loa("listen", relay.url, "--output", str(path))
        session = await relay.session()
        await send_tone(session, 100)
        process.send_signal(number)
        code, output, _ = await ended(process)
        assert isinstance(session.reports[-1], rtcp.Goodbye)
        assert relay.requests[-1].method == "DELETE"
        await asyncio.wait_for(session.closed.wait(), 5)
    assert code == 0, "it was told to stop, and it had heard something"
    assert output.startswith("heard ")
    assert seconds_of(path) == pytest.approx(2.0, abs=0.05)


async def test_a_signal_ends_publishing_in_good_order() -> None:
    async with LoopbackRelay() as relay:
        process = await loa("publish", relay.url, "tone")
        session = await relay.session()
        await session.until(lambda: len(session.packets) >= 10)
        process.send_signal(signal.SIGTERM)
        code, output, _ = await ended(process)
        assert isinstance(session.reports[-1], rtcp.Goodbye)
        assert relay.requests[-1].method == "DELETE"
    assert code == 0
    assert output.startswith("sent 0:")


@pytest.mark.parametrize("suffix", ["wav", "ogg"])
async def test_a_recording_survives_the_kill(suffix: str, tmp_path: Path) -> None:
    import av

    path = tmp_path / f"a.{suffix}"
    async with LoopbackRelay() as relay:
        process = await loa("listen", relay.url, "--output", str(path))
        session = await relay.session()
        await send_tone(session, 200)
        process.kill()
        await process.communicate()
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 48000 > 1.8, "at most the last second or so is gone"


async def test_a_refused_session_does_not_cost_an_earlier_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"precious")
    async with LoopbackRelay(refuse=lambda _request: Reply(404)) as relay:
        code, _, errors = await ended(await loa("listen", relay.url, "--output", str(path)))
    assert (code, errors) == (1, "loa: there is no channel channel at 127.0.0.1\n")
    assert path.read_bytes() == b"precious"
