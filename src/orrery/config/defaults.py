"""Orrery's defaults for Airflow's options: the typed form of airflow_defaults.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("airflow_defaults.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Default:
    """One option for which Orrery chooses another value than Airflow, and why.

    Exactly one of `value` and `compute` (a name in `orrery.config.plan.COMPUTED`) is set. `profile` limits
    it to deployments of that profile. `same_as_airflow` marks a promise that Airflow happens to keep today.
    """

    section: str
    option: str
    value: str | None
    compute: str | None
    why: str
    source: str
    profile: str | None
    same_as_airflow: bool

    @property
    def key(self) -> tuple[str, str]:
        """Section and option."""
        return self.section, self.option


@dataclass(frozen=True, kw_only=True, slots=True)
class OldName:
    """A name under which users still set an option. `ignored_values` have no meaning under today's name."""

    variable: str
    section: str
    option: str
    since: str
    ignored_values: tuple[str, ...] = ()
    ignored_because: str = ""

    @property
    def place(self) -> tuple[str, str] | None:
        """Section and option in an airflow.cfg, or None for a name that only ever was a variable."""
        prefix, *parts = self.variable.lower().split("__", 2)
        return (parts[0], parts[1]) if prefix == "airflow" and len(parts) == 2 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """All of the file."""

    defaults: tuple[Default, ...]
    old_names: tuple[OldName, ...]

    def of_profile(self, profile: str | None) -> dict[tuple[str, str], Default]:
        """Return the defaults that hold under a profile, by section and option; its own ones win."""
        general = {default.key: default for default in self.defaults if default.profile is None}
        return general | {
            default.key: default for default in self.defaults if profile and default.profile == profile
        }


def load(path: Path = FILE) -> Defaults:
    """Read the defaults."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return Defaults(
        defaults=tuple(_default(entry) for entry in data["default"]),
        old_names=tuple(_old_name(entry) for entry in data["old_name"]),
    )


def _default(entry: dict[str, Any]) -> Default:
    value, compute = entry.get("value"), entry.get("compute")
    if (value is None) == (compute is None):
        msg = f"{entry['section']}.{entry['option']}: give either value or compute"
        raise ValueError(msg)
    return Default(
        section=entry["section"],
        option=entry["option"],
        value=None if value is None else str(value),
        compute=compute,
        why=entry["why"],
        source=entry["source"],
        profile=entry.get("profile"),
        same_as_airflow=entry.get("same_as_airflow", False),
    )


def _old_name(entry: dict[str, Any]) -> OldName:
    section, option = entry["now"].rsplit(".", 1)
    return OldName(
        variable=entry["variable"],
        section=section,
        option=option,
        since=entry["since"],
        ignored_values=tuple(entry.get("ignored_values", ())),
        ignored_because=entry.get("ignored_because", ""),
    )
