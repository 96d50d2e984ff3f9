"""Tokens: minted, verified, and every way they can be wrong."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from loacodecs.errors import ConfigurationError
from relay.tokens import (
    SECRET_BYTES,
    MeetingRole,
    Scope,
    Secret,
    TokenError,
    Tokens,
    claims_of,
    load_secret,
)

KEY = b"k" * 32
NOW = 1_800_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(Secret(KEY), clock=clock)


def signed(claims: dict[str, Any], key: bytes = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


def claims(**changes: Any) -> dict[str, Any]:
    base = {"sub": "s", "scope": ["listen"], "channels": ["xa"], "exp": int(NOW) + 60}
    return {key: value for key, value in (base | changes).items() if value is not ...}


def test_a_token_gives_back_what_was_granted(tokens: Tokens) -> None:
    token = tokens.mint(subject="đài", scopes=["publish", "listen"], channels=["xa", "h-*"], ttl=3600)
    grant = tokens.verify(token)
    assert grant.subject == "đài"
    assert grant.scopes == {"publish", "listen"}
    assert grant.channels == ("xa", "h-*")
    assert grant.expires == NOW + 3600
    assert grant.id


def test_a_token_knows_when_it_was_minted_to_the_millisecond(tokens: Tokens, clock: Clock) -> None:
    clock.now = NOW + 0.9876
    grant = tokens.verify(tokens.mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60))
    assert grant.issued == NOW + 0.988
    assert tokens.verify(signed(claims())).issued == 0.0


def test_an_invitation_names_the_token_it_was_made_with_and_its_subject(tokens: Tokens) -> None:
    grant = tokens.verify(
        tokens.mint(subject="invited by đài", scopes=["publish"], channels=["xa"], ttl=60, parent="c0ffee")
    )
    assert (grant.parent, grant.inviter) == ("c0ffee", "đài")
    named_so = tokens.verify(
        tokens.mint(subject="invited by đài", scopes=["listen"], channels=["xa"], ttl=60)
    )
    assert (named_so.parent, named_so.inviter) == ("", ""), "whoever only calls himself so was not invited"


def test_a_token_of_another_program_has_an_id_all_the_same(tokens: Tokens) -> None:
    first, again, other = (signed(claims(sub=subject)) for subject in ("a", "a", "b"))
    ids = [tokens.verify(each).id for each in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 16
    assert claims_of(first)["jti"] == ids[0]


def test_what_a_token_says_of_itself_can_be_read_by_anybody(tokens: Tokens) -> None:
    said = claims_of(signed(claims(jti="c0ffee"), key=b"z" * 32))
    assert (said["sub"], said["jti"], said["channels"]) == ("s", "c0ffee", ["xa"])
    for text in ("", "rubbish", "a.b.c", "ê"):
        with pytest.raises(TokenError, match="this is no token"):
            claims_of(text)


def test_a_token_that_has_expired_is_recognised_and_opens_nothing(tokens: Tokens, clock: Clock) -> None:
    token = tokens.mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60)
    clock.now += 60
    assert tokens.expired(tokens.recognise(token))
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(token)


def test_a_token_may_say_what_its_bearer_is_in_a_meeting(tokens: Tokens) -> None:
    def role(scope: Scope, role: MeetingRole | None) -> str:
        token = tokens.mint(subject="s", scopes=[scope, "publish"], channels=["xa"], ttl=60, role=role)
        return tokens.verify(token).meeting_role

    assert role("publish", "chair") == "chair"
    assert role("publish", "speaker") == "speaker"
    assert role("publish", None) == "speaker"
    assert role("admin", None) == "chair"
    assert role("admin", "speaker") == "speaker"
    with pytest.raises(ValueError, match="scope publish"):
        tokens.mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60, role="chair")
    for wrong in ("king", 1, ["chair"], {}):
        with pytest.raises(TokenError, match="claims"):
            tokens.verify(signed(claims(role=wrong)))


def test_every_token_has_an_id_of_its_own(tokens: Tokens) -> None:
    minted = [tokens.mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60) for _ in range(2)]
    assert len({tokens.verify(token).id for token in minted}) == 2


def test_scopes_and_channels_are_both_needed(tokens: Tokens) -> None:
    grant = tokens.verify(tokens.mint(subject="s", scopes=["listen"], channels=["xa", "h-*"], ttl=60))
    assert grant.allows("listen", "xa")
    assert grant.allows("listen", "h-1")
    assert not grant.allows("listen", "xa2")
    assert not grant.allows("listen", "h")
    assert not grant.allows("publish", "xa")
    assert not grant.allows("metrics")


def test_admin_stands_for_all_scopes_on_its_channels(tokens: Tokens) -> None:
    grant = tokens.verify(tokens.mint(subject="s", scopes=["admin"], channels=["xa"], ttl=60))
    assert grant.allows("publish", "xa")
    assert grant.allows("metrics")
    assert not grant.allows("publish", "other")


def test_it_ends_when_it_says(tokens: Tokens, clock: Clock) -> None:
    token = tokens.mint(subject="s", scopes=["listen"], channels=["xa"], ttl=60)
    clock.now += 59.9
    tokens.verify(token)
    clock.now += 0.1
    with pytest.raises(TokenError, match="expired"):
        tokens.verify(token)


@pytest.mark.parametrize("ttl", [0, -1, 0.5, float("inf"), float("nan"), 200 * 365 * 86400])
def test_none_is_minted_that_never_ends(tokens: Tokens, ttl: float) -> None:
    with pytest.raises(ValueError, match="must expire"):
        tokens.mint(subject="s", scopes=["listen"], channels=["xa"], ttl=ttl)


def test_none_is_minted_for_nothing(tokens: Tokens) -> None:
    with pytest.raises(ValueError, match="scope"):
        tokens.mint(subject="s", scopes=[], channels=["xa"], ttl=60)
    with pytest.raises(ValueError, match="scope"):
        tokens.mint(subject="s", scopes=["root"], channels=["xa"], ttl=60)  # type: ignore[list-item]  # the point
    with pytest.raises(ValueError, match="channel"):
        tokens.mint(subject="s", scopes=["listen"], channels=[], ttl=60)
    assert tokens.mint(subject="s", scopes=["metrics"], channels=[], ttl=60)


def test_none_is_minted_for_what_no_store_takes(tokens: Tokens) -> None:
    """As a terminal that does not speak UTF-8 hands it over."""
    with pytest.raises(ValueError, match="UTF-8"):
        tokens.mint(subject="t\udcffnh", scopes=["emergency"], channels=["xa"], ttl=60)


@pytest.mark.parametrize("missing", ["sub", "scope", "channels", "exp"])
def test_every_claim_is_needed(tokens: Tokens, missing: str) -> None:
    with pytest.raises(TokenError):
        tokens.verify(signed(claims(**{missing: ...})))


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "listen"},
        {"scope": [1]},
        {"channels": "xa"},
        {"channels": [None]},
        {"channels": {"xa": 1}},
        {"sub": 7},
        {"exp": str(int(NOW) + 60)},
        {"exp": None},
        {"exp": 1e400},
        {"iat": NOW + 3600},
        {"nbf": NOW + 3600},
        {"iat": "now"},
        {"iat": float("nan")},
        {"exp": 10**400},
        {"sub": "tỉnh \udcff"},
        {"jti": "\ud800"},
        {"parent": "\udcff"},
    ],
)
def test_claims_of_another_shape_are_refused(tokens: Tokens, changes: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        tokens.verify(signed(claims(**changes)))


def test_a_clock_a_little_ahead_is_forgiven(tokens: Tokens) -> None:
    assert tokens.verify(signed(claims(iat=NOW + 30)))


def forged_none() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}."


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "\x00",
        "ă",
        "x" * 5000,
        forged_none(),
        signed(claims(), b"o" * 32),
        signed(claims(), KEY * 2, "HS512"),
        signed(claims())[:-2],
        signed(claims()).replace(".", "!", 1),
    ],
)
def test_what_was_not_signed_here_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenError) as caught:
        tokens.verify(token)
    assert token not in str(caught.value) or len(token) < 4


def test_a_changed_token_is_refused(tokens: Tokens) -> None:
    head, _, signature = signed(claims()).split(".")
    _, body, _ = signed(claims(channels=["*"]), b"o" * 32).split(".")
    with pytest.raises(TokenError, match="not signed by this relay"):
        tokens.verify(f"{head}.{body}.{signature}")


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(b"hush-hush")
    assert "hush" not in repr(secret)
    assert "hush" not in f"{secret}"
    assert secret == Secret(b"hush-hush")
    assert secret != Secret(b"other")
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    secret = load_secret(path)
    assert len(secret.reveal()) >= SECRET_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_secret(path) == secret
    assert load_secret(tmp_path / "other") != secret
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"], "no draft is left behind"


def test_a_secret_survives_a_power_cut_as_soon_as_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without content would be found after the power cut, and every receiver would have to be enrolled again."""
    path, synced = tmp_path / "command-key", []

    def note(descriptor: int) -> None:
        file = os.fstat(descriptor)
        synced.append("folder" if stat.S_ISDIR(file.st_mode) else f"{file.st_size} octets")
        synced.append("named" if path.exists() else "unnamed")

    monkeypatch.setattr("os.fsync", note)
    load_secret(path)
    assert synced == [f"{path.stat().st_size} octets", "unnamed", "folder", "named"]


def test_a_secret_made_meanwhile_by_another_process_wins(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    theirs: list[Secret] = []

    def random(size: int) -> bytes:
        theirs.append(load_secret(path))
        return b"x" * size

    assert load_secret(path, random=random) == theirs[0] == load_secret(path)


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: load_secret(tmp_path / "secret").reveal(), range(64)))
    assert len(secrets) == 1


def test_a_short_secret_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("password\n")
    with pytest.raises(ConfigurationError, match="delete the file to have one made"):
        load_secret(path)


def test_a_folder_that_cannot_hold_it_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_secret(tmp_path / "file" / "secret")


def test_a_secret_that_everybody_can_read_is_complained_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "secret"
    secret = load_secret(path)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert load_secret(path) == secret
    assert "chmod 600" in caplog.text
    assert secret.reveal().decode() not in caplog.text
