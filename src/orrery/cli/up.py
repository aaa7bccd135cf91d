"""`orrery up`: start this project's deployment on this machine."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from types import FrameType

    from orrery.local.deployment import LocalDeployment
    from orrery.local.status import Status


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Leave it running and return.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the UI and API, on loopback.")
@click.option(
    "--trigger",
    "dag_ids",
    multiple=True,
    metavar="DAG_ID",
    help="Unpause and run this DAG once healthy, follow it to its end; exit 1 if it failed. May be repeated.",
)
@click.option("--no-open", is_flag=True, help="Do not open the UI in a browser.")
def up(*, detach: bool, port: int | None, dag_ids: tuple[str, ...], no_open: bool) -> None:
    """Start this project's deployment on this machine.

    PostgreSQL, api-server, scheduler, dag-processor and triggerer start under a process manager and
    listen on loopback only. Without --detach it runs until Ctrl-C. A deployment that runs already is
    left as it is.
    """
    from orrery.cli.context import starter
    from orrery.errors import StateError, UnhealthyError

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _as_interrupt)
    start = starter()
    deployment = start.deployment
    ran_already = deployment.is_up()
    attached = not (detach or ran_already)
    try:
        status = start.up(port=port)
        _show(status, ran_already=ran_already)
        succeeded = _run(deployment, dag_ids)
        if attached:
            if not no_open and status.url:
                _open(status.url)
            click.echo("Press Ctrl-C to stop.", err=True)
            deployment.follow()
    except StateError:
        # Another command is at work on it: what runs is not ours to stop.
        raise
    except BaseException:
        # What was started to be watched does not outlive the watcher, whatever ended him.
        if attached and deployment.supervisor.is_running():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            with contextlib.suppress(OSError):  # whoever read it may have gone
                click.echo("\nStopping ...", err=True)
            deployment.down()
        raise
    if not succeeded:
        sys.exit(1)
    if status.state != "healthy" and not attached:
        raise UnhealthyError(
            "Not every component is healthy; the others go on running.",
            hint="See why: orrery status; then: orrery restart COMPONENT",
        )


def _show(status: Status, *, ran_already: bool) -> None:
    from orrery.cli.status import print_status

    if ran_already:
        click.echo("The deployment runs already; nothing was changed.", err=True)
    print_status(status, with_password=True)


def _run(deployment: LocalDeployment, dag_ids: tuple[str, ...]) -> bool:
    """Run DAGs one after the other; return whether all succeeded."""
    from orrery.local import runs
    from orrery.local.status import client

    succeeded = True
    for dag_id in dag_ids:
        with client(deployment.state) as api:
            outcome = runs.trigger(dag_id, api, report=click.echo)
        succeeded = succeeded and outcome == "success"
    return succeeded


def _open(url: str) -> None:
    """Open a browser where there is a screen to show it on."""
    import os
    import webbrowser

    from orrery.cli.output import is_terminal

    if is_terminal(sys.stdout) and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
        webbrowser.open(url)


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
