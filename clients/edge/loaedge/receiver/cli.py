"""`loa edge` and what belongs to it. Only click is imported here; the libraries wait until a command runs."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from loacodecs.errors import ConfigurationError, LoaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..control.identity import Aside, Enrolment, IdentityStore
    from .config import Config

DEFAULT: Final = Path("/etc/loa/edge.toml")
_PATH: Final = click.Path(dir_okay=False, path_type=Path)


@click.group(short_help="Play a channel on this machine's loudspeaker.", invoke_without_command=True)
@click.option("--config", "path", type=_PATH, default=DEFAULT, show_default=True, help="The receiver's file.")
@click.pass_context
def edge(context: click.Context, path: Path) -> int | None:
    """Be a receiver: play a channel at its delay, for ever, whatever happens to the network.

    Everything is told by a file (docs/edge.md); SIGTERM ends it. Commands take the same file:
    loa edge --config FILE doctor
    """
    context.obj = path
    return _run(path) if context.invoked_subcommand is None else None


@edge.command(short_help="Look for what keeps this receiver silent.")
@click.pass_obj
def doctor(path: Path) -> int:
    """Look at clock, disk, sound, amplifier, programmes, enrolment, network and relays.

    Each has a verdict and, where it is bad, a mend. Exit code 1 when anything fails.
    """
    import asyncio
    import time

    from .doctor import examine

    config = _load(path)

    async def look() -> int:
        failed = 0
        async for finding in examine(config, time.time()):
            mark = {"ok": "ok      ", "warning": "warning ", "failure": "FAILURE "}[finding.verdict]
            click.echo(f"{mark}{finding.about}: {finding.sentence}")
            if finding.mend:
                click.echo(f"        mend: {finding.mend}")
            failed += finding.verdict == "failure"
        return failed

    failed = asyncio.run(look())
    click.echo(f"{failed} of these must be mended" if failed else "nothing need be mended")
    return 1 if failed else 0


@edge.command(short_help="List what sound can be played on.")
def devices() -> int:
    """List sound devices as the file takes them: output = "…"."""
    from ..outputs.devices import list_devices

    found, problems = list_devices()
    for device in found:
        click.echo(f"{device.spec}\t{device.about}")
    for problem in problems:
        click.echo(f"loa edge devices: {problem}", err=True)
    return 0 if found else 1


@edge.command(short_help="Enrol this receiver with a relay.")
@click.argument("code")
@click.option("--relay", help="The relay's address; the first one of the file unless given.")
@click.option("--name", default="", help="What people call this receiver; else as the code says.")
@click.option("--anew", is_flag=True, help="Make a new key: the relay will see another device.")
@click.pass_obj
def enrol(path: Path, code: str, relay: str | None, name: str, *, anew: bool) -> int:
    """Enrol this receiver with the one-time CODE that `loa device code` printed on the relay's side.

    A receiver whose key was revoked gets another one; the old one is kept beside it.
    """
    import asyncio

    from ..control.enrol import enrol as enrol_with
    from ..control.identity import IdentityStore
    from ..whip import Trust
    from .config import DEFAULT_STATE

    config = _load(path) if path.exists() else None
    directory = config.state_dir if config is not None else DEFAULT_STATE
    address = relay or (config.relays[0] if config is not None else None)
    if address is None:
        raise click.UsageError(f"which relay? There is no {path}; give --relay https://…")
    ca_file = str(config.ca_file) if config is not None and config.ca_file is not None else None
    store, tls = IdentityStore(directory), Trust(ca_file=ca_file, option="ca_file").context()
    try:
        done, aside = _enrol(
            store, lambda: asyncio.run(enrol_with(address, code, name, directory, tls=tls)), anew=anew
        )
    finally:
        _give_to_owner(directory)
    if aside.key is not None:
        click.echo(f"the old key is kept as {aside.key}")
    channel = f", channel {done.channel}" if done.channel else ""
    click.echo(f"enrolled as {done.device}{channel}; a running receiver takes it up within 10 s")
    for other in aside.relays:
        if other != done.relay:
            click.echo(
                f"it was enrolled with {other}, too: enrol it there again, by loa edge enrol CODE --relay URL"
            )
    return 0


@edge.command(short_help="Print a systemd unit for this installation.")
@click.pass_obj
def unit(path: Path) -> int:
    """Print a unit for /etc/systemd/system/loa-edge.service: watchdog, hardening, for ever."""
    import grp

    from .unit import unit as make

    here = {group.gr_name for group in grp.getgrall()}
    click.echo(make(path, groups=tuple(sorted(here & {"gpio"}))), nl=False)
    return 0


def _enrol(store: IdentityStore, attempt: Callable[[], Enrolment], *, anew: bool) -> tuple[Enrolment, Aside]:
    """The enrolment, with a new key where one is wanted or needed, and what became of the old one.

    A receiver that could not be enrolled anew is who it was.
    """
    from ..control.enrol import KeyRevokedError
    from ..control.identity import Aside

    aside = store.set_aside() if anew else Aside()
    try:
        return attempt(), aside
    except KeyRevokedError as error:
        aside = store.set_aside()
        click.echo(f"{error}: it gets a new one")
        return attempt(), aside
    except (LoaError, KeyboardInterrupt):
        store.bring_back(aside)
        raise


def _run(path: Path) -> int:
    import asyncio
    import gc

    config = _load(path)

    async def run() -> None:
        from ..stopping import stop_signals
        from .app import Receiver
        from .notify import Notifier

        with stop_signals() as stop:
            receiver = Receiver(config, notifier=Notifier())
            # What is here stays: to look through it again and again would hold the sound up for nothing.
            gc.collect()
            gc.freeze()
            try:
                await receiver.run(stop)
            finally:
                gc.unfreeze()

    _log_to_console(config.log_level)
    asyncio.run(run())
    return 0


def _load(path: Path) -> Config:
    """The configuration; its mistakes are printed, one a line. Raises ConfigurationError."""
    from .checking import InvalidConfiguration
    from .config import load

    try:
        return load(path)
    except InvalidConfiguration as error:
        for line in error.lines[:-1]:
            click.echo(f"loa: {path}: {line}", err=True)
        raise ConfigurationError(f"{path}: {error.lines[-1]}") from None


def _log_to_console(level: str) -> None:
    """Lines to standard error; the journal adds the time itself."""
    form = "%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(message)s"
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr)
    for name in ("asyncio", "httpx", "httpcore", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _give_to_owner(directory: Path) -> None:
    """What root has written belongs to whom the directory belongs: the service's user must read it."""
    if os.geteuid() != 0 or not directory.exists():
        return
    owner = directory.stat()
    for path in directory.iterdir():
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
