"""Opening: from a source's name and the policy to a container of FFmpeg that has sound in it.

Files and web addresses are read by us and handed to FFmpeg as bytes, which may then open nothing itself; RTSP is
FFmpeg's own, SRT and line inputs are read by the `ffmpeg` of the system. Only formats that hold sound are probed for:
FFmpeg knows others that name further files.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import av
from av.container import InputContainer

from loacodecs.errors import reason

from .errors import SourceError, SourceForbidden
from .icy import plain
from .ogg import FromLink, next_link
from .playlist import Text, is_playlist, opener, station
from .program import ProgramFile, of_line, of_srt
from .spec import SourceSpec, shown
from .web import Transfer, WebFile

_SOUND: Final = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,latm,loas,matroska,mov,mp3,mpeg,mpegts,ogg,tta,w64,wav"
)
_SRT_OPTIONS: Final = frozenset({"latency", "streamid", "passphrase", "pbkeylen"})
"""What an address of SRT may ask for; listening, for one, is not for strangers to ask."""
_MICROSECONDS: Final = 1_000_000
_WAIT_S: Final = 30.0
"""Until FFmpeg itself gives up to wait, for the next part of a live playlist above all."""


@dataclass(slots=True)
class Medium:
    """An open source.

    live    it comes at its own pace and has no end of its own accord
    station that is certain, and not only a file of which the server does not say how long it is
    """

    container: InputContainer
    live: bool
    station: bool = False
    _title: Callable[[], str] = lambda: ""
    _owned: list[IO[bytes] | WebFile | ProgramFile] = field(default_factory=list)
    _chain: IO[bytes] | None = None
    _link: int = 0

    def follow(self) -> bool:
        """Go on, with another `container`, at the link of an Ogg file at which FFmpeg ended; False if there is none."""
        if self._chain is None or self.container.format.name != "ogg":
            return False
        try:
            link = next_link(self._chain, self._link)
            if link is None:
                return False
            following = _container(FromLink(self._chain, link), "ogg")
        except (av.error.FFmpegError, OSError, ValueError):
            return False
        self.container.close()
        self.container, self._link = following, link
        return bool(following.streams.audio)

    @property
    def title(self) -> str:
        """What it says is on; "" when it says nothing. A stream may change it at any time."""
        now = self._title()
        if now:
            return now
        stream = self.container.streams.audio[0]
        tags = {
            key.lower(): value for key, value in (*stream.metadata.items(), *self.container.metadata.items())
        }
        title = plain(tags.get("streamtitle") or tags.get("title", ""))
        artist = plain(tags.get("artist", ""))
        return f"{artist} - {title}" if artist and title else title

    @property
    def duration_s(self) -> float | None:
        """How long it is, None where nobody knows."""
        known = self.container.duration
        return None if self.live or not known or known < 0 else known / _MICROSECONDS

    def close(self) -> None:
        """Let go of everything."""
        self.container.close()
        for each in self._owned:
            each.close()


def open_medium(spec: SourceSpec, transfer: Transfer, *, open_timeout_s: float = 10.0) -> Medium:
    """Open `spec`, which is no tone. Raises SourceError; one that is `passing` is worth another try.

    May block for `open_timeout_s` and the time a name takes to be resolved. `transfer` can be cut meanwhile.
    """
    with _watched(transfer, open_timeout_s), _sentences(spec):
        if spec.kind == "file":
            medium = _open_file(spec, transfer)
        elif spec.kind == "http":
            medium = _open_web(spec, transfer)
        elif spec.kind == "alsa":
            medium = _open_line(spec, transfer)
        else:
            medium = _open_stream(spec, transfer, open_timeout_s)
    if not medium.container.streams.audio:
        medium.close()
        raise SourceError(f"{spec.name} has no sound in it")
    return medium


def _open_file(spec: SourceSpec, transfer: Transfer) -> Medium:
    policy = transfer.policy
    if not policy.trusted and not policy.allow_files:
        raise SourceForbidden("files are not allowed: [sources] allow_files names no folder")
    # A named pipe would wait for a writer; what a stranger names is judged first.
    extra = os.O_CLOEXEC | (0 if policy.trusted else os.O_NONBLOCK)
    file = open(spec.target, "rb", opener=lambda path, flags: os.open(path, flags | extra))  # noqa: SIM115
    try:
        policy.check_file(file.fileno(), spec.target)
        status = os.fstat(file.fileno())
        regular = stat.S_ISREG(status.st_mode)
        if not regular and not policy.trusted:
            raise SourceForbidden(f"{spec.target} is not a file")
        if regular and not status.st_size:
            raise SourceError(f"cannot open {spec.name}: it is empty")
        if policy.trusted and Path(spec.target).suffix.lower() == ".m3u8":
            container = _container(file, f"hls,{_SOUND}", io_open=_parts(transfer))
        else:
            container = _container(file, _SOUND)
    except BaseException:
        file.close()
        raise
    return Medium(container, live=not regular, _owned=[file], _chain=file if regular else None)


def _open_web(spec: SourceSpec, transfer: Transfer) -> Medium:
    file = WebFile(spec.target, transfer)
    try:
        if is_playlist(file):
            text = Text(file)
            if b"#EXT-X-" in text.getvalue():
                container = _open_playlist(text, transfer)
                live = not container.duration
                return Medium(container, live, station=live)
            file.close()
            file = WebFile(station(text), transfer)
        container = _container(file, _SOUND)
    except BaseException:
        file.close()
        raise
    return Medium(container, file.live, file.endless, lambda: file.title or file.station, [file])


def _open_playlist(text: Text, transfer: Transfer) -> InputContainer:
    transfer.parts.listed(text.name, text.getvalue())
    try:
        return _container(text, f"hls,{_SOUND}", io_open=opener(transfer), form="hls")
    except (SourceError, av.error.FFmpegError, OSError) as error:
        if transfer.parts.repeated:
            raise SourceError(
                f"{shown(text.name)} has had nothing new since it ended", passing=True
            ) from error
        raise


def _open_stream(spec: SourceSpec, transfer: Transfer, timeout_s: float) -> Medium:
    """RTSP, over UDP where the server has no TCP, or SRT: FFmpeg connects, to an address that we have judged."""
    policy = transfer.policy
    parts = urlsplit(spec.target)
    host = parts.hostname or ""
    # FFmpeg follows a redirect of RTSP by itself, so only a host that the operator has named is asked for it.
    policy.check_host(host, named=spec.kind == "rtsp")
    address = spec.target
    if not policy.trusted:
        judged = policy.addresses(host, parts.port or 554, transfer.resolve)[0]
        netloc = _netloc(parts.netloc, judged)
        address = urlunsplit(parts._replace(netloc=netloc, query=_query(spec, parts.query)))
    if spec.kind == "srt":
        return _open_program(ProgramFile(of_srt(address), spec.name, transfer), "mpegts")
    options = {
        "rtsp_transport": "tcp+udp",
        "rtsp_flags": "prefer_tcp",
        "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls",
        "format_whitelist": f"rtsp,rtp,{_SOUND}",
        "timeout": str(round(transfer.timeout_s * _MICROSECONDS)),
    }
    timeout = (timeout_s, transfer.timeout_s)
    began = time.monotonic()
    try:
        container = av.open(address, mode="r", options=options, timeout=timeout, metadata_errors="replace")
    except av.error.FFmpegError as error:
        waited = min(timeout)
        if time.monotonic() - began < 0.95 * waited:
            raise
        # FFmpeg calls an answer that never came invalid data.
        raise SourceError(f"{spec.name} does not answer within {waited:g} s", passing=True) from error
    return Medium(container, live=True)


def _open_line(spec: SourceSpec, transfer: Transfer) -> Medium:
    transfer.policy.check_device(spec.target)
    try:
        return _open_program(ProgramFile(of_line(spec.target, 2), spec.name, transfer), "au")
    except SourceError:
        transfer.check(spec.name)
    # A microphone may have one channel only.
    return _open_program(ProgramFile(of_line(spec.target, 1), spec.name, transfer), "au")


def _open_program(file: ProgramFile, form: str) -> Medium:
    try:
        return Medium(_container(file, form, look_s=1.0), live=True, _owned=[file])
    except BaseException:
        file.close()
        raise


def _container(
    file: Any,
    formats: str,
    *,
    form: str | None = None,
    look_s: float | None = None,
    io_open: Callable[..., Any] | None = None,
) -> InputContainer:
    """FFmpeg on bytes of ours. The protocol named does not exist: it shall open nothing itself."""
    options = {"format_whitelist": formats, "protocol_whitelist": "none"}
    if look_s is not None:
        options["analyzeduration"] = str(round(look_s * _MICROSECONDS))
    if io_open is not None:
        # FFmpeg's HLS takes every connection it may keep open for one of its own, and aborts the process on ours.
        options |= {"http_persistent": "0", "http_multiple": "0"}
    container: InputContainer = av.open(
        file, "r", form, options, io_open=io_open, timeout=_WAIT_S, metadata_errors="replace"
    )
    return container


def _parts(transfer: Transfer) -> Callable[[str, int, dict[str, str]], Any]:
    """Parts of a playlist in a file of the operator's: further files, or web addresses."""
    from_web = opener(transfer)

    def open_part(address: str, flags: int, options: dict[str, str]) -> Any:
        return from_web(address, flags, options) if "://" in address else Path(address).open("rb")

    return open_part


def _netloc(netloc: str, address: str) -> str:
    """`netloc` with the host replaced by an IP address; name, password and port stay."""
    user, at, place = netloc.rpartition("@")
    bracket = place.rfind("]")
    port = place[place.rfind(":") :] if place.rfind(":") > bracket else ""
    host = f"[{address}]" if ipaddress.ip_address(address.partition("%")[0]).version == 6 else address
    return f"{user}{at}{host}{port}"


def _query(spec: SourceSpec, query: str) -> str:
    if spec.kind != "srt":
        return query
    asked = parse_qsl(query)
    refused = [key for key, value in asked if key not in _SRT_OPTIONS and (key, value) != ("mode", "caller")]
    if refused:
        raise SourceForbidden(f"{shown(spec.target)} asks for {refused[0]}, which is not allowed from here")
    return urlencode(asked)


@contextlib.contextmanager
def _watched(transfer: Transfer, seconds: float) -> Iterator[None]:
    """Cut the connections when opening takes too long, whatever it is that takes so long."""
    watch = threading.Timer(seconds, transfer.cut, [f"does not answer within {seconds:g} s"])
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


@contextlib.contextmanager
def _sentences(spec: SourceSpec) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, EOFError) as error:
        passing = spec.network or isinstance(error, BlockingIOError)
        raise SourceError(f"cannot open {spec.name}: {reason(error)}", passing=passing) from error
