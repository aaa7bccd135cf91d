"""Dagster with its tables in PostgreSQL: class A a process per op, class B all ops in this process."""
# Runs in an environment of its own; the types of the peer are not there when ours are checked.
# mypy: ignore-errors

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench_fib import fib
from dagster import (
    DagsterInstance,
    DynamicOut,
    DynamicOutput,
    JobDefinition,
    execute_job,
    in_process_executor,
    job,
    multiprocess_executor,
    op,
    reconstructable,
)
from phases import CHAIN, HEAVY, claim_stdout, phase

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES = os.environ["BENCH_CLASS"] == "A"
EXECUTOR = (
    multiprocess_executor.configured(
        {
            "max_concurrent": os.cpu_count() or 2,
            # Its own remedy against a second of imports per op.
            "start_method": {"forkserver": {"preload_modules": ["dagster", "dagster_postgres", "bench_fib"]}},
        }
    )
    if PROCESSES
    else in_process_executor
)
SIZE = int(os.environ["BENCH_FANOUT"])


def chained(name: str, length: int, n: int) -> JobDefinition:
    @op(name=f"{name}_begin")
    def begin() -> int:
        return fib(n)

    @op(name=f"{name}_next")
    def compute(before: int) -> int:  # noqa: ARG001 - it only waits for it
        return fib(n)

    @job(name=name, executor_def=EXECUTOR)
    def made() -> None:
        value = begin()
        for _ in range(length - 1):
            value = compute(value)

    return made


# Functions of the module: each process of an op makes the job anew from one of them.
def warm() -> JobDefinition:
    return chained("warm", 2, 1)


def chain() -> JobDefinition:
    return chained("chain", CHAIN[0], CHAIN[1])


def heavy() -> JobDefinition:
    return chained("heavy", HEAVY[0], HEAVY[1])


@op(out=DynamicOut(int))
def numbers():
    for n in range(SIZE):
        yield DynamicOutput(n, mapping_key=str(n))


@op
def noop(n: int) -> int:
    return n


@job(executor_def=EXECUTOR)
def fanout() -> None:
    numbers().map(noop)


def instance() -> DagsterInstance:
    home = Path(os.environ["DAGSTER_HOME"])
    url = os.environ["BENCH_DATABASE"]
    (home / "dagster.yaml").write_text(
        f'storage:\n  postgres:\n    postgres_url: "{url}"\ntelemetry:\n  enabled: false\n'
    )
    return DagsterInstance.get()


def main() -> None:
    claim_stdout()
    with instance() as store:

        def succeeded(made: Callable[[], JobDefinition]) -> bool:
            with execute_job(reconstructable(made), instance=store) as result:
                return result.success

        succeeded(warm)
        phase("chain", CHAIN[0], lambda: succeeded(chain), expected=True)
        phase("heavy chain", HEAVY[0], lambda: succeeded(heavy), expected=True)
        phase("fan-out", SIZE, lambda: succeeded(fanout), expected=True)


if __name__ == "__main__":
    main()
