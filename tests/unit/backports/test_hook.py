"""The hook on imports: a fix is applied after its target, where the version is right, and else not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orrery import backports

SOURCE = Path(backports.__file__).parents[2]
MEND = "def apply(module):\n    module.VALUE += 1\n"
START = """
import sys
sys.path[:0] = [{source!r}, {packages!r}]
import orrery.backports
orrery.backports.__path__.append({packages!r})
from orrery.backports import hook
from orrery.backports.registry import Fix
fix = Fix(id="mend-it", target="target.deep", distribution="target-dist", versions=("1.0",))
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/__init__.py").write_text("")
    (tmp_path / "target/deep.py").write_text("VALUE = 1\n")
    (tmp_path / "mend_it.py").write_text(MEND)
    installed(tmp_path, "1.0")
    return tmp_path


def installed(packages: Path, version: str) -> None:
    folder = packages / "target_dist-0.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: target-dist\nVersion: {version}\n")


def python(packages: Path, code: str) -> subprocess.CompletedProcess[str]:
    start = START.format(source=str(SOURCE), packages=str(packages))
    return subprocess.run(
        [sys.executable, "-S", "-c", start + code], text=True, capture_output=True, check=False
    )


USE = "hook.watch([fix])\nimport target.deep\nprint(target.deep.VALUE)"


def test_a_fix_is_applied_when_its_target_is_imported(packages: Path) -> None:
    done = python(packages, USE)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_the_fix_is_not_even_loaded_before(packages: Path) -> None:
    code = "hook.watch([fix])\nimport target\nprint('orrery.backports.mend_it' in sys.modules)"
    assert python(packages, code).stdout == "False\n"


def test_watching_twice_applies_once(packages: Path) -> None:
    assert python(packages, "hook.watch([fix])\n" + USE).stdout == "2\n"


def test_a_reloaded_target_is_mended_again(packages: Path) -> None:
    done = python(packages, USE + "\nimport importlib\nprint(importlib.reload(target.deep).VALUE)")
    assert done.stdout == "2\n2\n", done.stderr


def test_without_fixes_imports_are_not_watched(packages: Path) -> None:
    code = "before = len(sys.meta_path)\nhook.watch([])\nprint(len(sys.meta_path) - before)"
    assert python(packages, code).stdout == "0\n"


def test_another_version_is_left_as_it_is_and_told(packages: Path) -> None:
    installed(packages, "1.1")
    done = python(packages, USE)
    assert done.stdout == "1\n"
    assert len(done.stderr.splitlines()) == 1
    assert "'mend-it' is not applied: it is for target-dist==1.0, and 1.1 is installed" in done.stderr


def test_a_distribution_that_is_not_installed_is_another_version(packages: Path) -> None:
    (packages / "target_dist-0.dist-info/METADATA").unlink()
    (packages / "target_dist-0.dist-info").rmdir()
    done = python(packages, USE)
    assert done.stdout == "1\n"
    assert "none that is known" in done.stderr


def test_a_fix_that_fails_is_told_and_its_target_goes_on(packages: Path) -> None:
    (packages / "mend_it.py").write_text(
        "def apply(module):\n    raise KeyError('what it changes is gone')\n"
    )
    done = python(packages, USE)
    assert done.stdout == "1\n"
    assert "'mend-it' could not be applied" in done.stderr
    assert "what it changes is gone" in done.stderr


def test_a_target_that_fails_to_import_fails_as_ever(packages: Path) -> None:
    (packages / "target/deep.py").write_text("raise RuntimeError('no')\n")
    done = python(packages, USE)
    assert done.stderr.endswith("RuntimeError: no\n")
