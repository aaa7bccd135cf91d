"""What a task's process needs to know of its cell: made by the agent, entered by the child (`enter`)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["CellSpec", "Namespaces", "UnixUser"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnixUser:
    """Another user whom the task's process becomes."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))


@dataclass(frozen=True, kw_only=True, slots=True)
class Namespaces:
    """PIDs, mounts and IPC of the task's own."""

    #: Files and folders that the task must not see: secrets, other tasks' temporary folders.
    hide: tuple[str, ...] = ()
    #: Files and folders that stay visible although they lie in a temporary folder such as /tmp.
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hide", tuple(self.hide))
        object.__setattr__(self, "keep", tuple(self.keep))


@dataclass(frozen=True, kw_only=True, slots=True)
class CellSpec:
    """Where a child puts itself before the task starts."""

    name: str
    #: Files that move the process which writes 0 to them.
    join: tuple[str, ...] = ()
    #: (resource, soft, hard), numbers of the module `resource`; never above what is there already.
    rlimits: tuple[tuple[int, int, int], ...] = ()
    #: By how much the data of the process may grow, in bytes: a backstop where a watch limits memory.
    data_growth_bytes: int | None = None
    #: Its private temporary folder.
    scratch: str
    namespaces: Namespaces | None = None
    user: UnixUser | None = None
    #: Set-user-id programs such as sudo do not work with it.
    no_new_privs: bool = True
    nice: int = 0
    #: The signal that the process gets when its parent ends; None: it outlives its parent.
    parent_death_signal: int | None = None
    #: Variables to set; `{scratch}` is the temporary folder as the task sees it.
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # JSON knows neither tuples nor our types.
        given: dict[str, object] = {
            "join": tuple(self.join),
            "rlimits": tuple((kind, soft, hard) for kind, soft, hard in self.rlimits),
        }
        for name, kind in (("namespaces", Namespaces), ("user", UnixUser)):
            if isinstance(value := getattr(self, name), dict):
                given[name] = kind(**value)
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def as_mapping(self) -> dict[str, Any]:
        """Return what JSON can hold; `CellSpec(**mapping)` reads it back."""
        return asdict(self)

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(self.as_mapping(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> CellSpec:
        """Return what `to_json` has written.

        Raises:
            ValueError: it is no JSON.
            TypeError: a field is missing or unknown.
        """
        return cls(**json.loads(text))
