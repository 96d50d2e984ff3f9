"""What commands that ask a relay over its HTTP API have in common: options, and answers as one sentence.

Only click is imported here: httpx waits until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from relay.complaints import no_answer, odd_answer
from relay.duration import parse_duration

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS: Final = 15.0
_NOTHING: Final = "there is nothing at this address"
"""What a relay says of an address that it does not have, or has not with its configuration."""


class Duration(click.ParamType[float]):
    """Seconds, from a number with a unit."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.FloatRange):
    """A number in its range; `nan` and `inf`, which Python takes for numbers and JSON does not have, are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; fails with a sentence for people."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class _Answer(dict[str, Any]):
    """What a relay says; that something is not in it tells that it was none, or one of another time."""

    def __init__(self, content: Mapping[str, Any], url: str) -> None:
        super().__init__(content)
        self._url = url

    def __missing__(self, key: str) -> Any:
        raise click.ClickException(
            f"{self._url} is no Loa relay, or not of this version: its answer lacks {key}"
        )


@dataclass(frozen=True, slots=True)
class Relay:
    """Where to ask, and with what right."""

    url: str
    token: str | None
    verify: ssl.SSLContext | bool

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """The JSON of the answer. Raises click.ClickException with one sentence."""
        import httpx

        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            with httpx.Client(base_url=self.url, verify=self.verify, timeout=_SECONDS) as client:
                answer = client.request(method, path, json=body, params=query, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last: no name of a host
            raise click.ClickException(no_answer(self.url, error, _SECONDS)) from None
        try:
            content = answer.json() if answer.content else {}
        except ValueError:
            content = None
        if answer.is_success and isinstance(content, dict):
            return _Answer(content, self.url)
        detail = content.get("detail") if isinstance(content, dict) else None
        if not isinstance(detail, str):
            raise click.ClickException(odd_answer(self.url, answer))
        if answer.status_code == 401 and self.token is None:
            detail = f"{detail.split(';')[0]}; give a token with --token-file, or in LOA_TOKEN"
        if detail == _NOTHING:
            detail += f"; {self.url} is older than this command, or mixes no channel, if this is about one"
        raise click.ClickException(detail)


def relay_of(
    url: str, token: str | None, token_file: Path | None, cacert: str | None, insecure: bool
) -> Relay:
    """The relay that the options of `asks` name. Raises click.ClickException, click.BadParameter."""
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            raise click.ClickException(f"--token-file {token_file} cannot be read as a token") from None
    token = token.strip() if token else None
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise click.ClickException(
            "the token has characters that no token has; copy the whole of it, and nothing else"
        )
    parts = _address(url)
    verify: ssl.SSLContext | bool = not insecure
    if cacert is not None and not insecure:
        try:
            verify = ssl.create_default_context(cafile=cacert)
        except OSError:
            raise click.ClickException(f"--cacert {cacert} holds no certificate") from None
    return Relay(f"{parts.scheme}://{parts.netloc}", token, verify)


def _address(url: str) -> SplitResult:
    """The parts of `url`; a name alone is meant as https, unless it is this machine. Raises click.BadParameter."""
    try:
        local = urlsplit(f"//{url}").hostname in ("localhost", "127.0.0.1", "::1")
        parts = urlsplit(url if "://" in url else f"{'http' if local else 'https'}://{url}")
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, half a bracket
        sound = False
    if not sound:
        raise click.BadParameter(
            f"{url or 'an empty text'} is not the address of a relay, as https://host is", param_hint="--url"
        )
    return parts


def asks(scope: str) -> Callable[[_F], _F]:
    """Options that every command has which asks with a token of `scope`; `relay_of` takes them."""

    def decorate(command: _F) -> _F:
        for option in (
            click.option(
                "--url",
                envvar="LOA_URL",
                default="http://localhost:8889",
                show_default=True,
                metavar="URL",
                help="The relay's address.",
            ),
            click.option(
                "--token-file",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help=f"File with a token of scope {scope}.",
            ),
            click.option(
                "--token",
                envvar="LOA_TOKEN",
                help="The token; better in LOA_TOKEN or a file, as others see this.",
            ),
            click.option(
                "--cacert",
                type=click.Path(exists=True, dir_okay=False),
                help="Trust the certificates in this file.",
            ),
            click.option("--insecure", is_flag=True, help="Trust any certificate (for a trial only)."),
        ):
            command = option(command)
        return command

    return decorate
