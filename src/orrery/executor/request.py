"""A task's request: what it asks for, and how it is to be kept apart from others."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from orrery.executor import quantity
from orrery.executor.resources import ResourceError, Resources, nearest

#: `process`: its own process, group and limits. `namespace`: also its own PIDs, mounts and IPC.
Isolation = Literal["process", "namespace"]
ISOLATIONS: tuple[Isolation, ...] = get_args(Isolation)

#: Tasks mostly wait for other systems: five share a core.
DEFAULT_MILLICORES = 200
#: Below this Airflow and a little data do not fit; above it a default would waste.
_LEAST_DEFAULT_BYTES = 256 * quantity.MIB
_MOST_DEFAULT_BYTES = 2 * quantity.GIB
#: One task that waits for another must not block a node: at least so many defaults fit on each.
_FEWEST_DEFAULTS = 2

#: Airflow's `resources=` of an operator: (our name, bytes in one of its units, how it is read).
_OPERATOR_KEYS = {
    "cpus": ("cpu_millicores", 1, quantity.millicores),
    "ram": ("memory_bytes", quantity.MIB, quantity.memory_bytes),
    "disk": ("disk_bytes", quantity.MIB, quantity.disk_bytes),
    "gpus": ("gpus", 1, quantity.gpus),
}
_MIB_EXPECTED = "a number of MiB, such as 512"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What one task asks for."""

    resources: Resources
    isolation: Isolation = "process"


def default_resources(allocatable: Resources) -> Resources:
    """Return what a task without a request gets on a node of that size.

    A fifth of a CPU, and memory so that five tasks a core fit: at least 256 MiB and at most 2 GiB, and
    on small nodes never more than half of what there is.
    """
    tasks = max(_FEWEST_DEFAULTS, allocatable.cpu_millicores // DEFAULT_MILLICORES)
    share = allocatable.memory_bytes // tasks
    memory = min(max(share, _LEAST_DEFAULT_BYTES), _MOST_DEFAULT_BYTES)
    memory -= memory % (16 * quantity.MIB)  # a round figure: people will read it
    return Resources(
        cpu_millicores=max(1, min(DEFAULT_MILLICORES, allocatable.cpu_millicores // _FEWEST_DEFAULTS)),
        memory_bytes=max(quantity.FEWEST_BYTES, min(memory, allocatable.memory_bytes // _FEWEST_DEFAULTS)),
    )


def parse_request(executor_config: object, *, operator_resources: object = None, default: Request) -> Request:
    """Return a task's request: of the operator's `resources=`, else of `executor_config`, else the default.

    Of `executor_config` only `resources` and `isolation` are ours; what other executors keep there is
    left alone, unless it looks like one of ours misspelt.

    Raises:
        ResourceError: a key or value is wrong.
    """
    config = executor_config if isinstance(executor_config, Mapping) else {}
    for key in config:
        _check_spelling(key, config[key])
    if operator_resources is not None:
        resources = operator_form(operator_resources, default=default.resources)
    elif "resources" in config:
        resources = Resources.parse(config["resources"], default=default.resources)
    else:
        resources = default.resources
    return Request(resources=resources, isolation=_isolation(config.get("isolation", default.isolation)))


def operator_form(value: object, *, default: Resources) -> Resources:
    """Read Airflow's own form: `cpus`, `ram` and `disk` in MiB, `gpus`; plain, serialised, or its object.

    Raises:
        ResourceError: a key or value is wrong.
    """
    to_dict = getattr(value, "to_dict", None)
    entries = to_dict() if callable(to_dict) else value
    if not isinstance(entries, Mapping):
        raise ResourceError(
            "resources", value, "it is no mapping", expected='a mapping such as {"cpus": 0.5, "ram": 512}'
        )
    amounts = default.as_mapping()
    for key, entry in entries.items():
        if key not in _OPERATOR_KEYS:
            advice = nearest(key, _OPERATOR_KEYS)
            raise ResourceError(str(key), entry, "an operator has no such resource", expected=advice)
        name, unit, read = _OPERATOR_KEYS[key]
        # Airflow serialises {"name": "RAM", "qty": 512, "units_str": "MB"}.
        number = entry.get("qty") if isinstance(entry, Mapping) else entry
        try:
            amounts[name] = read(_in_bytes(number, key) if unit > 1 else number, key=key)
        except ResourceError as error:  # shown as it was written, not in bytes
            expected = _MIB_EXPECTED if unit > 1 else error.expected
            raise ResourceError(key, number, error.problem, expected=expected) from error
    return Resources(**amounts)


def _in_bytes(value: object, key: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResourceError(key, value, "it is no number", expected=_MIB_EXPECTED)
    return value * quantity.MIB


def _isolation(value: object) -> Isolation:
    for known in ISOLATIONS:
        if value == known:
            return known
    raise ResourceError("isolation", value, "there is no such isolation", expected=nearest(value, ISOLATIONS))


def _check_spelling(key: object, value: object) -> None:
    ours = ("resources", "isolation")
    near = difflib.get_close_matches(str(key).lower(), ours, n=1, cutoff=0.8)
    if near and key not in ours:
        raise ResourceError(str(key), value, "executor_config has no such key", expected=f"'{near[0]}'")
