"""A project whose packages lie on an index that wants a login: installed, and the login is nowhere left."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.wheels import write_wheel

from .conftest import HERE, REPOSITORY, VARIANT, facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Docker

    Build = Callable[..., subprocess.CompletedProcess[str]]

USER, PASSWORD = "builder", "correct-horse-battery-staple"
GREETING = "from the private index"


@dataclass(frozen=True)
class Index:
    host: str

    @property
    def address(self) -> str:
        return f"http://{self.host}:8000/simple"


@pytest.fixture(scope="module")
def index(docker: Docker, runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """The index, with one package, in a container that the engine's builds reach."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "simple" / "acme-greeting").mkdir(parents=True)
    write_wheel(folder / "simple" / "acme-greeting", "acme_greeting", "1.0", f"TEXT = {GREETING!r}\n")
    shutil.copy(HERE / "index" / "serve.py", folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    mount = ("--volume", f"{folder}:/index:ro", "--workdir", "/index")
    command = ("/opt/orrery/bin/python", "serve.py", USER, PASSWORD)
    container = docker(
        "run", "--detach", "--rm", *mount, "--entrypoint", command[0], runtime, *command[1:]
    ).strip()
    try:
        host = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
        )
        waits_for_answer(docker, container)
        yield Index(host.strip())
    finally:
        docker.try_("rm", "--force", container)


@pytest.fixture(scope="module")
def runtime_base(docker: Docker, runtime: str, base: str, authorities: tuple[str, ...]) -> str:
    """The same runtime without the steps for projects: made of what its build has left."""
    variant = "slim-base" if VARIANT == "slim" else "base"
    made = docker.orrery("image", "build", "--variant", variant, "--base", base, *authorities)
    assert made.returncode == 0, made.stderr
    return made.stdout.split()[0]


def waits_for_answer(docker: Docker, container: str) -> None:
    asks = "import socket; socket.create_connection(('127.0.0.1', 8000), 2)"
    for _ in range(100):
        if docker.try_("exec", container, "/opt/orrery/bin/python", "-c", asks).returncode == 0:
            return
        time.sleep(0.2)
    pytest.fail(docker.try_("logs", container).stderr)


@pytest.fixture
def project(tmp_path: Path, runtime: str) -> Path:
    root = tmp_path / "acme"
    (root / "dags").mkdir(parents=True)
    (root / "Dockerfile").write_text(f"FROM {runtime}\n")
    return root


@pytest.fixture
def build(docker: Docker, project: Path, authorities: tuple[str, ...]) -> Build:
    """`orrery image build` of the project, under a name."""

    def build(name: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
        return docker.orrery("image", "build", "--tag", name, *options, *authorities, folder=project)

    return build


def netrc(folder: Path, index: Index, password: str = PASSWORD) -> Path:
    file = folder / "netrc"
    file.write_text(f"machine {index.host} login {USER} password {password}\n")
    return file


def is_installed(docker: Docker, image: str) -> bool:
    said = docker("run", "--rm", image, "python", "-c", "import acme_greeting; print(acme_greeting.TEXT)")
    return said.strip() == GREETING


def layers_hold(docker: Docker, image: str, text: str) -> bool:
    """Whether a text stands in any file of any layer, or in the image's configuration and history."""
    # Read to its end: a reader that leaves early would make the engine fail.
    command = ["grep", "--count", "--text", "--fixed-strings", text]
    given = [str(docker.program), "save", image]
    with subprocess.Popen(given, env=docker.environment, stdout=subprocess.PIPE) as saved:
        found = subprocess.run(command, stdin=saved.stdout, stdout=subprocess.PIPE, check=False)
    assert saved.returncode == 0
    assert found.returncode in {0, 1}
    return int(found.stdout) > 0


def test_a_project_installs_with_a_netrc(docker: Docker, project: Path, index: Index, build: Build) -> None:
    (project / "requirements.txt").write_text(f"--extra-index-url {index.address}\nacme-greeting==1.0\n")
    name = f"{docker.mark}-netrc:1"
    built = build(name, "--netrc", netrc(project.parent, index))
    assert built.returncode == 0, built.stderr
    assert is_installed(docker, name)
    # The look finds what is there, so what it does not find is not.
    assert layers_hold(docker, name, GREETING)
    assert not layers_hold(docker, name, PASSWORD)


def test_a_project_installs_from_the_index_of_a_secret(
    docker: Docker, project: Path, index: Index, build: Build
) -> None:
    (project / "requirements.txt").write_text("acme-greeting==1.0\n")
    secret = project.parent / "index"
    secret.write_text(f"UV_INDEX={index.address.replace('://', f'://{USER}:{PASSWORD}@')}\n")
    name = f"{docker.mark}-index:1"
    built = build(name, "--index-file", secret)
    assert built.returncode == 0, built.stderr
    assert is_installed(docker, name)
    assert not layers_hold(docker, name, PASSWORD)


@pytest.mark.parametrize(("password", "version"), [(None, "2.0"), ("wrong", "3.0")])
def test_a_login_that_the_index_refuses_is_told(
    project: Path, index: Index, build: Build, password: str | None, version: str
) -> None:
    (project / "requirements.txt").write_text(
        f"--extra-index-url {index.address}\nacme-greeting=={version}\n"
    )
    given = ("--netrc", netrc(project.parent, index, password)) if password else ()
    ended = build("refused:1", *given)
    assert ended.returncode == 2, ended.stdout
    assert "refused the login" in ended.stderr
    assert index.host in ended.stderr
    assert "--netrc" in ended.stderr


def test_the_example_of_the_documentation_builds(
    docker: Docker, project: Path, index: Index, build: Build, runtime_base: str
) -> None:
    text = (REPOSITORY / "docs" / "image.md").read_text()
    [example] = re.findall(r"```dockerfile\n(FROM \S+-base\n.*?)```", text, re.DOTALL)
    ours = re.sub(r"^FROM \S+", f"FROM {runtime_base}", example)
    (project / "Dockerfile").write_text(ours.replace("https://pypi.example.org/simple", index.address))
    (project / "requirements.txt").write_text("acme-greeting==1.0\n")
    name = f"{docker.mark}-documented:1"
    built = build(name, "--netrc", netrc(project.parent, index))
    assert built.returncode == 0, built.stderr
    assert is_installed(docker, name)
    assert not layers_hold(docker, name, PASSWORD)


def test_a_base_image_does_nothing_in_the_builds_on_it(
    docker: Docker, runtime: str, runtime_base: str
) -> None:
    assert facts(docker, runtime)["Config"]["OnBuild"]
    assert not facts(docker, runtime_base)["Config"].get("OnBuild")
