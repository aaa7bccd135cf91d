"""What is pushed in which order, and how the refusals of registries are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orrery.errors import InputError, MachineError
from orrery.image import publish
from orrery.image.platforms import PLATFORMS
from orrery.local.process import Completed

if TYPE_CHECKING:
    from orrery.image.engine import Engine

AMD64, ARM64 = PLATFORMS
NAMES = ["127.0.0.1:5000/runtime:17.0.0", "127.0.0.1:5000/runtime:17"]
BUILT = {platform: publish.local_name(NAMES[0], platform) for platform in PLATFORMS}
DIGESTS = {BUILT[AMD64]: f"sha256:{'a' * 64}", BUILT[ARM64]: f"sha256:{'b' * 64}"}


@dataclass
class Told:
    """An engine that notes what it is told; what contains `fails` fails."""

    name: str = "docker"
    fails: str | None = None
    commands: list[str] = field(default_factory=list)
    program: Path = Path("docker")

    def run(self, *arguments: str, timeout: float | None = None) -> Completed:
        command = " ".join(arguments)
        self.commands.append(command)
        if self.fails and self.fails in command:
            return Completed(returncode=1, stdout="", stderr="denied: requested access to it is denied\n")
        digest = DIGESTS.get(arguments[-1])
        return Completed(returncode=0, stdout=f"17: digest: {digest} size: 9\n" if digest else "", stderr="")


def push_all(engine: Any) -> list[str]:
    said: list[str] = []
    typed: Engine = engine
    publish.push_all(typed, BUILT, NAMES, said.append)
    return said


def test_docker_pushes_each_platform_and_then_a_list_of_their_digests_under_every_name() -> None:
    engine = Told()
    said = push_all(engine)
    members = " ".join(f"127.0.0.1:5000/runtime@{digest}" for digest in DIGESTS.values())
    assert [command for command in engine.commands if not command.startswith("manifest rm")] == [
        "push 127.0.0.1:5000/runtime:17.0.0-amd64",
        "push 127.0.0.1:5000/runtime:17.0.0-arm64",
        f"manifest create --insecure {NAMES[0]} {members}",
        f"manifest push --purge --insecure {NAMES[0]}",
        f"manifest create --insecure {NAMES[1]} {members}",
        f"manifest push --purge --insecure {NAMES[1]}",
    ]
    assert f"linux/arm64 is 127.0.0.1:5000/runtime@{DIGESTS[BUILT[ARM64]]}" in said


def test_no_name_is_given_to_a_list_that_lacks_a_platform() -> None:
    engine = Told(fails="push 127.0.0.1:5000/runtime:17.0.0-arm64")
    with pytest.raises(InputError, match="refuses"):
        push_all(engine)
    assert not [command for command in engine.commands if command.startswith("manifest")]


def test_podman_pushes_one_list_and_leaves_none_behind() -> None:
    engine = Told(name="podman", fails="manifest push")
    with pytest.raises(InputError, match="refuses"):
        push_all(engine)
    assert engine.commands[2:] == [
        f"manifest add {NAMES[0]}-list containers-storage:{BUILT[AMD64]}",
        f"manifest add {NAMES[0]}-list containers-storage:{BUILT[ARM64]}",
        f"manifest push --all --format v2s2 --tls-verify=false {NAMES[0]}-list docker://{NAMES[0]}",
        f"manifest rm {NAMES[0]}-list",
    ]


def test_one_image_is_pushed_under_all_its_names() -> None:
    engine: Any = Told()
    publish.push(engine, NAMES, lambda _: None)
    assert engine.commands == [f"push {name}" for name in NAMES]


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("127.0.0.1:5000/x:1", True),
        ("localhost/x:1", True),
        ("[::1]:5000/x", True),
        ("registry.example.org/x", False),
        ("10.0.0.1:5000/x", False),
        ("localhost.example.org/x", False),
    ],
)
def test_only_registries_of_this_machine_need_no_encryption(name: str, *, is_ours: bool) -> None:
    assert publish.is_loopback(name) == is_ours


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("unauthorized: authentication required", InputError, "docker login registry.example.org"),
        (
            "Get https://x/v2/: http: server gave HTTP response to HTTPS client",
            MachineError,
            "insecure-registries",
        ),
        ("dial tcp 10.0.0.1:443: connect: connection refused", MachineError, "Check the name in --tag"),
        ("blob upload invalid", InputError, "what the registry logs"),
    ],
)
def test_a_push_that_fails_says_what_to_do(said: str, kind: type[Exception], hint: str) -> None:
    error = publish.failure(
        f"The push refers to repository\n{said}\n\n", "registry.example.org/x:1", "docker"
    )
    assert type(error) is kind
    assert hint in str(error.hint)


def test_a_push_without_a_digest_is_not_taken_for_one() -> None:
    with pytest.raises(MachineError, match="did not tell its digest"):
        publish.digest_of("latest: digest: sha256:short size: 3")
