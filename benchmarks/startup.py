"""Start-up, memory and idle CPU: `orrery up` beside stock `airflow standalone`, interleaved.

Both run from this environment and each has a PostgreSQL of the same build and settings. Stock gets a
server that runs already; Orrery starts its own, inside the measured time. Healthy means the same for both:
Airflow's health endpoint has heard from this start of scheduler, triggerer and dag-processor.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if not __package__:  # run as a file: the package `benchmarks` is found from the repository's root
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.lab.health import wait_healthy
from benchmarks.lab.machine import MARK, cpu_seconds, marked, pss_bytes
from benchmarks.lab.server import Server

from orrery.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ORRERY = Path(sys.executable).with_name("orrery")


class Stock:
    """`airflow standalone`, as its documentation says, on PostgreSQL."""

    name = "stock"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.home = folder / "home"
        self.server = Server(folder)
        self.running: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        self.server.start()

    def start(self) -> None:
        since = time.time()
        # Its api-server dies without a word where the port of the last start is not free again yet.
        self.port = free_port()
        environment = {
            # standalone starts its components as `airflow`, from the PATH.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            MARK: str(self.folder),
            "ORRERY_DEFAULTS": "off",
            # Airflow's process titles would overwrite the environment that the mark is in.
            "SPT_NOENV": "1",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.server.url(),
        }
        with (self.folder / "standalone.log").open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_healthy(self.port, since)

    def stop(self) -> None:
        if self.running:
            spared = self.server.pids()
            asked = [process for process in marked(str(self.folder)) if process.pid not in spared]
            # As a person's Ctrl-C: the whole group gets it.
            os.killpg(self.running.pid, signal.SIGINT)
            _, alive = psutil.wait_procs(asked, timeout=60)
            for process in alive:
                process.kill()
            self.running.wait()
            self.running = None

    def end(self) -> None:
        self.stop()
        self.server.stop()


class Orrery:
    """`orrery init` and `orrery up`."""

    name = "orrery"

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.port = free_port()
        folder.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            MARK: str(folder),
            "ORRERY_CACHE_DIR": str(cache),
        }

    def prepare(self) -> None:
        """Nothing: the project is made inside the measured time of the first start."""

    def _run(self, *arguments: str) -> None:
        subprocess.run(
            [ORRERY, *arguments], cwd=self.folder, env=self.environment, check=True, capture_output=True
        )

    def start(self) -> None:
        since = time.time()
        if not (self.folder / "dags").exists():
            self._run("init", ".")
        self._run("up", "--detach", "--port", str(self.port))
        wait_healthy(self.port, since)

    def stop(self) -> None:
        self._run("down")

    def end(self) -> None:
        self.stop()


def timed(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def measure(make: Callable[[], Stock | Orrery], *, idle_seconds: int) -> dict[str, float]:
    contender = make()
    try:
        contender.prepare()
        return figures_of(contender, idle_seconds=idle_seconds)
    finally:
        contender.end()


def figures_of(contender: Stock | Orrery, *, idle_seconds: int) -> dict[str, float]:
    mark = str(contender.folder)
    before = cpu_seconds(marked(mark))
    figures = {"first start, wall s": timed(contender.start)}
    figures["first start, CPU s"] = cpu_seconds(marked(mark)) - before
    figures["stop, wall s"] = timed(contender.stop)
    before = cpu_seconds(marked(mark))
    figures["second start, wall s"] = timed(contender.start)
    figures["second start, CPU s"] = cpu_seconds(marked(mark)) - before
    time.sleep(10)  # let what runs once after a start be over
    before = cpu_seconds(marked(mark))
    time.sleep(idle_seconds)
    figures["idle, cores used"] = (cpu_seconds(marked(mark)) - before) / idle_seconds
    processes = marked(mark)
    figures["at rest, PSS MB"] = pss_bytes(processes) / 2**20
    figures["at rest, processes"] = len(processes)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-seconds", type=int, default=30)
    parser.add_argument("--csv", type=Path, help="write every figure of every round there")
    arguments = parser.parse_args()
    # A shell starts what it runs in the background with Ctrl-C ignored, and our children would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    folder = Path(tempfile.mkdtemp(prefix="orrery-bench-"))
    cache = folder / "cache"
    results: list[tuple[int, str, dict[str, float]]] = []
    try:
        load = os.getloadavg()[0]
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load before {load:.1f}")
        # The first start on a machine also makes the database template; told apart, as it happens once.
        cold = Orrery(folder / "cold", cache)
        print(f"orrery, very first start on a machine (makes the template): {timed(cold.start):.1f} s\n")
        cold.end()
        for number in range(arguments.rounds):
            contenders: list[Callable[[], Stock | Orrery]] = [
                lambda number=number: Stock(folder / f"stock-{number}"),  # type: ignore[misc]
                lambda number=number: Orrery(folder / f"orrery-{number}", cache),  # type: ignore[misc]
            ]
            # Which goes first changes from round to round.
            for make in contenders if number % 2 == 0 else reversed(contenders):
                contender_figures = measure(make, idle_seconds=arguments.idle_seconds)
                name = "stock" if make is contenders[0] else "orrery"
                results.append((number, name, contender_figures))
                print(
                    f"round {number + 1} {name}: "
                    + ", ".join(f"{k} {v:.2f}" for k, v in contender_figures.items())
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(results)
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["round", "contender", "figure", "value"])
            writer.writerows((n, name, k, v) for n, name, figures in results for k, v in figures.items())


def report(results: list[tuple[int, str, dict[str, float]]]) -> None:
    print(f"\n{'':24} {'stock: median [min-max]':>28} {'orrery: median [min-max]':>28} {'stock/orrery':>13}")
    for figure in results[0][2]:
        cells, medians = [], {}
        for name in ("stock", "orrery"):
            values = [figures[figure] for _, who, figures in results if who == name]
            medians[name] = statistics.median(values)
            cells.append(f"{medians[name]:.2f} [{min(values):.2f}-{max(values):.2f}]")
        print(f"{figure:24} {cells[0]:>28} {cells[1]:>28} {medians['stock'] / medians['orrery']:>12.2f}x")
    print(f"load after {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
