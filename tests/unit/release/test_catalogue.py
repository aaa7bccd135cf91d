"""What ships in the catalogue, and how people find things in it."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest

import orrery
from orrery.errors import InputError
from orrery.release import catalogue
from orrery.release.locks import lock_path, pins
from orrery.release.version import Version

ROOT = Path(__file__).parents[3]
KNOWN = catalogue.load()
CURRENT = KNOWN.release(orrery.__version__)

PARITY = {
    4: "2.2",
    5: "2.3",
    6: "2.4",
    7: "2.5",
    8: "2.6",
    9: "2.7",
    10: "2.8",
    11: "2.9",
    12: "2.10",
    13: "2.11",
    14: "3.0",
    15: "3.1",
    16: "3.2",
    17: "3.3",
}

PROVIDERS = [
    "amazon",
    "elasticsearch",
    "celery",
    "google",
    "http",
    "cncf-kubernetes",
    "postgres",
    "redis",
    "snowflake",
    "openlineage",
    "microsoft-azure",
    "databricks",
    "standard",
    "common-compat",
    "common-io",
    "common-sql",
    "smtp",
]


def test_every_line_from_4_to_17_follows_its_airflow_minor() -> None:
    assert {line.number: line.airflow for line in KNOWN.lines} == PARITY
    assert KNOWN.parity.runtime_for_airflow("3.3.2") == 17


def test_4_to_13_are_history_14_to_16_are_not_built_17_is() -> None:
    by_status: dict[str, list[int]] = {}
    for line in KNOWN.lines:
        by_status.setdefault(line.status, []).append(line.number)
    assert by_status == {
        "end-of-life history": list(range(4, 14)),
        "not built": [14, 15, 16],
        "built here": [17],
    }


def test_the_newest_release_is_this_package_on_the_locked_airflow() -> None:
    locked = pins(lock_path("full"))
    assert str(KNOWN.newest.version) == orrery.__version__
    assert CURRENT.airflow == locked["apache-airflow"] == "3.3.2"
    assert CURRENT.task_sdk == locked["apache-airflow-task-sdk"] == "1.3.2"


def test_the_newest_release_has_every_promised_provider_with_version_and_set() -> None:
    providers = {provider.name: provider for provider in CURRENT.providers or ()}
    for name in PROVIDERS:
        assert providers[f"apache-airflow-providers-{name}"].version
        assert providers[f"apache-airflow-providers-{name}"].set in ("slim", "full")


def test_a_built_release_leaves_nothing_unknown() -> None:
    line = KNOWN.line(17)
    for release in line.releases:
        for fact in ("date", "airflow", "task_sdk", "database_migration", "providers", "early_fixes"):
            assert getattr(release, fact) is not None, f"{release.version}: {fact}"
    assert line.dates_certain
    assert line.python_default in (line.python_supported or ())
    assert line.architectures == ("amd64", "arm64")
    assert line.os == ("Debian 13", "Debian 12")


def test_the_supported_pythons_are_those_that_the_package_admits() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = KNOWN.line(KNOWN.newest.version.major).python_supported or ()
    minors = sorted(int(python.removeprefix("3.")) for python in supported)
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert project["requires-python"] == f">=3.{minors[0]},<3.{minors[-1] + 1}"


def test_a_built_line_ends_as_the_policy_says() -> None:
    life = KNOWN.line(17).lifecycle
    assert life is not None
    assert (life.released, life.bugfix_ends, life.security_ends) == (
        date(2026, 11, 23),
        date(2028, 11, 30),
        date(2029, 5, 31),
    )


@pytest.mark.parametrize("number", range(4, 14))
def test_history_is_end_of_life_today_and_says_which_python_it_had(number: int) -> None:
    line = KNOWN.line(number)
    assert line.state_on(date(2026, 11, 23)) == "end-of-life"
    assert line.python_default


@pytest.mark.parametrize("number", [12, 13, 14, 15, 16])
def test_dates_that_nobody_checked_are_marked(number: int) -> None:
    line = KNOWN.line(number)
    assert not line.dates_certain
    assert line.lifecycle is None


def test_a_line_that_is_not_built_has_no_state() -> None:
    assert KNOWN.line(14).state_on(date(2026, 11, 23)) is None


@pytest.mark.parametrize("text", ["8.0.0", "9.0.0", "9.6.0", "11.0.0", "11.1.0"])
def test_withdrawn_releases_say_why(text: str) -> None:
    assert KNOWN.release(text).yanked


@pytest.mark.parametrize("text", ["9.8.0", "11.5.0", "17.0.0"])
def test_sound_releases_are_not_withdrawn(text: str) -> None:
    assert KNOWN.release(text).yanked is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("17", "17.0.0"),
        ("17.0", "17.0.0"),
        (" 17.0.0 ", "17.0.0"),
        ("9", "9.21.0"),
        ("11.5", "11.5.0"),
        ("8", "8.0.0"),
    ],
)
def test_a_line_or_a_minor_means_its_newest_release(text: str, version: str) -> None:
    assert str(KNOWN.release(text).version) == version


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("17.0.3", "17.0.0"),
        ("18.0.0", "17.0.0"),
        ("17.2", "17.0.0"),
        ("9.7.1", "9.8.0"),
        ("9.5.0", "9.8.0"),
        ("17.0.o", "17.0.0"),
        ("17.0.0-base", "17.0.0"),
        ("3.3.2", "17.0.0"),
        ("3.3-8", "17.0.0"),
        ("2.9.3", "11.8.0"),
        ("14", "17.0.0"),
        ("latest", "17.0.0"),
        ("", "17.0.0"),
        ("999999999999.0.0", "17.0.0"),
    ],
)
def test_an_unknown_version_suggests_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        KNOWN.release(text)
    assert f"Did you mean {nearest}?" in (caught.value.hint or "")


def test_a_version_of_an_unbuilt_line_is_told_so() -> None:
    with pytest.raises(InputError, match=r"Line 14 \(Airflow 3\.0\) is not built"):
        KNOWN.release("14.0.0")


def test_an_unknown_line_suggests_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        KNOWN.line(19)
    assert "Did you mean 17?" in (caught.value.hint or "")


def test_the_newest_patch_is_the_newest_of_the_line_and_never_a_withdrawn_one() -> None:
    assert KNOWN.newest_patch(KNOWN.release("9.0.0")).version == Version(9, 21, 0)
    assert KNOWN.newest_patch(CURRENT) == CURRENT


def test_releases_are_in_ascending_order_without_doubles() -> None:
    versions = [release.version for release in KNOWN.releases]
    assert versions == sorted(set(versions))


def test_every_release_runs_an_airflow_of_its_line() -> None:
    for release in KNOWN.releases:
        if release.airflow:
            assert KNOWN.parity.runtime_for_airflow(release.airflow) == release.version.major


def test_the_catalogue_is_read_once() -> None:
    assert catalogue.load() is catalogue.load()
