"""Where the relay's time goes: a flame graph by py-spy, and a table kernel / crypto / header / Python.

Both come from a stretch of playing of their own after the measured part, because a profiler slows down what it looks
at. The table is of samples of where the processor really was: from `perf` where it is installed and allowed, whose
samples name the kernel's work; else from the innermost frames of py-spy's native stacks, in which the kernel is
whatever stands in a system call that sends or receives, and threads that wait are left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.leash import leashed
from bench.stage import Stage

SECONDS = 5.0
_PY_SPY_HZ = 250
_PERF_HZ = 997
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_PATIENCE_S = 30.0

KERNEL, CRYPTO, HEADER, PYTHON, OTHER = "kernel", "crypto", "header", "Python", "other"
_KINDS = (KERNEL, CRYPTO, HEADER, PYTHON, OTHER)
_CRYPTO_OBJECT = re.compile(
    r"srtp|libcrypto|libssl|libIPSec_MB|openssl|cryptography|_rust\.abi3|mbedtls|libnss"
)
_CRYPTO_NAME = re.compile(
    r"^(srtp|aes|gcm|ghash|gcm_ghash|hmac|sha1|sha256|EVP_|CRYPTO_|vaes|aesni|ossl_|octet_string)",
    re.IGNORECASE,
)
# What sends and receives works in the kernel; py-spy --native also sees threads that only wait there
_SYSTEM_CALL = re.compile(
    r"^_*(libc_)?(send|recv)(m?msg|to|from)?(_nocancel)?$|^_*(libc_)?(write|eventfd_write)$"
)
_WAIT = re.compile(
    r"^_*(libc_)?(epoll_p?wait2?|p?poll|p?select|(clock_)?nanosleep|read|accept4?|futex|sem_(timed)?wait|"
    r"pthread_cond_(timed|clock)?wait)(_nocancel)?$"
)
_COMPILED_OBJECT = re.compile(r"^(//anon|\[anon|anon|memfd:|/memfd|\[unknown\]$|perf-\d+\.map|/tmp/perf-)")
_PYTHON_OBJECT = re.compile(r"python3|libpython|\.cpython-|uvloop|httptools|\.abi3\.so")
_FRAME = re.compile(r"^(?P<name>.*?)(?: \((?P<place>[^()]*)\))?$")


@dataclass(frozen=True, slots=True)
class Tools:
    """What there is to profile with; `perf` None where it is not installed."""

    py_spy: str
    perf: str | None


def tools() -> Tools:
    """Find them. Raises BenchError, one line with the mend, when py-spy is missing or may not look into a process."""
    beside = Path(sys.executable).parent / "py-spy"
    py_spy = str(beside) if beside.exists() else shutil.which("py-spy")
    if py_spy is None:
        raise BenchError("--profile needs py-spy, which is not installed: pip install 'loa[bench]'")
    scope = _YAMA.read_text().strip() if _YAMA.exists() else "0"
    if os.geteuid() != 0 and scope != "0":
        raise BenchError(
            f"py-spy may not look into the relay (kernel.yama.ptrace_scope is {scope}); "
            "run as root, or `sysctl -w kernel.yama.ptrace_scope=0`"
        )
    return Tools(py_spy, shutil.which("perf"))


def profile(stage: Stage, found: Tools, flame_graph: Path, us_per_packet: float) -> dict[str, Any]:
    """Profile the relay while it plays, and write `flame_graph` (SVG). `us_per_packet` is what the measured part took.

    Raises BenchError with the profiler's last words when it fails.
    """
    pid = str(stage.server.pid)
    stage.publishers.resume()
    flame_graph.parent.mkdir(parents=True, exist_ok=True)
    record = [
        found.py_spy,
        "record",
        "--pid",
        pid,
        "--rate",
        str(_PY_SPY_HZ),
        "--duration",
        str(round(SECONDS)),
    ]
    with tempfile.TemporaryDirectory(prefix="loa-profile-") as name:
        folder = Path(name)
        _run(stage, [*record, "--native", "--format", "flamegraph", "--output", str(flame_graph)], "py-spy")
        counts, by = _table_samples(stage, found, record, folder, pid)
    stage.fall_silent()
    total = sum(counts.values())
    shares = {kind: counts[kind] / total if total else 0.0 for kind in _KINDS}
    return {
        "us_per_packet": {kind: round(share * us_per_packet, 3) for kind, share in shares.items()},
        "share": {kind: round(share, 4) for kind, share in shares.items()},
        "flame_graph": str(flame_graph),
        "by": by,
        "samples": total,
    }


def _table_samples(
    stage: Stage, found: Tools, record: Sequence[str], folder: Path, pid: str
) -> tuple[Counter[str], str]:
    if found.perf is not None:
        data = folder / "perf.data"
        command = [
            found.perf,
            "record",
            "--quiet",
            "--freq",
            str(_PERF_HZ),
            "--event",
            "cpu-clock",
            "--pid",
            pid,
        ]
        try:
            _run(stage, [*command, "--output", str(data), "--", "sleep", str(SECONDS)], "perf")
            script = [found.perf, "script", "--input", str(data), "--fields", "ip,sym,dso"]
            text = subprocess.run(  # noqa: S603 - perf, on a file of ours
                script, capture_output=True, text=True, check=True, timeout=_PATIENCE_S
            ).stdout
        except (BenchError, subprocess.SubprocessError, OSError):
            pass  # the kernel does not allow it: py-spy's stacks will do
        else:
            if counts := from_perf(text.splitlines()):
                return counts, "perf"
    raw = folder / "stacks"
    _run(stage, [*record, "--native", "--format", "raw", "--output", str(raw)], "py-spy")
    return from_stacks(raw.read_text(errors="replace").splitlines()), "py-spy --native"


def _run(stage: Stage, command: Sequence[str], name: str) -> None:
    """Run a profiler while the sound goes on."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603 - a profiler that was found above
            leashed(command), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            for _ in range(round(2 * (SECONDS + _PATIENCE_S))):
                if process.poll() is not None:
                    break
                stage.play(0.5, f"profiling with {name}")
            else:
                raise BenchError(f"{name} did not end; try without --profile")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode != 0:
            said.seek(0)
            words = [line.strip() for line in said.read().splitlines() if line.strip()]
            raise BenchError(_failure(name, words))


def _failure(name: str, words: Sequence[str]) -> str:
    text = " ".join(words)
    if re.search(r"permission|not permitted|EPERM|root", text, re.IGNORECASE):
        return (
            f"{name} may not look into the relay; run as root, or give the container the right CAP_SYS_PTRACE"
        )
    return f"{name} failed: {words[-1] if words else 'it said nothing'}"


def from_perf(lines: Iterable[str]) -> Counter[str]:
    """Samples by kind from `perf script --fields ip,sym,dso`: address, symbol, object in parentheses."""
    counts: Counter[str] = Counter()
    for line in lines:
        head, _, rest = line.strip().partition(" ")
        if not head:
            continue
        symbol, _, place = rest.rpartition("(")
        counts[kind_of_symbol(symbol.strip(), place.rstrip(") "))] += 1
    return counts


def kind_of_symbol(symbol: str, place: str) -> str:
    """The kind of work of an address: its symbol, without offset, and the object it is in."""
    if place.startswith("[kernel") or place.endswith((".ko", ".ko.xz", ".ko.zst")) or place == "[vdso]":
        return KERNEL
    if _CRYPTO_OBJECT.search(place) or _CRYPTO_NAME.search(symbol):
        return CRYPTO
    if _COMPILED_OBJECT.search(place):
        return HEADER
    return PYTHON if _PYTHON_OBJECT.search(place) else OTHER


def from_stacks(lines: Iterable[str]) -> Counter[str]:
    """Samples by kind from py-spy's raw format: frames from the outermost to the innermost with `;`, and a count."""
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            kind = kind_of_stack(stack.split(";"))
            if kind is not None:
                counts[kind] += int(count)
    return counts


def kind_of_stack(frames: Sequence[str]) -> str | None:
    """The kind of work of a stack, by its innermost frame that tells; None when the thread only waits."""
    for frame in reversed(frames):
        match = _FRAME.match(frame)
        if match is None:
            continue
        name, place = match["name"], match["place"] or ""
        if _WAIT.match(name):
            return None
        if _SYSTEM_CALL.match(name):
            return KERNEL
        if _CRYPTO_OBJECT.search(place) or _CRYPTO_NAME.search(name):
            return CRYPTO
        if _COMPILED_OBJECT.search(place) or (name.startswith("0x") and place in ("", "?")):
            return HEADER
        if ".py" in place or _PYTHON_OBJECT.search(place):
            return PYTHON
    return OTHER
