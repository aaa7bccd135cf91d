"""The entry point of `orrery`, and the only place that prints errors."""

from __future__ import annotations

import errno
import importlib
import sys

import click

from orrery import __version__
from orrery.errors import MachineError, OrreryError

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
    "logs": ("orrery.cli.logs", "logs", "Show what components wrote."),
    "restart": ("orrery.cli.restart", "restart", "Restart one component, or all."),
    "down": ("orrery.cli.down", "down", "Stop the deployment; its data stays."),
    "airflow": ("orrery.cli.airflow", "airflow", "Run Airflow's own command in this deployment."),
    "config": ("orrery.cli.config", "config", "List and explain settings."),
    "release": ("orrery.cli.release", "release", "Look things up in the catalogue of releases."),
    "doctor": ("orrery.cli.doctor", "doctor", "Check this machine and this project."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they run: `orrery --help` stays fast."""

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

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from error
            raise


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="orrery")
def cli() -> None:
    """Orrery Runtime: Apache Airflow, ready for production and for your laptop."""


def main() -> None:
    """Run the command line; print an error as what, why, next step; exit with its code."""
    try:
        # Without standalone mode click returns the code that a command gave to ctx.exit.
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OrreryError as error:
        _print_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has gone; the flush at exit would complain again.
        sys.stderr.close()
        sys.exit(0)
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
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.message}", err=True)
    if error.hint:
        click.echo(f"{click.style('Next:', fg='cyan', bold=True)} {error.hint}", err=True)
