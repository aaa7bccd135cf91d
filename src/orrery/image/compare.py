"""Two images, layer by layer and file by file: are they the same, and if not, what is not?

Both are saved by the engine into archives and read here; nothing of them is run.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orrery.image.engine import Engine


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file of a layer, with all that its archive says of it."""

    kind: str
    mode: int
    owner: tuple[int, int]
    time: float
    target: str
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One file that differs; `what` names its attributes, or in which image alone it is."""

    layer: int
    path: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The layers' digests of both images, and the files of those layers that differ."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def are_same(self) -> bool:
        """Whether all layers are the same, byte for byte."""
        return self.before == self.after


def compare(engine: Engine, before: str, after: str, *, folder: Path) -> Comparison:
    """Compare two images that are on this machine; `folder` holds their archives meanwhile.

    Raises:
        InputError: one of them is not here.
    """
    archives = []
    for number, image in enumerate((before, after)):
        engine.require(image)
        archive = folder / f"{number}.tar"
        engine.said("save", "--output", archive, image)
        archives.append(archive)
    return compare_archives(*archives)


def compare_archives(before: Path, after: Path) -> Comparison:
    """Compare two images that were saved, by docker or podman."""
    with tarfile.open(before) as one, tarfile.open(after) as other:
        layers = [_layers(one), _layers(other)]
        digests = [tuple(_digest(_opened(one, name)) for name in layers[0])]
        digests.append(tuple(_digest(_opened(other, name)) for name in layers[1]))
        found: list[Difference] = []
        for number in range(min(map(len, digests))):
            if digests[0][number] != digests[1][number]:
                entries = (
                    _entries(_opened(one, layers[0][number])),
                    _entries(_opened(other, layers[1][number])),
                )
                found += differences(number, *entries)
    return Comparison(before=digests[0], after=digests[1], differences=tuple(found))


def differences(layer: int, before: dict[str, Entry], after: dict[str, Entry]) -> Iterator[Difference]:
    """Yield which files of two layers differ, and in what; none: only in their order."""
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old is None or new is None:
            what = "only in the first" if new is None else "only in the second"
            yield Difference(layer=layer, path=path, what=what)
        elif old != new:
            names = ("kind", "mode", "owner", "time", "target", "digest")
            differing = [name for name in names if getattr(old, name) != getattr(new, name)]
            yield Difference(layer=layer, path=path, what=", ".join(differing).replace("digest", "content"))


def _layers(image: tarfile.TarFile) -> list[str]:
    manifest: Any = json.load(_opened(image, "manifest.json"))
    return list(manifest[0]["Layers"])


def _opened(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise InputError(f"The archive of the image has no file {name}.")
    return file


def _digest(file: IO[bytes]) -> str:
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"  # type: ignore[arg-type] # of a tar


def _entries(layer: IO[bytes]) -> dict[str, Entry]:
    found = {}
    with tarfile.open(fileobj=layer) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            found[member.name] = Entry(
                kind=member.type.decode("ascii", "replace"),
                mode=member.mode,
                owner=(member.uid, member.gid),
                time=member.mtime,
                target=member.linkname,
                digest=_digest(content) if content else "",
            )
    return found
