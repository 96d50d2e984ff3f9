"""Who the device is, kept to itself, and broken files that say so."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from loacodecs.control import Hello
from loacodecs.signing import is_genuine, public_octets
from loacodecs.strict_json import to_base64url
from loaedge.control.identity import ENROLMENT_FILE, KEY_FILE, Aside, Enrolment, IdentityError, IdentityStore
from loaedge.disk import DiskError
from tests.support.fake_link_relay import RelayKeys
from tests.support.full_disk import SmallDisk


def enrolled(folder: Path, *relays: RelayKeys) -> IdentityStore:
    store = IdentityStore(folder)
    store.key(os.urandom)
    for relay in relays:
        store.add(relay.enrolment())
    return store


def word(folder: Path) -> str:
    with pytest.raises(IdentityError) as caught:
        IdentityStore(folder).load()
    return caught.value.word


def test_the_key_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    first = IdentityStore(tmp_path).key(os.urandom)
    again = IdentityStore(tmp_path).key(os.urandom)
    assert public_octets(first) == public_octets(again)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_an_identity_answers_its_relays_challenge(tmp_path: Path) -> None:
    keys = RelayKeys()
    enrolled(tmp_path, keys)
    identity = IdentityStore(tmp_path).load()[keys.name]
    hello = Hello(identity.device, "1", 1, (), identity.answer("nonce"))
    public = public_octets(identity.key)
    assert is_genuine(hello, relay=keys.name, nonce="nonce", public_key=public)
    assert not is_genuine(hello, relay=keys.name, nonce="other", public_key=public)
    assert identity.command_key == keys.public
    secret = (tmp_path / KEY_FILE).read_text().strip()
    assert secret not in repr(identity)
    assert "key" not in repr(identity).replace("command_key", "")


def test_several_relays_are_kept_side_by_side(tmp_path: Path) -> None:
    one, two = RelayKeys(), RelayKeys()
    enrolled(tmp_path, one, two, one)
    assert set(IdentityStore(tmp_path).load()) == {one.name, two.name}


def test_without_files_nobody_is_enrolled(tmp_path: Path) -> None:
    assert word(tmp_path) == "not enrolled"
    IdentityStore(tmp_path).key(os.urandom)
    assert word(tmp_path) == "not enrolled"


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 43, b"A" * 42 + b"\n", b"A" * 50_000])
def test_a_corrupt_key_is_said_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    enrolled(tmp_path, RelayKeys())
    (tmp_path / KEY_FILE).write_bytes(content)
    assert word(tmp_path) == "key corrupt"
    with pytest.raises(IdentityError):
        IdentityStore(tmp_path).key(os.urandom)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_a_key_from_another_box_does_not_fit(tmp_path: Path) -> None:
    enrolled(tmp_path, RelayKeys())
    (tmp_path / KEY_FILE).write_text(to_base64url(os.urandom(32)))
    assert word(tmp_path) == "enrolment corrupt"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"relays": 3, "public_key": ""}',
        b'{"relays": [], "public_key": 7}',
        b"\xff",
    ],
)
def test_a_corrupt_enrolment_is_said_and_mended_by_the_next(tmp_path: Path, content: bytes) -> None:
    keys = RelayKeys()
    store = enrolled(tmp_path, keys)
    (tmp_path / ENROLMENT_FILE).write_bytes(content)
    assert word(tmp_path) == "enrolment corrupt"
    store.add(keys.enrolment())
    assert set(IdentityStore(tmp_path).load()) == {keys.name}


def test_a_command_key_that_is_not_the_relays_own_is_noticed(tmp_path: Path) -> None:
    keys, other = RelayKeys(), RelayKeys()
    store = enrolled(tmp_path, keys)
    with pytest.raises(IdentityError):
        store.add(Enrolment("dev-1", keys.name, to_base64url(other.public)))
    document = json.loads((tmp_path / ENROLMENT_FILE).read_text())
    document["relays"][0]["command_key"] = to_base64url(other.public)
    (tmp_path / ENROLMENT_FILE).write_text(json.dumps(document))
    assert word(tmp_path) == "enrolment corrupt"


def test_a_full_disk_keeps_what_was(tmp_path: Path) -> None:
    keys = RelayKeys()
    enrolled(tmp_path, keys)
    with pytest.raises(DiskError):
        IdentityStore(tmp_path, SmallDisk(room=10)).add(RelayKeys().enrolment())
    assert set(IdentityStore(tmp_path).load()) == {keys.name}


def test_an_identity_set_aside_is_kept_and_the_next_is_another_device(tmp_path: Path) -> None:
    one, two = RelayKeys(), RelayKeys()
    store = enrolled(tmp_path, one, two)
    files = [tmp_path / KEY_FILE, tmp_path / ENROLMENT_FILE]
    before = [path.read_bytes() for path in files]
    aside = store.set_aside()
    assert word(tmp_path) == "not enrolled"
    assert aside.key == tmp_path / "device.key.old"
    assert set(aside.relays) == {one.name, two.name}
    assert [path.with_name(path.name + ".old").read_bytes() for path in files] == before
    assert stat.S_IMODE(aside.key.stat().st_mode) == 0o600
    store.key(os.urandom)
    assert [path.exists() for path in files] == [True, False]
    assert store.set_aside() == Aside(tmp_path / "device.key.old-2")
    assert aside.key.read_bytes() == before[0], "nothing that was kept is lost"
    assert store.set_aside() == Aside()


def test_what_was_set_aside_is_brought_back_in_the_place_of_what_came_after(tmp_path: Path) -> None:
    keys = RelayKeys()
    store = enrolled(tmp_path, keys)
    store.set_aside()
    store.key(os.urandom)
    before = store.set_aside()
    enrolled(tmp_path, keys)
    known = store.load()[keys.name].public_key
    aside = store.set_aside()
    store.key(os.urandom)
    store.bring_back(aside)
    assert store.load()[keys.name].public_key == known
    assert before.key is not None
    assert before.key.exists(), "what was set aside earlier stays there"
    assert not (tmp_path / "device.key.old-3").exists()
    store.bring_back(Aside())
    assert store.load()[keys.name].public_key == known


def test_even_a_corrupt_key_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    aside = IdentityStore(tmp_path).set_aside()
    assert aside.key is not None
    assert aside.key.read_bytes() == b"short"


def test_the_first_channel_is_that_of_the_enrolment(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path)
    assert store.first_channel() == ""
    enrolled(tmp_path, RelayKeys())
    assert store.first_channel() == "commune-1"
    (tmp_path / ENROLMENT_FILE).write_text("{")
    assert store.first_channel() == ""
