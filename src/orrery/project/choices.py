"""What the maker of a project decides: its name, Python and providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orrery import __version__
from orrery.errors import InputError
from orrery.project.layout import label
from orrery.release import catalogue

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What the template leaves open. `python` None: the runtime decides."""

    name: str
    python: str | None
    providers: str
    runtime: str
    airflow: str

    def fill(self, text: str) -> str:
        """Return template text with its `<<marks>>` replaced."""
        python = f'python: "{self.python}"' if self.python else '# python: "3.13"'
        marks = {
            "name": self.name,
            "python": python,
            "providers": self.providers,
            "runtime": self.runtime,
            "airflow": self.airflow,
        }
        for mark, value in marks.items():
            text = text.replace(f"<<{mark}>>", value)
        return text


def choose(root: Path, *, name: str | None, python: str | None, providers: str) -> Choices:
    """Return the choices for a new project, checked. Raises InputError for a bad name or Python."""
    release = catalogue.load().release(__version__)
    supported = catalogue.load().line(release.version.major).python_supported or ()
    if python is not None and python not in supported:
        raise InputError(
            f"Runtime {release.version} runs on Python {', '.join(supported)}, not on {python}.",
            hint=f"Choose one of them: --python {supported[-1]}",
        )
    if name is not None and label(name) != name:
        raise InputError(
            f"{name!r} cannot be a deployment's name: lower-case letters, digits and hyphens, at most 63.",
            hint=f"For instance: --name {label(name)}",
        )
    return Choices(
        name=name or label(root.resolve().name),
        python=python,
        providers=providers,
        runtime=str(release.version),
        airflow=release.airflow or "",
    )
