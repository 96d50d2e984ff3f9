"""`loa token show`, `revoke` and `revoked`: against a relay in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli import token
from tests.support.running_relay import Running, running_relay


@pytest.fixture
def loa(tmp_path: Path) -> Iterator[Running]:
    with running_relay(tmp_path, token) as running:
        yield running


def leaked(loa: Running, subject: str = "chủ tịch xã") -> tuple[str, str]:
    """A file with a token, and its id."""
    made = loa.relay.tokens.mint(subject=subject, scopes=["publish"], channels=["xa"], ttl=3600, role="chair")
    file = loa.token_file.with_name("leaked")
    file.write_text(f"{made}\n")
    return str(file), loa.relay.tokens.verify(made).id


def test_a_token_is_revoked_by_its_file_and_listed(loa: Running) -> None:
    file, name = leaked(loa)
    assert loa("revoked").stdout.split() == ["TOKEN", "SUBJECT", "REVOKED", "BY", "FORGOTTEN"]
    result = loa("revoke", file)
    assert (result.exit_code, result.output) == (
        0,
        f"token {name} of chủ tịch xã is revoked; 0 sessions ended\n",
    )
    _, row = loa("revoked").stdout.splitlines()
    assert row.startswith(f"{name}  chủ tịch xã  ")
    (listed,) = json.loads(loa("revoked", "--json").stdout)
    assert (listed["kind"], listed["name"], listed["revoked_by"]) == ("token", name, "đài")


def test_a_token_is_revoked_by_its_id_or_from_standard_input(loa: Running) -> None:
    file, name = leaked(loa)
    assert loa("revoke", name).output == f"token {name} is revoked; 0 sessions ended\n"
    where = ["--url", f"127.0.0.1:{loa.relay.port}", "--token-file", str(loa.token_file)]
    piped = CliRunner().invoke(token, ["revoke", "-", *where], input=Path(file).read_text())
    assert piped.output == f"token {name} of chủ tịch xã is revoked; 0 sessions ended\n"


def test_all_of_a_subject(loa: Running) -> None:
    result = loa("revoke", "--subject", "chủ tịch xã")
    assert result.output.startswith("all tokens of chủ tịch xã minted until 2027-01-15 ")
    assert result.output.endswith(" are revoked; 0 sessions ended\n")
    assert "all until then  chủ tịch xã  " in loa("revoked").stdout


def test_what_somebody_put_into_a_token_does_not_command_the_terminal(loa: Running) -> None:
    file, _ = leaked(loa, "x\x1b[2J\nexpires  never")
    shown = CliRunner().invoke(token, ["show", file]).stdout
    assert shown.count("\nexpires ") == 1
    listed = loa("revoke", file).output + loa("revoked").stdout
    assert len(listed.splitlines()) == 3
    assert "\x1b" not in shown + listed


def test_what_a_token_says_of_itself(loa: Running) -> None:
    file, name = leaked(loa)
    shown = CliRunner().invoke(token, ["show", file]).stdout.splitlines()
    assert shown[:5] == [
        f"id       {name}",
        "subject  chủ tịch xã",
        "scope    publish",
        "channels xa",
        "role     chair",
    ]
    assert [line.split()[0] for line in shown[5:]] == ["minted", "expires"]
    piped = CliRunner().invoke(token, ["show", "-", "--json"], input=Path(file).read_text())
    assert json.loads(piped.stdout)["jti"] == name


def test_every_failure_is_one_line(loa: Running, tmp_path: Path) -> None:
    rubbish, empty = tmp_path / "rubbish", tmp_path / "empty"
    rubbish.write_bytes(b"\xff\xfe")
    empty.write_text("\n")
    failures = {
        ("revoke", str(rubbish)): "cannot be read as a token",
        ("revoke", str(empty)): "it must hold a token",
        ("revoke", "--subject", "device:rx-1"): "loa device revoke rx-1",
    }
    for arguments, sentence in failures.items():
        result = loa(*arguments)
        assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
        assert sentence in result.output
    for file in (rubbish, empty, tmp_path / "missing"):
        result = CliRunner().invoke(token, ["show", str(file)])
        assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
    assert "give a token with --token-file" in loa("revoked", token=False).output
    loa.token_file.write_text(
        loa.relay.tokens.mint(subject="xã", scopes=["admin"], channels=["xa"], ttl=3600)
    )
    assert "for all channels" in loa("revoke", "c0ffee").output


def test_usage_that_cannot_be_understood(loa: Running) -> None:
    file, _ = leaked(loa)
    text = Path(file).read_text().strip()
    for arguments, sentence in {
        (): "name a token by its file or its id",
        (file, "--subject", "x"): "name a token by its file or its id",
        ("no such file.token",): "is neither a file nor the id of a token",
        (text,): "this is a token itself",
    }.items():
        result = loa("revoke", *arguments)
        assert result.exit_code == 2, arguments
        assert sentence in result.output
        assert text not in result.output


def test_a_disk_that_does_not_take_it_is_told(loa: Running) -> None:
    loa.relay.revocations.kept = False
    result = loa("revoke", "c0ffee")
    assert result.exit_code == 0
    assert "disk does not take it yet" in result.stderr
