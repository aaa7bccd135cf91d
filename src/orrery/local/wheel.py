"""The wheel of a distribution that is already installed, made again from its files.

So the runtime gets exactly the code that runs the tools, without a package index. An editable
install gives an editable wheel: its .pth names the source folder.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from importlib.metadata import PackagePath
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.errors import MachineError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

#: What installers write beside the wheel's own files.
_WRITTEN_BY_INSTALLERS = (
    "INSTALLER",
    "RECORD",
    "REQUESTED",
    "direct_url.json",
    "uv_build.json",
    "uv_cache.json",
)
#: The earliest time that a zip file can hold: the same files always give the same wheel.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build_digest(distribution: Distribution) -> str:
    """Return a digest of the distribution's files: the same for the same build, wherever installed."""
    digest = hashlib.sha256()
    for file, recorded in _packed(distribution):
        found = recorded or _hashed(_content(distribution, file))
        digest.update(f"{file.as_posix()}={found}\n".encode())
    return digest.hexdigest()


def repack(distribution: Distribution, folder: Path) -> Path:
    """Write the wheel into `folder` and return its path; the same files give the same bytes.

    Raises:
        MachineError: the installation has no list of its files, or lacks one of them.
    """
    tag = next(
        (line.partition(":")[2].strip() for line in _text(distribution, "WHEEL") if line.startswith("Tag:")),
        "py3-none-any",
    )
    name = distribution.name.replace("-", "_")
    wheel = folder / f"{name}-{distribution.version}-{tag}.whl"
    rows: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for file, _ in _packed(distribution):
            content = _content(distribution, file)
            archive.writestr(_entry(file.as_posix()), content)
            rows.append((file.as_posix(), f"sha256={_hashed(content)}", str(len(content))))
        record = f"{name}-{distribution.version}.dist-info/RECORD"
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([*rows, (record, "", "")])
        archive.writestr(_entry(record), table.getvalue())
    return wheel


def _packed(distribution: Distribution) -> list[tuple[PackagePath, str]]:
    """Return the wheel's own files, each with the hash that its installer recorded, if any."""
    # Not `distribution.files`: since Python 3.12 it leaves out what has gone.
    rows = [row for row in csv.reader(_text(distribution, "RECORD")) if row]
    if not rows:
        raise _broken(distribution, "has no list of its files (RECORD)")
    listed = [(PackagePath(name), hashed.partition("=")[2]) for name, hashed, *_ in rows]
    return sorted(each for each in listed if _belongs(each[0]))


def _belongs(file: PackagePath) -> bool:
    # '..' leads to scripts: the installer makes them again from entry_points.txt.
    if ".." in file.parts or file.is_absolute() or "__pycache__" in file.parts:
        return False
    return not (file.parts[0].endswith(".dist-info") and file.name in _WRITTEN_BY_INSTALLERS)


def _content(distribution: Distribution, file: PackagePath) -> bytes:
    try:
        return Path(str(distribution.locate_file(file))).read_bytes()
    except OSError as error:
        raise _broken(distribution, f"lacks its file '{file}' ({error.strerror})") from error


def _text(distribution: Distribution, name: str) -> list[str]:
    return (distribution.read_text(name) or "").splitlines()


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, date_time=_EPOCH)
    entry.external_attr = 0o100644 << 16
    return entry


def _hashed(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _broken(distribution: Distribution, what: str) -> MachineError:
    return MachineError(
        f"The installed {distribution.name} {distribution.version} {what}.",
        hint=f"Reinstall it: python -m pip install --force-reinstall --no-deps {distribution.name}",
    )
