"""`loa publish` and `loa listen`.

Only click is imported here: the heavy libraries wait until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from loacodecs.errors import ConfigurationError

from .urls import Endpoint, Token, bearer, endpoint

_F = TypeVar("_F", bound=Callable[..., Any])
_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class EndpointType(click.ParamType[Endpoint]):
    """A channel's page or endpoint."""

    name = "url"

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:
        try:
            return endpoint(str(value), self._protocol)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


class DurationType(click.ParamType[float]):
    """Seconds, or a number with ms, s, m, h or d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", str(value).strip().lower())
        seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if seconds <= 0:
            self.fail(f"{value!r} is not a duration; write 30, 500ms, 10s, 5m, 8h or 30d", param, ctx)
        return seconds


class BitrateType(click.ParamType[int]):
    """Bits per second, or with a k thousands of them; what Opus allows."""

    name = "bitrate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k?)", str(value).strip().lower())
        bitrate = round(float(match[1]) * (1000 if match[2] else 1)) if match else 0
        if not 6000 <= bitrate <= 510_000:
            self.fail(f"{value!r} is not a bitrate of Opus; write 6k to 510k", param, ctx)
        return bitrate


def _connection_options(command: _F) -> _F:
    """Options that both commands have."""
    for option in (
        click.option(
            "--cacert",
            type=click.Path(exists=True, dir_okay=False),
            help="Trust the certificates in this file.",
        ),
        click.option("--insecure", is_flag=True, help="Trust any certificate (for a trial only)."),
        click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File with the token; read again at each connection.",
        ),
        click.option(
            "--token",
            envvar="LOA_TOKEN",
            help="The token; better in LOA_TOKEN or a file, as others see this.",
        ),
        click.option(
            "--duration",
            type=DurationType(),
            metavar="TIME",
            help="Stop after so long: 30 (seconds), 5m, 1h.",
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Send a file, a stream or a tone to a channel.")
@click.argument("url", type=EndpointType("whip"), metavar="URL")
@click.argument("source")
@click.option(
    "--bitrate", type=BitrateType(), default="32k", show_default=True, help="Bits per second of Opus."
)
@click.option(
    "--frame",
    type=click.Choice(["10", "20", "40", "60"]),
    default="20",
    show_default=True,
    help="Milliseconds of sound in a packet.",
)
@click.option(
    "--fec/--no-fec", default=False, show_default=True, help="In-band copies of frames (low bitrates)."
)
@click.option("--dtx", is_flag=True, help="Send next to nothing in silence.")
@click.option(
    "--complexity",
    type=click.IntRange(0, 10),
    default=5,
    show_default=True,
    help="Care of the encoder: 0 is quick, 10 thorough.",
)
@click.option("--loop", is_flag=True, help="Begin again at the end of the file, without a gap.")
@click.option("--replace", is_flag=True, help="Take the channel over from a publisher that is on air.")
@click.option("--once", is_flag=True, help="Give up instead of connecting again.")
@_connection_options
def publish(
    url: Endpoint,
    source: str,
    *,
    bitrate: int,
    frame: str,
    fec: bool,
    dtx: bool,
    complexity: int,
    loop: bool,
    replace: bool,
    once: bool,
    duration: float | None,
    token: str | None,
    token_file: Path | None,
    insecure: bool,
    cacert: str | None,
) -> int:
    """Send SOURCE to the channel at URL.

    SOURCE is a file or address that FFmpeg reads, or tone[:HERTZ]. URL is the channel's page or its WHIP
    endpoint: https://relay/channel. A lost connection is made again until the sound ends or you stop it;
    a file waits meanwhile.
    """
    from .programme import Encoding
    from .publish import PublishSettings, run
    from .whip import Trust

    return run(
        PublishSettings(
            endpoint=url,
            source=source,
            loop=loop,
            encoding=Encoding(bitrate, int(frame), fec, dtx, complexity),
            duration_s=duration,
            replace=replace,
            once=once,
            token=_token_reader(url, token, token_file),
            trust=Trust(insecure, cacert),
        )
    )


@click.command(short_help="Hear a channel: meter it or write it to a file.")
@click.argument("url", type=EndpointType("whep"), metavar="URL")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.wav is decoded, gaps concealed; FILE.ogg gets the packets as they came.",
)
@_connection_options
def listen(
    url: Endpoint,
    *,
    output: Path | None,
    duration: float | None,
    token: str | None,
    token_file: Path | None,
    insecure: bool,
    cacert: str | None,
) -> int:
    """Listen to the channel at URL, its page or its WHEP endpoint: https://relay/channel.

    Exit code 0 means that sound was heard; 1 that there was none, that it stopped before the end of
    --duration, or that the connection broke.
    """
    from .listen import ListenSettings, run
    from .whip import Trust

    if output is not None and output.suffix.lower() not in (".wav", ".ogg", ".opus"):
        raise click.BadParameter(f"{output}: write to a .wav or an .ogg file", param_hint="--output")
    return run(
        ListenSettings(
            endpoint=url,
            output=output,
            duration_s=duration,
            token=_token_reader(url, token, token_file),
            trust=Trust(insecure, cacert),
        )
    )


def _token_reader(url: Endpoint, token: str | None, file: Path | None) -> Callable[[], Token | None]:
    """Where the token comes from, asked at each connection so that a file can be renewed meanwhile.

    --token-file goes before --token and LOA_TOKEN, these before the token in the address of a page.
    """

    def read() -> Token | None:
        if file is not None:
            try:
                value = file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"--token-file {file} cannot be read: {error}") from error
            return bearer(value, f"--token-file {file}")
        if token:
            return bearer(token.strip(), "the token")
        return url.token

    return read
