"""Means: by what this machine keeps tasks apart, what of it is weaker than it could be, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection

#: By what a limit is kept: the kernel's groups of version 1 or 2, or a look about each second.
By = Literal["cgroup v2", "cgroup v1", "watch", "nothing"]

_HOW = (
    "Run the agent as root, or give it a delegated cgroup: a systemd unit with Delegate=yes, "
    "'systemd-run --user --scope -p Delegate=yes orrery up', or a container with a writable cgroup"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What keeps a task to its limits here, and what makes sure that nothing of it stays behind."""

    memory: By
    cpu: By
    pids: By
    #: How all processes of a task are found at its end: by its cgroup, or by a mark that they inherit.
    processes: Literal["cgroup v2", "cgroup v1", "mark"]
    #: Why there are no namespaces; None: there are.
    namespaces_unavailable: str | None
    #: Why cgroups are not used, or not all of them; empty: they are.
    reason: str = ""

    @classmethod
    def of(
        cls,
        version: int | None,
        controllers: Collection[str],
        *,
        reason: str,
        namespaces_unavailable: str | None,
    ) -> Means:
        """Return what those controllers of that version of cgroups make possible; None: no cgroups."""
        group: Literal["cgroup v2", "cgroup v1"] = "cgroup v2" if version == 2 else "cgroup v1"
        is_whole = version is not None and {"memory", "cpu", "pids"} <= set(controllers)
        return cls(
            memory=group if "memory" in controllers else "watch",
            cpu=group if "cpu" in controllers else "nothing",
            pids=group if "pids" in controllers else "watch",
            processes=group if version else "mark",
            namespaces_unavailable=namespaces_unavailable,
            reason="" if is_whole else reason,
        )

    @property
    def is_full(self) -> bool:
        """Whether the kernel itself enforces all limits."""
        return {"watch", "nothing"}.isdisjoint((self.memory, self.cpu, self.pids))

    @property
    def text(self) -> str:
        """One line for people."""
        spaces = "no namespaces" if self.namespaces_unavailable else "namespaces on request"
        if self.is_full:
            return f"{self.memory}: memory, CPU and processes are limited; {spaces}"
        parts = (("memory", self.memory), ("CPU", self.cpu), ("processes", self.pids))
        return "; ".join([f"{name} by {by}" for name, by in parts] + [spaces])

    @property
    def notes(self) -> tuple[str, ...]:
        """What is weaker, each in a sentence, and at the end how to get it."""
        found = []
        if self.memory == "watch":
            found.append(
                "Memory is looked at each second: a task that is too large is killed a moment later, "
                "and could meanwhile push the machine into swap or out of memory."
            )
        if self.cpu == "nothing":
            found.append("CPU is shared by the number of busy processes, not by what tasks ask for.")
        if self.pids == "watch":
            found.append("The number of processes is looked at each second, not enforced.")
        if found:
            found.append(f"{_HOW}." + (f" (Now: {self.reason}.)" if self.reason else ""))
        if self.namespaces_unavailable:
            found.append(
                f"Tasks with isolation 'namespace' fail at once: {self.namespaces_unavailable}. "
                "Run the agent as root, or allow unprivileged user namespaces "
                "(sysctl user.max_user_namespaces)."
            )
        return tuple(found)

    def as_mapping(self) -> dict[str, Any]:
        """Return it for JSON, with its sentences."""
        return asdict(self) | {"text": self.text, "notes": list(self.notes)}
