"""A wheel that is made again from an installed distribution."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import zipfile
from typing import TYPE_CHECKING

import pytest

from orrery.errors import MachineError
from orrery.local import wheel

if TYPE_CHECKING:
    from pathlib import Path

INFO = "demo_pkg-1.0.dist-info"


@pytest.fixture
def installed(tmp_path: Path) -> importlib.metadata.Distribution:
    """A distribution with a module, a top-level .pth, byte code, a script and an installer's notes."""
    site = tmp_path / "site"
    files = {
        "demo/__init__.py": "x = 1\n",
        "demo/__pycache__/__init__.cpython-311.pyc": "byte code",
        "demo_boot.pth": "import demo\n",
        "../bin/demo": "#!python\n",
        f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
        f"{INFO}/INSTALLER": "uv",
        f"{INFO}/direct_url.json": "{}",
        f"{INFO}/RECORD": "",
    }
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (site / INFO / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return importlib.metadata.PathDistribution(site / INFO)


def test_it_holds_what_the_first_wheel_held(
    installed: importlib.metadata.Distribution, tmp_path: Path
) -> None:
    made = wheel.repack(installed, tmp_path)
    assert made.name == "demo_pkg-1.0-py3-none-any.whl"
    assert sorted(zipfile.ZipFile(made).namelist()) == [
        "demo/__init__.py",
        "demo_boot.pth",
        f"{INFO}/METADATA",
        f"{INFO}/RECORD",
        f"{INFO}/WHEEL",
        f"{INFO}/entry_points.txt",
    ]


def test_its_record_is_true(installed: importlib.metadata.Distribution, tmp_path: Path) -> None:
    archive = zipfile.ZipFile(wheel.repack(installed, tmp_path))
    rows = list(csv.reader(archive.read(f"{INFO}/RECORD").decode().splitlines()))
    assert {name for name, _, _ in rows} == set(archive.namelist())
    for name, digest, size in rows:
        if digest:
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (digest, size) == (f"sha256={expected}", str(len(content)))


def test_the_same_files_give_the_same_bytes(
    installed: importlib.metadata.Distribution, tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    first, second = wheel.repack(installed, tmp_path), wheel.repack(installed, tmp_path / "again")
    assert first.read_bytes() == second.read_bytes()


def test_another_build_has_another_digest(installed: importlib.metadata.Distribution, tmp_path: Path) -> None:
    before = wheel.build_digest(installed)
    (tmp_path / "site" / "demo" / "__init__.py").write_text("x = 2\n")
    assert wheel.build_digest(installed) != before


def test_a_damaged_installation_says_what_is_missing(
    installed: importlib.metadata.Distribution, tmp_path: Path
) -> None:
    (tmp_path / "site" / "demo_boot.pth").unlink()
    with pytest.raises(MachineError, match=r"lacks its file 'demo_boot\.pth'"):
        wheel.repack(installed, tmp_path)


def test_our_own_wheel_brings_the_boot_file_and_the_manifest(tmp_path: Path) -> None:
    made = wheel.repack(importlib.metadata.distribution("orrery-runtime"), tmp_path)
    archive = zipfile.ZipFile(made)
    assert "orrery_boot.pth" in archive.namelist()
    [entry_points] = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    assert b"apache_airflow_provider" in archive.read(entry_points)
