"""`loa serve`, `loa token` (its members: relay/token_cli.py), `loa check`.

Only click is imported here: the heavy libraries wait until a command runs, so that `loa --help` stays light.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from loacodecs.errors import LoaError
from relay.printing import moment
from relay.token_cli import COMMANDS

if TYPE_CHECKING:
    from relay.config import Config
    from relay.tokens import MeetingRole, Scope

_DEFAULT_FILE = Path("loa.toml")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _one_line(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Errors of ours end the command with one line and exit code 1, configuration mistakes included."""

    @wraps(command)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except LoaError as error:
            raise click.ClickException(" ".join(str(error).split())) from None

    return guarded


def _config_option(command: Callable[_P, _R]) -> Callable[_P, _R]:
    return click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        envvar="LOA_CONFIG",
        help="Configuration file; without it loa.toml of the current folder, if there is one.",
    )(command)


def _file(file: Path | None) -> Path | None:
    return file or (_DEFAULT_FILE if _DEFAULT_FILE.exists() else None)


def _load(file: Path | None) -> Config:
    """The configuration. Raises click.ClickException with one line, however many mistakes there are."""
    from relay.config import load
    from relay.mistakes import InvalidConfiguration

    path = _file(file)
    try:
        return load(path, os.environ)
    except InvalidConfiguration as error:
        first, more = error.mistakes[0], len(error.mistakes) - 1
        rest = f" (and {more} more: run loa check)" if more else ""
        prefix = "" if path is None or first.path == str(path) else f"{path}: "
        raise click.ClickException(f"{prefix}{first}{rest}") from None


@click.command()
@_config_option
@click.option("--demo", is_flag=True, help="Put a demo programme on air, to hear that everything works.")
@_one_line
def serve(file: Path | None, demo: bool) -> None:
    """Run the relay until it is told to stop (SIGTERM drains, a second one forces)."""
    config = _load(file)
    from relay.app import serve as run

    run(config, demo)


@click.group(invoke_without_command=True)
@_config_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["publish", "listen", "control", "recordings", "emergency", "metrics", "admin"]),
    help="What the token allows; may be given more than once.",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME",
    help="Channel the token is for, by name or glob such as 'xa-*'; may be given more than once.",
)
@click.option(
    "--role",
    type=click.Choice(["chair", "speaker"]),
    help="What its bearer is in a meeting; goes with --scope publish.",
)
@click.option("--ttl", default="8h", show_default=True, help="How long it is valid: 30m, 8h, 365d.")
@click.option("--subject", default="operator", show_default=True, help="Who it is for, as logs will show.")
@click.pass_context
@_one_line
def token(
    context: click.Context, file: Path | None, scopes: tuple[Scope, ...], channels: tuple[str, ...],
    role: MeetingRole | None, ttl: str, subject: str,
) -> None:  # fmt: skip
    """Print a signed bearer token, and nothing else, on standard output; its id, for who revokes it, on standard error.

    The commands below look at tokens and revoke them.
    """
    if context.invoked_subcommand is not None:
        if scopes or channels or role:
            raise click.UsageError(f"the options before {context.invoked_subcommand} are for making a token")
        return
    if not scopes:
        raise click.UsageError("Missing option '--scope': what the token allows")
    _mint(file, scopes, channels, role, ttl, subject)


for member in COMMANDS:
    token.add_command(member)


def _mint(
    file: Path | None, scopes: tuple[Scope, ...], channels: tuple[str, ...], role: MeetingRole | None, ttl: str,
    subject: str,
) -> None:  # fmt: skip
    from relay.duration import parse_duration
    from relay.tokens import Tokens, load_secret

    try:
        seconds = parse_duration(ttl)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--ttl") from None
    config = _load(file)
    for name in channels:
        _warn_of_unknown(name, config)
    tokens = Tokens(load_secret(config.secret_file))
    try:
        minted = tokens.mint(subject=subject, scopes=scopes, channels=channels, ttl=seconds, role=role)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    grant = tokens.verify(minted)
    click.echo(f"token {grant.id} of {subject}, good until {moment(grant.expires)}", err=True)
    click.echo(minted)


def _warn_of_unknown(name: str, config: Config) -> None:
    from relay.mistakes import suggestion

    if set(name) & set("*?[") or name in config.channels.named or config.channels.auto:
        return
    hint = suggestion(name, config.channels.named)
    click.echo(f"note: the configuration has no channel {name}{hint}", err=True)


@click.command()
@_config_option
@_one_line
def check(file: Path | None) -> None:
    """Check the configuration: one line for each mistake, exit code 1 when there is any."""
    from relay.config import load
    from relay.mistakes import InvalidConfiguration

    path = _file(file)
    try:
        config = load(path, os.environ)
    except InvalidConfiguration as error:
        for mistake in error.mistakes:
            click.echo(str(mistake))
        raise click.exceptions.Exit(1) from None
    missing = _missing_files(config)
    for line in missing:
        click.echo(line)
    if missing:
        raise click.exceptions.Exit(1)
    click.echo(_summary(path, config))


def _missing_files(config: Config) -> list[str]:
    """Files that the configuration names and `serve` would not be able to read."""
    named = {"http.certificate": config.http.certificate, "http.key": config.http.key}
    for name, channel in config.channels.named.items():
        named[f"channels.{name}.token_file"] = channel.token_file
    lines = []
    for key, path in named.items():
        if path is None:
            continue
        try:
            path.read_bytes()
        except OSError as error:
            lines.append(f"{key}: {path} cannot be read: {error.strerror}")
    return lines


def _summary(path: Path | None, config: Config) -> str:
    named = config.channels.named
    public = sum(channel.public for channel in named.values())
    relayed = sum(bool(channel.source) for channel in named.values())
    auto = ", more on first publish" if config.channels.auto else ""
    return (
        f"{path or 'no file, defaults'}: no mistakes. "
        f"{len(named)} channel{'s' * (len(named) != 1)} "
        f"({public} public, {relayed} from other relays{auto}), "
        f"media on UDP {', '.join(config.media.listen)}, "
        f"{'HTTP' if config.http.tls == 'off' else 'HTTPS'} on {config.http.listen}"
    )
