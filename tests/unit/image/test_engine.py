"""How an engine is found, and how its failures are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError, MachineError
from orrery.image import engine

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return folder


DOCKER = 'case "$1" in version) echo "20.10.24 20.10.24";; *) exit 1;; esac'
DOCKER_WITHOUT_BUILDKIT = 'case "$1" in version) echo "28.2.2 28.2.2";; *) exit 1;; esac'
STOPPED = "echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1"
PODMAN = "echo 4.3.1"


def path(*folders: Path) -> dict[str, str]:
    return {"PATH": ":".join(map(str, folders))}


def test_docker_is_preferred(tmp_path: Path) -> None:
    program(tmp_path / "bin", "docker", DOCKER)
    found = engine.find(path(program(tmp_path / "bin", "podman", PODMAN)))
    assert (found.name, found.version) == ("docker", "20.10.24")


def test_podman_serves_where_docker_does_not_answer(tmp_path: Path) -> None:
    program(tmp_path / "bin", "docker", STOPPED)
    found = engine.find(path(program(tmp_path / "bin", "podman", PODMAN)))
    assert (found.name, found.version) == ("podman", "4.3.1")


def test_a_client_that_cannot_build_is_passed_over(tmp_path: Path) -> None:
    first = program(tmp_path / "first", "docker", DOCKER_WITHOUT_BUILDKIT)
    second = program(tmp_path / "second", "docker", DOCKER)
    assert engine.find(path(first, second)).program == second / "docker"


def test_no_engine_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="neither docker nor podman") as error:
        engine.find(path(tmp_path))
    assert "apt-get install docker.io" in str(error.value.hint)


def test_a_stopped_engine_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="Cannot connect") as error:
        engine.find(path(program(tmp_path / "bin", "docker", STOPPED)))
    assert "systemctl start docker" in str(error.value.hint)


def test_a_missing_buildkit_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no BuildKit") as error:
        engine.find(path(program(tmp_path / "bin", "docker", DOCKER_WITHOUT_BUILDKIT)))
    assert "docker-buildx" in str(error.value.hint)


def test_our_own_step_says_why_a_build_failed() -> None:
    error = engine.failure(
        "#9 [2/6] RUN /usr/local/bin/orrery-onbuild packages\n"
        "#9 3.142 orrery: Error: packages.txt: Debian has no package 'nosuch'.\n"
        "#9 3.142 orrery: Next: Correct packages.txt.\n"
        "#9 ERROR: executor failed running: exit code: 2\n"
    )
    assert isinstance(error, InputError)
    assert (error.message, error.hint) == (
        "packages.txt: Debian has no package 'nosuch'.",
        "Correct packages.txt.",
    )


def test_the_reason_of_a_conflict_keeps_its_lines() -> None:
    error = engine.failure(
        "#9 1.0 orrery: Error: requirements.txt conflicts with runtime 17.0.0.\n"
        "#9 1.0 orrery:   Because you require pandas==1.0 and pandas==3.0, they are incompatible.\n"
        "#9 1.0 orrery: The runtime brings pandas 3.0, tested together with Airflow.\n"
        "#9 1.0 orrery: Next: Allow it.\n"
    )
    assert error.message.splitlines()[1:] == [
        "  Because you require pandas==1.0 and pandas==3.0, they are incompatible.",
        "The runtime brings pandas 3.0, tested together with Airflow.",
    ]


def test_a_full_disk_is_the_machines_fault() -> None:
    assert isinstance(engine.failure("write /x: no space left on device"), MachineError)


RUNTIME = "error running container: from /usr/bin/runc creating container for [/bin/sh -c id]: runc: "


@pytest.mark.parametrize(
    ("said", "setting"),
    [
        (f"{RUNTIME}error setting rlimit type 7: operation not permitted", "default_ulimits"),
        (f"{RUNTIME}systemd not running on this host, cannot use systemd cgroups manager", "cgroup_manager"),
        (f"{RUNTIME}something odd", "the other one"),
        ('Error: default OCI runtime "crun" not found: invalid argument', "apt-get install runc"),
        ('Error: building at STEP "RUN id": plugin type="bridge" failed (add): no plugin', "netavark"),
    ],
)
def test_what_keeps_podman_from_starting_containers_is_told_with_its_setting(said: str, setting: str) -> None:
    error = engine.failure(f"STEP 2/2: RUN id\n{said}\n: exit status 1\n")
    assert isinstance(error, MachineError)
    assert said in error.message
    assert setting in str(error.hint)


def test_a_step_that_fails_under_podman_is_not_the_machines_fault() -> None:
    error = engine.failure('Error: building at STEP "RUN false": while running runtime: exit status 1\n')
    assert isinstance(error, InputError)


def test_a_base_image_that_cannot_be_had_is_said_to_be_one() -> None:
    error = engine.failure("pull access denied for orrery/runtime, repository does not exist")
    assert "base image cannot be had" in error.message
    assert "orrery image build --variant full" in str(error.hint)
    assert "Check the name in FROM" in str(engine.failure("pull access denied for my/base").hint)


def test_any_other_failure_keeps_the_engines_last_words() -> None:
    assert "something broke" in engine.failure("#3 0.1 something broke\n").message


def test_a_build_for_a_processor_that_nothing_emulates_says_which_command_mends_it() -> None:
    said = "#7 0.297 exec /bin/sh: exec format error\n"
    error = engine.failure(said)
    assert isinstance(error, MachineError)
    assert "qemu-user-static" in str(error.hint)


def test_so_does_a_command_in_such_an_image(tmp_path: Path) -> None:
    refuses = "run) echo 'exec /bin/cat: Exec format error' >&2; exit 1;; *) exit 1"
    script = DOCKER.replace("*) exit 1", refuses)
    found = engine.find(path(program(tmp_path, "docker", script)))
    with pytest.raises(MachineError, match="another architecture"):
        found.said("run", "image")


def test_an_engine_tells_its_own_platform(tmp_path: Path) -> None:
    script = 'case "$3" in *Server.Os*) echo linux/arm64;; *) echo "20.10.24 20.10.24";; esac'
    assert engine.find(path(program(tmp_path, "docker", script))).platform() == "linux/arm64"
