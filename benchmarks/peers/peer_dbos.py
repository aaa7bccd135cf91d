"""DBOS: steps of one workflow, and queued workflows; all in this process (class B)."""
# Runs in an environment of its own; the types of the peer are not there when ours are checked.
# mypy: ignore-errors

from __future__ import annotations

import os

from bench_fib import fib
from dbos import DBOS
from phases import CHAIN, HEAVY, claim_stdout, phase


@DBOS.step()
def compute(n: int) -> int:
    return fib(n)


@DBOS.workflow()
def chain(length: int, n: int) -> list[int]:
    return [compute(n) for _ in range(length)]


@DBOS.workflow()
def noop(n: int) -> int:
    return n


def fanout(size: int) -> int:
    handles = [DBOS.enqueue_workflow("bench", noop, n) for n in range(size)]
    return sum(handle.get_result() for handle in handles)


def main() -> None:
    size = int(os.environ["BENCH_FANOUT"])
    claim_stdout()
    DBOS(config={"name": "bench", "system_database_url": os.environ["BENCH_DATABASE"]})
    DBOS.launch()
    DBOS.register_queue("bench", polling_interval_sec=0.1)
    chain(3, 1)
    fanout(8)
    length, n, value = CHAIN
    phase("chain", length, lambda: chain(length, n), expected=[value] * length)
    heavy, big, large = HEAVY
    phase("heavy chain", heavy, lambda: chain(heavy, big), expected=[large] * heavy)
    phase("fan-out", size, lambda: fanout(size), expected=sum(range(size)))
    DBOS.destroy()


if __name__ == "__main__":
    main()
