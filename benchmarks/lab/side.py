"""What a measure needs of a contender that runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.lab import machine

if TYPE_CHECKING:
    from benchmarks.lab.database import Database

    from orrery.local.api import Api

DAG_FILES = Path(__file__).parents[1] / "dags"


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A stack that runs and is healthy."""

    name: str
    api: Api
    database: Database
    #: The folder that every process of the stack names.
    mark: str
    dags: Path
    #: The folder of the components' logs.
    logs: Path

    def usage(self) -> machine.Usage:
        return machine.usage(self.mark)


class Side(Protocol):
    """A contender: started and stopped once per round."""

    name: str

    def start(self) -> Running: ...

    def stop(self) -> None: ...


def deploy_dags(folder: Path) -> None:
    """Give a contender the DAG files, the same to each."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in DAG_FILES.glob("*.py"):
        (folder / file.name).write_text(file.read_text())
