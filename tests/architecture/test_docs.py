"""The documents say what the code does: links resolve; commands, options, keys, metrics and messages exist."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast, get_args

import click
import pytest
from pydantic import BaseModel

from loaedge.main import loa
from relay import errors as relay_errors
from relay.config import Config
from relay.http.metrics import HttpMetrics
from relay.ports import Histogram, RelayCore, RelayStats

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as forges make them: lower case, hyphens for spaces."""
    headings = re.findall(r"^#{1,6} +(.+)$", _FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"`|\[|\]\([^)]*\)", "", heading)) for heading in headings)
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", NAMES)
def test_links_resolve(name: str) -> None:
    text = text_of(name)
    broken = []
    for target in _LINK.findall(_FENCE.sub("", text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        exists = found.exists() and found.resolve().is_relative_to(ROOT)
        if not exists or (anchor and anchor not in anchors(found.read_text(encoding="utf-8"))):
            broken.append(target)
    assert not broken


def test_documents_named_in_the_sources_exist() -> None:
    sources = [
        path
        for folder in ("codecs", "clients", "relay", "bench", "tests", "scripts")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".js", ".css", ""} and path.is_file() and "node_modules" not in path.parts
    ]
    named = {
        name for path in sources for name in re.findall(r"docs/[\w/-]+", path.read_text(errors="ignore"))
    }
    assert named
    assert [name for name in sorted(named) if not list(ROOT.glob(f"{name}*"))] == []


def commands() -> dict[str, click.Command]:
    """Every command line `loa …` by its words, groups included: `bench`, `bench relay`."""
    found: dict[str, click.Command] = {}

    def walk(words: str, command: click.Command) -> None:
        found[words] = command
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                walk(f"{words} {name}", child)

    for point in entry_points(group="loa.commands"):
        walk(point.name, point.load())
    return found


def options(command: click.Command) -> set[str]:
    return {
        flag
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag.startswith("--")
    }


def shell_lines(text: str) -> Iterator[str]:
    """Command lines in code blocks and in code spans, comments and continuations taken care of."""
    for language, block in _FENCE.findall(text):
        if language in {"sh", "bash", "console", "shell"}:
            yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`((?:loa|make) [^`\n]+)`", _FENCE.sub("", text))


@pytest.mark.parametrize("name", NAMES)
def test_commands_named_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))
    known = commands()
    for raw in shell_lines(text_of(name)):
        line = re.sub(r"\s#\s.*$", "", raw.strip().removeprefix("$ ")).strip()
        words = line.split()
        if words[:1] == ["make"]:
            goals = [word for word in words[1:] if "=" not in word and word.strip('"').isidentifier()]
            assert set(goals[:1]) <= targets, line
        elif words[:1] == ["loa"] and words[1].isidentifier() and words[1].islower():
            named = (" ".join(words[1:end]) for end in (4, 3, 2))
            command = next((each for each in named if each in known), "")
            assert command, line
            flags = {word.partition("=")[0].strip("[]`") for word in words if word.startswith(("--", "[--"))}
            assert flags <= options(known[command]) | {"--help"}, line


def test_every_command_and_option_is_described() -> None:
    text = text_of("docs/commands.md")
    sections = dict(
        re.findall(r"^#{2,3} `?loa ([\w ]+?)`?\n(.*?)(?=^#{2,3} |\Z)", text, re.MULTILINE | re.DOTALL)
    )
    for name, command in commands().items():
        if isinstance(command, click.Group) and not command.invoke_without_command:
            continue
        assert name in sections, f"docs/commands.md lacks `loa {name}`"
        described = set(re.findall(r"--[a-z][a-z0-9-]*", sections[name]))
        assert described == options(command) - {"--help"}, name
    assert set(sections) <= set(commands())


def test_help_lists_every_command() -> None:
    listed = set(loa.list_commands(click.Context(loa)))
    assert {name for name in commands() if " " not in name} == listed


def config_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key as people write it: `media.listen`, `channels.NAME.title`, `http.ice_servers[].urls`."""
    for name, field in model.model_fields.items():
        nested = _models_in(field.annotation)
        path = f"{prefix}{name}"
        if path == "channels.named":
            yield from config_keys(nested[0], "channels.NAME.")
        elif nested:
            is_table = isinstance(field.annotation, type)
            yield from config_keys(nested[0], f"{path}." if is_table else f"{path}[].")
        else:
            yield path


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def test_every_configuration_key_is_described() -> None:
    text = text_of("docs/configuration.md")
    keys = list(config_keys(Config))
    assert "media.listen" in keys
    assert "channels.NAME.public" in keys
    missing = [key for key in keys if f"`{key}`" not in text and f"`{key.rpartition('.')[2]}`" not in text]
    assert not missing


class _NoCore:
    def stats(self) -> RelayStats:
        histogram = Histogram((1.0,), (0,), 0.0, 0)
        return RelayStats(batch_seconds=histogram, loop_lag_seconds=histogram, join_seconds=histogram)


def metric_names() -> set[str]:
    suffix = {"counter": "_total", "info": "_info"}
    families = HttpMetrics(cast(RelayCore, _NoCore()), "0").registry.collect()
    return {
        family.name + suffix.get(family.type, "") for family in families if family.name.startswith("loa_")
    }


def test_every_metric_is_described_and_no_other() -> None:
    described = set(re.findall(r"\bloa_[a-z_]+[a-z]\b", text_of("docs/operations.md")))
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in described}
    assert metric_names() - plain == set()
    assert plain - metric_names() == set()


def test_every_refusal_of_the_relay_is_in_the_protocol() -> None:
    statuses = {
        str(error.status)
        for error in vars(relay_errors).values()
        if isinstance(error, type) and issubclass(error, relay_errors.RelayError)
    }
    rows = set(re.findall(r"^\| (\d{3}) \|", text_of("docs/protocol.md"), re.MULTILINE))
    assert statuses - {"500"} <= rows
    assert {"400", "401", "403", "406", "415", "429"} <= rows


PAGE_MESSAGES = ("messages.js", "messages-meeting.js")


def test_messages_quoted_for_station_staff_are_those_of_the_pages() -> None:
    shown = "".join(
        text_of(f"clients/web/js/{file}").partition("export const en")[0] for file in PAGE_MESSAGES
    )
    text = text_of("README.vi.md")
    tables = text.partition("## Trang ghi gì")[2].partition("## Gọi ai")[0]
    quoted = [cell.strip() for cell in re.findall(r"^\| ([^|]+) \|", tables, re.MULTILINE)]
    messages = [cell for cell in quoted if cell not in {"trang ghi", "---"}]
    assert len(messages) > 15
    buttons = set(re.findall(r"bấm \*\*([^*]+)\*\*", text, re.IGNORECASE))
    assert [message for message in [*messages, *sorted(buttons)] if message not in shown] == []


def test_the_vietnamese_text_is_composed_unicode() -> None:
    text = text_of("README.vi.md")
    assert unicodedata.normalize("NFC", text) == text
    assert re.search("[ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđ]", text)
