"""What is in an image, asked of the image itself; and what differs between two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orrery.image.engine import Engine

_LABEL = "io.orrery.runtime.version"
_PYTHON = "/opt/orrery/bin/python"


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One Python package of an image."""

    version: str
    licence: str | None
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer: its size, and the step that made it."""

    size_bytes: int
    step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """An image: its release (the content of /etc/orrery-release), packages by name, layers from the top."""

    name: str
    digest: str
    size_bytes: int
    architecture: str
    release: Mapping[str, Any]
    packages: Mapping[str, Package]
    settings: Mapping[str, str]
    layers: tuple[Layer, ...]


def inspect(engine: Engine, image: str) -> ImageFacts:
    """Ask an image that is on this machine.

    Raises:
        InputError: it is not here, or it is not a runtime of Orrery's.
    """
    engine.require(image)
    [about] = json.loads(engine.said("image", "inspect", image))
    if not (about["Config"].get("Labels") or {}).get(_LABEL):
        raise InputError(
            f"'{image}' is not an image of Orrery Runtime: it has no label {_LABEL}.",
            hint="Name an image that was built from orrery/runtime, such as orrery/runtime:17.0.0.",
        )
    told = json.loads(engine.said_in(image, _PYTHON, "-m", "orrery.image.contents"))
    return ImageFacts(
        name=image,
        # Docker says what kind of digest it is; podman gives the same one without.
        digest=f"sha256:{str(about['Id']).removeprefix('sha256:')}",
        size_bytes=int(about["Size"]),
        architecture=str(about["Architecture"]),
        release=told["release"],
        packages={
            package["name"]: Package(
                version=package["version"], licence=package["licence"], size_bytes=package["bytes"]
            )
            for package in told["packages"]
        },
        settings=told["settings"],
        layers=_layers(engine, image),
    )


def _layers(engine: Engine, image: str) -> tuple[Layer, ...]:
    asked = ("image", "history", "--human=false", "--no-trunc", "--format")
    if engine.name == "podman":  # in its templates a size is a text for people, such as 6.29 MB
        rows = [
            [row["size"], row.get("CreatedBy", "")] for row in json.loads(engine.said(*asked, "json", image))
        ]
    else:
        told = engine.said(*asked, "{{.Size}}\t{{.CreatedBy}}", image)
        rows = [line.split("\t", 1) for line in told.splitlines()]
    return tuple(
        Layer(size_bytes=int(size), step=" ".join(str(step).split())) for size, step in rows if int(size)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference; None where the thing is missing."""

    kind: str
    name: str
    before: str | None
    after: str | None


def changes(before: ImageFacts, after: ImageFacts) -> list[Change]:
    """Return what differs: versions, early fixes, settings, providers, other packages; in this order."""
    release = ("runtime", "variant", "airflow", "task_sdk", "python", "base_image")
    compared: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        (
            "release",
            {key: before.release.get(key) for key in release},
            {key: after.release.get(key) for key in release},
        ),
        ("early fix", _fixes(before), _fixes(after)),
        ("setting", before.settings, after.settings),
        ("provider", _versions(before, providers=True), _versions(after, providers=True)),
        ("package", _versions(before, providers=False), _versions(after, providers=False)),
    ]
    return [
        Change(kind=kind, name=name, before=_text(old.get(name)), after=_text(new.get(name)))
        for kind, old, new in compared
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _fixes(facts: ImageFacts) -> dict[str, str]:
    return {fix["id"]: fix["guard"] for fix in facts.release.get("early_fixes", ())}


def _versions(facts: ImageFacts, *, providers: bool) -> dict[str, str]:
    return {
        name: package.version
        for name, package in facts.packages.items()
        if name.startswith("apache-airflow-providers-") == providers
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
