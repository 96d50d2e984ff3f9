"""Names of channels."""

from __future__ import annotations

import pytest

from relay.names import RESERVED_NAMES, checked_channel_name, is_channel_name


@pytest.mark.parametrize("name", ["xa", "x", "tinh-tien-giang", "xa_01", "a.b", "0", "x" * 63])
def test_names(name: str) -> None:
    assert is_channel_name(name)
    assert checked_channel_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-x", ".x", "Xa", "xã", "a/b", "a b", "a\n", "x" * 64, *sorted(RESERVED_NAMES)]
)
def test_no_names(name: str) -> None:
    assert not is_channel_name(name)
    with pytest.raises(ValueError, match=r"choose another|cannot name a channel"):
        checked_channel_name(name)
