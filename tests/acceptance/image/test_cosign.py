"""What stands beside an image, in the hands of a tool that is not ours: cosign, as Debian 13 has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .conftest import HERE, REPOSITORY, VARIANT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Docker

pytestmark = pytest.mark.skipif(VARIANT != "full", reason="a foreign tool's view of it: `make image-proof`")


@pytest.fixture(scope="module")
def published(docker: Docker, runtime: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that whoever builds hands over, by the command of the documentation."""
    folder = tmp_path_factory.mktemp("published")
    made = docker.orrery("image", "attest", runtime, "--key", "release.key", folder=folder)
    assert made.returncode == 0, made.stderr
    (folder / "release.key").unlink()
    return folder


@pytest.fixture(scope="module")
def verify(docker: Docker, base: str, published: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """The documentation's command, without a network: our key is in no public log."""
    text = (REPOSITORY / "docs" / "image.md").read_text()
    [command] = re.findall(r"^cosign verify-blob .*$", text, re.MULTILINE)
    name = f"{docker.mark}-cosign"
    docker("build", "--quiet", "--build-arg", f"BASE_IMAGE={base}", "--tag", name, HERE / "cosign")
    mounted = ("--volume", f"{published}:/published:ro")
    return lambda: docker.try_("run", "--rm", "--network", "none", *mounted, name, *command.split())


def test_cosign_takes_the_signature_and_sees_a_change(
    published: Path, verify: Callable[[], subprocess.CompletedProcess[str]]
) -> None:
    signed = published / "attestations" / "SHA256SUMS"
    taken = verify()
    assert taken.returncode == 0, taken.stderr
    assert "Verified OK" in taken.stderr

    signed.write_text(signed.read_text().replace("0", "1", 1))
    refused = verify()
    assert refused.returncode != 0
    assert "invalid signature" in refused.stderr
