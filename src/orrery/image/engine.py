"""The container engine of this machine: docker or podman, found by itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orrery.errors import InputError, MachineError
from orrery.image.tags import REPOSITORY
from orrery.local import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EngineName = Literal["docker", "podman"]
ENGINES: tuple[EngineName, ...] = ("docker", "podman")

_ANSWER_SECONDS = 30
#: What BuildKit writes before a line of a step's output.
_PREFIX = re.compile(r"^#\d+ (?:[\d.]+ )?")
#: What the steps of ours write before each of their lines.
_MARK = "orrery: "
_NO_BASE = re.compile(
    r"pull access denied|manifest unknown|manifest for \S+ not found|failed to resolve source metadata|"
    r"initializing source|no such host|i/o timeout|short-name"
)
#: What a kernel says of a program for another processor when nothing emulates it.
_NO_EMULATION = re.compile(r"exec format error", re.IGNORECASE)
_LAST_LINES = 20
#: Podman starts each container itself, and what keeps it from that is a setting of the machine: its words,
#: what they mean, what to write into /etc/containers/containers.conf.
_MACHINE_SETTINGS = (
    (
        r"error setting rlimit",
        "it asks for higher limits than this machine grants (ulimit -Hn, ulimit -Hu).",
        '[containers] default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"], well below these',
    ),
    (
        r"cannot use systemd cgroup",
        "it wants systemd, which does not run here.",
        '[engine] cgroup_manager = "cgroupfs" and events_logger = "file"',
    ),
    (
        r"default OCI runtime \S+ not found",
        "the program that starts containers is missing.",
        '[engine] runtime = "runc", after apt-get install runc (or crun)',
    ),
    (
        r"plugin type=\S+ failed",
        "its network's plug-ins are missing.",
        '[network] network_backend = "netavark", after apt-get install netavark aardvark-dns',
    ),
    (
        r"error running container: from \S+ creating container",
        "the program that starts containers refuses.",
        '[engine] runtime = "runc" (or "crun", the other one)',
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """One engine that answers."""

    name: EngineName
    program: Path
    #: Of the server, or of podman itself.
    version: str
    environment: Mapping[str, str]

    def run(self, *arguments: str | Path, timeout: float | None = None) -> process.Completed:
        """Run one of its commands to the end and return what it said, whatever the exit code."""
        return process.run([self.program, *arguments], env=self.environment, timeout=timeout)

    def said(self, *arguments: str | Path) -> str:
        """Return the output of a command. Raises InputError with the engine's own words when it fails."""
        ended = self.run(*arguments)
        if ended.returncode:
            if _NO_EMULATION.search(ended.stderr):
                raise _no_emulation()
            raise InputError(
                f"{self.name} refused: {_last_words(ended.stderr, 3)}",
                hint=f"Run it yourself: {self.name} {' '.join(str(word) for word in arguments[:3])} ...",
            )
        return ended.stdout

    def said_in(self, image: str, program: str, *arguments: str) -> str:
        """Return the output of a program of an image, which gets no network and no right to write.

        Raises InputError like `said`.
        """
        locked = ("--rm", "--no-healthcheck", "--network", "none", "--read-only", "--entrypoint", program)
        return self.said("run", *locked, image, *arguments)

    def platform(self) -> str:
        """Return the platform that it runs without emulation: linux/amd64. Raises InputError like `said`."""
        if self.name == "docker":
            return self.said("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").strip()
        return self.said("info", "--format", "{{.Host.OS}}/{{.Host.Arch}}").strip()

    def has(self, image: str) -> bool:
        """Say whether an image is on this machine."""
        return self.run("image", "inspect", image).returncode == 0

    def require(self, image: str) -> None:
        """Raise InputError where an image is not on this machine."""
        if not self.has(image):
            raise InputError(
                f"There is no image '{image}' on this machine.",
                hint=f"Build it (orrery image build), or fetch it: {self.name} pull {image}",
            )

    def build(self, arguments: Sequence[str | Path], *, folder: Path, verbose: bool) -> None:
        """Build an image from the context `folder`; `verbose` shows the engine's output as it comes.

        Raises:
            InputError: the project or the base image is at fault; the build's own reason is told.
            MachineError: the disk is full, or podman needs a setting of the machine.
        """
        docker_format = ("--format", "docker") if self.name == "podman" else ("--progress", "plain")
        argv = [self.program, "build", *docker_format, *arguments, folder]
        if verbose:
            if process.start(argv, env=self.environment).wait():
                raise InputError("The build failed; its output above says why.")
            return
        ended = process.run(argv, env=self.environment)
        if ended.returncode:
            raise failure(f"{ended.stdout}\n{ended.stderr}")


def find(environment: Mapping[str, str], wanted: EngineName | None = None) -> Engine:
    """Return the first engine that answers, docker before podman.

    Raises:
        MachineError: none is installed, or none of those that are answers; the message says which and why.
    """
    environment = {
        **environment,
        "DOCKER_BUILDKIT": "1",
        "BUILDAH_FORMAT": "docker",
        # One makes a list of each image, which no manifest list may hold. `orrery image attest` makes ours.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    troubles: list[str] = []
    hints: list[str] = []
    for name in (wanted,) if wanted else ENGINES:
        for program in _programs(name, environment):
            version, trouble, hint = (_docker if name == "docker" else _podman)(program, environment)
            if version:
                return Engine(name=name, program=program, version=version, environment=environment)
            troubles.append(f"{program}: {trouble}")
            hints.append(hint)
    if not troubles:
        which = f"no {wanted}" if wanted else "neither docker nor podman"
        raise MachineError(
            f"No container engine is installed: {which} is on PATH.",
            hint="Install one. On Debian: apt-get install docker.io docker-buildx (or podman).",
        )
    raise MachineError("No container engine can be used. " + " ".join(troubles), hint=hints[0])


def _programs(name: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield every program of that name on PATH: the first may be a client that cannot build."""
    seen = set()
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        program = Path(folder or ".") / name
        if program.is_file() and os.access(program, os.X_OK) and program.resolve() not in seen:
            seen.add(program.resolve())
            yield program


def _docker(program: Path, environment: Mapping[str, str]) -> tuple[str | None, str, str]:
    asked = ("version", "--format", "{{.Client.Version}} {{.Server.Version}}")
    ended = process.run([program, *asked], env=environment, timeout=_ANSWER_SECONDS)
    if ended.returncode:
        why = _last_words(ended.stderr, 1)
        if "permission denied" in why.lower():
            return None, why, "Add yourself to the group docker (usermod -aG docker $USER) and sign in again."
        return None, why, "Start it (systemctl start docker), or set DOCKER_HOST to where it listens."
    client, _, server = ended.stdout.strip().partition(" ")
    # Until 22 the client had BuildKit in itself; since 23 it is a plug-in.
    builds = (
        process.run([program, "buildx", "version"], env=environment, timeout=_ANSWER_SECONDS).returncode == 0
    )
    if not builds and int(client.partition(".")[0] or 0) >= 23:
        return (
            None,
            f"docker {client} has no BuildKit: its plug-in buildx is missing.",
            ("Install it: apt-get install docker-buildx (or docker-buildx-plugin)."),
        )
    return server, "", ""


def _podman(program: Path, environment: Mapping[str, str]) -> tuple[str | None, str, str]:
    ended = process.run(
        [program, "version", "--format", "{{.Client.Version}}"], env=environment, timeout=_ANSWER_SECONDS
    )
    if ended.returncode:
        return None, _last_words(ended.stderr, 1), "See why: podman info"
    return ended.stdout.strip(), "", ""


def failure(output: str) -> InputError | MachineError:
    """Return the error for a failed build: our own step's words where it was one, else the engine's."""
    lines = [_PREFIX.sub("", line).rstrip() for line in output.splitlines()]
    if "no space left on device" in output.lower():
        return MachineError(
            "The disk is full.",
            hint="Free space: docker builder prune and docker image prune; then build again.",
        )
    if _NO_EMULATION.search(output):
        return _no_emulation()
    ours = [line.partition(_MARK)[2] for line in lines if _MARK in line]
    start = next((at for at, line in enumerate(ours) if line.startswith("Error: ")), None)
    if start is not None:
        end = next((at for at, line in enumerate(ours) if at > start and line.startswith("Next: ")), None)
        message = "\n".join(ours[start:end]).removeprefix("Error: ")
        return InputError(message, hint=None if end is None else ours[end].removeprefix("Next: "))
    for pattern, meaning, setting in _MACHINE_SETTINGS:
        if found := re.search(rf".*{pattern}.*", output):
            return MachineError(
                f"podman cannot start containers on this machine: {meaning}\n{found[0].strip()}",
                hint=f"In /etc/containers/containers.conf: {setting}. See docs/image.md, Podman.",
            )
    if _NO_BASE.search(output):
        build_it = "Build the runtime's image first: orrery image build --variant full (or slim)."
        check_it = "Check the name in FROM and the network; of the runtime's own image: --base IMAGE."
        return InputError(
            f"The base image cannot be had.\n{_last_words(output, 1)}",
            hint=build_it if REPOSITORY in output else check_it,
        )
    return InputError(
        f"The build failed.\n{_last_words(output, _LAST_LINES)}", hint="See all of it: --verbose"
    )


def _no_emulation() -> MachineError:
    return MachineError(
        "The image is for another architecture, whose programs this machine does not run: exec format error.",
        hint="Let its kernel run them through qemu: "
        "apt-get install qemu-user-static && systemctl restart systemd-binfmt "
        "(without systemd, in Orrery's repository: bin/emulation arm64).",
    )


def _last_words(text: str, count: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it said nothing"
