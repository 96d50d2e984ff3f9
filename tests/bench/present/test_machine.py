from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.present import machine


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "proc/cpuinfo", "processor : 0\nflags : fpu aes vaes hypervisor\n")
    put(tmp_path, "proc/sys/net/core/rmem_max", "212992\n")
    put(tmp_path, "etc/os-release", 'NAME="x"\nPRETTY_NAME="Debian 12"\n')
    put(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    put(tmp_path, "sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n")
    put(tmp_path, "sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: Retpolines\n")
    return tmp_path


def test_the_description_tells_what_decides_about_times(root: Path) -> None:
    told = machine.describe(root)
    assert told["virtual"] is True
    assert told["cipher"] == "vector AES (VAES)"
    assert told["os"] == "Debian 12"
    assert told["cpu_limit"] == "150000 100000"
    assert told["mitigations"] == {"spectre_v2": "Mitigation: Retpolines"}
    assert told["receive_buffer_max"] == 212_992
    assert told["governor"] == "unknown"


def test_a_system_that_tells_nothing_is_described_all_the_same(tmp_path: Path) -> None:
    told = machine.describe(tmp_path)
    assert told["virtual"] is False
    assert told["cpu_limit"] == "none"
    assert told["receive_buffer_max"] is None
    assert told["mitigations"] == {}


def test_the_real_machine_has_what_every_report_needs() -> None:
    told: dict[str, Any] = machine.describe()
    assert told["cores"] >= 1
    assert told["memory_mb"] > 100
    assert told["kernel"]
    assert {"loa", "python", "openssl", "numpy", "numba"} <= set(machine.versions())


def test_machines_are_told_apart_by_what_sets_their_speed() -> None:
    one: dict[str, object] = {"cpu": "a", "cores": 2, "mitigations": {"x": "on"}, "os": "Debian 12"}
    assert machine.differences(one, one | {"os": "Debian 13"}) == []
    assert machine.differences(one, one | {"cores": 4}) == ["cores 2 and 4"]
    assert machine.differences(one, one | {"mitigations": {"x": "off"}}) == ["mitigations (x)"]
    assert machine.differences(one, {"cpu": "b"}) == ["cpu a and b"]
