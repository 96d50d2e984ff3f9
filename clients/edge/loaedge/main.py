"""The command `loa`: a group whose commands come from the packages that are installed.

Entry points of the group "loa.commands" name the commands; one is imported only when it is run or listed, and
its module leaves the heavy libraries to the moment of running, so `loa --help` stays light.
Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from loacodecs.errors import ConfigurationError, LoaError

_OWN = frozenset({"loacodecs", "loamedia", "loaedge", "loaweb", "relay", "bench"})
_EXTRA_OF_PACKAGE = {"relay": "server", "bench": "bench"}


class LoaGroup(click.Group):
    """A click group that finds its commands among the entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({point.name for point in _points()} | set(self.commands))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = _point(cmd_name)
        if point is None:
            return super().get_command(ctx, cmd_name)
        try:
            command = point.load()
        except ModuleNotFoundError as error:
            return _stand_in(point, error)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            point = _point(ctx.invoked_subcommand or "")
            if point is None or not _is_foreign(error):
                raise
            return _fail(_what_to_install(point), 1)


@click.group(cls=LoaGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="loa", prog_name="loa")
def loa() -> None:
    """Live audio relay for grassroots radio: one live voice reaches every loudspeaker."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `loa` and exit; an error is one line on standard error."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `loa` and give its exit code; a command gives its own by returning an int."""
    try:
        result = loa.main(args=arguments, prog_name="loa", standalone_mode=False)
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command; from click 8.2 on
            click.echo(error.format_message(), err=True)
            return 2
        path = error.ctx.command_path if error.ctx else "loa"
        return _fail(f"{path}: {_sentence(error)} (see '{path} --help')", 2)
    except click.ClickException as error:
        return _fail(f"loa: {error.format_message()}", error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except ConfigurationError as error:
        return _fail(f"loa: {error}", 2)
    except LoaError as error:
        return _fail(f"loa: {error}", 1)
    except BrokenPipeError:
        # The reader of our output left; the interpreter's own flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _sentence(error: click.UsageError) -> str:
    """What is wrong; for a command that is none, which there are."""
    sentence = error.format_message().rstrip(".")
    group = error.ctx.command if error.ctx is not None else None
    if error.ctx is None or not isinstance(group, click.Group) or not sentence.startswith("No such command"):
        return sentence
    return f"{sentence.split('.')[0]}; there are {', '.join(group.list_commands(error.ctx))}"


def _fail(line: str, code: int) -> int:
    click.echo(" ".join(line.split()), err=True)
    return code


def _points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group="loa.commands"))


def _point(command: str) -> EntryPoint | None:
    return next((point for point in _points() if point.name == command), None)


def _package(point: EntryPoint) -> str:
    return point.module.partition(".")[0]


def _what_to_install(point: EntryPoint) -> str:
    extra = _EXTRA_OF_PACKAGE.get(_package(point))
    if extra is None:
        return f"loa {point.name} misses a library: pip install --force-reinstall loa"
    return f"loa {point.name} needs the {extra} parts: pip install 'loa[{extra}]'"


def _is_foreign(error: ModuleNotFoundError) -> bool:
    """Whether a library is missing, not a module of ours, which would be a fault to see in full."""
    name = (error.name or "").partition(".")[0]
    return bool(name) and name not in _OWN


def _stand_in(point: EntryPoint, error: ModuleNotFoundError) -> click.Command:
    """A command whose libraries are missing: it is listed, and says what to install when it is run."""
    if not _is_foreign(error) and error.name != _package(point):
        raise error

    def complain() -> int:
        return _fail(_what_to_install(point), 1)

    return click.Command(
        point.name,
        callback=complain,
        short_help=f"(needs loa[{_EXTRA_OF_PACKAGE.get(_package(point), '')}])",
        params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED, expose_value=False)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )
