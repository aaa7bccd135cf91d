"""The user's airflow.cfg: where it is, what stands in it, and a minimal one where there is none.

Airflow's command writes a missing airflow.cfg with every option uncommented, which freezes the defaults of
that day and gives each machine other secrets. A file that says nothing prevents it.
"""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.config.note import Note
from orrery.config.once import write_once

if TYPE_CHECKING:
    from collections.abc import Mapping

MINIMAL = Path(__file__).with_name("minimal_airflow.cfg")

_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenFile:
    """The file that Airflow will read; `replaces_airflow_config`: AIRFLOW_CONFIG has to be pointed at it."""

    path: Path
    replaces_airflow_config: bool = False
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AirflowFile:
    """An airflow.cfg as Airflow reads it; `problem` says why Airflow cannot."""

    path: Path
    parser: configparser.ConfigParser
    problem: str | None = None

    def has(self, section: str, option: str) -> bool:
        """Whether the option is set, if only to an empty value."""
        return self.parser.has_option(section, option)

    def value(self, section: str, option: str) -> str:
        """Return the value with its interpolations; where these are broken, the text as written."""
        try:
            return self.parser.get(section, option)
        except configparser.InterpolationError:
            return self.parser.get(section, option, raw=True)


def home(environment: Mapping[str, str]) -> Path:
    """Return AIRFLOW_HOME, by Airflow's rules."""
    return Path(expand(environment.get("AIRFLOW_HOME", "~/airflow"), environment))


def path_of(environment: Mapping[str, str]) -> Path:
    """Return the path of the airflow.cfg that Airflow would read."""
    if "AIRFLOW_CONFIG" in environment:
        return Path(expand(environment["AIRFLOW_CONFIG"], environment))
    return home(environment) / "airflow.cfg"


def expand(value: str, environment: Mapping[str, str]) -> str:
    """Expand `$NAME`, `${NAME}` and a leading `~` until nothing changes, as Airflow does."""
    for _ in range(20):  # a variable that names itself would never end
        expanded = _VARIABLE.sub(lambda found: environment.get(found[1] or found[2], found[0]), value)
        if expanded == "~" or expanded.startswith("~/"):
            expanded = environment.get("HOME", str(Path.home())) + expanded[1:]
        if expanded == value:
            break
        value = expanded
    return value


def read(path: Path) -> AirflowFile:
    """Read an airflow.cfg exactly as Airflow does; a missing or unreadable one is empty to Airflow."""
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, UnicodeError) as error:
        reason = " ".join(str(error).split())
        if path.read_bytes().startswith(_BYTE_ORDER_MARK):
            reason = "it starts with a byte-order mark; save it as UTF-8 without one."
        problem = f"{path} cannot be read: {reason}"
        return AirflowFile(path=path, parser=configparser.ConfigParser(), problem=problem)
    return AirflowFile(path=path, parser=parser)


def ensure(environment: Mapping[str, str]) -> GivenFile:
    """Make sure that Airflow finds an airflow.cfg, and say which.

    Where AIRFLOW_HOME cannot be written, the empty file of this package stands in. A path that the user
    gives in AIRFLOW_CONFIG is theirs: when its folder is missing, Airflow says so.
    """
    path = path_of(environment)
    folder = home(environment)
    if path.exists():
        return GivenFile(path=path)
    try:
        if path.is_relative_to(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_once(path, MINIMAL.read_text(encoding="utf-8"))
    except OSError as error:
        if "AIRFLOW_CONFIG" in environment:
            return GivenFile(path=path)
        text = f"{path} cannot be created ({error.strerror}); Airflow runs without an airflow.cfg."
        note = Note(key=f"airflow.cfg:{path}", text=text)
        return GivenFile(path=MINIMAL, replaces_airflow_config=True, notes=(note,))
    return GivenFile(path=path)
