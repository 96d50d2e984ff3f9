"""What commands that ask a relay over its HTTP API have in common: options, and answers as one sentence.

Only click is imported here: httpx waits until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from relay.duration import parse_duration

_F = TypeVar("_F", bound=Callable[..., Any])
_SECONDS: Final = 15.0


class Duration(click.ParamType[float]):
    """Seconds, from a number with a unit."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise click.ClickException(f"the relay {self.url} does not answer: {error}") from None
        try:
            content = answer.json() if answer.content else {}
        except ValueError:
            content = None
        if answer.is_success and content is not None:
            return content
        detail = content.get("detail") if isinstance(content, dict) else None
        hint = "; give a token with --token-file" if answer.status_code == 401 and self.token is None else ""
        raise click.ClickException(
            f"{detail or f'{self.url} is no Loa relay, it says {answer.status_code}'}{hint}"
        )


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
    local = urlsplit(f"//{url}").hostname in ("localhost", "127.0.0.1", "::1")
    parts = urlsplit(url if "://" in url else f"{'http' if local else 'https'}://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(
            f"{url} is not the address of a relay, as https://host is", param_hint="--url"
        )
    verify: ssl.SSLContext | bool = not insecure
    if cacert is not None and not insecure:
        try:
            verify = ssl.create_default_context(cafile=cacert)
        except OSError:
            raise click.ClickException(f"--cacert {cacert} holds no certificate") from None
    return Relay(f"{parts.scheme}://{parts.netloc}", token, verify)


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
