"""The amplifier's switch: what it does, and that nothing it meets stops the receiver."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from loacodecs.errors import ConfigurationError
from loaedge.outputs.power import COMMAND_S, RETRY_S, CommandPower, GpioPower, NoPower, Power, open_power
from tests.support.waiting import until


def script(folder: Path, body: str) -> Path:
    path = folder / "amplifier"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def switched(power: Power, on: bool, log: Path, lines: int) -> None:
    """Ask for a state until the program has noted so many lines."""

    def noted() -> bool:
        power.switch(on, time.monotonic())
        return log.exists() and len(log.read_text().split()) >= lines

    until(noted)


def test_a_command_is_told_once_for_each_change(tmp_path: Path) -> None:
    log = tmp_path / "log"
    power = CommandPower([str(script(tmp_path, f'echo "$1" >> {log}'))])
    switched(power, True, log, 1)
    for _ in range(50):
        power.switch(True, time.monotonic())
    switched(power, False, log, 2)
    switched(power, True, log, 3)
    power.close()
    assert log.read_text().split() == ["on", "off", "on", "off"]
    assert power.problem == ""


def test_its_words_pass_no_shell(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = script(tmp_path, f'echo "$#" >> {log}')
    power = open_power(f"command:{program} '$(reboot); a' b")
    switched(power, True, log, 1)
    power.close()
    assert log.read_text().split()[0] == "3"


def test_a_command_that_hangs_is_killed_and_tried_again(tmp_path: Path) -> None:
    power = CommandPower([str(script(tmp_path, "exec sleep 600"))])
    power.switch(True, 100.0)
    power.switch(True, 100.0 + COMMAND_S - 0.1)
    assert power.problem == ""

    def given_up() -> bool:
        power.switch(True, 100.0 + COMMAND_S + 0.1)
        return "took longer than 5 s" in power.problem

    until(given_up)


def test_a_command_that_fails_is_told_and_tried_again_later(tmp_path: Path) -> None:
    program = script(tmp_path, "exit 3")
    power = CommandPower([str(program)])

    def failed() -> bool:
        power.switch(True, 50.0)
        return "ended with 3" in power.problem

    until(failed)
    log = tmp_path / "log"
    script(tmp_path, f'echo "$1" >> {log}')
    power.switch(True, 50.0 + RETRY_S - 0.1)
    assert not log.exists()

    def mended() -> bool:
        power.switch(True, 50.0 + RETRY_S)
        return power.problem == ""

    until(mended)
    assert log.read_text().split() == ["on"]


def test_a_program_that_is_not_there_is_one_sentence() -> None:
    power = CommandPower(["/nowhere/amplifier"])
    power.switch(True, 0.0)
    assert power.problem == "/nowhere/amplifier: no such file or directory"
    power.close()


class FakeGpio:
    """The part of the gpiod package that a switch uses; `values` is what the line was set to."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self.requested: list[tuple[str, dict[int, SimpleNamespace]]] = []
        self.released = 0
        self.broken = False
        self.line = SimpleNamespace(
            Value=SimpleNamespace(ACTIVE="active", INACTIVE="inactive"),
            Direction=SimpleNamespace(OUTPUT="output"),
        )

    def LineSettings(self, **settings: object) -> SimpleNamespace:
        return SimpleNamespace(**settings)

    def request_lines(self, path: str, *, consumer: str, config: dict[int, SimpleNamespace]) -> FakeGpio:
        if self.broken:
            raise PermissionError(13, "Permission denied")
        self.requested.append((path, config))
        return self

    def set_value(self, line: int, value: object) -> None:
        if self.broken:
            raise OSError(19, "No such device")
        self.values.append((line, value))

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def gpio(monkeypatch: pytest.MonkeyPatch) -> FakeGpio:
    fake = FakeGpio()
    monkeypatch.setitem(sys.modules, "gpiod", fake)
    monkeypatch.setitem(sys.modules, "gpiod.line", fake.line)
    return fake


def test_a_line_is_requested_off_and_set_at_changes(gpio: FakeGpio) -> None:
    power = open_power("gpio:gpiochip0:17:low")
    for now, on in enumerate((False, True, True, False)):
        power.switch(on, float(now))
    path, config = gpio.requested[0]
    assert path == "/dev/gpiochip0"
    assert vars(config[17]) == {"direction": "output", "output_value": "inactive", "active_low": True}
    assert gpio.values == [(17, "inactive"), (17, "active"), (17, "inactive")]
    power.close()
    assert gpio.released == 1


def test_a_line_that_fails_is_told_and_requested_again(gpio: FakeGpio) -> None:
    power = GpioPower("gpiochip0", 4)
    power.switch(True, 0.0)
    gpio.broken = True
    power.switch(False, 1.0)
    assert "no such device" in power.problem
    power.switch(False, 3.0)
    gpio.broken = False
    power.switch(False, 1.0 + RETRY_S - 0.5)
    assert len(gpio.requested) == 1
    power.switch(False, 1.0 + RETRY_S)
    assert power.problem == ""
    assert len(gpio.requested) == 2
    assert gpio.values[-1] == (4, "inactive")


def test_a_chip_that_is_not_there_is_one_sentence() -> None:
    power = GpioPower("gpiochip99", 4)
    power.switch(True, 0.0)
    assert "GPIO /dev/gpiochip99 line 4: " in power.problem
    power.close()


def test_without_the_gpiod_package_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    power = GpioPower("gpiochip0", 4)
    power.switch(True, 0.0)
    assert "pip install 'loa[gpio]'" in power.problem


@pytest.mark.parametrize(
    "spec", ["", "gpio:", "gpio:chip", "gpio:chip:x", "gpio:chip:1:up", "relay:1", "none:1", "gpio:chip:²"]
)
def test_what_names_no_switch_is_refused(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="names no amplifier switch"):
        open_power(spec)


@pytest.mark.parametrize("spec", ["command:", "command:amplifier", "command:'/bin/x"])
def test_a_command_must_be_a_full_path(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="the amplifier's command"):
        open_power(spec)


def test_none_is_a_switch_too() -> None:
    power = open_power("none")
    assert isinstance(power, NoPower)
    power.switch(True, 0.0)
    power.close()
    assert power.problem == ""
