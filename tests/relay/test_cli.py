"""`loa token`, `loa check`, `loa serve`: outputs and exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from loacodecs.errors import ConfigurationError
from relay.cli import check, serve, token
from relay.config import Config
from relay.tokens import Tokens, load_secret

GOOD = "[channels.xa]\npublic = true\n[channels.huyen]\nsource = 'whep+https://t.example/t/whep'\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOA_CONFIG", raising=False)
    path = tmp_path / "site.toml"
    path.write_text(GOOD)
    return path


def run(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)  # type: ignore[arg-type]  # click's decorators hide the type


def test_a_token_is_all_that_is_printed(file: Path) -> None:
    result = run(token, "--config", str(file), "--scope", "publish", "--channel", "xa", "--ttl", "30m")
    assert result.exit_code == 0, result.output
    printed = result.stdout
    assert printed.count("\n") == 1
    grant = Tokens(load_secret(Path("var/loa/token-secret"))).verify(printed.strip())
    assert grant.allows("publish", "xa")
    assert not grant.allows("listen", "xa")
    assert result.stderr.startswith(f"token {grant.id} of operator, good until "), "for whoever revokes it"
    assert result.stderr.count("\n") == 1


def test_scopes_and_channels_may_be_several(file: Path) -> None:
    options = [
        "--scope",
        "publish",
        "--scope",
        "listen",
        "--channel",
        "xa",
        "--channel",
        "h*",
        "--subject",
        "an",
    ]
    result = run(token, "--config", str(file), *options)
    grant = Tokens(load_secret(Path("var/loa/token-secret"))).verify(result.stdout.strip())
    assert grant.allows("listen", "huyen")
    assert grant.subject == "an"


def test_an_unknown_channel_is_noted_beside_the_token(file: Path) -> None:
    result = run(token, "--config", str(file), "--scope", "listen", "--channel", "huyn")
    assert result.exit_code == 0
    assert "no channel huyn (did you mean huyen?)" in result.stderr
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--scope", "root", "--channel", "xa"],
        ["--scope", "publish"],
        ["--scope", "publish", "--channel", "xa", "--ttl", "forever"],
        ["--scope", "publish", "--channel", "xa", "--ttl", "0s"],
        ["--scope", "publish", "--channel", "xa", "show", "token"],
    ],
)
def test_wrong_usage_is_2(file: Path, options: list[str]) -> None:
    result = run(token, "--config", str(file), *options)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_token_for_metrics_needs_no_channel(file: Path) -> None:
    assert run(token, "--config", str(file), "--scope", "metrics").exit_code == 0


def test_check_says_so_when_all_is_well(file: Path) -> None:
    result = run(check, "--config", str(file))
    assert result.exit_code == 0
    assert "no mistakes" in result.stdout
    assert "2 channels (1 public, 1 from other relays)" in result.stdout
    assert result.stdout.count("\n") == 1


def test_check_prints_a_line_for_each_mistake(file: Path) -> None:
    file.write_text("[channels.foo]\nsorce = 'x'\n[media]\nthreads = 'x'\n")
    result = run(check, "--config", str(file))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "media.threads: must be a whole number",
        "channels.foo.sorce: unknown key (did you mean source?)",
    ]


@pytest.mark.parametrize("content", [None, "[media"])
def test_check_of_an_unreadable_file_is_one_line(file: Path, content: str | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    result = run(check, "--config", str(file))
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert str(file) in result.output


def test_check_misses_the_files_that_serve_would_need(file: Path) -> None:
    file.write_text(
        "[http]\ntls = 'files'\ncertificate = 'c.pem'\nkey = 'k.pem'\n"
        "[channels.xa]\nsource = 'whep+https://t.example/t/whep'\ntoken_file = 't'\n"
    )
    result = run(check, "--config", str(file))
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "http.certificate",
        "http.key",
        "channels.xa.token_file",
    ]


def test_loa_toml_of_the_folder_is_taken_without_asking(file: Path) -> None:
    assert "no file, defaults" in run(check).stdout
    (file.parent / "loa.toml").write_text("[channels.a]\n")
    assert "1 channel (" in run(check).stdout


def test_serve_hands_the_configuration_over(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Config, bool]] = []
    app = ModuleType("relay.app")
    app.serve = lambda config, demo: given.append((config, demo))  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "relay.app", app)
    assert run(serve, "--config", str(file), "--demo").exit_code == 0
    assert given[0][1] is True
    assert set(given[0][0].channels.named) == {"xa", "huyen"}


def test_serve_says_in_one_line_why_it_does_not_start(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: Config, demo: bool) -> None:
        raise ConfigurationError("http.listen = '[::]:8889': port 8889 is in use;\nstop the other program")

    app = ModuleType("relay.app")
    app.serve = refuse  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "relay.app", app)
    result = run(serve, "--config", str(file))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "Error: http.listen = '[::]:8889': port 8889 is in use; stop the other program"
    ]


def test_serve_with_a_bad_file_names_the_first_mistake(file: Path) -> None:
    file.write_text("[media]\nfoo = 1\nbar = 2\n")
    result = run(serve, "--config", str(file))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Error: {file}: media.foo: unknown key (and 1 more: run loa check)"
    ]
