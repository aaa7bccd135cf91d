"""The DAGs of `benchmarks/tasks.py`: chains, fan-outs, sleepers. Stock and Orrery get this same file."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, chain, task
from bench_fib import fib  # type: ignore[import-not-found]  # Airflow puts the DAGs' folder on the path

#: A small request, so that many fit beside one another. Stock ignores it.
SMALL = {"resources": {"cpu": "20m", "memory": "192Mi"}}


@task
def compute(n: int) -> int:
    return int(fib(n))


@task
def noop(n: int) -> int:
    return n


@task(executor_config=SMALL)
def sleep_until(flag: str, n: int) -> int:
    while not Path(flag).exists():
        time.sleep(0.5)
    return n


@task(executor_config=SMALL)
def nap(n: int) -> int:
    time.sleep(0.5)
    return n


def dag(dag_id: str) -> DAG:
    return DAG(
        dag_id,
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        max_active_tasks=1000,
        max_active_runs=16,
        default_args={"retries": 0},
    )


def chained(dag_id: str, *, length: int, n: int) -> Any:
    with dag(dag_id) as made:
        chain(*[compute.override(task_id=f"fib_{i:02}")(n) for i in range(length)])
    return made


def fanned(size: int) -> Any:
    with dag(f"bench_fanout_{size}") as made:
        noop.expand(n=list(range(size)))
    return made


bench_chain = chained("bench_chain", length=40, n=10)
bench_heavy = chained("bench_heavy", length=10, n=33)
bench_history = chained("bench_history", length=10, n=1)
bench_fanout_64 = fanned(64)
bench_fanout_300 = fanned(300)
bench_fanout_1000 = fanned(1000)

with dag("bench_sleep") as bench_sleep:
    sleep_until.partial(flag="{{ dag_run.conf['flag'] }}").expand(n=list(range(30)))

with dag("bench_exit") as bench_exit:
    nap.expand(n=list(range(100)))
