"""uv, the installer: how it is called, and what its failures mean to a person."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uv

from orrery.errors import MachineError
from orrery.local import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: What would make uv work on, or like, another environment than the one it is told.
_MISLEADING = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
)
_INDEX_SETTINGS = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_OFFLINE")
_UNREACHABLE = re.compile(
    r"Failed to fetch|Request failed after|error sending request|dns error"
    r"|network was disabled|network connectivity is disabled"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_MOST_LINES = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Installer:
    """uv with a cleaned environment. `echo` gets each command line, or is None."""

    binary: Path
    environment: Mapping[str, str]
    echo: Callable[[str], None] | None = None

    @classmethod
    def find(cls, environment: Mapping[str, str], echo: Callable[[str], None] | None = None) -> Installer:
        """Return the uv that was installed with the tools. Raises MachineError when it is gone."""
        try:
            binary = Path(uv.find_uv_bin())
        except FileNotFoundError as error:
            raise MachineError(
                "The program 'uv', which installs Python packages, is missing from this environment.",
                hint="Reinstall it beside orrery: python -m pip install --force-reinstall uv",
            ) from error
        return cls(binary=binary, environment=cleaned(environment), echo=echo)

    def run(self, *arguments: str | Path, cwd: Path, keep_open: Sequence[int] = ()) -> process.Completed:
        """Run uv to its end; the caller judges a failure that is not the machine's.

        Raises:
            MachineError: no package index answers, the disk is full, a folder cannot be written.
        """
        # Fixed locale and no colours: the texts of failures are read below.
        environment = {**self.environment, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
        ended = process.run(
            [self.binary, *arguments], env=environment, cwd=cwd, keep_open=keep_open, echo=self.echo
        )
        if ended.returncode:
            self._raise_for_machine(ended.stderr)
        return ended

    def find_python(self, version: str, *, cwd: Path) -> Path | None:
        """Return an installed interpreter of `version` (3.12), or None; nothing is downloaded."""
        asked = ("python", "find", "--system", "--no-python-downloads", version)
        ended = self.run(*asked, cwd=cwd)
        return Path(ended.stdout.strip()) if ended.returncode == 0 else None

    def pythons(self, *, cwd: Path) -> list[str]:
        """Return the versions of the interpreters on this machine, the newest first."""
        ended = self.run("python", "list", "--only-installed", "--output-format", "json", cwd=cwd)
        listed = json.loads(ended.stdout or "[]") if ended.returncode == 0 else []
        return list(dict.fromkeys(entry["version"] for entry in listed))

    def _raise_for_machine(self, stderr: str) -> None:
        if _UNREACHABLE.search(stderr):
            used = [name for name in _INDEX_SETTINGS if self.environment.get(name)]
            settings = f"uv's settings ({', '.join(used)})" if used else "uv's own settings"
            raise MachineError(
                f"The package index could not be used. Which one it is, {settings} or the requirements "
                f"file say.\n{reason(stderr)}",
                hint="Check the network and proxy, then repeat. To use an index of your own, set "
                "UV_DEFAULT_INDEX (pip's settings are not read).",
            )
        if "No space left on device" in stderr:
            raise MachineError(
                f"The disk is full.\n{reason(stderr)}",
                hint="Free some space (about 2 GB for a runtime), then repeat. 'uv cache prune' frees some.",
            )
        if "Permission denied (os error 13)" in stderr or "Read-only file system" in stderr:
            raise MachineError(
                f"A folder cannot be written.\n{reason(stderr)}",
                hint="Give yourself write permission there, or choose other folders with ORRERY_CACHE_DIR "
                "and UV_CACHE_DIR.",
            )


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what misleads uv, and with real interpreters on PATH."""
    kept = {name: value for name, value in environment.items() if name not in _MISLEADING}
    if "PATH" in kept:
        kept["PATH"] = os.pathsep.join(_without_shims(kept["PATH"].split(os.pathsep)))
    return kept


def _without_shims(folders: Sequence[str]) -> list[str]:
    # pyenv's shims fail for each version that is not active, and uv stops at the first failure: put
    # the interpreters themselves in their place.
    real: list[str] = []
    for folder in folders:
        path = Path(folder)
        versions = path.parent / "versions"
        if path.name == "shims" and versions.is_dir():
            real += [str(found) for found in sorted(versions.glob("3.1[1-9]*/bin"), reverse=True)]
        else:
            real.append(folder)
    return real


def reason(stderr: str) -> str:
    """Return uv's own words for a failure: indented, without passwords, at most 15 lines."""
    lines = [
        re.sub(r"^\s*(error|cause):\s*", "", line).rstrip()
        for line in stderr.splitlines()
        if line.strip() and not line.startswith(("warning:", "Using ", "Resolved ", "Creating "))
    ]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 6], "...", *lines[-5:]]
    return "\n".join(f"  {_CREDENTIALS.sub('***@', line)}" for line in lines)
