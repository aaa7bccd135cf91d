"""Known vulnerabilities of an image's packages, from a dump of advisories (OSV format). Pure.

Offline: the dump is a file that the user has fetched, such as the `all.zip` of OSV's ecosystem PyPI or
Debian:13, or a folder with both. Without one nothing is said about vulnerabilities, which is not the same
as that there are none.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from orrery.errors import InputError
from orrery.image.debian_version import DebianVersion
from orrery.release.locks import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Ecosystem:
    """Whose packages: OSV's name of it, how a package is called and how its versions are ordered."""

    name: str
    normalised: Callable[[str], str]
    #: Raises ValueError for what is no version.
    parse: Callable[[str], Any]

    def is_of(self, affected: Mapping[str, Any]) -> bool:
        """Say whether an entry is about this ecosystem; `PyPI:suffix` is PyPI's too."""
        named = str((affected.get("package") or {}).get("ecosystem", ""))
        return named == self.name or named.startswith(f"{self.name}:")


PYPI = Ecosystem(name="PyPI", normalised=normalised, parse=Version)


def debian(release: str) -> Ecosystem:
    """Return the source packages of a Debian release, such as 13."""
    return Ecosystem(name=f"Debian:{release}", normalised=str, parse=DebianVersion.parse)


@dataclass(frozen=True, kw_only=True, order=True, slots=True)
class Finding:
    """One advisory that is about a version in the image."""

    package: str
    version: str
    id: str
    #: CVE and other numbers of the same.
    aliases: tuple[str, ...]
    summary: str
    #: The first version without it; None: none is known.
    fixed_in: str | None


def read(source: Path) -> Iterator[dict[str, Any]]:
    """Yield the advisories of a zip archive, a folder, or one JSON file.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    count = 0
    try:
        for text in _texts(source):
            value = json.loads(text)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict) and "id" in each and "affected" in each:
                    count += 1
                    yield each
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"The advisories in {source} cannot be read: {error}.", hint=_HINT) from error
    if not count:
        raise InputError(f"There are no advisories in {source}.", hint=_HINT)


_HINT = "Give OSV's archive of PyPI or of a Debian (all.zip), a JSON file of it, or a folder of such files."


def _texts(source: Path) -> Iterator[bytes]:
    if source.is_dir():
        for file in sorted(source.rglob("*")):
            if file.suffix in (".json", ".zip"):
                yield from _texts(file)
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield archive.read(name)
    else:
        yield source.read_bytes()


def count(advisories: Iterable[Mapping[str, Any]], ecosystem: Ecosystem) -> int:
    """Return how many advisories are about an ecosystem: none means that nothing could be found."""
    return sum(any(map(ecosystem.is_of, advisory["affected"])) for advisory in advisories)


def findings(
    advisories: Iterable[Mapping[str, Any]], packages: Mapping[str, str], ecosystem: Ecosystem = PYPI
) -> list[Finding]:
    """Return what the advisories say of an ecosystem's packages (name -> version), each once, in order."""
    found = set()
    for advisory in advisories:
        if advisory.get("withdrawn"):
            continue
        for affected in filter(ecosystem.is_of, advisory["affected"]):
            name = ecosystem.normalised(str(affected["package"].get("name", "")))
            version = packages.get(name)
            if version is None:
                continue
            is_affected, fixed_in = _judged(affected, version, ecosystem)
            if is_affected:
                found.add(
                    Finding(
                        package=name,
                        version=version,
                        id=str(advisory["id"]),
                        aliases=tuple(sorted(map(str, advisory.get("aliases") or ()))),
                        summary=" ".join(str(advisory.get("summary") or "").split())[:200],
                        fixed_in=fixed_in,
                    )
                )
    return sorted(found)


def _judged(affected: Mapping[str, Any], version: str, ecosystem: Ecosystem) -> tuple[bool, str | None]:
    """Tell whether a version is affected (https://ossf.github.io/osv-schema/, Evaluation), and the fix."""
    ours = ecosystem.parse(version)
    listed = {_version(each, ecosystem) for each in affected.get("versions") or ()}
    holding = [span for span in _spans(affected, ecosystem) if span.holds(ours)]
    ends = [span.fixed for span in holding if span.fixed is not None]
    return ours in listed or bool(holding), str(min(ends)) if ends else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """Versions that are affected; None: from the first on, without an end."""

    introduced: Any
    fixed: Any = None
    last: Any = None

    def holds(self, version: Any) -> bool:
        return (
            (self.introduced is None or self.introduced <= version)
            and (self.fixed is None or version < self.fixed)
            and (self.last is None or version <= self.last)
        )


def _spans(affected: Mapping[str, Any], ecosystem: Ecosystem) -> Iterator[_Span]:
    for kept in affected.get("ranges") or ():
        if kept.get("type") != "ECOSYSTEM":
            continue
        is_open, start = False, None
        for event in kept.get("events") or ():
            if "introduced" in event:
                start = _version(event["introduced"], ecosystem) if event["introduced"] != "0" else None
                # What cannot be read begins nowhere.
                is_open = start is not None or event["introduced"] == "0"
            elif is_open and event.keys() & {"fixed", "last_affected"}:
                fixed = _version(event.get("fixed"), ecosystem)
                last = _version(event.get("last_affected"), ecosystem)
                yield _Span(introduced=start, fixed=fixed, last=last)
                is_open = False
        if is_open:
            yield _Span(introduced=start)


def _version(text: object, ecosystem: Ecosystem) -> Any:
    try:
        return ecosystem.parse(str(text)) if text is not None else None
    except ValueError:
        return None
