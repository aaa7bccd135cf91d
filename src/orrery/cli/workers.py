"""`orrery workers`: the nodes, what runs on them, what waits and why, and what tasks should ask for."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orrery.cli.output import Format, duration, output_option, print_json, print_table
from orrery.errors import InputError, OrreryError, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The answer of /orrery/v1/workers, which is also what `-o json` prints, and rows of it.
Answer = dict[str, Any]
Row = dict[str, Any]

_COLOURS = {"ready": "green", "unreachable": "red"}


@click.command()
@click.option("--running", "wants_running", is_flag=True, help="Only what runs.")
@click.option("--waiting", "wants_waiting", is_flag=True, help="Only what waits, and why.")
@click.option("--node", metavar="NAME", help="Only this node and what runs on it.")
@output_option
def workers(*, wants_running: bool, wants_waiting: bool, node: str | None, output: Format) -> None:
    """Show nodes, running tasks, waiting tasks with reasons, and advice.

    Exit code 0; 2 when there is no such node; 3 when a node is not heard of, or no node takes tasks; 4
    when the deployment does not run, or runs another executor.
    """
    answer = _ask()
    if node is not None:
        answer = of_node(answer, node)
    is_packing = bool(answer["nodes"] or answer["waiting"]) or "PackingExecutor" in answer["executor"]
    if output == "json":
        print_json(answer)
    elif not is_packing:
        raise StateError(
            f"This deployment runs {answer['executor']}, which has no workers of its own.",
            hint="Set 'executor: packing' in orrery.yaml; then: orrery restart",
        )
    else:
        everything = not (wants_running or wants_waiting)
        print_workers(
            answer,
            nodes=everything or (node is not None and not wants_waiting),
            running=everything or wants_running,
            waiting=(everything and node is None) or wants_waiting,
            advice=everything,
        )
    if not is_packing:
        sys.exit(4)
    if not is_well(answer["nodes"]):
        sys.exit(3)


def _ask() -> Answer:
    from orrery.cli.context import local_deployment
    from orrery.local.api import NotFoundError
    from orrery.local.status import client

    deployment = local_deployment(quiet=True)
    if not deployment.supervisor.is_running():
        raise StateError(f"{deployment.name} does not run.", hint="Start it: orrery up")
    with client(deployment.state) as api:
        try:
            return api.get_orrery("/workers")
        except NotFoundError as error:
            raise OrreryError(
                "This deployment was started by a release that does not know its workers.",
                hint="Start it anew: orrery down; orrery up",
            ) from error


def of_node(answer: Answer, name: str) -> Answer:
    """Return what the answer says of one node.

    Raises:
        InputError: there is no such node.
    """
    names = [node["name"] for node in answer["nodes"]]
    if name not in names:
        known = f"The nodes are: {', '.join(names)}" if names else "No node has joined yet: orrery status"
        raise InputError(f"There is no node '{name}'.", hint=known)
    running = [task for task in answer["running"] if task["node"] == name]
    tasks = {(task["dag_id"], task["task_id"]) for task in running}
    return answer | {
        "nodes": [node for node in answer["nodes"] if node["name"] == name],
        "running": running,
        "advice": [each for each in answer["advice"] if (each["dag_id"], each["task_id"]) in tasks],
    }


def is_well(nodes: Sequence[Row]) -> bool:
    """Whether every node is heard of and one takes tasks."""
    return any(node["state"] == "ready" for node in nodes) and not any(node["stale_since"] for node in nodes)


def print_workers(answer: Answer, *, nodes: bool, running: bool, waiting: bool, advice: bool) -> None:
    """Print the chosen parts for people."""
    now = datetime.fromisoformat(answer["now"])
    if answer["is_stale"]:
        _say("yellow", f"No scheduler has reported since {_clock(answer['taken_at'])}: this was known then.")
    if nodes:
        _print_nodes(answer["nodes"], answer["message"])
    if running:
        _print_running(answer, now)
    if waiting:
        _print_waiting(answer, now)
    if answer["hidden_tasks"] and (running or waiting):
        click.echo(f"Not shown: {answer['hidden_tasks']} tasks of DAGs that you may not read.")
    if advice:
        for each in answer["advice"]:
            _say("cyan", f"{each['text']}", f"{each['dag_id']}.{each['task_id']}")


def _print_nodes(nodes: Sequence[Row], message: str | None) -> None:
    if not nodes:
        click.echo(message or "No node has joined yet.")
        return
    print_table(
        ["NODE", "STATE", "CPU USED", "ASKED", "OF", "MEMORY USED", "ASKED", "OF", "RUNNING", "STARTING"],
        [
            (
                node["name"],
                "not heard of" if node["stale_since"] else node["state"],
                cpu(node["cpu_millicores"]),
                cpu(node["requested"]["cpu_millicores"]),
                cpu(node["allocatable"]["cpu_millicores"]),
                memory(node["memory_bytes"]),
                memory(node["requested"]["memory_bytes"]),
                memory(node["allocatable"]["memory_bytes"]),
                node["running"],
                node["starting"],
            )
            for node in nodes
        ],
    )
    for node in nodes:
        if since := node["stale_since"]:
            _say("red", f"not heard of since {_clock(since)}", node["name"])
        for note in node["notes"]:
            _say("yellow", note, node["name"])


def _print_running(answer: Answer, now: datetime) -> None:
    if not answer["running_total"]:
        click.echo("Nothing runs.")
        return
    print_table(
        ["RUNNING", "RUN", "NODE", "CPU ASKED", "MEMORY ASKED", "NOW", "AT MOST", "SINCE"],
        [
            (
                _name(task),
                task["run_id"],
                task["node"],
                cpu(task["resources"]["cpu_millicores"]),
                memory(task["resources"]["memory_bytes"]),
                memory(task["memory_bytes"]),
                memory(task["memory_peak_bytes"]),
                _ago(task["started_at"], now) or "starting",
            )
            for task in answer["running"]
        ],
    )


def _print_waiting(answer: Answer, now: datetime) -> None:
    if not answer["waiting_total"]:
        click.echo("Nothing waits.")
        return
    print_table(
        ["WAITING", "RUN", "ASKS", "SINCE", "WHY"],
        [
            (
                _name(task),
                task["run_id"],
                _asked(task["resources"]),
                _ago(task["queued_at"], now),
                task["reason"],
            )
            for task in answer["waiting"]
        ],
    )
    if len(answer["waiting"]) < answer["waiting_total"]:
        click.echo(f"The first {len(answer['waiting'])} of {answer['waiting_total']} that wait.")


def cpu(millicores: int | None) -> str | None:
    """Return CPUs for people: `0.5`."""
    return None if millicores is None else f"{millicores / 1000:.2f}".rstrip("0").rstrip(".")


def memory(amount_bytes: int | None) -> str | None:
    """Return memory for people: `1.2 GiB`, `310 MiB`."""
    if amount_bytes is None:
        return None
    if amount_bytes < 2**30:
        return f"{amount_bytes / 2**20:.0f} MiB"
    return f"{amount_bytes / 2**30:.2f}".rstrip("0").rstrip(".") + " GiB"


def _asked(resources: Row) -> str:
    parts = [f"{cpu(resources['cpu_millicores'])} CPU", memory(resources["memory_bytes"])]
    if gpus := resources["gpus"]:
        parts.append(f"{gpus} GPU")
    if disk := resources["disk_bytes"]:
        parts.append(f"{memory(disk)} disk")
    return ", ".join(filter(None, parts))


def _name(task: Row) -> str:
    index = f"[{task['map_index']}]" if task["map_index"] >= 0 else ""
    again = f" (try {task['try_number']})" if task["try_number"] > 1 else ""
    return f"{task['dag_id']}.{task['task_id']}{index}{again}"


def _ago(moment: str | None, now: datetime) -> str | None:
    if moment is None:
        return None
    return duration(max(0, int((now - datetime.fromisoformat(moment)).total_seconds())))


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%H:%M:%S")


def _say(colour: str, text: str, subject: str | None = None) -> None:
    click.echo(f"{click.style(subject or 'Note', fg=colour)}: {text}")
