"""A relay's HTTP surface over a fake core, called without sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from relay.config import ChannelConfig, ChannelsConfig, Config
from relay.http.app import create_app
from relay.tokens import Scope, Secret, Tokens
from tests.support.fake_core import FakeCore

NOW = 1_800_000_000.0


@dataclass
class Surface:
    """The application, what it stands on, and two clocks moved by hand."""

    folder: Path
    core: FakeCore = field(default_factory=FakeCore)
    config: Config = field(
        default_factory=lambda: Config(
            channels=ChannelsConfig(
                named={"xa": ChannelConfig(title="Xã Một"), "open": ChannelConfig(public=True)}
            )
        )
    )
    unix: float = NOW
    monotonic: float = 1000.0

    def __post_init__(self) -> None:
        self.tokens = Tokens(Secret(b"s" * 32), clock=lambda: self.unix)

    def app(self) -> FastAPI:
        return create_app(
            self.core, self.config, self.tokens, folder=self.folder, clock=lambda: self.monotonic
        )

    def configure(self, **sections: Any) -> None:
        self.config = self.config.model_copy(update=sections)

    def token(self, *scopes: Scope, channels: Sequence[str] = ("xa",), ttl: float = 3600) -> str:
        return self.tokens.mint(subject="đài xã", scopes=scopes, channels=channels, ttl=ttl)

    def bearer(self, *scopes: Scope, channels: Sequence[str] = ("xa",)) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*scopes, channels=channels)}"}

    def client(
        self, *, client: str = "198.51.100.7", base_url: str = "http://192.0.2.1:8889"
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app(), client=(client, 40000), raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url=base_url)


@pytest.fixture
def surface(tmp_path: Path) -> Surface:
    for name in ("index.html", "listen.html", "publish.html", "meeting.html"):
        (tmp_path / name).write_text(f"<!doctype html><title>{name}</title>", encoding="utf-8")
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "listen.js").write_text("export {};\n", encoding="utf-8")
    (tmp_path / "package.json").write_text("{}", encoding="utf-8")
    return Surface(tmp_path)


@pytest.fixture
def detail() -> Callable[[httpx.Response], str]:
    """The sentence of a refusal, after checking that it is RFC 9457 throughout."""

    def read(response: httpx.Response) -> str:
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == response.status_code
        assert body["title"]
        return str(body["detail"])

    return read
