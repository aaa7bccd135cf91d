"""What the image's tests share: an engine of their own, the runtime's image, a project's, a deployment.

Built once per session. Where no engine answers and we are root with Debian's docker.io, one is started in
a private folder; a laptop without one skips, CI fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orrery.errors import MachineError
from orrery.image.engine import find
from orrery.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[3]
ORRERY = Path(sys.executable).with_name("orrery")
HERE = Path(__file__).parent
#: The machine's certificate authorities: a company's own may stand among them.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PATIENCE_SECONDS = 240
#: The image's own user, whom root renders for; and one that it does not know.
IMAGE_USER, UNKNOWN_USER = 50000, 12345
#: What this ring builds. The full set is proven by `make image-proof`, which takes minutes more.
VARIANT = os.environ.get("ORRERY_TEST_IMAGE_VARIANT", "slim")


@dataclass(frozen=True, kw_only=True)
class Docker:
    """The engine's own command, and the `orrery` that finds it."""

    program: Path
    environment: dict[str, str]
    #: In the name of everything that the tests make.
    mark: str = field(default_factory=lambda: f"orrery-proof-{uuid.uuid4().hex[:8]}")

    def try_(self, *arguments: str | Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return self._run([self.program, *arguments], timeout=timeout)

    def __call__(self, *arguments: str | Path) -> str:
        ended = self.try_(*arguments)
        assert ended.returncode == 0, f"{arguments}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def orrery(
        self, *arguments: str | Path, folder: Path = REPOSITORY, timeout: float = 1500
    ) -> subprocess.CompletedProcess[str]:
        return self._run([ORRERY, *arguments], folder=folder, timeout=timeout)

    def _run(
        self, argv: list[str | Path], *, timeout: float, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, argv)),
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "ORRERY", "PYTHON")) and name != "SOURCE_DATE_EPOCH"
    }
    with contextlib.ExitStack() as stack:
        try:
            engine = find(environment, "docker")
        except MachineError as error:
            if os.getuid() != 0 or shutil.which("dockerd") is None:
                missing(f"The image's tests need a container engine: {error.message} {error.hint}")
            folder = tmp_path_factory.mktemp("engine")
            environment["DOCKER_HOST"] = stack.enter_context(started_engine(folder))
            engine = find(environment, "docker")
        docker = Docker(program=engine.program, environment={**environment, "DOCKER_BUILDKIT": "1"})
        yield docker


def missing(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{why} In CI it must be there: bin/setup --tests installs it.", pytrace=False)
    pytest.skip(why)


@contextlib.contextmanager
def started_engine(folder: Path, *, alone: bool = False) -> Iterator[str]:
    """Run a Docker engine that is nobody else's, and end it with all that it runs.

    `alone`: in a network of its own, without a way out. Engines that share one fight over the bridge docker0.
    """
    apart = ("unshare", "--net") if alone else ()
    own_network = ("--bridge", "none", "--iptables=false") if alone else ()
    # A socket's path must be short.
    address = f"unix:///tmp/orrery-engine-{uuid.uuid4().hex[:8]}.sock"
    log = folder / "dockerd.log"
    with log.open("wb") as sink:
        daemon = subprocess.Popen(
            [
                *(*apart, "dockerd", "--data-root", folder / "data", "--exec-root", folder / "run"),
                *("--pidfile", folder / "pid", "--host", address, *own_network),
            ],
            stdout=sink,
            stderr=sink,
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not answers(address):
            if daemon.poll() is not None or time.monotonic() > deadline:
                missing("dockerd does not start: " + " ".join(log.read_text().splitlines()[-3:]))
            time.sleep(0.2)
        yield address
    finally:
        daemon.terminate()
        daemon.wait(60)
        shutil.rmtree(folder / "data", ignore_errors=True)


def answers(address: str) -> bool:
    """Say whether an engine is ready: its socket is there seconds earlier."""
    try:
        find({**os.environ, "DOCKER_HOST": address}, "docker")
    except MachineError:
        return False
    return True


@pytest.fixture(scope="session")
def base(docker: Docker) -> str:
    made = script(docker, "bin/base-image", "13", timeout=600)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def script(docker: Docker, *words: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run a script of the repository's with that engine."""
    return subprocess.run(
        words,
        cwd=REPOSITORY,
        env={**docker.environment, "ENGINE": str(docker.program)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def authorities() -> tuple[str, ...]:
    return ("--ca-bundle", str(AUTHORITIES)) if AUTHORITIES.is_file() else ()


@pytest.fixture(scope="session")
def runtime(docker: Docker, base: str, authorities: tuple[str, ...]) -> str:
    """The runtime's image, built by the command that users have."""
    built = docker.orrery("image", "build", "--variant", VARIANT, "--base", base, *authorities)
    assert built.returncode == 0, built.stderr
    return built.stdout.split()[0]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, runtime: str) -> Path:
    """A project that uses everything a project may: Debian and Python packages, include, plugins."""
    root = tmp_path_factory.mktemp("proof") / "weather"
    shutil.copytree(HERE / "weather", root)
    (root / "Dockerfile").write_text(f"FROM {runtime}\n")
    # As an editor on Windows leaves it.
    (root / "packages.txt").write_bytes(b"# tools\r\njq\r\n\r\n")
    return root


@pytest.fixture(scope="session")
def image(docker: Docker, project: Path, authorities: tuple[str, ...]) -> str:
    """The project's image."""
    built = docker.orrery("image", "build", *authorities, folder=project)
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


class Deployment:
    """A project's deployment as `orrery deployment render` writes it, run by a Compose program."""

    components = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")

    def __init__(self, docker: Docker, command: list[str], file: Path, postgres: str) -> None:
        self.docker = docker
        self._file = file
        self._environment = {**docker.environment, "POSTGRES_IMAGE": postgres}
        self._command = command
        self._containers: dict[str, str] = {}

    def compose(self, *arguments: str) -> str:
        ended = subprocess.run(
            [*self._command, *arguments],
            cwd=self._file.parent,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=600,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert ended.returncode == 0, f"{arguments}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def container(self, service: str) -> str:
        # Asked once: Compose 1 takes a second of CPU for an answer.
        if service not in self._containers:
            self._containers[service] = self.compose("ps", "--quiet", service).strip()
        return self._containers[service]

    def health(self, service: str) -> str:
        return self.docker("inspect", "--format", "{{.State.Health.Status}}", self.container(service)).strip()

    def logs(self, service: str) -> str:
        ended = self.docker.try_("logs", "--tail", "60", self.container(service))
        return ended.stdout + ended.stderr

    def sql(self, statement: str) -> list[list[str]]:
        script = (
            "PGPASSWORD=$(cat /run/secrets/database_password) "
            "psql --host=/tmp --username=airflow --dbname=airflow"
            ' --no-align --tuples-only --field-separator="\t" --command "$0"'
        )
        text = self.docker("exec", self.container("postgres"), "sh", "-c", script, statement)
        return [line.split("\t") for line in text.splitlines()]

    def waits_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                said = "\n".join(f"--- {name}\n{self.logs(name)}" for name in self.components)
                pytest.fail(f"{what}: not within {PATIENCE_SECONDS} s\n{said}")
            time.sleep(0.5)


def compose_command(docker: Docker) -> list[str]:
    """Return Compose: docker's plug-in, or the older program that Debian 12 has."""
    if docker.try_("compose", "version").returncode == 0:
        return [str(docker.program), "compose"]
    if program := shutil.which("docker-compose"):
        return [program]
    missing("A deployment's tests need Docker Compose. Install it: apt-get install docker-compose.")
    return []


@pytest.fixture(scope="session")
def postgres(docker: Docker, base: str) -> str:
    """An image of PostgreSQL, for machines that reach no hub."""
    name = f"{docker.mark}-postgres"
    docker("build", "--quiet", "--build-arg", f"BASE_IMAGE={base}", "--tag", name, HERE / "postgres")
    return name


def rendered(engine: Docker, project: Path, image: str) -> Path:
    """Write the Compose file of a project's deployment, on a port that is free."""
    (project / "orrery.yaml").write_text(f"name: {engine.mark}\nlocal:\n  port: {free_port()}\n")
    told = engine.orrery("deployment", "render", "--target", "compose", "--image", image, folder=project)
    assert told.returncode == 0, told.stderr
    return Path(told.stdout.strip())


def belongs_to(file: Path, user: int) -> None:
    """Make a rendered deployment what another user's command would have rendered."""
    text = file.read_text()
    assert f"user: '{IMAGE_USER}:0'" in text
    file.write_text(text.replace(f"user: '{IMAGE_USER}:0'", f"user: '{user}:0'"))
    for folder in (file.parent / "secrets", file.parent / "sign-in"):
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, 0)


@pytest.fixture(scope="module")
def deployment(docker: Docker, image: str, project: Path, postgres: str) -> Iterator[Deployment]:
    """The deployment, started. It ends with the module's tests: others need the machine.

    Its file systems are read-only, and its user is one that the image does not know.
    """
    file = rendered(docker, project, image)
    if os.getuid() == 0:
        belongs_to(file, UNKNOWN_USER)
    made = Deployment(docker, compose_command(docker), file, postgres)
    try:
        made.compose("up", "--detach")
        yield made
    finally:
        made.compose("down", "--volumes")


def facts(docker: Docker, image: str) -> Any:
    [found] = json.loads(docker("image", "inspect", image))
    return found
