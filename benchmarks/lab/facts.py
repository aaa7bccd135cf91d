"""What a run of the benchmarks must say of itself to be comparable with another."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sysconfig
from datetime import UTC, datetime
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]


def load() -> str:
    """Return the load average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def of_this_machine() -> dict[str, str]:
    """Return what identifies code, environment and machine."""
    sources, compiled = bytecode(Path(sysconfig.get_path("purelib")))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "git": _git("rev-parse", "--short=12", "HEAD") + (" and changes" if _git("status", "-s") else ""),
        "packages": f"{_packages()} (hash of names and versions)",
        "bytecode": f"{compiled} .pyc for {sources} .py",
        "python": platform.python_version(),
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load before": load(),
    }


def bytecode(folder: Path) -> tuple[int, int]:
    """Return how many sources and how many compiled files are below a folder."""
    sources = compiled = 0
    for _, _, files in os.walk(folder):
        sources += sum(name.endswith(".py") for name in files)
        compiled += sum(name.endswith(".pyc") for name in files)
    return sources, compiled


def _packages() -> str:
    lines = sorted({f"{found.name}=={found.version}" for found in importlib.metadata.distributions()})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _git(*arguments: str) -> str:
    try:
        ended = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ended.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
