"""Authorised requests with Orrery's auth manager, Airflow's simple one and its Flask one (FAB), interleaved.

Each manager has an API server and a PostgreSQL of its own, with 5,000 Dags. One person asks, over one
kept-alive connection: for one Dag, and for the first page of the list of Dags. With Orrery and FAB that
person may see fifty of the Dags; the simple manager knows no such thing, there they see all.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

if not __package__:  # run as a file: the package `benchmarks` is found from the repository's root
    sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.lab.environments import PEERS, environment
from benchmarks.lab.errors import BenchError
from benchmarks.lab.server import Server

from orrery.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "a reader of the benchmark"  # noqa: S105 - of a server that lives for minutes
TAG = "mine"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
ORRERY = "orrery.auth.manager.OrreryAuthManager"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
MANAGERS = {"orrery": ORRERY, "simple": SIMPLE, "fab": FAB}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Of one round; milliseconds per request."""

    manager: str
    request: str
    p50: float
    p99: float
    api_server_cpu: float
    postgres_cpu: float


class Side:
    """An auth manager on an API server of its own."""

    def __init__(self, name: str, folder: Path, *, dags: int, mine: int) -> None:
        self.name = name
        self.mine = [f"dag_{number:05}" for number in range(0, dags, dags // mine)]
        self._folder = folder
        folder.mkdir()
        self._python = environment("fab") if name == "fab" else Path(sys.executable)
        self.database = Server(folder)
        self.database.start()
        self._port = free_port()
        sign_in = folder / "sign-in.json"
        sign_in.write_text(json.dumps({"admin" if name == "orrery" else "reader": PASSWORD}))
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "ORRERY"))},
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__API__SECRET_KEY": "0123456789abcdef",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "0123456789abcdef" * 4,
            "AIRFLOW__CORE__AUTH_MANAGER": MANAGERS[name],
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(sign_in),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "reader:viewer",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database.url(),
            "AIRFLOW__ORRERY_AUTH__BOOTSTRAP_FILE": str(sign_in),
        }
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._run("-m", "airflow", "db", "migrate")
        self._run(str(PEERS / "seed_dags.py"), str(dags), str(mine))
        if name == "fab":
            self._run(str(PEERS / "seed_fab.py"), PASSWORD, *self.mine)
        self._log = (folder / "api-server.log").open("wb")
        self.server = subprocess.Popen(
            [self._python, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(self._port)],
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=120, trust_env=False)
        self._wait()
        if name == "orrery":
            self._sign_in("admin")
            self._post("/orrery/v1/access/users", username="reader", password=PASSWORD)
            self._post("/orrery/v1/access/bindings", user="reader", role="dag-viewer", scope=f"dag_tag:{TAG}")
        self._sign_in("reader")

    def _run(self, *arguments: str) -> None:
        ended = subprocess.run(
            [self._python, "-W", "ignore", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise BenchError(f"{self.name}: {ended.stderr.strip()[-1500:]}")

    def _wait(self) -> None:
        deadline = time.monotonic() + 180
        while True:
            try:
                self.http.get("/api/v2/version").raise_for_status()
            except httpx.HTTPError as error:
                if time.monotonic() > deadline or self.server.poll() is not None:
                    log = (self._folder / "api-server.log").read_text(errors="replace")[-1500:]
                    raise BenchError(f"{self.name}: the API server does not answer: {log}") from error
                time.sleep(0.3)
            else:
                return

    def _sign_in(self, username: str) -> None:
        self.http.headers.pop("authorization", None)
        token = self._post("/auth/token", username=username, password=PASSWORD)["access_token"]
        self.http.headers["authorization"] = f"Bearer {token}"

    def _post(self, path: str, **body: str) -> dict[str, Any]:
        answer = self.http.post(path, json=body)
        if not answer.is_success:
            raise BenchError(f"{self.name}: POST {path}: {answer.status_code} {answer.text[:500]}")
        found: dict[str, Any] = answer.json()
        return found

    def check(self, dags: int) -> None:
        """Make sure that this side does what it is measured for."""
        seen = self.http.get("/api/v2/dags", params={"limit": 50}).raise_for_status().json()["total_entries"]
        expected = dags if self.name == "simple" else len(self.mine)
        if seen != expected:
            raise BenchError(f"{self.name}: the reader sees {seen} Dags, not {expected}")
        other = self.http.get("/api/v2/dags/dag_00001").status_code
        if other != (200 if self.name == "simple" else 403):
            raise BenchError(f"{self.name}: a Dag of others is answered with {other}")

    def measure(self, request: str, count: int) -> Figure:
        path = "/api/v2/dags?limit=50" if request == "list of Dags" else f"/api/v2/dags/{self.mine[1]}"
        before, times = self._cpu(), []
        for _ in range(count):
            since = time.perf_counter()
            self.http.get(path).raise_for_status()
            times.append(1000 * (time.perf_counter() - since))
        server, database = ((now - then) / count for now, then in zip(self._cpu(), before, strict=True))
        return Figure(
            manager=self.name,
            request=request,
            p50=statistics.median(times),
            p99=statistics.quantiles(times, n=100, method="inclusive")[98],
            api_server_cpu=server,
            postgres_cpu=database,
        )

    def _cpu(self) -> tuple[float, float]:
        """CPU milliseconds of the API server and of PostgreSQL, until now."""
        server = psutil.Process(self.server.pid)
        own = [server.pid, *(child.pid for child in server.children(recursive=True))]
        return sum(map(_cpu, own)), sum(map(_cpu, self.database.pids()))

    def stop(self) -> None:
        self.http.close()
        self.server.terminate()
        self.server.wait()
        self._log.close()
        self.database.stop()


def _cpu(pid: int) -> float:
    try:
        return 1000.0 * sum(psutil.Process(pid).cpu_times()[:4])
    except psutil.Error:
        return 0.0


def contest(
    folder: Path, managers: list[str], *, rounds: int, count: int, dags: int, mine: int
) -> Iterator[Figure]:
    """Yield the figures of all rounds but the first, which warms the servers."""
    with ExitStack() as running:
        sides = []
        for name in managers:
            side = Side(name, folder / name, dags=dags, mine=mine)
            running.callback(side.stop)
            side.check(dags)
            sides.append(side)
        for number in range(rounds + 1):
            for request in ("one Dag", "list of Dags"):
                for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
                    # The slow one asks less often, or nobody would wait for it.
                    figure = side.measure(request, count if number else max(3, count // 20))
                    if number:
                        yield figure


def table(figures: list[Figure]) -> str:
    """Return the medians over rounds, and how many times each is of Orrery's."""
    rows: defaultdict[tuple[str, str], list[Figure]] = defaultdict(list)
    for figure in figures:
        rows[figure.request, figure.manager].append(figure)
    names = ("p50", "p99", "api_server_cpu", "postgres_cpu")
    lines = [
        "| request | manager | p50 ms | p99 ms | API server CPU ms | PostgreSQL CPU ms | p50 over Orrery's |",
        "|---|---|---|---|---|---|---|",
    ]
    for (request, manager), found in sorted(rows.items()):
        median = {name: statistics.median(getattr(each, name) for each in found) for name in names}
        ours = [each.p50 for each in rows[request, "orrery"]]
        ratio = f"{median['p50'] / statistics.median(ours):.2f}" if ours else ""
        values = " | ".join(f"{median[name]:.1f}" for name in names)
        lines.append(f"| {request} | {manager} | {values} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100, help="requests of a kind, per round and manager")
    parser.add_argument("--dags", type=int, default=5000)
    parser.add_argument("--mine", type=int, default=50, help="Dags that the reader may see")
    parser.add_argument("--only", help="managers, with commas: orrery,simple,fab")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    managers = options.only.split(",") if options.only else list(MANAGERS)
    if unknown := set(managers) - MANAGERS.keys():
        parser.error(f"no such manager: {', '.join(sorted(unknown))}; there are {', '.join(MANAGERS)}")
    try:
        with tempfile.TemporaryDirectory(prefix="orrery-benchmark-") as folder:
            figures = list(
                contest(
                    Path(folder),
                    managers,
                    rounds=options.rounds,
                    count=options.count,
                    dags=options.dags,
                    mine=options.mine,
                )
            )
    except BenchError as error:
        sys.exit(f"Error: {error}")
    print(f"{options.dags} Dags, {options.mine} of the reader's; {options.rounds} rounds of {options.count}")
    print(table(figures))
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Figure.__annotations__)
            writer.writerows([getattr(each, name) for name in Figure.__annotations__] for each in figures)


if __name__ == "__main__":
    main()
