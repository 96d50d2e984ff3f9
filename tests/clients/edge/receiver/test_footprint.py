"""What a receiver loads. FFmpeg alone would cost it a quarter of its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[4] / "clients" / "edge" / "loaedge"
PACKAGES = ("control", "local", "outputs", "playout", "receiver")
UNWANTED = {"av", "aiortc", "numba", "fastapi", "pydantic", "scipy", "matplotlib", "relay", "bench"}

PROGRAM = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_a_receiver_loads_no_ffmpeg_and_nothing_of_the_server() -> None:
    modules = [
        f"loaedge.{package}.{path.stem}"
        for package in PACKAGES
        for path in sorted((SOURCES / package).glob("*.py"))
        if path.stem != "__init__"
    ]
    assert "loaedge.receiver.app" in modules
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(modules)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert not UNWANTED & set(json.loads(result.stdout))
