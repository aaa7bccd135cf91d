"""What an agent makes of its orders; without processes, which tests/integration/worker/test_agent.py has."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from orrery.executor.protocol import Run
from orrery.executor.resources import Resources
from orrery.worker.agent import Agent
from orrery.worker.batch import BatchTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOM = Resources(cpu_millicores=2000, memory_bytes=8 * 1024**3)
ASKED = Resources(cpu_millicores=100, memory_bytes=1024**2)


@pytest.fixture
def transport() -> Iterator[BatchTransport]:
    found = BatchTransport("http://127.0.0.1:1/execution/")
    yield found
    found.shut_down()


def agent(transport: BatchTransport, begun: list[Callable[[], None]]) -> Any:
    """Return an agent of two cores whose supervisors only note what they should begin."""
    parts: Any = SimpleNamespace(
        capacity=ROOM, reserve=None, parse_ahead=False, drain_seconds=1.0, machine=SimpleNamespace(cores=2)
    )
    made: Any = Agent(
        name="n",
        path=Path("/nonexistent"),
        here=parts,
        settings=parts,
        cells=parts,
        zygotes=parts,
        server="http://127.0.0.1:1/execution/",
        transport=transport,
        fingerprint=str,
        bundles=[],
    )
    made._supervisors = SimpleNamespace(start=begun.append)
    return made


def test_tasks_are_crowded_while_as_many_start_as_may(transport: BatchTransport) -> None:
    begun: list[Callable[[], None]] = []
    node = agent(transport, begun)

    crowded = []
    for _ in range(5):
        crowded.append(transport.is_crowded())
        node._hear(Run(id=str(uuid.uuid4()), workload="", resources=ASKED.as_mapping()), None)

    assert crowded == [False] * 4 + [True]
    assert len(begun) == 4, "the fifth waits for its turn"

    first, *others = list(node._orders.values())
    node._note_start(first)
    assert transport.is_crowded(), "it has the turn of the first"
    for order in others:
        node._note_start(order)
    assert not transport.is_crowded()
