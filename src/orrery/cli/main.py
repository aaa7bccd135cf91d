"""The entry point of `orrery`, and the only place that prints errors."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import select
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

import click

from orrery import __version__
from orrery.cli.output import colours_wanted
from orrery.errors import MachineError, OrreryError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: No space, no permission, a read-only or over-full file system: wherever it is met, it is no bug of ours.
_REFUSED_BY_THE_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE}
)

#: Command name -> (module, attribute, one line of help). The help stands here, not in the module, so
#: that `orrery --help` imports none of them.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("orrery.cli.init", "init", "Make a new project folder."),
    "up": ("orrery.cli.up", "up", "Start this project's deployment on this machine."),
    "status": ("orrery.cli.status", "status", "Show the deployment: URL, sign-in, components."),
    "workers": ("orrery.cli.workers", "workers", "Show what runs where, what waits, and why."),
    "logs": ("orrery.cli.logs", "logs", "Show what components wrote."),
    "restart": ("orrery.cli.restart", "restart", "Restart one component, or all."),
    "down": ("orrery.cli.down", "down", "Stop the deployment; its data stays."),
    "auth": ("orrery.cli.auth", "auth", "Manage people, teams, roles, bindings and tokens."),
    "airflow": ("orrery.cli.airflow", "airflow", "Run Airflow's own command in this deployment."),
    "config": ("orrery.cli.config", "config", "List and explain settings."),
    "release": ("orrery.cli.release", "release", "Look things up in the catalogue of releases."),
    "deployment": ("orrery.cli.deployment", "deployment", "Render this deployment for other tools."),
    "image": ("orrery.cli.image", "image", "Build images, and look into them."),
    "doctor": ("orrery.cli.doctor", "doctor", "Check this machine and this project."),
}

#: How alike a command must be to be suggested: `stauts` is like `status`, `bogus` is not like `logs`.
_ALIKE = 0.7


class ReaderHasGone(Exception):  # noqa: N818 - a state, no error
    """Nobody reads what we write: `orrery logs | head` has seen enough."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run: `orrery --help` stays fast."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments; `--help` writes here."""
        with _told_of_readers():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _told_of_readers():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the command names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command, or None when there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _help = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest name when there is no such command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=_ALIKE)
            question = f" Did you mean '{near[0]}'?" if near else ""
            # A plain error: newer versions of click would add a suggestion of their own.
            raise click.UsageError(f"{error.message}{question}", ctx) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orrery")
def cli() -> None:
    """Orrery Runtime: Apache Airflow, ready for production and for your laptop."""


def main() -> None:
    """Run the command line; print an error as what, why, next step; exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a sign that the encoding lacks is no reason to fail
    try:
        # Without standalone mode click returns the code that a command gave to ctx.exit. Colour None
        # leaves it to click: a terminal gets colours, a file none.
        code = cli.main(standalone_mode=False, color=None if colours_wanted(os.environ) else False)
        sys.exit(code if isinstance(code, int) else 0)
    except ReaderHasGone:
        _write_to_nobody()
        sys.exit(0)
    except (click.Abort, KeyboardInterrupt):
        _say("Interrupted.")
        sys.exit(130)
    except click.ClickException as error:
        with contextlib.suppress(BrokenPipeError):
            error.show()
        sys.exit(error.exit_code)
    except OrreryError as error:
        _print_error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _REFUSED_BY_THE_MACHINE:
            raise
        place = f" {error.filename}" if error.filename else ""
        _print_error(
            MachineError(
                f"The machine refused{place}: {error.strerror}.",
                hint="Free disk space or give yourself the permission; see what is missing: orrery doctor",
            )
        )
        sys.exit(MachineError.exit_code)


def _print_error(error: OrreryError) -> None:
    _say(f"{click.style('Error:', fg='red', bold=True)} {error.message}")
    if error.hint:
        _say(f"{click.style('Next:', fg='cyan', bold=True)} {error.hint}")


def _say(text: str) -> None:
    """Write a line to stderr; the exit code tells it to those who do not read."""
    with contextlib.suppress(BrokenPipeError):
        click.echo(text, err=True, color=None if colours_wanted(os.environ) else False)


@contextlib.contextmanager
def _told_of_readers() -> Iterator[None]:
    """Tell a reader that has gone from a broken connection to one of our processes.

    Click would end both without a word and with 1.
    """
    try:
        yield
    except BrokenPipeError as error:
        if any(_has_no_reader(stream) for stream in (sys.stdout, sys.stderr)):
            raise ReaderHasGone from error
        raise OrreryError(
            "Another process closed its end of a connection.",
            hint="See what it wrote: orrery logs; then try again.",
        ) from error


def _has_no_reader(stream: TextIO | None) -> bool:
    try:
        poll = select.poll()
        poll.register(stream.fileno() if stream else -1, 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (OSError, ValueError):  # no file of the system's
        return False


def _write_to_nobody() -> None:
    """Let what is still in a buffer go nowhere: the flush at exit would complain."""
    for stream in (sys.stdout, sys.stderr):
        if _has_no_reader(stream):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
