"""Every option that the Airflow of this release knows: the typed form of airflow_options.json.

The tools explain settings without importing Airflow; bin/update_airflow_options writes the data.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orrery.config.defaults import OldName
from orrery.config.user import variable_of
from orrery.errors import InputError

FILE = Path(__file__).with_name("airflow_options.json")

#: From 0 to 1: below it a suggestion would only confuse.
_LEAST_LIKENESS = 0.6


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of Airflow's or of a provider's. `default` may contain `{AIRFLOW_HOME}`."""

    section: str
    option: str
    default: str | None
    description: str
    is_sensitive: bool

    @property
    def key(self) -> tuple[str, str]:
        """Section and option."""
        return self.section, self.option

    @property
    def name(self) -> str:
        """`section.option`."""
        return f"{self.section}.{self.option}"

    @property
    def variable(self) -> str:
        """The environment variable that Airflow reads."""
        return variable_of(self.section, self.option)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """All options of one Airflow version, and the old names of some."""

    airflow: str
    all: tuple[Option, ...]
    old_names: tuple[OldName, ...]

    def find(self, name: str) -> Option:
        """Return the option called `section.option`, or by its variable AIRFLOW__SECTION__OPTION.

        Raises:
            InputError: there is none; the hint tells today's name, or the nearest.
        """
        for option in self.all:
            if name.lower() == option.name.lower() or name.upper() == option.variable:
                return option
        for old in self.old_names:
            if name.lower() == ".".join(old.place or ()) or name.upper() == old.variable:
                raise InputError(
                    f"'{name}' is an old name of {old.section}.{old.option} (since {old.since}).",
                    hint=f"Run: orrery config explain {old.section}.{old.option}",
                )
        raise InputError(f"Airflow {self.airflow} has no option '{name}'.", hint=self._nearest(name))

    def _nearest(self, name: str) -> str:
        section, option = _parts(name)
        nearest = max(self.all, key=lambda known: _likeness(known, section, option))
        named_so = [known.name for known in self.all if known.option == option]
        if len(named_so) > 1 and _ratio(section, nearest.section) < _LEAST_LIKENESS:
            return f"Name its section{'' if section else ' too'}: {', '.join(named_so)}."
        if _ratio(option, nearest.option) >= _LEAST_LIKENESS:
            return f"Did you mean '{nearest.name}'?"
        return "See them all: orrery config list"


def _parts(name: str) -> tuple[str, str]:
    """Return section and option of what somebody wrote, in lower case; an absent section is empty."""
    section, _, option = name.lower().removeprefix("airflow__").rpartition("__" if "__" in name else ".")
    return section, option


def _likeness(known: Option, section: str, option: str) -> tuple[float, float, bool, float]:
    """Rank an option: people mistake the section more often than the name, and often mean `core`."""
    exact = _ratio(option, known.option)
    # Rounded, so that of options with nearly the same name the section decides.
    return round(exact, 1), round(_ratio(section, known.section), 1), known.section == "core", exact


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def load(path: Path = FILE, *, old_names: tuple[OldName, ...] = ()) -> Options:
    """Read the options; `old_names` are known besides those of Airflow, and win over these."""
    data = json.loads(path.read_text(encoding="utf-8"))
    entries = [(*name.rsplit(".", 1), facts) for name, facts in data["options"].items()]
    known = {old.variable for old in old_names}
    airflows = [old for entry in entries for old in _old_names(*entry) if old.variable not in known]
    return Options(
        airflow=data["airflow"],
        all=tuple(_option(*entry) for entry in entries),
        old_names=(*old_names, *airflows),
    )


def _option(section: str, option: str, facts: dict[str, Any]) -> Option:
    return Option(
        section=section,
        option=option,
        default=facts.get("default"),
        description=facts.get("description", ""),
        is_sensitive=facts.get("sensitive", False),
    )


def _old_names(section: str, option: str, facts: dict[str, Any]) -> list[OldName]:
    return [
        OldName(
            variable=variable_of(*old["name"].rsplit(".", 1)),
            section=section,
            option=option,
            since=f"Airflow {old['since']}",
        )
        for old in facts.get("old", [])
    ]
