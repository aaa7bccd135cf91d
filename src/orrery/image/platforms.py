"""The platforms of the image: pure, one table for the builder, the command and the errors."""

from __future__ import annotations

from dataclasses import dataclass

from orrery.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """One platform, as engines name it."""

    #: Of the architecture, in Go's words, which are Debian's too: amd64, arm64.
    architecture: str
    #: What the kernel calls it, and the compilers.
    machine: str

    @property
    def name(self) -> str:
        """What `--platform` takes: linux/arm64."""
        return f"linux/{self.architecture}"

    @property
    def wheels(self) -> str:
        """The platform whose wheels are installed, in the words of uv's --python-platform."""
        return f"{self.machine}-unknown-linux-gnu"


PLATFORMS = (
    Platform(architecture="amd64", machine="x86_64"),
    Platform(architecture="arm64", machine="aarch64"),
)
#: Other names that engines take, without the system before them.
_BY_NAME = {
    name: platform
    for platform in PLATFORMS
    for name in (platform.architecture, platform.machine, f"{platform.architecture}/v8")
    if name != "amd64/v8"
}


def parse(name: str) -> Platform:
    """Read `linux/arm64`, `arm64` or `aarch64`. Raises InputError for a platform that has no image."""
    found = _BY_NAME.get(name.strip().lower().removeprefix("linux/"))
    if found is None:
        raise InputError(
            f"'{name}' is no platform of the image.",
            hint=f"Platforms: {', '.join(platform.name for platform in PLATFORMS)}.",
        )
    return found


def parse_all(text: str) -> tuple[Platform, ...]:
    """Read a list such as `linux/amd64,linux/arm64`: each once, in its order. Raises like `parse`."""
    return tuple(dict.fromkeys(parse(name) for name in text.split(",")))
