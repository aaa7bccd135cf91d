"""What `orrery image build` refuses before it looks for an engine."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from orrery.cli import image
from orrery.errors import InputError

BOTH = ("--platform", "linux/amd64,linux/arm64")
RUNTIME = ("--variant", "slim")


@pytest.mark.parametrize(
    ("options", "why", "hint"),
    [
        ((*RUNTIME, "--platform", "linux/arm46"), "no platform of the image", "linux/arm64"),
        ((*RUNTIME, *BOTH), "stands in a registry", "--push --tag REGISTRY/NAME"),
        ((*RUNTIME, *BOTH, "--push"), "where to", "--tag registry.example.org"),
        (("--push",), "where to", "--tag registry.example.org"),
        (
            (*RUNTIME, "--push", "--tag", "localhost:5000/runtime:17"),
            "those of the runtime's image are given",
            "--tag localhost:5000/runtime",
        ),
        ((*RUNTIME, "--base", "sparc=debian"), "'sparc' is no platform", "linux/amd64"),
        (("--base", "debian:13"), "about the runtime's own image", "--variant full"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_to_write(
    options: tuple[str, ...], why: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without an engine, whatever came so far would say that there is none.
    monkeypatch.setenv("PATH", "/nowhere")
    ended = CliRunner().invoke(image.image, ["build", *options])
    assert isinstance(ended.exception, InputError)
    assert why in ended.exception.message
    assert hint in str(ended.exception.hint)
