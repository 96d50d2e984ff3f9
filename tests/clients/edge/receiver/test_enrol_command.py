"""`loa edge enrol` where it fails: nothing that there was is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from loacodecs.strict_json import to_base64url
from loaedge.control.identity import KEY_FILE, IdentityStore
from loaedge.main import run
from tests.support.fake_link_relay import RelayKeys


def test_a_receiver_that_could_not_be_enrolled_anew_is_who_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, state = RelayKeys(), tmp_path / "state"
    state.mkdir()
    (state / KEY_FILE).write_text(to_base64url(keys.device.private_bytes_raw()))
    IdentityStore(state).add(keys.enrolment())
    file = tmp_path / "edge.toml"
    file.write_text('relays = ["http://127.0.0.1:1"]\nstate_dir = "state"\n')
    assert run(["edge", "--config", str(file), "enrol", "CODE", "--anew"]) == 1
    assert "127.0.0.1 cannot be reached" in capsys.readouterr().err
    identity = IdentityStore(state).load()[keys.name]
    assert identity.public_key == keys.device.public_key().public_bytes_raw()
    assert sorted(path.name for path in state.iterdir()) == ["device.key", "enrolment.json"]
