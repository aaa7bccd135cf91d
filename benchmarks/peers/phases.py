"""What the peers' scripts share: each phase is announced, so that the driver can read CPU and memory.

Protocol: a line of JSON on stdout before and after each phase; the driver answers each with an empty line.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The results of the tasks, by which the driver knows that they ran.
CHAIN = (40, 10, 55)
HEAVY = (10, 33, 3524578)

_answers = sys.stdout


def claim_stdout() -> None:
    """Keep stdout for the protocol: what a peer prints goes to stderr."""
    global _answers
    _answers, sys.stdout = sys.stdout, sys.stderr


def phase(name: str, tasks: int, work: Callable[[], Any], *, expected: Any) -> None:
    """Run one phase and tell its wall time; its result must be what the tasks were to return."""
    _say({"begin": name})
    begun = time.perf_counter()
    result = work()
    wall = time.perf_counter() - begun
    if result != expected:
        raise SystemExit(f"{name}: the tasks returned {result!r}, not {expected!r}")
    _say({"end": name, "wall": wall, "tasks": tasks})


def _say(message: dict[str, Any]) -> None:
    _answers.write(json.dumps(message) + "\n")
    _answers.flush()
    sys.stdin.readline()
