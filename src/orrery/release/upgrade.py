"""May a deployment go from one release to another? Pure: two versions and the catalogue in, a verdict out.

In the catalogue `database_migration` says that installing a release over its predecessor migrates the
database, and `needs_stop` that a release may not be skipped: what it converts, later ones no longer do.
A yanked release is nobody's stop; its successor carries the mark instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orrery.release.catalogue import Catalogue
    from orrery.release.line import Release
    from orrery.release.version import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer, and why.

    `needs_stop`: the deployment stands still while it is done. `steps`: the versions to install one after
    the other, ending with the target; several where one step is not allowed, none where there is no way.
    """

    allowed: bool
    needs_stop: bool
    why: str
    steps: tuple[Version, ...]


def may_upgrade(source: Version, target: Version, catalogue: Catalogue) -> Verdict:
    """Judge one step from `source` to `target`; a lower target is a downgrade. Never raises."""
    if reason := _refusal(source, target, catalogue):
        return Verdict(allowed=False, needs_stop=False, why=reason, steps=())
    if source == target:
        return Verdict(allowed=True, needs_stop=False, why=f"{target} runs already: nothing to do.", steps=())

    crossed = _crossed(source, target, catalogue)
    migrating = [release.version for release in crossed if release.database_migration]
    if target < source and migrating:
        why = (
            f"{_names(migrating)} migrated the database, and an older runtime cannot read it. "
            f"Restore a backup taken under {target} instead."
        )
        return Verdict(allowed=False, needs_stop=False, why=why, steps=())

    lower, upper = sorted((source, target))
    stops = [
        release.version
        for release in crossed
        if release.needs_stop and not release.yanked and lower < release.version < upper
    ]
    if stops:
        steps = (*sorted(stops, reverse=target < source), target)
        why = f"{_names(stops)} may not be skipped: what happens there, {target} does not do."
        return Verdict(allowed=False, needs_stop=True, why=why, steps=steps)

    return _allowed(source, target, crossed, migrating)


def _allowed(
    source: Version, target: Version, crossed: tuple[Release, ...], migrating: list[Version]
) -> Verdict:
    """Say whether an allowed step needs a stop, and why."""
    if target < source:
        needs_stop, why = True, "a downgrade over no migration of the database, with the deployment stopped."
    elif migrating:
        needs_stop, why = True, f"{_names(migrating)} migrates the database, with the deployment stopped."
    elif any(release.needs_stop for release in crossed):
        needs_stop, why = True, "the deployment has to stop for it."
    else:
        needs_stop, why = False, "compatible, and no migration of the database lies between."
    return Verdict(allowed=True, needs_stop=needs_stop, why=f"{source} to {target}: {why}", steps=(target,))


def _refusal(source: Version, target: Version, catalogue: Catalogue) -> str | None:
    """Return why there is no way at all between these two, whatever lies between."""
    for version in (target, source):
        line = catalogue.lines_by_number.get(version.major)
        if line is not None and not line.is_built:
            return (
                f"{version} is not a release of Orrery: line {line.number} (Airflow {line.airflow}) is "
                f"{line.status}. Move the project to a new deployment instead of its database."
            )
        if catalogue.find(version) is None:
            return f"{version} is not in the catalogue; the nearest is {catalogue.nearest(str(version))}."
    reason = catalogue.get(target).yanked
    if reason and source != target:
        return f"{target} was withdrawn: {reason}"
    return None


def _crossed(source: Version, target: Version, catalogue: Catalogue) -> tuple[Release, ...]:
    """Return the releases whose changes are done, or undone, on the way: the lower end is left out."""
    lower, upper = sorted((source, target))
    return tuple(
        release
        for release in catalogue.releases
        if lower < release.version <= upper and catalogue.lines_by_number[release.version.major].is_built
    )


def _names(versions: list[Version]) -> str:
    return ", ".join(str(version) for version in versions)
