"""What Orrery sets for Airflow, decided from what the user has set: pure, values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orrery.config import bundles, capacity
from orrery.config.airflow_file import expand
from orrery.config.note import Note
from orrery.config.user import variable_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orrery.config.capacity import Machine
    from orrery.config.defaults import Default
    from orrery.config.user import UserSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The variables to set, and what has to be said."""

    values: dict[str, str]
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What computed defaults depend on; `worker_slots` is what the deployment's workers take together."""

    user: UserSettings
    machine: Machine
    worker_slots: int | None = None


def make(defaults: Mapping[tuple[str, str], Default], situation: Situation) -> Plan:
    """Return what to set: nothing that the user has set, except a merged bundle list and old names."""
    values: dict[str, str] = {}
    user = situation.user
    for key, default in defaults.items():
        given = user.given(*key)
        value = value_of(default, situation) if given is None else given.value if given.old_name else None
        if value is not None:
            values[variable_of(*key)] = value
    return Plan(values=values | _system_bundle(user), notes=notes(defaults, user))


def notes(defaults: Iterable[tuple[str, str]], user: UserSettings) -> tuple[Note, ...]:
    """Return what has to be said about the user's settings for the options that have a default of ours."""
    old_names = [note for key in defaults for note in _old_name_notes(user, key)]
    return (*old_names, *_system_bundle_notes(user))


def value_of(default: Default, situation: Situation) -> str | None:
    """Return the value of a default; None when it does not apply here and Airflow's shall stand."""
    if default.compute is not None:
        return COMPUTED[default.compute](situation)
    return default.value


def _parallelism(situation: Situation) -> str | None:
    if situation.worker_slots is not None:
        return str(situation.worker_slots)
    executor = _first_executor(situation.user)
    if executor == "PackingExecutor":
        return str(_NO_LIMIT)  # it derives its own from the nodes there are
    if executor != "LocalExecutor":
        return None  # this machine's size says nothing about the workers
    machine = situation.machine
    return str(capacity.parallelism([(1, capacity.tasks_per_worker(machine.cores, machine.memory_bytes))]))


def _idle_sleep(situation: Situation) -> str | None:
    # The packing executor sleeps itself, until something happens.
    return "0" if _first_executor(situation.user) == "PackingExecutor" else "0.2"


#: The functions that `compute` in airflow_defaults.toml may name.
COMPUTED: dict[str, Callable[[Situation], str | None]] = {
    "parallelism": _parallelism,
    "idle_sleep": _idle_sleep,
}
#: To Airflow zero tasks at a time are none.
_NO_LIMIT = 10_000


def _first_executor(user: UserSettings) -> str:
    """Return the name of the first executor's class; the LocalExecutor is Airflow's default."""
    given = user.given("core", "executor")
    text = expand(given.value, user.environment) if given and given.value else "LocalExecutor"
    first = text.split(";")[0].split(",")[0].split("=")[-1]
    # An entry is a name, a dotted path, or `alias:dotted.path`.
    return first.split(":")[-1].rsplit(".", 1)[-1].strip()


def _old_name_notes(user: UserSettings, key: tuple[str, str]) -> list[Note]:
    section, option = key
    given = user.given(*key)
    today = f"{variable_of(section, option)} ([{section}] {option})"
    notes = [
        Note(
            key=f"ignored:{old.variable}",
            text=f"{old.variable}={value} is ignored: {old.ignored_because} Set {today} instead.",
        )
        for old, value in user.ignored_old_names(section, option)
    ]
    if given and given.old_name:
        text = f"{given.name} is an old name (since {given.old_name.since}) and is honoured. Use {today}."
        notes.append(Note(key=f"old:{given.name}", text=text))
    return notes


def _system_bundle(user: UserSettings) -> dict[str, str]:
    given = user.given(bundles.SECTION, bundles.OPTION)
    text = expand(given.value, user.environment) if given and given.value is not None else None
    merged = bundles.with_system_bundle(text)
    return {} if merged is None else {variable_of(bundles.SECTION, bundles.OPTION): merged}


def _system_bundle_notes(user: UserSettings) -> list[Note]:
    given = user.given(bundles.SECTION, bundles.OPTION)
    if given is None or given.value is not None:
        return []
    text = f"{given.name} has no effect: Airflow reads commands and secrets for sensitive options only."
    return [Note(key=f"ignored:{given.name}", text=text)]
