from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench import procfs
from bench.errors import BenchError
from tests.support.waiting import until


def test_cpu_time_of_all_threads_is_counted() -> None:
    worked, leave = threading.Event(), threading.Event()

    def work() -> None:
        sum(index * index for index in range(1_000_000))
        worked.set()
        leave.wait(10)  # the time of a thread that ended is not in /proc any more

    before, own = procfs.cpu_ns(os.getpid()), time.process_time_ns()
    thread = threading.Thread(target=work)
    thread.start()
    assert worked.wait(10)
    counted, passed = procfs.cpu_ns(os.getpid()) - before, time.process_time_ns() - own
    leave.set()
    thread.join()
    assert counted == pytest.approx(passed, rel=0.3)


def test_children_belong_to_the_tree() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in procfs.process_tree(os.getpid())
        until(lambda: procfs.memory(os.getpid()).rss > procfs.memory(child.pid).rss > 1000)
    finally:
        child.communicate(b"\n")
    assert child.pid not in procfs.process_tree(os.getpid())


def test_memory_of_its_own_is_what_it_wrote_and_no_file(tmp_path: Path) -> None:
    size = 32 << 20
    file = tmp_path / "library"
    file.write_bytes(b"x" * size)
    before = procfs.memory(os.getpid())
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) == size // 4096 * ord("x")
        read = procfs.memory(os.getpid())
    written = bytearray(b"y" * size)
    after = procfs.memory(os.getpid())
    assert (read.rss - before.rss) * 1024 > 0.9 * size
    assert (read.own - before.own) * 1024 < 0.1 * size
    assert (after.own - before.own) * 1024 > 0.9 * len(written)


def test_a_process_that_is_gone_costs_nothing() -> None:
    assert procfs.cpu_ns(2**22 - 1) == 0
    assert procfs.memory(2**22 - 1).pss == 0


def test_shares_are_of_the_time_of_all_cores_between_two_looks() -> None:
    earlier = procfs.Machine(100.0, cores=2, idle_s=150.0, steal_s=1.0, backlog_drops=0, softirq_thread_ns=0)
    later = procfs.Machine(110.0, cores=2, idle_s=156.0, steal_s=2.0, backlog_drops=0, softirq_thread_ns=0)
    assert later.idle_share_since(earlier) == pytest.approx(6 / 20)
    assert later.steal_share_since(earlier) == pytest.approx(1 / 20)
    assert later.busy_s_since(earlier) == pytest.approx(14)
    assert earlier.idle_share_since(earlier) == 1.0


def test_own_work_is_part_of_the_machines() -> None:
    before, own = procfs.machine(), time.process_time()
    while time.process_time() - own < 0.3:
        sum(range(1000))
    after = procfs.machine()
    assert after.busy_s_since(before) > 0.25
    assert after.cores >= 1
    assert 0 <= after.idle_share_since(before) <= 1


def test_the_machine_is_described() -> None:
    described = procfs.description()
    assert isinstance(described["cores"], int)
    assert described["cores"] >= 1
    assert described["cpu"]


def test_too_few_descriptors_are_told_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 1024))
    with pytest.raises(BenchError, match=r"3000 sessions need 3128 file descriptors.*1024.*ulimit"):
        procfs.require_descriptors(3000)


def test_the_soft_limit_is_raised_when_the_hard_one_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    procfs.require_descriptors(1000)
    assert raised == [(1128, 4096)]


def test_too_few_ports_are_told_with_the_mend() -> None:
    with pytest.raises(BenchError, match="ip_local_port_range"):
        procfs.require_ports(70_000)
