"""What of a project holds for its image only, and is passed over where it runs on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orrery import __version__
from orrery.errors import OrreryError
from orrery.project.text import read_packages, read_text
from orrery.release import catalogue
from orrery.release.parity import airflow_minor

if TYPE_CHECKING:
    from orrery.project.layout import Project

#: Astro's images: those of a line (astro-runtime:13.1.0) and those named after Airflow (runtime:3.1-12).
_ASTRO_IMAGE = re.compile(
    r"^\s*FROM\s+(?:--\S+\s+)*\S*?(?P<name>\bastro-runtime|(?<=/)runtime):"
    r"(?:(?P<build>(?P<airflow>\d+\.\d+)-\d+)|(?P<line>\d+)\.\d+\.)",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _BaseImage:
    name: str
    airflow: str


def notices(project: Project, *, runtime: str = __version__) -> tuple[str, ...]:
    """Return what `orrery up` with that runtime passes over in the project, a sentence each.

    A file that cannot be read is told likewise: it is no reason not to start. Raises InputError for a
    runtime that is not in the catalogue.
    """
    airflow = catalogue.load().release(runtime).airflow or ""
    found: list[str] = []
    try:
        if packages := read_packages(project.packages):
            found.append(
                "packages.txt is for the image; on this machine install them yourself: "
                f"apt-get install {' '.join(packages)}"
            )
        image = _base_image(read_text(project.dockerfile))
    except OrreryError as error:
        return (*found, error.message)
    if image and airflow_minor(image.airflow) != airflow_minor(airflow):
        found.append(
            f"the Dockerfile names {image.name} (Airflow {image.airflow}); "
            f"here the project runs on Airflow {airflow}"
        )
    return tuple(found)


def _base_image(dockerfile: str) -> _BaseImage | None:
    """Return the last runtime of Astro's that a Dockerfile builds on; None when there is none we know."""
    images = list(_ASTRO_IMAGE.finditer(dockerfile))
    if not images:
        return None
    name, build, airflow, number = images[-1].group("name", "build", "airflow", "line")
    if build:
        return _BaseImage(name=f"{name} {build}", airflow=airflow)
    line = catalogue.load().lines_by_number.get(int(number))
    return _BaseImage(name=f"{name} {number}", airflow=line.airflow) if line else None
