"""A build on a disk that is too small, with each engine: what is told, and that no image is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from orrery.image.engine import ENGINES, EngineName, find

from .conftest import Docker, missing, started_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISK_BYTES = 64 << 20
FILE_BYTES = 96 << 20


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Docker]:
    """An engine of its own that keeps everything on a tiny disk."""
    name: EngineName = request.param
    if os.getuid() != 0:
        pytest.skip("Only root mounts a disk.")
    if shutil.which("dockerd" if name == "docker" else "podman") is None:
        missing(f"A full disk is tested with {name} too.")
    disk = tmp_path / "data"
    disk.mkdir()
    given = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    with contextlib.ExitStack() as stack:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
        if subprocess.run(mount, check=False).returncode:
            missing("This machine mounts no tmpfs.")
        stack.callback(lambda: subprocess.run(["umount", "--lazy", str(disk)], check=True))
        if name == "docker":
            given["DOCKER_HOST"] = stack.enter_context(started_engine(tmp_path, alone=True))
        else:
            (tmp_path / "storage.conf").write_text(
                f'[storage]\ndriver = "overlay"\ngraphroot = "{disk}/graph"\nrunroot = "{tmp_path}/run"\n'
            )
            given |= {"CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"), "TMPDIR": str(tmp_path)}
        yield Docker(program=find(given, name).program, environment=given)


def test_a_full_disk_is_told_and_leaves_no_image(engine: Docker, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "dags").mkdir(parents=True)
    (project / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (project / "large.bin").write_bytes(os.urandom(FILE_BYTES))
    name = f"{engine.mark}:1"
    ended = engine.orrery("image", "build", "--engine", engine.program.name, "--tag", name, folder=project)
    assert ended.returncode == 5, ended.stderr
    assert "The disk is full" in ended.stderr
    assert "prune" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert engine.try_("image", "inspect", name).returncode != 0
