"""What the deployment file says of tasks: what they ask for, and what a machine has for them.

Amounts are read by the executor's own grammar, so that nothing is right here and wrong there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from orrery.deployment.document import kind
from orrery.deployment.section import Section, complaint
from orrery.executor import quantity
from orrery.executor.quantity import ResourceError
from orrery.executor.request import Isolation  # noqa: TC001 - pydantic reads the annotation

if TYPE_CHECKING:
    from collections.abc import Callable

#: A Python module.
MODULE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"


def _is_amount(value: object, info: ValidationInfo) -> object:
    """Read the amount by the executor's own grammar, and keep it as it was written."""
    reader = _READERS[str(info.field_name)]
    try:
        reader(value)
    except ResourceError as error:
        raise complaint(f"is {kind(value)}: {error.problem}; write {error.expected}") from error
    return value


#: The executor's reader of each amount.
_READERS: dict[str, Callable[[object], int]] = {
    "cpu": quantity.millicores,
    "memory": quantity.memory_bytes,
    "gpu": quantity.gpus,
    "disk": quantity.disk_bytes,
}
_AmountText = Annotated[str | int | float, BeforeValidator(_is_amount)]


class Amounts(Section):
    """Amounts of resources."""

    cpu: _AmountText | None = Field(default=None, examples=[2, "500m"])
    """CPUs, in Kubernetes' notation or as a number: `0.5` and `500m` are half a CPU."""

    memory: _AmountText | None = Field(default=None, examples=["4Gi", "512Mi"])
    """Memory, in Kubernetes' notation: `512Mi`, `4Gi`."""

    gpu: _AmountText | None = Field(default=None, examples=[1])
    """Whole GPUs."""

    disk: _AmountText | None = Field(default=None, examples=["10Gi"])
    """Disk for temporary files."""


class Capacity(Amounts):
    """What a machine has. CPU and memory must be given; without `gpu` and `disk` it has none."""

    cpu: _AmountText = Field(examples=[4])
    """CPUs of the machine."""

    memory: _AmountText = Field(examples=["16Gi"])
    """Memory of the machine."""


class TaskRequest(Amounts):
    """What a task asks for. What is left out comes from the next default."""

    isolation: Isolation | None = None
    """`process`: a process of its own with its limits. `namespace`: also its own PIDs, mounts and IPC."""


_ModuleName = Annotated[str, Field(pattern=MODULE_PATTERN)]


class Worker(Section):
    """How tasks are packed on a machine, and what they may use."""

    capacity: Capacity | None = None
    """What the machine has. Without it: what is measured, within the limits of its container."""

    reserve: Amounts | None = None
    """What is kept from tasks for the platform itself; what it leaves out is not kept. Without it: a
    quarter of the memory (at most 1 GiB and a fiftieth) and a tenth of the disk (at most 10 GiB)."""

    default: TaskRequest | None = None
    """What a task asks for that says nothing itself. Without it: 0.2 CPU, and as much memory as lets five
    tasks a core fit."""

    memory_limit_factor: float = Field(default=1.0, ge=1, le=100)
    """A task is stopped when it uses more than its memory request times this."""

    cpu_cap: bool = False
    """`true` holds a task to its CPU request even while other CPUs are idle."""

    preload_deny: Annotated[tuple[_ModuleName, ...], Field(strict=False, examples=[["torch"]])] = ()
    """Modules that must not be imported ahead of tasks, because they start threads or hold a GPU."""

    @field_validator("memory_limit_factor", mode="before")
    @classmethod
    def _is_a_number(cls, value: object) -> object:
        # Numbers with a point are text in our YAML, so that 3.10 stays a version.
        try:
            return float(value) if isinstance(value, str) else value
        except ValueError:
            return value
