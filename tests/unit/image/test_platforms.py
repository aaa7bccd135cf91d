"""Platforms as people write them, and the Debian of each."""

from __future__ import annotations

import pytest

from orrery.errors import InputError
from orrery.image import platforms
from orrery.image.runtime import Bases, across
from orrery.image.tags import Variant

AMD64, ARM64 = platforms.PLATFORMS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux/arm64", ARM64),
        ("linux/arm64/v8", ARM64),
        ("arm64", ARM64),
        ("aarch64", ARM64),
        ("Linux/AMD64", AMD64),
        ("x86_64", AMD64),
    ],
)
def test_a_platform_is_read_as_engines_read_it(text: str, found: platforms.Platform) -> None:
    assert platforms.parse(text) == found


@pytest.mark.parametrize("text", ["", "linux/", "windows/amd64", "linux/amd64/v8", "linux/s390x"])
def test_another_platform_has_no_image(text: str) -> None:
    with pytest.raises(InputError, match="is no platform of the image") as error:
        platforms.parse(text)
    assert error.value.hint == "Platforms: linux/amd64, linux/arm64."


def test_a_list_has_each_platform_once_and_keeps_its_order() -> None:
    assert platforms.parse_all("linux/arm64, linux/amd64,aarch64") == (ARM64, AMD64)
    with pytest.raises(InputError):
        platforms.parse_all("linux/amd64,")


def test_one_base_image_serves_every_platform_but_those_that_have_their_own() -> None:
    bases = Bases.parse(["debian:13", "linux/arm64=127.0.0.1:5000/debian:13-arm64"], Variant())
    assert bases.of(AMD64) == "debian:13"
    assert bases.of(ARM64) == "127.0.0.1:5000/debian:13-arm64"


def test_without_one_it_is_the_debian_of_that_python() -> None:
    assert Bases.parse(["arm64=mine"], Variant()).of(AMD64) == "debian:13-slim"
    with pytest.raises(InputError, match=r"No Debian brings Python 3\.12") as error:
        Bases.parse([], Variant(python="3.12"))
    assert "--base python:3.12-slim" in str(error.value.hint)


@pytest.mark.parametrize("given", [["one", "two"], ["arm64=one", "linux/arm64=two"]])
def test_two_base_images_for_one_platform_are_refused(given: list[str]) -> None:
    with pytest.raises(InputError, match="names two images"):
        Bases.parse(given, Variant())


def test_a_base_image_of_an_unknown_platform_is_refused() -> None:
    with pytest.raises(InputError, match="'sparc' is no platform"):
        Bases.parse(["sparc=one"], Variant())


def test_only_for_another_platform_are_packages_installed_across() -> None:
    bases = Bases(general="debian:13", special={ARM64: "debian:13-arm64"})
    assert across(ARM64, ARM64, bases) == ["--build-arg", "BUILD_PLATFORM=linux/arm64"]
    assert across(AMD64, ARM64, bases)[2:] == [
        *("--build-arg", "BUILD_IMAGE=debian:13"),
        *("--build-arg", "ARCHITECTURE=arm64"),
        *("--build-arg", "WHEELS=aarch64-unknown-linux-gnu"),
    ]
