"""Orrery's own settings: the variables `ORRERY_*`, read once into a typed value."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROFILES = ("local",)
#: The counterpart's name of the variable, so that what users have set goes on working.
MONITORING_SCHEDULE = "AIRFLOW_MONITORING_DAG_SCHEDULE_INTERVAL"
_WORDS = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A documented variable; docs/reference/configuration.md is made from this table."""

    name: str
    default: str
    meaning: str


#: Variables that people set. A deployment sets some of them for its components.
VARIABLES = (
    Variable(
        name="ORRERY_DEFAULTS",
        default="on",
        meaning="`off` leaves Airflow's configuration alone: no defaults, no secrets, no system bundle.",
    ),
    Variable(
        name="ORRERY_EARLY_FIXES",
        default="on",
        meaning="`off` leaves out all early fixes of Airflow's bugs, a list of their ids only these: "
        "`orrery release show` names them.",
    ),
    Variable(
        name="ORRERY_PROFILE",
        default="none",
        meaning="`local` adds the defaults for one person's machine. `orrery up` sets it.",
    ),
    Variable(
        name="ORRERY_SECRETS_DIR",
        default="`$AIRFLOW_HOME/secrets`",
        meaning="Folder of the shared secrets. It must be the same for every component of a deployment.",
    ),
    Variable(
        name="ORRERY_WORKER_SLOTS",
        default="from this machine",
        meaning="Tasks that all workers of the deployment run at a time: over all queues, running workers "
        "times tasks per worker. It becomes `core.parallelism`.",
    ),
    Variable(
        name="ORRERY_CACHE_DIR",
        default="`$XDG_CACHE_HOME/orrery`, or `~/.cache/orrery`",
        meaning="Where environments and other things that can be made again are kept.",
    ),
    Variable(
        name="ORRERY_WAIT_SECONDS",
        default="120",
        meaning="How long a component in a container waits for the database and its schema; 0: not at all.",
    ),
    Variable(
        name="ORRERY_IMAGE_TAG",
        default="none",
        meaning="Tag of the image that runs, shown in the footer. Set when an image is built.",
    ),
    Variable(
        name="ORRERY_DOCS_URL",
        default="a page of the deployment",
        meaning="Your own address behind 'documentation' in the footer and the menu.",
    ),
    Variable(
        name="ORRERY_RELEASE_NOTES_URL",
        default="a page of the deployment",
        meaning="Your own address behind 'release notes'.",
    ),
    Variable(
        name="ORRERY_SUPPORT_URL",
        default="a page of the deployment",
        meaning="Your own address behind 'support'.",
    ),
    Variable(
        name="ORRERY_DEPLOYMENT",
        default="none",
        meaning="Name of the local deployment that a process belongs to. `orrery up` sets it.",
    ),
    Variable(
        name="ORRERY_COMPONENT",
        default="none",
        meaning="`worker` keeps the platform's secrets out of a process and its tasks. `orrery up` sets it.",
    ),
)

#: Variables that Orrery sets for itself and its children.
INTERNAL_VARIABLES = (
    Variable(
        name="ORRERY_DEFAULTS_APPLIED",
        default="none",
        meaning="JSON: the variables that Orrery has set, and their values; of secrets only a digest.",
    ),
    Variable(
        name="ORRERY_DEFAULTS_REPLACED",
        default="none",
        meaning="JSON: your value of each variable into which Orrery merged something.",
    ),
    Variable(name="ORRERY_REPORTED", default="none", meaning="Which notes have been written already."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings of this process."""

    defaults_on: bool
    profile: str | None
    secrets_dir: Path | None
    worker_slots: int | None
    cache_dir: Path
    image_tag: str | None
    deployment: str | None
    component: str | None


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings, by default from this process's environment; an empty value counts as none.

    Raises:
        InputError: a value is not of its kind.
    """
    source = os.environ if environment is None else environment
    given = own_variables(source)
    return Settings(
        defaults_on=_switch(given, "ORRERY_DEFAULTS"),
        profile=_profile(given.get("ORRERY_PROFILE")),
        secrets_dir=_folder(given.get("ORRERY_SECRETS_DIR")),
        worker_slots=_count(given, "ORRERY_WORKER_SLOTS"),
        cache_dir=_folder(given.get("ORRERY_CACHE_DIR")) or _user_cache(source) / "orrery",
        image_tag=given.get("ORRERY_IMAGE_TAG"),
        deployment=given.get("ORRERY_DEPLOYMENT"),
        component=given.get("ORRERY_COMPONENT"),
    )


def own_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables `ORRERY_*` that have a value, by default those of this process."""
    source = os.environ if environment is None else environment
    return {name: value for name, value in source.items() if name.startswith("ORRERY_") and value}


def monitoring_schedule(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the wished schedule of the monitoring DAG, a cron expression not yet checked."""
    return (os.environ if environment is None else environment).get(MONITORING_SCHEDULE)


def _switch(given: Mapping[str, str], name: str) -> bool:
    word = given.get(name, "on").lower()
    if word not in _WORDS:
        raise InputError(
            f"{name} is '{given[name]}', which is neither on nor off.", hint=f"Set {name}=off or on."
        )
    return _WORDS[word]


def _profile(name: str | None) -> str | None:
    if name in (None, "none"):
        return None
    if name not in PROFILES:
        near = difflib.get_close_matches(str(name), PROFILES, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known profiles: {', '.join(PROFILES)}."
        raise InputError(f"ORRERY_PROFILE is '{name}', which is no profile.", hint=hint)
    return name


def _count(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{name} is '{text}', which is not a positive whole number.", hint=f"Set {name}=16.")
    return int(text)


def _folder(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _user_cache(source: Mapping[str, str]) -> Path:
    return _folder(source.get("XDG_CACHE_HOME")) or Path("~/.cache").expanduser()
