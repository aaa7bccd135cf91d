"""The folder that holds the finished report."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def folder() -> Path:
    """Return where reports go: AIRPORTS_REPORTS, or include/reports in this project."""
    default = Path(__file__).resolve().parents[1] / "reports"
    return Path(os.environ.get("AIRPORTS_REPORTS") or default)


def save(name: str, content: bytes) -> Path:
    """Write a file as a whole: a reader sees the old one or the new one, never half of it."""
    target = folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(target)
    return target
