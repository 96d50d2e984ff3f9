"""What is missing, and what Janus is told to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.compare import booth, janus_server, namespace
from bench.compare.janus_server import JanusServer
from bench.stage import Parameters


def test_janus_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert booth.missing("janus") == "apt-get install janus"


def test_janus_without_its_streaming_plugin_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "janus"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("bench.compare.janus_server._MODULE_FOLDERS", (f"{tmp_path}/lib",))
    assert janus_server.missing() == "apt-get install janus"
    for module in ("plugins/libjanus_streaming.so", "transports/libjanus_http.so"):
        (tmp_path / "lib" / module).parent.mkdir(parents=True)
        (tmp_path / "lib" / module).touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert janus_server.missing() == "sudo loa bench compare"


def test_the_others_come_with_loa() -> None:
    assert [booth.missing(name) for name in ("loa", "aiortc_encode", "aiortc_packets")] == [None] * 3


@pytest.mark.parametrize(
    ("event_loops", "title"),
    [(1, "Janus, 1 event loop"), (4, "Janus, 4 event loops"), (0, "Janus, its defaults")],
)
def test_janus_is_called_by_how_it_runs(event_loops: int, title: str) -> None:
    janus = booth.JanusBooth(Parameters(listeners=1, duration=1), lambda text: None, "127.0.0.1")
    assert janus.title == booth.JanusBooth.title
    janus.share(event_loops)
    assert janus.title == title


@pytest.mark.skipif(janus_server.missing() is not None, reason=f"no Janus: {janus_server.missing()}")
def test_janus_runs_with_one_plugin_and_one_transport() -> None:
    with namespace.Namespace():
        server = JanusServer(111)
        try:
            loaded = {Path(line.split()[-1]).name for line in maps(server.pid) if "/janus/" in line}
            log = "\n".join(server.last_warnings(500))
        finally:
            server.close()
    assert {name.partition(".so")[0] for name in loaded} == {"libjanus_streaming", "libjanus_http"}
    assert "New audio" not in log
    assert "[ERR]" not in log


def maps(process: int) -> list[str]:
    return Path(f"/proc/{process}/maps").read_text().splitlines()
