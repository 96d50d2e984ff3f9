"""What Linux tells about a process tree and the machine: CPU to the nanosecond, memory, idle time, lost
packets.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

_PROC = Path("/proc")
DESCRIPTORS_TO_SPARE = 128


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process tree, in KiB: `rss` counts shared pages in each process, `pss` shares them out.

    `own` is what the processes have written themselves: no files, of whose pages a neighbour that comes or goes changes
    the share. Growth is judged by it.
    """

    rss: int
    pss: int
    own: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Counters of the whole machine: `idle_s` and `steal_s` are CPU seconds of all cores since it started.

    Busy time is what is not idle: the kernel times idleness exactly, but samples work at its clock tick,
    and a load that repeats every 20 ms meets that tick always or never.
    """

    at_s: float
    cores: int
    idle_s: float
    steal_s: float
    backlog_drops: int
    softirq_thread_ns: int

    def busy_s_since(self, earlier: Machine) -> float:
        """CPU seconds that all cores worked since `earlier`."""
        return max(0.0, self._total_s_since(earlier) - (self.idle_s - earlier.idle_s))

    def idle_share_since(self, earlier: Machine) -> float:
        """Share of all cores that did nothing since `earlier`, 0..1."""
        total = self._total_s_since(earlier)
        return min(1.0, (self.idle_s - earlier.idle_s) / total) if total else 1.0

    def steal_share_since(self, earlier: Machine) -> float:
        """Share of all cores that the hypervisor gave to others since `earlier`, 0..1."""
        total = self._total_s_since(earlier)
        return (self.steal_s - earlier.steal_s) / total if total else 0.0

    def _total_s_since(self, earlier: Machine) -> float:
        return (self.at_s - earlier.at_s) * self.cores


def process_tree(pid: int) -> list[int]:
    """`pid` and all its descendants that are alive."""
    tree = [pid]
    for member in tree:
        for task in _listing(_PROC / str(member) / "task"):
            children = _read(_PROC / str(member) / "task" / task / "children")
            tree += [int(child) for child in children.split()]
    return tree


def cpu_ns(pid: int) -> int:
    """CPU time of a process tree, all threads, nanoseconds (first field of schedstat).

    Threads that ended are not counted any more; the relay's are there for its whole life. Kernels without
    schedstat (CONFIG_SCHED_INFO) are served from utime + stime, in clock ticks.
    """
    total = 0
    for member in process_tree(pid):
        for task in _listing(_PROC / str(member) / "task"):
            folder = _PROC / str(member) / "task" / task
            if schedstat := _read(folder / "schedstat").split():
                total += int(schedstat[0])
            elif stat := _read(folder / "stat").rpartition(")")[2].split():
                ticks = int(stat[11]) + int(stat[12])
                total += ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def thread_cpu_ns(pid: int) -> dict[str, int]:
    """CPU time per thread of a process, nanoseconds: "main" first, then the others by their number and
    name.
    """
    found: dict[str, int] = {}
    for task in sorted(_listing(_PROC / str(pid) / "task"), key=int):
        folder = _PROC / str(pid) / "task" / task
        if schedstat := _read(folder / "schedstat").split():
            name = f"{len(found)} {_read(folder / 'comm').strip()}"
            found["main" if int(task) == pid else name] = int(schedstat[0])
    return found


def memory(pid: int) -> Memory:
    """Memory of a process tree."""
    kib: Counter[str] = Counter()
    for member in process_tree(pid):
        for line in _read(_PROC / str(member) / "smaps_rollup").splitlines():
            name, _, value = line.partition(":")
            if name in ("Rss", "Pss", "Pss_Anon", "Pss_Shmem"):
                kib[name] += int(value.split()[0])
    return Memory(kib["Rss"], kib["Pss"], kib["Pss_Anon"] + kib["Pss_Shmem"])


def descriptors(pid: int) -> int:
    """Open file descriptors of a process tree."""
    return sum(len(_listing(_PROC / str(member) / "fd")) for member in process_tree(pid))


def threads(pid: int) -> int:
    """Threads of a process tree."""
    return sum(len(_listing(_PROC / str(member) / "task")) for member in process_tree(pid))


def machine() -> Machine:
    """The machine's counters now."""
    lines = _read(_PROC / "stat").splitlines()
    fields = [int(field) / os.sysconf("SC_CLK_TCK") for field in lines[0].split()[1:9]]
    return Machine(
        at_s=time.monotonic(),
        cores=sum(line.startswith("cpu") for line in lines) - 1,
        idle_s=fields[3] + fields[4],
        steal_s=fields[7],
        backlog_drops=sum(
            int(line.split()[1], 16) for line in _read(_PROC / "net/softnet_stat").splitlines()
        ),
        softirq_thread_ns=_softirq_threads_ns(),
    )


def _softirq_threads_ns() -> int:
    # ksoftirqd takes over network work when the sender's own time does not suffice: CPU no process is
    # charged for
    total = 0
    for name in _listing(_PROC):
        if name.isdigit() and _read(_PROC / name / "comm").startswith("ksoftirqd/"):
            total += int((_read(_PROC / name / "schedstat").split() or ["0"])[0])
    return total


def description() -> dict[str, object]:
    """The machine as a report should name it."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in _read(_PROC / "cpuinfo").splitlines()
            if line.startswith(("model name", "Model"))
        ),
        os.uname().machine,
    )
    total_kib = int(_read(_PROC / "meminfo").split()[1])
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": total_kib // 1024,
        "kernel": os.uname().release,
        "architecture": os.uname().machine,
    }


def require_descriptors(sockets: int) -> None:
    """Raise the soft limit of descriptors as far as needed; BenchError with the mend when the hard one is
    too low.
    """
    needed = sockets + DESCRIPTORS_TO_SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise BenchError(
                f"{sockets} sessions need {needed} file descriptors and the limit is {hard}; "
                f"raise it with `ulimit -Hn {needed}` as root, or ask for fewer listeners"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def require_ports(sockets: int) -> None:
    """BenchError with the mend when the range of ephemeral ports cannot hold so many sockets."""
    low, high = (int(field) for field in _read(_PROC / "sys/net/ipv4/ip_local_port_range").split())
    if (free := (high - low + 1) * 9 // 10) < sockets:
        raise BenchError(
            f"{sockets} sessions need a UDP port each and net.ipv4.ip_local_port_range holds about {free}; "
            'widen it with `sysctl -w net.ipv4.ip_local_port_range="10000 65000"`'
        )


def _listing(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _read(path: Path) -> str:
    """The text of a file in /proc; empty when its process has ended meanwhile."""
    try:
        return path.read_text()
    except OSError:
        return ""
