"""Environments of their own for what is compared, with the versions that `benchmarks/peers/*.txt` lock."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.lab.errors import BenchError

PEERS = Path(__file__).parents[1] / "peers"
ENVIRONMENTS = Path(__file__).parents[2] / ".cache" / "peers"
UV = Path(sys.executable).with_name("uv")


def environment(package: str) -> Path:
    """Return the interpreter of a peer's environment, made from its lock when there is none.

    Raises:
        BenchError: it cannot be installed.
    """
    lock = PEERS / f"{package}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:10]
    folder = ENVIRONMENTS / f"{package}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        install = ("pip", "install", "--compile-bytecode", "--no-deps", "--require-hashes")
        for arguments in (
            ("venv", "--python", sys.executable, folder),
            (*install, "--python", python, "-r", lock),
        ):
            ended = subprocess.run([UV, *arguments], check=False, capture_output=True, text=True)
            if ended.returncode:
                raise BenchError(f"{package} cannot be installed: {ended.stderr.strip()[-500:]}")
        (folder / ".complete").touch()
    return python
