"""What a start has decided, for the commands that come after it: `.orrery/run/deployment.json`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orrery.local.state import read_json, write_private

if TYPE_CHECKING:
    from orrery.local.plan import Plan
    from orrery.local.state import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A deployment as it was started last."""

    port: int
    #: None where the project names a database of its own.
    postgres_port: int | None
    runtime: str
    python: str
    providers: str
    #: Folder of PostgreSQL's programs.
    programs: str
    #: What orrery.yaml said then; `--port` may have won over it.
    planned_port: int
    #: A digest of the database's URL, which holds a password; None: the embedded one.
    database: str | None

    @classmethod
    def read(cls, state: State) -> Record | None:
        """Return the record of the last start; None when there is none, or one of another release."""
        try:
            return cls(**read_json(state.run / "deployment.json"))
        except TypeError:
            return None

    def write(self, state: State) -> None:
        """Keep it."""
        write_private(state.run / "deployment.json", json.dumps(asdict(self)))

    def differences(self, plan: Plan) -> tuple[str, ...]:
        """Return what a plan asks for that no restart can change, in words; empty when nothing."""
        found = []
        runtime = (self.runtime, self.python, self.providers)
        wanted = (plan.runtime, plan.python, plan.providers)
        if runtime != wanted:
            found.append("runtime {} (Python {}, {}) instead of {} (Python {}, {})".format(*wanted, *runtime))
        if self.planned_port != plan.port:
            found.append(f"port {plan.port} instead of {self.planned_port}")
        if self.database != digest_of(plan.database_url):
            found.append("another database")
        return tuple(found)


def digest_of(url: str | None) -> str | None:
    """Return a digest by which two URLs can be told apart, and neither can be read."""
    return hashlib.sha256(url.encode()).hexdigest()[:16] if url else None
