"""What an overlay is made from, as digests: equal inputs need no work."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)[\s=]*(?P<path>\S+)")
#: A requirement as the resolver writes it, when it lies on this machine: ./pkg, -e ., pkg @ file:///p.whl
_PLACE = re.compile(
    r"(?P<editable>-e\s+)?(?:[\w.-]+(?:\[.*?\])? @ )?(?:file://)?(?P<path>\.{0,2}/[^;#]*|\.{1,2})(?:\s*[;#].*)?"
)
#: Folders that building a package makes or ignores.
_NOT_SOURCE = re.compile(r"\..*|__pycache__|build|dist|node_modules|.*\.egg-info")
_METADATA = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A requirement that is a folder or file of this machine, relative to the requirements."""

    path: str
    is_editable: bool

    @classmethod
    def of(cls, requirement: str) -> Place | None:
        """Read one line of a resolution; None for what comes from an index or an address."""
        match = _PLACE.fullmatch(requirement.strip())
        return cls(path=match["path"].strip(), is_editable=bool(match["editable"])) if match else None

    def digest(self, folder: Path) -> str:
        """Return a digest of what building it depends on; of an editable one, only its metadata."""
        root = folder / self.path
        files = [root / name for name in _METADATA] if self.is_editable else _sources(root)
        state = hashlib.sha256()
        for file in files:
            if file.is_file():
                facts = file.stat()
                state.update(f"{file}|{facts.st_size}|{facts.st_mtime_ns}\n".encode())
        return state.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The runtime, each requirements file and each place, by digest."""

    runtime: str
    files: Mapping[str, str]
    places: Mapping[str, str]
    editable_places: Mapping[str, str]

    @classmethod
    def now(cls, runtime: str, requirements: Path, places: Iterable[Place]) -> Inputs:
        """Read the present state from the disk."""
        files = dict(_closure(requirements, set()))
        bare = cls(runtime=runtime, files=files, places={}, editable_places={})
        return bare.with_places(places, requirements.parent)

    def with_places(self, places: Iterable[Place], folder: Path) -> Inputs:
        """Return the same inputs with these places, which are relative to `folder`."""
        known = list(places)
        return replace(
            self,
            places={place.path: place.digest(folder) for place in known if not place.is_editable},
            editable_places={place.path: place.digest(folder) for place in known if place.is_editable},
        )

    @classmethod
    def read(cls, file: Path) -> Inputs | None:
        """Return what `write` wrote, or None when there is no such file, or another one."""
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, file: Path) -> None:
        """Write the file in one step."""
        half = file.with_suffix(".half")
        half.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        half.replace(file)

    @property
    def known_places(self) -> list[Place]:
        """Return the places that these inputs are about."""
        return [
            *(Place(path=path, is_editable=False) for path in self.places),
            *(Place(path=path, is_editable=True) for path in self.editable_places),
        ]


def asks_for_nothing(requirements: Path) -> bool:
    """Say whether the file is absent, empty or all comments."""
    return not any(line.strip() and not line.strip().startswith("#") for line in _lines(requirements))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _closure(file: Path, seen: set[Path]) -> Iterator[tuple[str, str]]:
    if file in seen or not file.is_file():
        return
    seen.add(file)
    yield str(file), hashlib.sha256(file.read_bytes()).hexdigest()
    for line in _lines(file):
        if include := _INCLUDE.match(line.strip()):
            yield from _closure(file.parent / include["path"], seen)


def _sources(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for child in sorted(root.iterdir()) if root.is_dir() else ():
        if _NOT_SOURCE.fullmatch(child.name) or child.is_symlink():
            continue
        yield from _sources(child)
