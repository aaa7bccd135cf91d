"""The build of the runtime's own image: the context, the arguments, the labels."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from orrery import __version__
from orrery.errors import InputError, MachineError
from orrery.image import platforms
from orrery.image.omitted import omitted
from orrery.image.tags import REPOSITORY, Variant, tags
from orrery.local import process, wheel
from orrery.release import catalogue
from orrery.release.locks import lock_path, normalised
from orrery.release.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orrery.image.engine import Engine
    from orrery.image.platforms import Platform

FILES = Path(__file__).with_name("files")
_ENTRY = re.compile(r"^[A-Za-z0-9]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """Files that a build may read and that stay in no layer."""

    ca_bundle: Path | None = None
    netrc: Path | None = None
    index: Path | None = None

    def arguments(self) -> list[str]:
        """Return them as arguments of a build. Raises InputError when a file is not there."""
        words: list[str] = []
        for name, file in (("ca", self.ca_bundle), ("netrc", self.netrc), ("index", self.index)):
            if file is None:
                continue
            if not file.is_file():
                raise InputError(f"There is no file {file}.", hint="Correct the path of that option.")
            words += ["--secret", f"id={name},src={file.absolute()}"]
        return words


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where this orrery comes from: what its image says of it."""

    #: The checkout, when orrery is installed from one; None for a wheel.
    folder: Path | None
    revision: str
    epoch: int

    @classmethod
    def here(cls, environment: Mapping[str, str]) -> Source:
        """Look at the installed package and its repository; SOURCE_DATE_EPOCH wins."""
        folder = _checkout(importlib.metadata.distribution("orrery-runtime"))
        revision, epoch = "unknown", None
        if folder:
            asked = ("git", "-C", str(folder), "log", "-1", "--format=%H %ct")
            try:
                ended = process.run(asked, env=environment, timeout=30)
                if ended.returncode == 0:
                    revision, _, seconds = ended.stdout.strip().partition(" ")
                    epoch = int(seconds)
            except MachineError:
                pass  # no git: the image says so
        given = environment.get("SOURCE_DATE_EPOCH", "")
        if given and not given.isdecimal():
            raise InputError(f"SOURCE_DATE_EPOCH is '{given}', which is no number of seconds.")
        if given or epoch is None:
            epoch = int(given) if given else _released()
        return cls(folder=folder, revision=revision, epoch=epoch)

    @property
    def created(self) -> str:
        """Return the time as RFC 3339."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bases:
    """The Debian images to stand on: one for every platform, and those of single ones."""

    general: str
    special: Mapping[Platform, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Iterable[str], variant: Variant) -> Bases:
        """Read `IMAGE` and `OS/ARCH=IMAGE`.

        Raises:
            InputError: an unknown platform, two images for one, or no Debian has that Python.
        """
        general: str | None = None
        special: dict[Platform, str] = {}
        for text in given:
            name, _, image = text.rpartition("=")
            if (platforms.parse(name) in special) if name else general is not None:
                raise InputError(
                    f"--base names two images for {name or 'every platform'}.", hint="Leave one of them out."
                )
            if name:
                special[platforms.parse(name)] = image
            else:
                general = image
        general = general or variant.base_image
        if general is None:
            raise InputError(
                f"No Debian brings Python {variant.python}.",
                hint=f"Name a base image that has it: --base python:{variant.python}-slim",
            )
        return cls(general=general, special=special)

    def of(self, platform: Platform) -> str:
        """Return the image of a platform."""
        return self.special.get(platform, self.general)


def names(variant: Variant, repository: str = REPOSITORY) -> list[str]:
    """Return the names of a variant's image in a repository, the exact one first."""
    found = tags(Version.parse(__version__), variant, _released_versions())
    return [f"{repository}:{tag.name}" for tag in found]


def build(
    engine: Engine,
    variant: Variant,
    *,
    called: Sequence[str],
    bases: Bases,
    platform: Platform | None,
    secrets: Secrets,
    environment: Mapping[str, str],
    fresh: bool,
    verbose: bool,
    report: Callable[[str], None],
) -> None:
    """Build one variant for one platform, None for the engine's own, under all the names that `called` has.

    Raises:
        InputError: the build failed, or the base image cannot be had.
        MachineError: the disk is full, or nothing emulates that platform here.
    """
    own = platforms.parse(engine.platform())
    wanted = platform or own
    base_image = bases.of(wanted)
    source = Source.here(environment)
    facts = release_facts(variant, base_image=base_image, source=source)
    told = "" if wanted == own else f" for {wanted.name}"
    report(f"Building {called[0]}{told} on {base_image} with {engine.name} {engine.version}")
    with tempfile.TemporaryDirectory(prefix="orrery-image-") as folder:
        context = Path(folder)
        stage(context, variant, facts, source, environment)
        engine.build(
            [
                *("--file", context / "Containerfile", "--target", "base" if variant.is_base else "project"),
                *("--build-arg", f"BASE_IMAGE={base_image}"),
                *("--build-arg", f"SOURCE_DATE_EPOCH={source.epoch}"),
                *across(own, wanted, bases),
                *(word for name in called for word in ("--tag", name)),
                *(word for name, value in labels(facts).items() for word in ("--label", f"{name}={value}")),
                *(("--platform", platform.name) if platform else ()),
                *(("--no-cache",) if fresh else ()),
                *secrets.arguments(),
            ],
            folder=context,
            verbose=verbose,
        )


def across(own: Platform, wanted: Platform, bases: Bases) -> list[str]:
    """Return the arguments by which an engine of one platform installs the packages of another."""
    told = [("BUILD_PLATFORM", own.name)]
    if wanted != own:
        told += [
            ("BUILD_IMAGE", bases.of(own)),
            ("ARCHITECTURE", wanted.architecture),
            ("WHEELS", wanted.wheels),
        ]
    return [word for name, value in told for word in ("--build-arg", f"{name}={value}")]


def release_facts(variant: Variant, *, base_image: str, source: Source) -> dict[str, Any]:
    """Return what is known of an image before it is built."""
    return {
        "repository": REPOSITORY,
        "image_tag": f"{__version__}{variant.suffix}",
        "runtime": __version__,
        "variant": variant.name,
        "base_image": base_image,
        "revision": source.revision,
        "created": source.created,
    }


def labels(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels: OCI's, and Orrery's own."""
    release = catalogue.load().release(__version__)
    ours = "io.orrery"
    return {
        "org.opencontainers.image.title": "Orrery Runtime",
        "org.opencontainers.image.description": "An open distribution of Apache Airflow",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": str(facts["image_tag"]),
        "org.opencontainers.image.revision": str(facts["revision"]),
        "org.opencontainers.image.created": str(facts["created"]),
        "org.opencontainers.image.base.name": str(facts["base_image"]),
        f"{ours}.runtime.version": __version__,
        f"{ours}.variant": str(facts["variant"]),
        f"{ours}.airflow.version": release.airflow or "",
        f"{ours}.airflow-task-sdk.version": release.task_sdk or "",
        f"{ours}.onbuild": "false" if str(facts["variant"]).endswith("base") else "true",
    }


def stage(
    context: Path, variant: Variant, facts: Mapping[str, Any], source: Source, environment: Mapping[str, str]
) -> None:
    """Fill the folder of a build with the Containerfile and all that it copies."""
    for file in FILES.iterdir():
        if file.is_file():
            shutil.copy(file, context / file.name)
    lock = lock_path(variant.providers).read_text(encoding="utf-8")
    without = omitted(variant.python)
    chosen = only(lock, lambda name: name not in without)
    (context / "requirements.txt").write_text(chosen, encoding="utf-8")
    (context / "uv.txt").write_text(only(lock, lambda name: name == "uv"), encoding="utf-8")
    (context / "facts.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    if source.folder:
        _build_wheel(source, context, environment)
    else:
        wheel.repack(importlib.metadata.distribution("orrery-runtime"), context)


def only(lock: str, wanted: Callable[[str], bool]) -> str:
    """Return the entries of a lock, with their hashes, whose package is wanted."""
    kept: list[str] = []
    take = False
    for line in lock.splitlines(keepends=True):
        if _ENTRY.match(line):
            take = wanted(normalised(re.split(r"[\[=<>;@ ]", line, maxsplit=1)[0]))
        if take and not line.startswith("    #"):
            kept.append(line)
    return "".join(kept)


def _build_wheel(source: Source, folder: Path, environment: Mapping[str, str]) -> None:
    """Build the wheel of a checkout, which an editable installation does not have."""
    ended = process.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        env={**environment, "SOURCE_DATE_EPOCH": str(source.epoch)},
        cwd=source.folder,
        timeout=300,
    )
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
        raise MachineError(
            f"The wheel of {source.folder} could not be built: {' '.join(last)}",
            hint="Set the repository up: make setup",
        )


def _checkout(distribution: importlib.metadata.Distribution) -> Path | None:
    text = distribution.read_text("direct_url.json")
    facts = json.loads(text) if text else {}
    if not facts.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(str(facts["url"])).path))


def _released() -> int:
    day = catalogue.load().release(__version__).date
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) if day else 0


def _released_versions() -> list[Version]:
    return [release.version for line in catalogue.load().lines if line.is_built for release in line.releases]
