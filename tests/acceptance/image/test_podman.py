"""The same image under podman: a project is built from it, runs, and is deployed by podman-compose."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orrery import __version__
from orrery.image.engine import find
from orrery.release import catalogue

from .conftest import HERE, VARIANT, Deployment, Docker, missing, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

PODMAN_COMPOSE = str(Path(sys.executable).with_name("podman-compose"))


@pytest.fixture(scope="module")
def podman(docker: Docker, runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Podman with a store of its own, which holds the runtime that docker has built."""
    if shutil.which("podman") is None:
        missing("A project's build by podman is tested too. Install it: apt-get install podman netavark.")
    if os.getuid() != 0:
        pytest.skip("Podman is tested as root: for another user it needs a systemd session.")
    folder = tmp_path_factory.mktemp("podman")
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    (folder / "containers.conf").write_text(machine_settings(folder))
    given = {
        **docker.environment,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        # Where a build keeps what it downloads.
        "TMPDIR": str(folder),
    }
    podman = Docker(program=find(given, "podman").program, environment=given)
    try:
        load(podman, docker, runtime)
        yield podman
    finally:
        # Its overlays are mounts: it takes its store away itself.
        podman.try_("system", "reset", "--force")


def load(podman: Docker, docker: Docker, image: str) -> None:
    """Hand an image of docker's to podman."""
    save = [str(docker.program), "save", image]
    with subprocess.Popen(save, env=docker.environment, stdout=subprocess.PIPE) as saved:
        subprocess.run([podman.program, "load"], env=podman.environment, stdin=saved.stdout, check=True)
    assert saved.returncode == 0


def machine_settings(folder: Path) -> str:
    """Return what docs/image.md says of machines without systemd, for this one.

    Its database and volumes stay where the store is. The clean-up after a container is not told of these
    settings: it would look elsewhere, and each `podman run` would wait 20 s for it.
    """
    limits = (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
    # Less than granted: podman has lowered its own hard limits by the time that a container starts.
    enough = {name: min(16384, resource.getrlimit(limit)[1]) for name, limit in limits}
    granted = ", ".join(f'"{name}={value}:{value}"' for name, value in enough.items())
    return f"""
[containers]
default_ulimits = [{granted}]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""


@pytest.fixture(scope="module")
def image(
    podman: Docker, runtime: str, tmp_path_factory: pytest.TempPathFactory, authorities: tuple[str, ...]
) -> tuple[str, Path]:
    """The project's image, and its folder."""
    root = tmp_path_factory.mktemp("podman-proof") / "weather"
    shutil.copytree(HERE / "weather", root)
    (root / "Dockerfile").write_text(f"FROM {runtime}\n")
    (root / "packages.txt").write_text("jq\n")
    name = f"{podman.mark}:1"
    built = podman.orrery("image", "build", "--engine", "podman", "--tag", name, *authorities, folder=root)
    assert built.returncode == 0, built.stderr
    return name, root


@pytest.mark.parametrize("options", [(), ("--user", "12345:0"), ("--read-only", "--tmpfs", "/tmp")])
def test_a_project_that_podman_built_runs(
    podman: Docker, image: tuple[str, Path], options: tuple[str, ...]
) -> None:
    ended = podman.try_("run", "--rm", *options, image[0], "airflow", "version")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == catalogue.load().release(__version__).airflow


def test_podman_did_the_steps_of_the_base_image(podman: Docker, image: tuple[str, Path]) -> None:
    script = "jq --version && stat --format %u:%g dags/weather.py"
    said = podman("run", "--rm", image[0], "sh", "-c", script).split()
    assert said[0].startswith("jq-")
    assert said[1:] == ["50000:0"]
    told = podman.orrery("image", "inspect", image[0], "--engine", "podman", "-o", "json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert "airportsdata" in found["packages"]
    assert any("orrery-onbuild packages" in layer["step"] for layer in found["layers"])
    assert found["digest"].startswith("sha256:")


class PodmanDeployment(Deployment):
    """Podman's health is asked for: without systemd nothing asks by itself."""

    def container(self, service: str) -> str:
        return f"{self.docker.mark}_{service}_1"

    def health(self, service: str) -> str:
        asked = self.docker.try_("healthcheck", "run", self.container(service))
        return "healthy" if asked.returncode == 0 else asked.stdout


@pytest.fixture
def deployment(
    podman: Docker, docker: Docker, image: tuple[str, Path], postgres: str
) -> Iterator[Deployment]:
    load(podman, docker, postgres)
    name, project = image
    file = rendered(podman, project, name)
    made = PodmanDeployment(podman, [PODMAN_COMPOSE], file, postgres)
    try:
        made.compose("up", "--detach", "--no-deps")
        yield made
    finally:
        made.compose("down", "--volumes")


@pytest.mark.skipif(VARIANT != "full", reason="a second deployment takes minutes: `make image-proof`")
def test_podman_compose_runs_the_deployment(deployment: Deployment) -> None:
    def state() -> list[list[str]]:
        if deployment.health("api-server") != "healthy":
            return []  # nor are the tables there
        return deployment.sql("SELECT state FROM dag_run WHERE dag_id = 'weather'")

    deployment.waits_for(lambda: state() in ([["success"]], [["failed"]]), "the run of 'weather' ends")
    assert state() == [["success"]], deployment.logs("worker")
    deployment.waits_for(
        lambda: all(deployment.health(component) == "healthy" for component in deployment.components),
        "every component is healthy",
    )
