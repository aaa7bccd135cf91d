"""What `orrery.boot` will say about an environment, told before a process starts in it.

Boot speaks in the first process that loads Airflow. Where the components of a deployment write to log
files, nobody reads that: their starter says it instead and marks it as said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orrery.config import airflow_file, applied, defaults, plan
from orrery.config.note import Note
from orrery.config.settings import load_settings
from orrery.config.user import UserSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def notes(environment: Mapping[str, str], profile: str | None) -> tuple[Note, ...]:
    """Return what boot would say, and has not said yet, about the user's settings in an environment.

    It changes no file, so what boot tells of files that it makes or mends is not among it.

    Raises:
        InputError: one of Orrery's own settings is wrong; every process of Airflow would refuse to start.
    """
    users = applied.users_environment(environment)
    if not load_settings(users).defaults_on:
        return ()
    file = airflow_file.read(airflow_file.path_of(users))
    if file.problem:
        found: tuple[Note, ...] = (unreadable(file),)
    else:
        known = defaults.load()
        user = UserSettings(environment=users, file=file, old_names=known.old_names)
        found = plan.notes(known.of_profile(profile), user)
    said = _said(environment)
    return tuple(note for note in found if _mark(note) not in said)


def unreadable(file: airflow_file.AirflowFile) -> Note:
    """Return what is said of an airflow.cfg that cannot be read."""
    text = f"{file.problem} Orrery's defaults are not applied."
    return Note(key=f"airflow.cfg:{file.path}", text=text)


def marked(environment: Mapping[str, str], said: Iterable[Note]) -> dict[str, str]:
    """Return the variable that keeps boot from saying these notes again; none where nothing was said."""
    marks = dict.fromkeys([*_said(environment), *map(_mark, said)])
    return {applied.REPORTED: " ".join(marks)} if marks else {}


def _said(environment: Mapping[str, str]) -> list[str]:
    return environment.get(applied.REPORTED, "").split()


def _mark(note: Note) -> str:
    return note.key.replace(" ", "_")
