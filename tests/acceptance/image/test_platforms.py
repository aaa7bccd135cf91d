"""Two platforms under one tag: built, pushed to a real registry, pulled by digest, and the other one run.

Of the other architecture only what must is emulated: Debian's packages in the build, and the runs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orrery import __version__
from orrery.image.platforms import PLATFORMS, parse
from orrery.local.ports import free_port
from orrery.release import catalogue

from .conftest import VARIANT, facts, missing, script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Docker

# A build and a run under emulation, on a machine that others use too.
pytestmark = pytest.mark.timeout(2400)

SUFFIX = "" if VARIANT == "full" else f"-{VARIANT}"
MACHINES = {platform.architecture: platform.machine for platform in PLATFORMS}
_CONFIGURATION = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Debian's registry, on this machine alone."""
    program = shutil.which("docker-registry")
    if program is None:
        missing("The test of two platforms needs docker-registry: apt-get install docker-registry.")
    folder = tmp_path_factory.mktemp("registry")
    port = free_port()
    configuration = folder / "config.yml"
    configuration.write_text(_CONFIGURATION.format(folder=folder / "data", port=port))
    log = folder / "log"
    with log.open("wb") as sink:
        served = subprocess.Popen([str(program), "serve", configuration], stdout=sink, stderr=sink)
    try:
        for _ in range(150):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                assert served.poll() is None, log.read_text()
                time.sleep(0.2)
        else:
            pytest.fail(f"The registry does not answer: {log.read_text()}")
        yield f"127.0.0.1:{port}"
    finally:
        served.terminate()
        served.wait(30)
        shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture(scope="module")
def own(docker: Docker) -> str:
    """The engine's own architecture."""
    return parse(docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").strip()).architecture


@pytest.fixture(scope="module")
def other(docker: Docker, own: str) -> str:
    """The other architecture, whose programs the kernel then runs."""
    [found] = set(MACHINES) - {own}
    made = script(docker, "bin/emulation", found)
    if made.returncode:
        missing(f"The test of two platforms needs emulation: {made.stderr}")
    return found


@dataclass(frozen=True, kw_only=True)
class Pushed:
    repository: str
    names: list[str]
    said: str


@pytest.fixture(scope="module")
def pushed(docker: Docker, base: str, other: str, registry: str, authorities: tuple[str, ...]) -> Pushed:
    """The runtime for both platforms, as the documentation says it."""
    made = script(docker, "bin/base-image", "13", other)
    assert made.returncode == 0, made.stderr
    repository = f"{registry}/orrery/runtime"
    built = docker.orrery(
        *("image", "build", "--variant", VARIANT, "--platform", "linux/amd64,linux/arm64"),
        *("--base", base, "--base", f"linux/{other}={made.stdout.strip()}"),
        *("--push", "--tag", repository, *authorities),
    )
    assert built.returncode == 0, built.stderr
    names = built.stdout.split()
    # From here on the registry alone has them.
    docker("image", "rm", *(f"{names[0]}-{architecture}" for architecture in MACHINES))
    return Pushed(repository=repository, names=names, said=built.stderr)


def digests(docker: Docker, name: str) -> dict[str, str]:
    """Return architecture -> digest of what the registry has under a name."""
    listed = json.loads(docker("manifest", "inspect", "--insecure", name))
    assert {each["platform"]["os"] for each in listed["manifests"]} == {"linux"}
    return {each["platform"]["architecture"]: each["digest"] for each in listed["manifests"]}


@pytest.fixture(scope="module")
def pulled(docker: Docker, pushed: Pushed) -> dict[str, str]:
    """Architecture -> name of the image that was pulled by its digest."""
    found = digests(docker, pushed.names[0])
    by_digest = {architecture: f"{pushed.repository}@{digest}" for architecture, digest in found.items()}
    for architecture, name in by_digest.items():
        docker("pull", "--quiet", "--platform", f"linux/{architecture}", name)
    return by_digest


def test_every_tag_names_the_same_two_images(docker: Docker, pushed: Pushed) -> None:
    short = __version__.rpartition(".")[0]
    assert pushed.names == [
        f"{pushed.repository}:{version}{SUFFIX}" for version in (__version__, short, short.rpartition(".")[0])
    ]
    found = [digests(docker, name) for name in pushed.names]
    assert set(found[0]) == set(MACHINES)
    assert len(set(found[0].values())) == len(MACHINES)
    assert found[1:] == found[:1] * 2
    for architecture, digest in found[0].items():
        assert f"linux/{architecture} is {pushed.repository}@{digest}" in pushed.said


def test_each_digest_is_an_image_of_its_architecture(docker: Docker, pulled: dict[str, str]) -> None:
    for architecture, name in pulled.items():
        found = facts(docker, name)
        assert (found["Architecture"], found["Os"]) == (architecture, "linux")
        assert found["Config"]["Labels"]["io.orrery.runtime.version"] == __version__


def test_the_engines_own_is_the_one_that_is_built_alone(
    docker: Docker, pulled: dict[str, str], own: str, runtime: str
) -> None:
    assert facts(docker, pulled[own])["RootFS"] == facts(docker, runtime)["RootFS"]


def test_the_other_one_starts_and_its_extensions_are_of_its_processor(
    docker: Docker, pulled: dict[str, str], other: str
) -> None:
    script = (
        "python -c 'import platform, pydantic_core; print(platform.machine(), pydantic_core.__file__)'; "
        "airflow version"
    )
    # Probes would take half of what the emulation gets.
    options = ("--rm", "--no-healthcheck", "--platform", f"linux/{other}")
    # More than two minutes of CPU, of which a busy machine gives a fifth.
    ended = docker.try_("run", *options, pulled[other], "bash", "-euc", script, timeout=1500)
    assert ended.returncode == 0, ended.stderr
    machine, extension, version = ended.stdout.split()
    assert machine == MACHINES[other]
    assert "/opt/orrery/" in extension
    assert version == catalogue.load().release(__version__).airflow


def test_its_byte_code_is_the_same(docker: Docker, pulled: dict[str, str], other: str, runtime: str) -> None:
    """Made on the build's platform for both: what is emulated compiles nothing of it."""
    count = (
        "cd /opt/orrery/lib/python3.*/site-packages && "
        "find airflow -name '*.pyc' -print0 | sort --zero-terminated | xargs -0 sha256sum | sha256sum"
    )
    found = {
        docker("run", "--rm", "--entrypoint", "sh", image, "-c", count) for image in (pulled[other], runtime)
    }
    assert len(found) == 1


@pytest.mark.skipif(VARIANT != "full", reason="minutes more of emulation: `make image-proof`")
def test_the_other_one_is_attested_as_what_it_is(
    docker: Docker, pulled: dict[str, str], other: str, tmp_path: Path
) -> None:
    made = docker.orrery("image", "attest", pulled[other], folder=tmp_path)
    assert made.returncode == 0, made.stderr
    said = json.loads((tmp_path / "attestations" / "provenance.json").read_text())
    assert said["predicate"]["buildDefinition"]["externalParameters"]["architecture"] == other
    assert said["subject"][0]["digest"]["sha256"] in facts(docker, pulled[other])["Id"]
