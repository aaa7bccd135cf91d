"""`orrery image`: build the runtime's image or a project's, and look into images."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orrery.cli.output import Format, output_option, print_facts, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from orrery.image.engine import Engine
    from orrery.image.facts import ImageFacts
    from orrery.image.platforms import Platform

_MOST_PACKAGES = 15
_MOST_DIFFERENCES = 50


def _engine_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--engine",
        "engine_name",
        type=click.Choice(["docker", "podman"]),
        help="Default: the one that answers.",
    )(command)


@click.group()
def image() -> None:
    """Build images of the runtime and of projects, and look into them."""


@image.command()
@click.option(
    "--variant", help="Build the runtime itself: full, base, slim or slim-base. Default: this project."
)
@click.option("--python", help="Python of the runtime's image, such as 3.11. Default: 3.13.")
@click.option(
    "--base",
    "bases",
    metavar="[OS/ARCH=]IMAGE",
    multiple=True,
    help="The Debian that the runtime's image stands on; of one platform.",
)
@click.option(
    "--platform",
    "platform_names",
    metavar="OS/ARCH[,...]",
    help="For instance linux/arm64; several with --push. Default: this machine's.",
)
@click.option(
    "--tag",
    metavar="NAME[:TAG]",
    help="Name of the project's image (default: the project's), or the repository of the runtime's.",
)
@click.option("--push", is_flag=True, help="Push it to the registry that --tag names.")
@click.option(
    "--from-astro", is_flag=True, help="Put this runtime in the place of Astro's in the project's Dockerfile."
)
@click.option(
    "--ca-bundle", type=click.Path(path_type=Path), help="Your certificate authorities, for the build only."
)
@click.option("--netrc", type=click.Path(path_type=Path), help="Passwords of indexes, for the build only.")
@click.option(
    "--index-file", type=click.Path(path_type=Path), help="UV_DEFAULT_INDEX=... , for the build only."
)
@_engine_option
@click.option("--no-cache", "fresh", is_flag=True, help="Do every step anew.")
@click.option("--verbose", is_flag=True, help="Show the engine's output.")
def build(
    *,
    variant: str | None,
    python: str | None,
    bases: tuple[str, ...],
    platform_names: str | None,
    tag: str | None,
    push: bool,
    from_astro: bool,
    ca_bundle: Path | None,
    netrc: Path | None,
    index_file: Path | None,
    engine_name: Any,
    fresh: bool,
    verbose: bool,
) -> None:
    """Build the image of this project, or with --variant the runtime's own.

    Secrets given to a build are mounted into single steps; they stay in no layer.
    """
    from functools import partial

    from orrery.image import engine, platforms, runtime
    from orrery.image.tags import REPOSITORY, Variant

    secrets = runtime.Secrets(ca_bundle=ca_bundle, netrc=netrc, index=index_file)
    wanted = Variant.parse(variant, python) if variant else None
    chosen = platforms.parse_all(platform_names) if platform_names else ()
    _check_options(
        is_runtime=wanted is not None,
        about_runtime=bool(python or bases),
        from_astro=from_astro,
        tag=tag,
        platforms=len(chosen),
        push=push,
    )
    common: dict[str, Any] = {"secrets": secrets, "fresh": fresh, "verbose": verbose, "report": _report}
    found: Engine
    if wanted is None:
        names, found, make = _project_build(engine_name, tag=tag, from_astro=from_astro, **common)
    else:
        names = runtime.names(wanted, tag or REPOSITORY)
        stands_on = runtime.Bases.parse(bases, wanted)
        found = engine.find(os.environ, engine_name)
        make = partial(runtime.build, found, wanted, bases=stands_on, environment=os.environ, **common)
    _build_and_push(found, names, chosen, make, push=push)
    for name in names:
        click.echo(name)


def _check_options(
    *, is_runtime: bool, about_runtime: bool, from_astro: bool, tag: str | None, platforms: int, push: bool
) -> None:
    """Raise InputError for options that contradict one another."""
    from orrery.errors import InputError

    if about_runtime and not is_runtime:
        raise InputError("--python and --base are about the runtime's own image.", hint="Add --variant full.")
    if is_runtime and from_astro:
        raise InputError("--from-astro is about a project's image.", hint="Leave --variant out.")
    if is_runtime and tag and ":" in tag.rpartition("/")[2]:
        raise InputError(
            f"'{tag}' has a tag, and those of the runtime's image are given: see 'orrery image tags'.",
            hint=f"Name the repository only: --tag {tag.rpartition(':')[0]}",
        )
    if platforms > 1 and not push:
        raise InputError(
            "The image of several platforms stands in a registry: an engine holds one of them under a name.",
            hint="Add --push --tag REGISTRY/NAME; or build one platform at a time.",
        )
    if push and not tag:
        raise InputError(
            "--push needs to know where to.", hint="Name it: --tag registry.example.org/team/name"
        )


def _build_and_push(
    found: Engine, names: list[str], chosen: tuple[Platform, ...], make: Callable[..., None], *, push: bool
) -> None:
    """Build all that is wanted, and only then push."""
    from orrery.image import publish

    if len(chosen) < 2:
        make(called=names, platform=chosen[0] if chosen else None)
        if push:
            publish.push(found, names, _report)
        return
    built = {platform: publish.local_name(names[0], platform) for platform in chosen}
    for platform, name in built.items():
        make(called=[name], platform=platform)
    publish.push_all(found, built, names, _report)


def _project_build(
    engine_name: Any, *, tag: str | None, from_astro: bool, **common: Any
) -> tuple[list[str], Engine, Callable[..., None]]:
    """Return the names of the project's image, the engine, and what builds it."""
    from orrery import __version__
    from orrery.image import child, engine
    from orrery.image.tags import Variant
    from orrery.project.layout import find_project
    from orrery.project.requirements import check_requirements
    from orrery.project.text import read_packages
    from orrery.release import catalogue

    project = find_project(Path())
    release = catalogue.load().release(__version__)
    # Seconds earlier than the engine would say it.
    check_requirements(project.requirements, runtime=__version__, airflow=release.airflow or "its own")
    read_packages(project.packages)
    made = child.recipe(project, runtime=__version__, variant=Variant(), from_astro=from_astro)
    if made.change:
        _report(f"Changed for this build only:\n  - {made.change[0]}\n  + {made.change[1]}")
    name = tag or project.name
    name = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    found = engine.find(os.environ, engine_name)
    image_tag = name.rpartition(":")[2]

    def make(*, called: list[str], platform: Platform | None) -> None:
        wanted = platform.name if platform else None
        child.build(found, project, made, name=called[0], image_tag=image_tag, platform=wanted, **common)

    return [name], found, make


@image.command()
@click.argument("name", metavar="IMAGE")
@click.option("--all", "show_all", is_flag=True, help=f"All packages, not only the {_MOST_PACKAGES} largest.")
@_engine_option
@output_option
def inspect(*, name: str, show_all: bool, engine_name: Any, output: Format) -> None:
    """Show what is in an image: versions, providers, early fixes, lifecycle, sizes."""
    from orrery.image import facts

    found = facts.inspect(_engine(engine_name), name)
    if output == "json":
        print_json(_facts(found))
        return
    _print_facts(found, most=None if show_all else _MOST_PACKAGES)


@image.command()
@click.argument("before")
@click.argument("after")
@_engine_option
@output_option
def diff(*, before: str, after: str, engine_name: Any, output: Format) -> None:
    """Show what differs between two images: release, early fixes, settings, providers, packages."""
    from dataclasses import asdict

    from orrery.image import facts

    engine = _engine(engine_name)
    found = facts.changes(facts.inspect(engine, before), facts.inspect(engine, after))
    if output == "json":
        print_json([asdict(change) for change in found])
    elif not found:
        click.echo("No difference.")
    else:
        print_table(
            ("Kind", "Name", before, after),
            ((change.kind, change.name, change.before or "-", change.after or "-") for change in found),
        )


@image.command()
@click.argument("before")
@click.argument("after")
@_engine_option
@output_option
def compare(*, before: str, after: str, engine_name: Any, output: Format) -> None:
    """Compare two images byte for byte: their layers, and the files that differ. Exit 1 if they do."""
    import tempfile
    from dataclasses import asdict

    from orrery.image import compare as images

    with tempfile.TemporaryDirectory(prefix="orrery-image-") as folder:
        found = images.compare(_engine(engine_name), before, after, folder=Path(folder))
    if output == "json":
        print_json(asdict(found) | {"are_same": found.are_same})
    elif found.are_same:
        click.echo(f"All {len(found.before)} layers are the same.")
    else:
        same = sum(old == new for old, new in zip(found.before, found.after, strict=False))
        click.echo(f"Layers: {len(found.before)} and {len(found.after)}, of which {same} are the same.")
        rows = found.differences[:_MOST_DIFFERENCES]
        print_table(("Layer", "File", "Differs in"), ((each.layer, each.path, each.what) for each in rows))
        if len(found.differences) > len(rows):
            click.echo(f"And {len(found.differences) - len(rows)} files more: -o json")
    if not found.are_same:
        sys.exit(1)


@image.command()
@click.argument("name", metavar="IMAGE")
@click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("attestations"),
    show_default=True,
    help="The folder to write into.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    default=Path("orrery-image.key"),
    show_default=True,
    help="The private key to sign with; made, 0600, where there is none. Its public half goes to FILE.pub.",
)
@click.option(
    "--advisories",
    type=click.Path(path_type=Path),
    help="Known vulnerabilities: OSV's archive of PyPI or of this Debian, or a folder with both.",
)
@_engine_option
def attest(*, name: str, folder: Path, key: Path, advisories: Path | None, engine_name: Any) -> None:
    """Write and sign what stands beside an image: materials, licences, provenance, vulnerabilities."""
    from orrery.image import advisories as dump
    from orrery.image import attestation, facts

    engine = _engine(engine_name)
    known = None if advisories is None else list(dump.read(advisories))
    made = attestation.attest(engine, facts.inspect(engine, name), folder=folder, key=key, advisories=known)
    click.echo(f"Written to {made.folder}, signed; whoever verifies needs {made.public_key}.")
    if made.findings is None:
        click.echo("Vulnerabilities were not looked up: give --advisories FILE.")
        return
    click.echo(f"Vulnerabilities that are known of its packages: {len(made.findings)}.")
    for ecosystem, number in made.compared.items():
        told = f"{number} advisories" if number else "no advisory in the file, so nothing was looked up"
        click.echo(f"  {ecosystem}: {told}.")
    if made.findings:
        print_table(
            ("Package", "Version", "Advisory", "Fixed in"),
            ((each.package, each.version, each.id, each.fixed_in or "-") for each in made.findings),
        )


@image.command()
@click.argument("name", metavar="IMAGE")
@click.option(
    "--attestations",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("attestations"),
    show_default=True,
    help="The folder that `attest` has written.",
)
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The public key.")
@_engine_option
def verify(*, name: str, folder: Path, key: Path, engine_name: Any) -> None:
    """Check that the attestations are signed by the key, unchanged, and about IMAGE."""
    from orrery.image import attestation, facts

    found = facts.inspect(_engine(engine_name), name)
    names = attestation.verify(found.digest, folder=folder, public=key)
    click.echo(f"{name} is what {key} has signed: {', '.join(names)}.")


@image.command()
@output_option
def tags(output: Format) -> None:
    """List the tags of the newest release's images, and what each one is."""
    from orrery.image import tags as table
    from orrery.release import catalogue

    known = catalogue.load()
    newest = known.newest
    line = known.line(newest.version.major)
    released = [release.version for release in line.releases]
    rows = [
        {
            "tag": f"{table.REPOSITORY}:{tag.name}",
            "providers": tag.variant.providers,
            "python": tag.variant.python,
            "onbuild": not tag.variant.is_base,
            "base_image": tag.variant.base_image,
            "floats": tag.floats,
        }
        for variant in table.variants(table.BASE_IMAGES)
        for tag in table.tags(newest.version, variant, released)
    ]
    if output == "json":
        print_json(rows)
        return
    print_table(
        ("Tag", "Providers", "Python", "Project image", "Stands on", "Moves"),
        (
            (
                row["tag"],
                row["providers"],
                row["python"],
                "yes" if row["onbuild"] else "no",
                row["base_image"],
                "yes" if row["floats"] else "no",
            )
            for row in rows
        ),
    )


def _engine(name: Any) -> Engine:
    from orrery.image import engine

    return engine.find(os.environ, name)


def _report(text: str) -> None:
    click.echo(text, err=True)


def _facts(found: ImageFacts) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found) | {"lifecycle": _lifecycle(found)}


def _lifecycle(found: ImageFacts) -> dict[str, Any] | None:
    from datetime import UTC, datetime

    from orrery.release import catalogue
    from orrery.release.version import Version

    known = catalogue.load()
    line = known.lines_by_number.get(Version.parse(str(found.release["runtime"])).major)
    if line is None or line.lifecycle is None:
        return None
    today = datetime.now(UTC).date()
    return {
        "state": line.state_on(today),
        "bugfix_ends": line.lifecycle.bugfix_ends,
        "security_ends": line.lifecycle.security_ends,
    }


def _print_facts(found: ImageFacts, *, most: int | None) -> None:
    release, life = found.release, _lifecycle(found)
    fixes = release.get("early_fixes", ())
    print_facts(
        [
            ("Image", found.name),
            ("Digest", found.digest),
            ("Tag", release.get("image_tag")),
            ("Runtime", f"{release['runtime']} ({release['variant']})"),
            ("Airflow", release.get("airflow")),
            ("Task SDK", release.get("task_sdk")),
            ("Python", release.get("python")),
            ("Stands on", release.get("base_image")),
            ("Architecture", found.architecture),
            ("Made from", f"{release.get('revision')} at {release.get('created')}"),
            ("State today", life and life["state"]),
            ("Security fixes until", life and life["security_ends"]),
            ("Size", _size(found.size_bytes)),
            ("Packages", len(found.packages)),
            ("Early fixes", ", ".join(fix["id"] for fix in fixes) or "none"),
        ]
    )
    providers = release.get("providers", {})
    print_table(("Provider", "Version"), providers.items(), title="Providers")
    print_table(
        ("Size", "Step"),
        ((_size(layer.size_bytes), layer.step[:100]) for layer in found.layers),
        title="Layers",
    )
    ordered = sorted(found.packages.items(), key=lambda item: -item[1].size_bytes)
    print_table(
        ("Package", "Version", "Size", "Licence"),
        (
            (name, package.version, _size(package.size_bytes), package.licence)
            for name, package in ordered[:most]
        ),
        title="Packages by size",
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
