"""What images are called: pure, one table for the builder, the command and the documentation.

A tag is `<version>[-python-X.Y][-slim][-base]`, the suffixes in that order. Floating tags stand for the
newest release of a minor (17.0) or of a line (17), with the same suffixes.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orrery.release.version import Version

ProviderSet = Literal["full", "slim"]

REPOSITORY = "orrery/runtime"
#: The Debian that brings each Python; any other Python comes with a base image of the user's choice.
BASE_IMAGES = {"3.13": "debian:13-slim", "3.11": "debian:12-slim"}
DEFAULT_PYTHON = "3.13"
#: As people write them on the command line.
VARIANTS = ("full", "base", "slim", "slim-base")

_TAG = re.compile(
    r"(?P<version>\d+(?:\.\d+){0,2})(?:-python-(?P<python>3\.\d+))?(?P<slim>-slim)?(?P<base>-base)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One image of a release: which providers, whether projects are built from it, which Python."""

    providers: ProviderSet = "full"
    #: Without the ONBUILD steps: for Dockerfiles that do everything themselves.
    is_base: bool = False
    python: str = DEFAULT_PYTHON

    @classmethod
    def parse(cls, name: str, python: str | None = None) -> Variant:
        """Read `full`, `base`, `slim` or `slim-base`. Raises InputError for another name."""
        if name not in VARIANTS:
            near = difflib.get_close_matches(name, VARIANTS, n=1)
            raise InputError(
                f"'{name}' is no variant of the image.",
                hint=f"Did you mean '{near[0]}'?" if near else f"Variants: {', '.join(VARIANTS)}.",
            )
        return cls(
            providers="slim" if name.startswith("slim") else "full",
            is_base=name.endswith("base"),
            python=python or DEFAULT_PYTHON,
        )

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        return (
            "-".join([*(["slim"] if self.providers == "slim" else []), *(["base"] if self.is_base else [])])
            or "full"
        )

    @property
    def suffix(self) -> str:
        """What follows the version in a tag."""
        parts = [f"-python-{self.python}"] if self.python != DEFAULT_PYTHON else []
        parts += ["-slim"] if self.providers == "slim" else []
        parts += ["-base"] if self.is_base else []
        return "".join(parts)

    @property
    def base_image(self) -> str | None:
        """The Debian image it stands on; None where the user has to name one."""
        return BASE_IMAGES.get(self.python)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """A tag and the variant that it names; `floats`: it moves to the next release."""

    name: str
    variant: Variant
    floats: bool


def variants(pythons: Iterable[str]) -> tuple[Variant, ...]:
    """Return every variant for these Pythons, the default Python's first."""
    ordered = sorted(pythons, key=lambda python: (python != DEFAULT_PYTHON, python))
    return tuple(
        Variant(providers=providers, is_base=is_base, python=python)
        for python in ordered
        for providers in ("full", "slim")
        for is_base in (False, True)
    )


def tags(version: Version, variant: Variant, released: Iterable[Version]) -> tuple[Tag, ...]:
    """Return the tags of an image: its own, and the floating ones when no later release holds them."""
    others = [other for other in released if other > version]
    floating = []
    if not any((other.major, other.minor) == (version.major, version.minor) for other in others):
        floating.append(f"{version.major}.{version.minor}")
    if not any(other.major == version.major for other in others):
        floating.append(str(version.major))
    return (
        Tag(name=f"{version}{variant.suffix}", variant=variant, floats=False),
        *(Tag(name=f"{name}{variant.suffix}", variant=variant, floats=True) for name in floating),
    )


def parse(tag: str) -> tuple[str, Variant]:
    """Return the version (17.0.0, 17.0 or 17) and the variant that a tag names.

    Raises:
        InputError: it is no tag of the runtime, for instance its suffixes stand in another order.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        raise InputError(
            f"'{tag}' is no tag of {REPOSITORY}.",
            hint="A tag is VERSION[-python-X.Y][-slim][-base], in this order. See: orrery image tags",
        )
    variant = Variant(
        providers="slim" if match["slim"] else "full",
        is_base=bool(match["base"]),
        python=match["python"] or DEFAULT_PYTHON,
    )
    return match["version"], variant
