"""The build of a project's image, from its Dockerfile or from a generated one."""

from __future__ import annotations

import fnmatch
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.errors import InputError
from orrery.image.tags import REPOSITORY, Variant
from orrery.project.text import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orrery.image.engine import Engine
    from orrery.image.runtime import Secrets
    from orrery.project.layout import Project

#: Base images of Astro's: `--from-astro` puts ours in their place.
_ASTRO = re.compile(
    r"^(?P<before>\s*FROM\s+(?:--\S+\s+)*)(?P<image>\S*(?:astro-runtime|astrocrpublic\.[^/\s]+/runtime):(?P<tag>\S+))",
    re.IGNORECASE | re.MULTILINE,
)
#: A context is sent to the engine in full; more than this is hardly meant.
LARGE_BYTES = 500_000_000
_NAMED_FILES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The Dockerfile to build with.

    `path` is None for one that is not in the project; `change` is a line and what replaces it.
    """

    text: str
    path: Path | None
    change: tuple[str, str] | None = None


def recipe(project: Project, *, runtime: str, variant: Variant, from_astro: bool) -> Recipe:
    """Return the project's Dockerfile, or one line where it has none.

    Raises:
        InputError: it builds from Astro's image and `from_astro` is not given, or the other way round.
    """
    text = read_text(project.dockerfile)
    ours = f"{REPOSITORY}:{runtime}{variant.suffix}"
    if not text.strip():
        return Recipe(text=f"FROM {ours}\n", path=None)
    found = _ASTRO.search(text)
    if found and not from_astro:
        raise InputError(
            f"{project.dockerfile} builds from {found['image']}, which is not Orrery's.",
            hint="Build it on this runtime, the file stays as it is: orrery image build --from-astro",
        )
    if from_astro and not found:
        raise InputError(
            f"{project.dockerfile} has no FROM line with an image of Astro's.", hint="Leave --from-astro out."
        )
    if not found:
        return Recipe(text=text, path=project.dockerfile)
    is_base = found["tag"].endswith("-base")
    chosen = f"{ours}-base" if is_base and not variant.is_base else ours
    line = f"{found['before']}{chosen}"
    return Recipe(
        text=text[: found.start()] + line + text[found.end() :],
        path=None,
        change=(found[0].strip(), line.strip()),
    )


def build(
    engine: Engine,
    project: Project,
    made: Recipe,
    *,
    name: str,
    image_tag: str,
    platform: str | None,
    secrets: Secrets,
    fresh: bool,
    verbose: bool,
    report: Callable[[str], None],
) -> None:
    """Build the image `name` of a project, which knows itself as `image_tag`.

    Raises:
        InputError: a file of the project's is wrong, or the base image cannot be had.
        MachineError: the disk is full.
    """
    for line in warnings(project):
        report(line)
    report(f"Building {name} with {engine.name} {engine.version}")
    with tempfile.TemporaryDirectory(prefix="orrery-image-") as folder:
        file = made.path
        if file is None:
            file = Path(folder) / "Dockerfile"
            file.write_text(made.text, encoding="utf-8")
        engine.build(
            [
                *("--file", file, "--tag", name),
                *("--build-arg", f"ORRERY_IMAGE_TAG={image_tag}"),
                *(("--platform", platform) if platform else ()),
                *(("--no-cache",) if fresh else ()),
                *secrets.arguments(),
            ],
            folder=project.root,
            verbose=verbose,
        )


def warnings(project: Project) -> Iterator[str]:
    """Yield what should be known before a build: no DAGs, secrets in the context, a context of gigabytes."""
    if not project.dags.is_dir():
        yield f"Warning: {project.root} has no folder dags/: the image will have no DAGs."
    sizes = context_sizes(project.root)
    total = sum(sizes.values())
    if total > LARGE_BYTES:
        largest = sorted(sizes, key=lambda path: -sizes[path])[:_NAMED_FILES]
        named = ", ".join(f"{path} ({sizes[path] / 1e6:.0f} MB)" for path in largest)
        yield (
            f"Warning: the build's context is {total / 1e9:.1f} GB. Largest: {named}. "
            "What the image does not need belongs in .dockerignore."
        )
    yield from (
        f"Warning: {name} would be in the image, with whatever secrets it holds. Name it in .dockerignore."
        for name in (".env", "airflow_settings.yaml")
        if name in sizes
    )


def context_sizes(root: Path) -> dict[str, int]:
    """Return path -> bytes of what a build would send: without what .dockerignore names."""
    patterns = _ignored(root / ".dockerignore")
    sizes: dict[str, int] = {}
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not _matches((here / name).as_posix(), patterns)]
        for name in files:
            path = (here / name).as_posix()
            file = Path(folder) / name
            if not _matches(path, patterns) and file.is_file() and not file.is_symlink():
                sizes[path] = file.stat().st_size
    return sizes


def _ignored(file: Path) -> list[str]:
    lines = (line.strip() for line in read_text(file).split("\n"))
    # `!` brings files back: counting too many is then better than too few.
    return [line.strip("/") for line in lines if line and not line.startswith(("#", "!"))]


def _matches(path: str, patterns: list[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(path, pattern)
        or fnmatch.fnmatchcase(path, pattern.removeprefix("**/"))
        or (pattern.startswith("**/") and fnmatch.fnmatchcase(path.rpartition("/")[2], pattern[3:]))
        for pattern in patterns
    )
