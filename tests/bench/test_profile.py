from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench import profile
from bench.errors import BenchError


@pytest.mark.parametrize(
    ("symbol", "place", "kind"),
    [
        ("udp_sendmsg", "[kernel.kallsyms]", "kernel"),
        ("vaes_gcm_setiv", "/x/pylibsrtp/_binding.abi3.so", "crypto"),
        ("EVP_EncryptUpdate", "/usr/lib/libcrypto.so.3", "crypto"),
        ("[unknown]", "/tmp/perf-8481.map", "header"),
        ("[unknown]", "//anon", "header"),
        ("_PyEval_EvalFrameDefault", "/x/libpython3.11.so.1.0", "Python"),
        ("_int_malloc", "/usr/lib/libc.so.6", "other"),
    ],
)
def test_an_address_has_a_kind_of_work(symbol: str, place: str, kind: str) -> None:
    assert profile.kind_of_symbol(symbol, place) == kind
    line = f"   ffffffff81 {symbol} ({place})"
    assert profile.from_perf([line, "", line]) == {kind: 2}


def test_stacks_count_by_their_innermost_frame_and_waiting_does_not_count() -> None:
    lines = [
        "run (relay/net/fanout.py:10);0x7fc0f699a368 (?);sendmmsg (libc.so.6) 5",
        "run (relay/net/fanout.py:10);0x7fc0f699a368 (?) 3",
        "ossl_gcm_cipher (pylibsrtp/_binding.abi3.so);vaes_gcm_setiv (pylibsrtp/_binding.abi3.so) 2",
        "Hub.on_batch (relay/sessions/hub.py:174) 4",
        "select_epoll_poll_impl (selectmodule.c:1598);epoll_wait (libc.so.6) 115",
        "0x7fc0f6988205 (?);read (libc.so.6) 41",
    ]
    assert profile.from_stacks(lines) == {"kernel": 5, "header": 3, "crypto": 2, "Python": 4}


def test_a_missing_profiler_is_one_line_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="pip install") as caught:
        profile.tools()
    assert "\n" not in str(caught.value)


def test_a_missing_right_is_told_before_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scope = tmp_path / "ptrace_scope"
    scope.write_text("1\n")
    monkeypatch.setattr(profile, "_YAMA", scope)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/py-spy")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BenchError, match="ptrace_scope"):
        profile.tools()
    scope.write_text("0\n")
    assert profile.tools().py_spy
