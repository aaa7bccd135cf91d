"""Known vulnerabilities of an image's Python packages, from a dump of advisories (OSV format). Pure.

Offline: the dump is a file that the user has fetched, such as the `all.zip` of OSV's ecosystem PyPI. Without
one nothing is said about vulnerabilities, which is not the same as that there are none.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from orrery.errors import InputError
from orrery.release.locks import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


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


_HINT = "Give OSV's archive of the ecosystem PyPI (all.zip), a folder of its JSON files, or one of them."


def _texts(source: Path) -> Iterator[bytes]:
    if source.is_dir():
        for file in sorted(source.rglob("*.json")):
            yield file.read_bytes()
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield archive.read(name)
    else:
        yield source.read_bytes()


def findings(advisories: Iterable[Mapping[str, Any]], packages: Mapping[str, str]) -> list[Finding]:
    """Return what the advisories say of Python packages (name -> version), each once, in order."""
    found = set()
    for advisory in advisories:
        if advisory.get("withdrawn"):
            continue
        for affected in advisory["affected"]:
            package = affected.get("package") or {}
            if str(package.get("ecosystem", "")).partition(":")[0] != "PyPI":
                continue
            name = normalised(str(package.get("name", "")))
            version = packages.get(name)
            if version is not None and _is_affected(affected, version):
                found.add(
                    Finding(
                        package=name,
                        version=version,
                        id=str(advisory["id"]),
                        aliases=tuple(sorted(map(str, advisory.get("aliases") or ()))),
                        summary=" ".join(str(advisory.get("summary") or "").split())[:200],
                        fixed_in=_fixed_in(affected, version),
                    )
                )
    return sorted(found)


def _is_affected(affected: Mapping[str, Any], version: str) -> bool:
    """Tell whether a version is affected, as https://ossf.github.io/osv-schema/ (Evaluation) says."""
    ours = Version(version)
    listed = {parsed for each in affected.get("versions") or () if (parsed := _version(each)) is not None}
    return ours in listed or any(span.holds(ours) for span in _spans(affected))


def _fixed_in(affected: Mapping[str, Any], version: str) -> str | None:
    ours = Version(version)
    ends = [span.fixed for span in _spans(affected) if span.holds(ours) and span.fixed is not None]
    return str(min(ends)) if ends else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """Versions that are affected; None: from the first on, without an end."""

    introduced: Version | None
    fixed: Version | None = None
    last: Version | None = None

    def holds(self, version: Version) -> bool:
        return (
            (self.introduced is None or self.introduced <= version)
            and (self.fixed is None or version < self.fixed)
            and (self.last is None or version <= self.last)
        )


def _spans(affected: Mapping[str, Any]) -> Iterator[_Span]:
    for kept in affected.get("ranges") or ():
        if kept.get("type") != "ECOSYSTEM":
            continue
        is_open, start = False, None
        for event in kept.get("events") or ():
            if "introduced" in event:
                start = _version(event["introduced"]) if event["introduced"] != "0" else None
                # What cannot be read begins nowhere.
                is_open = start is not None or event["introduced"] == "0"
            elif is_open and event.keys() & {"fixed", "last_affected"}:
                fixed, last = _version(event.get("fixed")), _version(event.get("last_affected"))
                yield _Span(introduced=start, fixed=fixed, last=last)
                is_open = False
        if is_open:
            yield _Span(introduced=start)


def _version(text: object) -> Version | None:
    try:
        return Version(str(text)) if text is not None else None
    except InvalidVersion:
        return None
