"""The same chain, computation and fan-out on Prefect, Dagster and DBOS, beside Orrery and stock Airflow.

Each peer lives in an environment of its own, with the versions that benchmarks/peers/*.txt lock, and on a
PostgreSQL of the same build and settings. Two classes that are not to be compared with one another:
A, a process per task; B, all tasks in one warm process. docs/performance.md tells the rules.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if not __package__:  # run as a file: the package `benchmarks` is found from the repository's root
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.lab import facts, figures, machine, measures, report
from benchmarks.lab.contest import SIDES, Contest
from benchmarks.lab.environments import PEERS, environment
from benchmarks.lab.errors import BenchError
from benchmarks.lab.figures import Observation
from benchmarks.lab.server import Server
from benchmarks.lab.side import DAG_FILES
from benchmarks.tasks import words

from orrery.local import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LIMIT_SECONDS = 1800


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A peer in one of its shapes."""

    package: str
    #: A: a process per task. B: all tasks in one process.
    kind: str
    #: Tasks of its fan-out: fewer where a thousand would take an hour.
    fanout: int
    #: Of PostgreSQL, which it cannot do without.
    extension: str | None = None

    @property
    def name(self) -> str:
        return f"{self.package}-{self.kind.lower()}"

    @property
    def script(self) -> Path:
        return PEERS / f"peer_{self.package}.py"


#: DBOS has no class A: it runs steps in the process of their workflow.
ALL = (
    Peer(package="prefect", kind="A", fanout=300, extension="pg_trgm"),
    Peer(package="dagster", kind="A", fanout=20),
    Peer(package="prefect", kind="B", fanout=1000, extension="pg_trgm"),
    Peer(package="dagster", kind="B", fanout=300),
    Peer(package="dbos", kind="B", fanout=1000),
)
AIRFLOW_MEASURES = {
    "warm-up": measures.warm_up,
    "chain": measures.chain,
    "heavy": measures.heavy,
    "fan-out": measures.fanout,
}


def measure(peer: Peer, folder: Path, number: int) -> Iterator[Observation]:
    """Run a peer's script on a server of its own; yield its figures.

    Raises:
        BenchError: it cannot be installed, or its script failed.
    """
    python = environment(peer.package)
    folder.mkdir(parents=True)
    server = Server(folder, extension=peer.extension)
    server.start()
    log = folder / "peer.log"
    try:
        with log.open("ab") as errors:
            script = subprocess.Popen(
                [python, peer.script],
                env={
                    "PATH": f"{python.parent}:{os.environ['PATH']}",
                    "HOME": str(folder),
                    "PYTHONPATH": f"{DAG_FILES}:{PEERS}",
                    machine.MARK: str(folder),
                    "BENCH_DATABASE": server.url("postgresql"),
                    "BENCH_FOLDER": str(folder),
                    "BENCH_PORT": str(ports.free_port()),
                    "BENCH_CLASS": peer.kind,
                    "BENCH_FANOUT": str(peer.fanout),
                    "DAGSTER_HOME": str(folder),
                },
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            # One that hangs is a failure too.
            limit = threading.Timer(_LIMIT_SECONDS, script.kill)
            limit.start()
            for figure, value in follow(script, lambda: machine.usage(str(folder))):
                yield Observation(round=number, side=peer.name, figure=figure, value=value)
            limit.cancel()
            if script.wait(60):
                last = log.read_text(errors="replace").strip()[-600:]
                raise BenchError(f"its script ended with {script.returncode}:\n{last}")
    finally:
        left = [process for process in machine.marked(str(folder)) if process.pid not in server.pids()]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
        server.stop()


def follow(script: subprocess.Popen[str], usage: Callable[[], machine.Usage]) -> Iterator[tuple[str, float]]:
    """Read what a script tells of its phases, and CPU and memory around each."""
    assert script.stdout
    assert script.stdin
    before = 0.0
    for line in script.stdout:
        told: dict[str, Any] = json.loads(line)
        used = usage()
        if "begin" in told:
            before = used.cpu_seconds
        else:
            name, wall, cpu = told["end"], told["wall"], used.cpu_seconds - before
            if name == "fan-out":
                yield "fan-out, tasks/s", told["tasks"] / wall
                yield "fan-out, CPU ms per task", cpu / told["tasks"] * 1000
            else:
                yield f"{name}, wall s", wall
                yield f"{name}, CPU s", cpu
            yield f"{name}, PSS MB after", used.pss_mb
        script.stdin.write("\n")
        script.stdin.flush()


def main() -> None:
    names = tuple(peer.name for peer in ALL)
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--peers", type=words(names), default=names, help=",".join(names))
    add("--sides", type=words((*SIDES, "none")), default=SIDES, help="of Airflow: stock,orrery or none")
    add("--executor", choices=("packing", "local"), help="of our orrery.yaml; without it: the default")
    arguments = parser.parse_args()
    # A shell starts what it runs in the background with Ctrl-C ignored, and our children would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    known = facts.of_this_machine()
    sides = tuple(side for side in arguments.sides if side != "none")
    folder = Path(tempfile.mkdtemp(prefix="orrery-bench-"))
    contest = Contest(folder, sides=sides, measures=AIRFLOW_MEASURES, executor=arguments.executor)
    observations: list[Observation] = []
    try:
        for number in range(arguments.rounds):
            contest.round(number)
            for peer in (peer for peer in ALL if peer.name in arguments.peers):
                try:
                    for one in measure(peer, folder / f"{peer.name}-{number}", number):
                        observations.append(one)
                        print(
                            f"round {number + 1} {one.side}: {one.figure} {figures.number(one.value)}",
                            flush=True,
                        )
                except BenchError as error:
                    known[f"{peer.name} failed"] = str(error).replace("\n", " ")
                    print(f"round {number + 1} {peer.name} failed: {error}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        known |= contest.facts | {"load after": facts.load()}
        report.publish("peers", contest.observations + observations, (*sides, *arguments.peers), known)


if __name__ == "__main__":
    main()
