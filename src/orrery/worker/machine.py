"""What this machine has for tasks: CPU, memory, GPUs and disk."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.config import capacity
from orrery.executor.capacity import totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.executor.resources import Resources

_GPU_DEVICE = re.compile(r"nvidia[0-9]+")
#: A process that is given some GPUs only is told so by these.
_GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
_NO_GPUS = {"", "void", "none", "-1", "nodevfiles"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was found."""

    machine: capacity.Machine
    #: The names of NVIDIA's devices.
    gpus: tuple[str, ...]
    total: Resources


def measure(
    folder: Path, *, root: Path = Path("/"), environment: Mapping[str, str] | None = None
) -> Measured:
    """Measure this machine, within the limits of affinity and cgroups of both versions.

    `folder` is on the disk that tasks get, and need not exist yet; `root` is where /proc, /sys and /dev
    are looked for; `environment` may leave only some of the GPUs.
    """
    machine = capacity.machine(root)
    gpus = visible_gpus(gpu_devices(root), environment or {})
    return Measured(
        machine=machine, gpus=gpus, total=totals(machine, gpus=gpus, disk_bytes=free_bytes(folder))
    )


def gpu_devices(root: Path = Path("/")) -> tuple[str, ...]:
    """Return NVIDIA's devices, by the driver's device nodes: no library of NVIDIA's is needed."""
    try:
        names = [path.name for path in (root / "dev").iterdir() if _GPU_DEVICE.fullmatch(path.name)]
    except OSError:
        return ()
    return tuple(sorted(names, key=lambda name: int(name.removeprefix("nvidia"))))


def visible_gpus(devices: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return those devices that the environment leaves to this process."""
    for variable in _GPU_VARIABLES:
        wanted = environment.get(variable)
        if wanted is None or wanted.strip() == "all":
            continue
        names = [name.strip() for name in wanted.split(",")]
        if names[0].lower() in _NO_GPUS:
            return ()
        # By number, or by an id of NVIDIA's that tells nothing of the number: then only the count is known.
        by_number = tuple(f"nvidia{name}" for name in names if f"nvidia{name}" in devices)
        devices = by_number or devices[: len(names)]
    return devices


def free_bytes(folder: Path) -> int:
    """Return how much disk is free for this user, where a folder is or will be; 0 if it cannot be told."""
    for each in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(each).free
        except OSError:
            continue
    return 0
