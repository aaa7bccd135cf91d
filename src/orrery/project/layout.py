"""Where the files of a project are, and which folder is one."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import yaml

from orrery.errors import InputError, MachineError

DEPLOYMENT_FILE = "orrery.yaml"

#: Base images that make a folder with a Dockerfile a project: Orrery's and Astro's runtimes.
_RUNTIME_IMAGE = re.compile(
    r"^\s*FROM\s+(?:--\S+\s+)*(?:\S*/)?(?:astro-runtime|orrery/runtime|astrocrpublic\.[^/\s]+/runtime)(?:[:@\s]|$)",
    re.IGNORECASE | re.MULTILINE,
)


class NoProject(InputError):  # noqa: N818 - a state, no error
    """There is no project here, nor around it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A user's project: a folder of DAGs and what they need. None of its files has to exist."""

    #: On PYTHONPATH, so that DAGs import `include.x`.
    root: Path
    #: What the deployment is called where `orrery.yaml` does not say otherwise.
    name: str

    @property
    def dags(self) -> Path:
        """DAG files."""
        return self.root / "dags"

    @property
    def plugins(self) -> Path:
        """Airflow plugins."""
        return self.root / "plugins"

    @property
    def requirements(self) -> Path:
        """Python packages, one requirement a line."""
        return self.root / "requirements.txt"

    @property
    def packages(self) -> Path:
        """Debian packages, one name a line."""
        return self.root / "packages.txt"

    @property
    def env_file(self) -> Path:
        """Environment variables of the local deployment."""
        return self.root / ".env"

    @property
    def deployment_file(self) -> Path:
        """What the deployment is: runtime, database, ports."""
        return self.root / DEPLOYMENT_FILE

    @property
    def airflow_settings(self) -> Path:
        """Astro's file of local connections, pools and variables."""
        return self.root / "airflow_settings.yaml"

    @property
    def dockerfile(self) -> Path:
        """How the project's image is built."""
        return self.root / "Dockerfile"

    @property
    def state(self) -> Path:
        """Everything that a local deployment keeps: database, logs, secrets, sockets."""
        return self.root / ".orrery"


def find_project(start: Path, *, home: Path | None = None) -> Project:
    """Return the project that `start` is, or the nearest one around it.

    The search ends below `home` (the user's, if not given) and below the file system's root: a stray
    `~/dags` does not claim every folder of the user. `start` itself is always looked at.
    Raises NoProject when there is none, InputError when its path cannot be a project's, MachineError
    when the folder cannot be read.
    """
    try:
        folder = start.resolve()
        if not folder.exists():
            raise InputError(f"{start} does not exist.", hint=f"Make a project there: orrery init {start}")
        if not folder.is_dir():
            raise InputError(f"{start} is a file; name the folder of a project.")
        ends = {Path(folder.anchor), home.resolve() if home else _home()}
        for candidate in (folder, *folder.parents):
            if candidate in ends and candidate != folder:
                break
            if is_project(candidate):
                check_path(candidate)
                return Project(root=candidate, name=_name(candidate))
    except (OSError, RuntimeError) as error:  # a deleted working directory, a circle of links, no permission
        raise MachineError(f"{start} cannot be looked at: {error}.") from error
    raise NoProject(
        f"{folder} is no project: it has neither orrery.yaml nor dags/.",
        hint="Run `orrery init` to make one here, or go to the folder of a project.",
    )


def check_path(root: Path) -> None:
    """Raise InputError where a project cannot be: a colon would cut its path on PYTHONPATH in two."""
    if os.pathsep in str(root):
        raise InputError(
            f"The path {root} has a '{os.pathsep}' in it, which separates the folders of PYTHONPATH.",
            hint=f"Choose, or rename it to, a path without '{os.pathsep}'.",
        )


def is_project(folder: Path) -> bool:
    """Say whether a folder is a project, of Orrery's or of Astro's making."""
    if (folder / DEPLOYMENT_FILE).is_file() or (folder / "dags").is_dir():
        return True
    return (folder / ".astro" / "config.yaml").is_file() or bool(
        _RUNTIME_IMAGE.search(_text(folder / "Dockerfile"))
    )


def label(text: str) -> str:
    """Return `text` as a deployment's name: lower-case letters, digits and inner hyphens, at most 63."""
    letters = unicodedata.normalize("NFKD", text)  # an accent becomes a character of its own
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", plain.casefold())[:63].strip("-") or "project"


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user without an entry, as in some containers
        return None


def _name(root: Path) -> str:
    """Return the name in orrery.yaml, else Astro's, else the folder's.

    Files that say something else than a name are passed over here: reading them properly is others' work.
    """
    astro = _mapping(root / ".astro" / "config.yaml").get("project")
    for name in (
        _mapping(root / DEPLOYMENT_FILE).get("name"),
        astro.get("name") if isinstance(astro, dict) else None,
    ):
        if isinstance(name, str) and name.strip():
            return label(name)
    return label(root.name)


def _mapping(file: Path) -> dict[str, object]:
    try:
        found = yaml.safe_load(_text(file))
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""
