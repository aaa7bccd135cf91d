"""Prefect with its server on PostgreSQL: class A in a pool of processes, class B in this process.

A pool's processes are used again for the next task: weaker than a process per task, and as near as it comes.
"""
# Runs in an environment of its own; the types of the peer are not there when ours are checked.
# mypy: ignore-errors

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PORT = os.environ["BENCH_PORT"]
HOME = Path(os.environ["BENCH_FOLDER"])
os.environ |= {
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_HOME": str(HOME),
    "PREFECT_API_DATABASE_CONNECTION_URL": os.environ["BENCH_DATABASE"].replace(
        "postgresql://", "postgresql+asyncpg://"
    ),
    # The value that a task returns is kept, as it is everywhere else.
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

from bench_fib import fib  # noqa: E402 - Prefect reads the environment when it is imported
from phases import CHAIN, HEAVY, claim_stdout, phase  # noqa: E402
from prefect import flow, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner  # noqa: E402

PROCESSES = os.environ["BENCH_CLASS"] == "A"
RUNNER = ProcessPoolTaskRunner(max_workers=os.cpu_count()) if PROCESSES else ThreadPoolTaskRunner()


# Without that, the second task with the same input takes the first one's result.
@task(cache_policy=NO_CACHE)
def compute(n: int) -> int:
    return fib(n)


@task(cache_policy=NO_CACHE)
def noop(n: int) -> int:
    return n


@flow(task_runner=RUNNER)
def chain(length: int, n: int) -> list[int]:
    # A task that is called runs in the flow's own process; one that is submitted goes to the pool.
    return [compute.submit(n).result() if PROCESSES else compute(n) for _ in range(length)]


@flow(task_runner=RUNNER)
def fanout(size: int) -> int:
    return sum(noop.map(range(size)).result())


def start_server() -> subprocess.Popen[bytes]:
    with (HOME / "server.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", PORT],
            stdout=log,
            stderr=log,
        )
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/health", timeout=2).close()
            return server
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    server.kill()
    raise SystemExit("Prefect's server is not healthy after 120 s")


def main() -> None:
    size = int(os.environ["BENCH_FANOUT"])
    claim_stdout()
    server = start_server()
    try:
        chain(3, 1)
        fanout(8)
        length, n, value = CHAIN
        phase("chain", length, lambda: chain(length, n), expected=[value] * length)
        heavy, big, large = HEAVY
        phase("heavy chain", heavy, lambda: chain(heavy, big), expected=[large] * heavy)
        phase("fan-out", size, lambda: fanout(size), expected=sum(range(size)))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
