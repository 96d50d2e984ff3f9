from __future__ import annotations

import pytest

from loacodecs import sdp_grammar
from loacodecs.errors import SdpError

TEXT = (
    "v=0\no=- 1 1 IN IP4 127.0.0.1\na=x-loa-idle:50\na=group:BUNDLE 0\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 063 111\nc=IN IP4 0.0.0.0\na=mid:0\na=ptime:20\na=ptime:60\na=rtcp-mux\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n"
)


def test_sections_keep_their_attributes_in_order() -> None:
    head, (audio, data) = sdp_grammar.parse(TEXT)
    assert head.attributes == (("x-loa-idle", "50"), ("group", "BUNDLE 0"))
    assert (audio.kind, audio.port, audio.protocol, audio.mid) == ("audio", 9, "UDP/TLS/RTP/SAVPF", "0")
    assert audio.formats == ("63", "111")
    assert list(audio.all("ptime")) == ["20", "60"]
    assert audio.last("ptime") == "60"
    assert audio.has("rtcp-mux")
    assert audio.last("rtcp-mux") == ""
    assert audio.last("sendonly") is None
    assert data.formats == ("webrtc-datachannel",)
    assert data.mid == ""


@pytest.mark.parametrize(
    "line",
    [
        "m=audio",
        "m=audio 9 UDP 1 x",
        "m=audio 9 UDP 72",
        "m=audio 9 UDP ²",
        "m=audio 123456 UDP 1",
        "m= 9 UDP 1",
    ],
)
def test_a_malformed_media_line_is_said(line: str) -> None:
    with pytest.raises(SdpError, match="read"):
        sdp_grammar.parse(f"v=0\n{line}\n")
