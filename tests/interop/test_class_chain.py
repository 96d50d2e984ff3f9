"""Two relays in a row: an emergency that is declared at the one is obeyed by the receivers of the other, if that one
trusts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from loacodecs.control import Challenge, Command, Hello, LiveClass, decode_body, parse_class
from relay.ports import ChannelState
from relay.sources.upstream_class import UpstreamClass
from tests.support.edge_link import EdgeRelay, ReceiverLink

CLASS = "/api/v1/channels/huyen/class"


@pytest.fixture
async def province(tmp_path: Path) -> AsyncIterator[EdgeRelay]:
    async with EdgeRelay(tmp_path / "province", key=b"p" * 32).running() as running:
        yield running


@pytest.fixture
async def commune(tmp_path: Path) -> AsyncIterator[EdgeRelay]:
    async with EdgeRelay(tmp_path / "commune", key=b"c" * 32).running() as running:
        yield running


@asynccontextmanager
async def pulling(
    commune: EdgeRelay, province: EdgeRelay, trusted: str, token: str = ""
) -> AsyncIterator[None]:
    """The commune's channel `xa` is the province's `huyen`."""
    source = f"whep+http://127.0.0.1:{province.port}/huyen/whep"
    token = token or province.tokens.mint(subject="xã", scopes=["listen"], channels=["huyen"], ttl=600)
    pull = asyncio.create_task(UpstreamClass("xa", source, trusted, lambda: token, commune.desk.adopt).run())
    try:
        yield
    finally:
        pull.cancel()
        await asyncio.wait({pull})


@asynccontextmanager
async def receiver(commune: EdgeRelay) -> AsyncIterator[ReceiverLink]:
    device = await commune.enrol("xa")

    def hello(challenge: Challenge) -> Hello:
        return device.hello(challenge, capabilities=("class",))

    async with device.link(hello) as link:
        await link.obey()  # settings
        yield link


async def stated(link: ReceiverLink) -> LiveClass:
    return parse_class(decode_body((await link.receive(Command)).body).args)


async def test_an_emergency_goes_down_the_chain_and_ends_as_it_began(
    province: EdgeRelay, commune: EdgeRelay
) -> None:
    async with (
        pulling(commune, province, province.desk.relay),
        receiver(commune) as link,
        province.client() as above,
        commune.client() as here,
    ):
        declared = (await above.put(CLASS, json={"class": "emergency", "ttl_s": 600})).json()
        assert await stated(link) == LiveClass("xa", "emergency", pytest.approx(declared["until"], abs=0.01))  # type: ignore[arg-type]
        shown = (await here.get(CLASS.replace("huyen", "xa"))).json()
        assert (shown["class"], shown["declared_by"]) == ("emergency", province.desk.relay)
        # The commune cannot end it for its own receivers.
        assert (await here.delete(CLASS.replace("huyen", "xa"))).json()["class"] == "emergency"
        assert (await stated(link)).kind == "emergency"
        await above.delete(CLASS)
        assert (await stated(link)).kind == "normal"


async def test_who_joins_late_is_told_too(province: EdgeRelay, commune: EdgeRelay) -> None:
    async with province.client() as above:
        await above.put(CLASS, json={"class": "emergency"})
    async with pulling(commune, province, province.desk.relay), receiver(commune) as link:
        assert (await stated(link)).kind == "emergency"


@contextmanager
def warnings(caplog: pytest.LogCaptureFixture) -> Iterator[asyncio.Event]:
    """Set once the pull has been refused."""
    refused, said = asyncio.Event(), caplog.handler.emit

    def emit(record: object) -> None:
        said(record)  # type: ignore[arg-type]
        if "cannot be told" in str(getattr(record, "msg", "")):
            refused.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caplog.handler, "emit", emit)
        yield refused


async def test_another_relay_is_not_believed(
    province: EdgeRelay, commune: EdgeRelay, caplog: pytest.LogCaptureFixture
) -> None:
    async with province.client() as above:
        await above.put(CLASS, json={"class": "emergency"})
    with warnings(caplog) as refused:
        async with pulling(commune, province, "loa-AAAAAAAAAAAAAAAA"), asyncio.timeout(10):
            await refused.wait()
    assert f"upstream is {province.desk.relay}" in caplog.text
    assert commune.desk.declared("xa") is None


async def test_the_class_is_told_to_who_may_hear_the_channel(province: EdgeRelay) -> None:
    async with province.client() as client:
        client.headers.pop("authorization")
        assert (await client.get(f"{CLASS}/events")).status_code == 401
        bearer = {"Authorization": f"Bearer {_token(province, 'xa')}"}
        assert (await client.get(f"{CLASS}/events", headers=bearer)).status_code == 403
        bearer = {"Authorization": f"Bearer {_token(province, '*')}"}
        nowhere = CLASS.replace("huyen", "nowhere")
        assert (await client.get(f"{nowhere}/events", headers=bearer)).status_code == 404
        province.core.states = [ChannelState("huyen", "", True, False, False, 0, None, "")]
        async with client.stream("GET", f"{CLASS}/events") as answer:
            assert answer.status_code == 200, "a public channel needs no token"


def _token(relay: EdgeRelay, channel: str) -> str:
    return relay.tokens.mint(subject="xã", scopes=["listen"], channels=[channel], ttl=600)
