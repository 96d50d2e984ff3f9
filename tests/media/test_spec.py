"""What people write is understood, and what they cannot have meant is refused in a sentence."""

from __future__ import annotations

import pytest

from loacodecs.errors import ConfigurationError
from loamedia.spec import SourceSpec, parse_spec, shown


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("bulletin.mp3", "file", "bulletin.mp3"),
        ("/srv/loa/a b.ogg", "file", "/srv/loa/a b.ogg"),
        ("file:/srv/loa/a.ogg", "file", "/srv/loa/a.ogg"),
        ("file:///srv/loa/b%E1%BA%A3n%20tin.ogg", "file", "/srv/loa/bản tin.ogg"),
        ("file:a.ogg", "file", "a.ogg"),
        ("./tone", "file", "./tone"),
        ("09:00 tin.mp3", "file", "09:00 tin.mp3"),
        ("https://radio.example.vn/live?key=1", "http", "https://radio.example.vn/live?key=1"),
        ("icecast://radio.example.vn:8000/live", "http", "http://radio.example.vn:8000/live"),
        ("RTSP://camera/1", "rtsp", "RTSP://camera/1"),
        ("srt://studio:9000", "srt", "srt://studio:9000"),
        ("alsa:hw:1", "alsa", "hw:1"),
        ("alsa:", "alsa", "default"),
        ("tone", "tone", "440"),
        ("tone:1000", "tone", "1000"),
    ],
)
def test_what_is_meant(text: str, kind: str, target: str) -> None:
    spec = parse_spec(text)
    assert (spec.kind, spec.target) == (kind, target)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a\0b", "x" * 3000, "file://server/a.ogg", "file:", "ftp://host/a", "concat://a|b", "https://", "http://a:0/",
     "http://host/a b", "http://[::1/", "tone:loud", "tone:nan", "tone:5"],
)  # fmt: skip
def test_what_nobody_can_mean(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_spec(text)


def test_names_show_no_secret() -> None:
    address = "https://user:secret@radio.example.vn:8443/live?token=secret#secret"
    assert shown(address) == "https://radio.example.vn:8443/live"
    assert parse_spec(address).name == "https://radio.example.vn:8443/live"
    assert SourceSpec("file", "/srv/loa/a.ogg").name == "a.ogg"
    assert parse_spec("tone:1000").name == "tone 1000 Hz"
