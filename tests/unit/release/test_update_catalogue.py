"""bin/update_catalogue keeps the catalogue's providers and the locks together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CATALOGUE = ROOT / "src/orrery/release/catalogue.toml"


def update_catalogue(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "bin/update_catalogue"
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.toml"
    shutil.copy(CATALOGUE, path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("providers-celery", "providers-celeriac"), encoding="utf-8")
    return path


def test_the_shipped_catalogue_agrees_with_the_locks() -> None:
    check = update_catalogue("--check")
    assert check.returncode == 0, check.stderr


def test_a_stale_catalogue_fails_the_check_and_is_left_as_it_is(stale: Path) -> None:
    before = stale.read_text(encoding="utf-8")
    check = update_catalogue("--check", "--catalogue", str(stale))
    assert check.returncode == 1
    assert "Run bin/update_catalogue" in check.stderr
    assert stale.read_text(encoding="utf-8") == before


def test_a_refresh_writes_the_block_and_nothing_else(stale: Path) -> None:
    # Given a note outside the block, in history, that names another provider
    refreshed = update_catalogue("--catalogue", str(stale))
    assert refreshed.returncode == 0, refreshed.stderr
    block = stale.read_text(encoding="utf-8").split("# providers: generated")[1]
    assert block == CATALOGUE.read_text(encoding="utf-8").split("# providers: generated")[1]
    assert "providers-celeriac" in stale.read_text(encoding="utf-8")  # history is not generated


def test_a_catalogue_without_markers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text("lines = []\n", encoding="utf-8")
    refused = update_catalogue("--catalogue", str(path))
    assert refused.returncode == 1
    assert "exactly one block" in refused.stderr
