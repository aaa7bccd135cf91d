"""What the footer says: which runtime this is, how long it is looked after, where to read more.

Pure: the environment and the day are arguments.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from orrery.release.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from orrery.release.catalogue import Catalogue
    from orrery.release.line import Line

Page = Literal["documentation", "release-notes", "support"]

PAGES: Final[tuple[Page, ...]] = get_args(Page)

#: A site's own address for a page, instead of the one that the deployment serves.
ADDRESS_VARIABLES: Final[Mapping[Page, str]] = {
    "documentation": "ORRERY_DOCS_URL",
    "release-notes": "ORRERY_RELEASE_NOTES_URL",
    "support": "ORRERY_SUPPORT_URL",
}

#: Written when an image is built.
RELEASE_FILE: Final = Path("/etc/orrery-release")

#: The end of life is announced this many days ahead.
WARN_DAYS: Final = 90


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One sentence that the reader should act on."""

    severity: Literal["info", "warning", "error"]
    text: str


def image_tag(environment: Mapping[str, str], release_file: Path = RELEASE_FILE) -> str:
    """Return the tag of the running image, or 'local' (`orrery up`), or 'source' (anything else)."""
    if tag := environment.get("ORRERY_IMAGE_TAG", "").strip():
        return tag
    if baked := _baked_tag(release_file):
        return baked
    return "local" if environment.get("ORRERY_PROFILE") == "local" else "source"


def _baked_tag(release_file: Path) -> str | None:
    try:
        facts = json.loads(release_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    tag = facts.get("image_tag") if isinstance(facts, dict) else None
    return tag if isinstance(tag, str) and tag.strip() else None


def own_address(page: Page, environment: Mapping[str, str]) -> str | None:
    """Return the address that the site has set for a page; anything but http and https is ignored."""
    address = environment.get(ADDRESS_VARIABLES[page], "").strip()
    return address if address.lower().startswith(("https://", "http://")) else None


def links(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the address of every page; a relative one is meant from Airflow's base address."""
    return {
        page.replace("-", "_"): own_address(page, environment) or f"orrery/v1/pages/{page}" for page in PAGES
    }


def notice(line: Line, version: Version, day: date) -> Notice | None:
    """Return the most urgent thing to know on that day about a version of that line, or None."""
    name = f"Runtime {line.number}"
    yanked = next((release.yanked for release in line.releases if release.version == version), None)
    if yanked:
        return Notice(severity="error", text=f"Runtime {version} was withdrawn: {yanked}")
    if line.state_on(day) == "end-of-life":
        return Notice(severity="error", text=f"{name} is no longer supported: upgrade to a later line")
    if line.lifecycle and line.lifecycle.days_left(day) <= WARN_DAYS:
        return Notice(severity="warning", text=f"{name} is supported until {line.lifecycle.security_ends}")
    if line.newest and line.newest.version > version:
        return Notice(severity="info", text=f"Runtime {line.newest.version} is available")
    if line.lifecycle and line.state_on(day) == "security":
        return Notice(
            severity="info", text=f"{name} gets security fixes only, until {line.lifecycle.security_ends}"
        )
    return None


def facts(
    *,
    version: str,
    airflow_version: str,
    environment: Mapping[str, str],
    catalogue: Catalogue,
    day: date,
) -> dict[str, object]:
    """Return the answer of /orrery/v1/runtime; a line that is not in the catalogue has no lifecycle."""
    running = Version.parse(version)
    line = catalogue.lines_by_number.get(running.major)
    said = notice(line, running, day) if line else None
    return {
        "version": version,
        "airflow_version": airflow_version,
        "image_tag": image_tag(environment),
        "lifecycle": line and _lifecycle(line, day),
        "notice": said and {"severity": said.severity, "text": said.text},
        "links": links(environment),
    }


def _lifecycle(line: Line, day: date) -> dict[str, object]:
    dates = line.lifecycle
    return {
        "state": line.state_on(day),
        "ends_on": dates.security_ends.isoformat() if dates else None,
        "days_left": dates.days_left(day) if dates else None,
    }
