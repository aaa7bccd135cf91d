"""What the catalogue holds: lines, their releases, and what each release is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from orrery.release.lifecycle import Lifecycle, State, Support
    from orrery.release.version import Version

Status = Literal["end-of-life history", "not built", "built here"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """A distribution that a release installs; `set` is the smallest set that holds it: full contains slim."""

    name: str
    version: str | None = None
    set: Literal["slim", "full"] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyFix:
    """A fix carried before Airflow releases it. `guard` says to which versions of what it is applied."""

    id: str
    #: Upstream's number; None for a fix that is not proposed there yet.
    pull_request: int | None = None
    title: str
    why: str
    guard: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One release. None means that the catalogue does not know."""

    version: Version
    date: date | None = None
    airflow: str | None = None
    task_sdk: str | None = None
    database_migration: bool | None = None
    needs_stop: bool = False
    yanked: str | None = None
    providers: tuple[Provider, ...] | None = None
    early_fixes: tuple[EarlyFix, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A major version: all releases that follow one Airflow minor. None means that the fact is unknown.

    `first_release` is an ISO 8601 date, with less precision (`2025-04`, `2024`) where no more is known;
    `dates_certain` is false when it was never checked against a source.
    """

    number: int
    airflow: str
    status: Status
    first_release: str
    dates_certain: bool
    note: str | None
    python_default: str | None
    python_supported: tuple[str, ...] | None
    os: tuple[str, ...] | None
    architectures: tuple[str, ...] | None
    providers: tuple[Provider, ...] | None
    lifecycle: Lifecycle | None
    releases: tuple[Release, ...]

    @property
    def is_built(self) -> bool:
        """Whether this project builds releases of the line."""
        return self.status == "built here"

    @property
    def newest(self) -> Release | None:
        """The newest release that was not withdrawn, else the newest; None when none is known."""
        sound = [release for release in self.releases if not release.yanked]
        return max(sound or self.releases, key=lambda release: release.version, default=None)

    def state_on(self, day: date) -> State | None:
        """Return the state on that day; None for a line that nobody builds or supports."""
        if self.lifecycle:
            return self.lifecycle.state_on(day)
        return "end-of-life" if self.status == "end-of-life history" else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What is promised for every line: how long it is supported, and what a number in a version means."""

    support: Support
    ends: str
    versioning: Mapping[str, str]
    fixes: Mapping[str, str]
