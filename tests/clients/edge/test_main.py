"""The command `loa`: light to start, one line for an error, truthful exit codes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest

import loaedge.main
from loacodecs.errors import ConfigurationError, TransportError
from loaedge.cli import DurationType
from loaedge.main import run

HEAVY = ("av", "aiortc", "numpy", "httpx", "cryptography", "OpenSSL", "numba", "fastapi", "pydantic")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["publish", "--help"], ["listen", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from loaedge.main import run
assert run({arguments}) == 0
heavy = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"loaded: {{heavy}}" if heavy else 0)
"""
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_a_group_without_a_command_shows_its_commands_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench"]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert any(line.split()[:1] == ["relay"] for line in shown)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("500ms", 0.5), ("10s", 10), ("5m", 300), ("8h", 28_800), ("30d", 2_592_000)],
)
def test_times_are_written_as_the_document_says(text: str, seconds: float) -> None:
    """The second paragraph of docs/commands.md."""
    assert DurationType().convert(text, None, None) == pytest.approx(seconds)


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("serve", "publish", "listen", "token", "check", "bench"):
        assert f"\n  {command} " in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["publish"], "loa publish: Missing argument 'URL' (see 'loa publish --help')"),
        (["frobnicate"], "No such command 'frobnicate'; there are bench, channel, "),
        (["bench", "relays"], "No such command 'relays'; there are compare, diff, edge, "),
        (["--frobnicate"], "No such option"),
        (["listen", "https://host"], "names only the relay"),
        (["listen", "https://host/a", "--duration", "soon"], "is not a duration"),
        (["listen", "https://host/a", "--duration", "0"], "is not a duration"),
        (["listen", "https://host/a", "--output", "a.mp3"], ".wav or an .ogg"),
        (["publish", "https://host/a", "tone", "--bitrate", "1k"], "not a bitrate of Opus"),
        (["publish", "https://host/a", "tone", "--frame", "30"], "--frame"),
        (["publish", "https://host/a", "tone:loud"], "write tone:440"),
        (["publish", "https://host/a", "tone", "--frame", "60", "--bitrate", "510k"], "shorter --frame"),
        (["publish", "https://host/a", "tone", "--token-file", "/nowhere"], "--token-file"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err


def offering(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(loaedge.main, "entry_points", lambda group: points)


@click.command()
def failing() -> None:
    """Fail."""
    raise TransportError("the relay\ncannot be reached")


@click.command()
def misconfigured() -> None:
    """Fail."""
    raise ConfigurationError("no such setting")


@click.command()
def needy() -> None:
    """Import what is not there."""
    importlib.import_module("no_such_library_at_all")


@click.command()
def broken() -> None:
    """Import a module of ours that is not there."""
    importlib.import_module("relay.no_such_module")


@click.command()
def interrupted() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


@click.command()
def answering() -> int:
    """Give an exit code."""
    return 7


@pytest.mark.parametrize(
    ("command", "code", "line"),
    [
        ("failing", 1, "loa: the relay cannot be reached\n"),
        ("misconfigured", 2, "loa: no such setting\n"),
        ("interrupted", 130, "\n"),
        ("answering", 7, ""),
    ],
)
def test_how_a_command_ends_is_how_loa_ends(
    command: str, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offering(monkeypatch, EntryPoint(command, f"{__name__}:{command}", "loa.commands"))
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.name])
    assert run([command]) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(("package", "extra"), [("relay", "server"), ("bench", "bench")])
def test_a_command_whose_libraries_are_missing_says_what_to_install(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offering(monkeypatch, EntryPoint("needy", f"{package}.cli:needy", "loa.commands"))
    sentence = f"loa needy needs the {extra} parts: pip install 'loa[{extra}]'\n"

    monkeypatch.setattr(EntryPoint, "load", lambda _self: needy)
    assert run(["needy"]) == 1
    assert capsys.readouterr().err == sentence

    def missing(_self: EntryPoint) -> object:
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")

    monkeypatch.setattr(EntryPoint, "load", missing)
    assert run(["needy", "--some", "option"]) == 1
    assert capsys.readouterr().err == sentence
    assert run(["--help"]) == 0
    assert f"(needs loa[{extra}])" in capsys.readouterr().out


def test_a_fault_of_ours_is_not_taken_for_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, EntryPoint("broken", "relay.cli:broken", "loa.commands"))
    monkeypatch.setattr(EntryPoint, "load", lambda _self: broken)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        run(["broken"])


def test_the_module_runs_like_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "loaedge", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0
    assert result.stdout.startswith("loa, version ")


def test_a_reader_that_leaves_is_no_traceback() -> None:
    code = "import sys; from loaedge.main import main; sys.argv[1:] = ['--help']; main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1
    assert errors == b""
