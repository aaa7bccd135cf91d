"""What the footer says: tag, links and the one notice."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from orrery.release import catalogue
from orrery.release.version import Version
from orrery.ui import runtime

if TYPE_CHECKING:
    from pathlib import Path

    from orrery.release.line import Line

CATALOGUE = """
[policy]
bugfix_months = 24
security_months = 6
ends = "On the last day of a month."
versioning = {}
fixes = {}

[[lines]]
number = 17
airflow = "3.3"
status = "built here"
first_release = 2026-11-23
yanked = [{ first = "17.0.1", last = "17.0.1", why = "it loses logs" }]
releases = [
    { version = "17.0.0", date = 2026-11-23, airflow = "3.3.2" },
    { version = "17.0.1", date = 2026-12-23, airflow = "3.3.2" },
    { version = "17.0.2", date = 2027-01-23, airflow = "3.3.3" },
]
"""
SECURITY_ENDS = date(2029, 5, 31)


@pytest.fixture
def line() -> Line:
    return catalogue.parse(CATALOGUE).line(17)


def test_the_tag_of_the_environment_wins_over_the_one_baked_into_the_image(tmp_path: Path) -> None:
    baked = tmp_path / "orrery-release"
    baked.write_text('{"image_tag": "17.0.0"}')

    assert runtime.image_tag({"ORRERY_IMAGE_TAG": "17.0.0-mine"}, baked) == "17.0.0-mine"
    assert runtime.image_tag({"ORRERY_IMAGE_TAG": " "}, baked) == "17.0.0"
    assert runtime.image_tag({"ORRERY_PROFILE": "local"}, baked) == "17.0.0"


def test_without_an_image_the_tag_tells_a_local_deployment_from_a_source_tree(tmp_path: Path) -> None:
    absent = tmp_path / "absent"

    assert runtime.image_tag({"ORRERY_PROFILE": "local"}, absent) == "local"
    assert runtime.image_tag({}, absent) == "source"


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"image_tag": 17}', '{"image_tag": " "}', "\udcff"])
def test_an_odd_release_file_counts_as_none(tmp_path: Path, text: str) -> None:
    odd = tmp_path / "orrery-release"
    odd.write_text(text, encoding="utf-8", errors="surrogateescape")

    assert runtime.image_tag({}, odd) == "source"


def test_links_lead_to_the_deployments_own_pages_unless_the_site_has_others() -> None:
    environment = {"ORRERY_DOCS_URL": "https://wiki.example/airflow", "ORRERY_SUPPORT_URL": ""}

    assert runtime.links(environment) == {
        "documentation": "https://wiki.example/airflow",
        "release_notes": "orrery/v1/pages/release-notes",
        "support": "orrery/v1/pages/support",
    }


def test_an_address_that_is_not_of_the_web_is_ignored() -> None:
    assert runtime.own_address("support", {"ORRERY_SUPPORT_URL": "javascript:alert(1)"}) is None


def test_the_newest_patch_of_a_supported_line_has_nothing_to_say(line: Line) -> None:
    assert runtime.notice(line, Version(17, 0, 2), date(2027, 2, 1)) is None


def test_a_newer_patch_is_announced_and_a_withdrawn_one_never_recommended(line: Line) -> None:
    said = runtime.notice(line, Version(17, 0, 0), date(2027, 2, 1))

    assert said == runtime.Notice(severity="info", text="Runtime 17.0.2 is available")


def test_a_version_newer_than_the_catalogue_is_not_told_to_go_back(line: Line) -> None:
    assert runtime.notice(line, Version(17, 1, 0), date(2027, 2, 1)) is None


def test_who_runs_a_withdrawn_release_is_told_why(line: Line) -> None:
    said = runtime.notice(line, Version(17, 0, 1), date(2027, 2, 1))

    assert said == runtime.Notice(severity="error", text="Runtime 17.0.1 was withdrawn: it loses logs")


@pytest.mark.parametrize(
    ("days_before_the_end", "severity"), [(91, "info"), (90, "warning"), (0, "warning"), (-1, "error")]
)
def test_the_end_of_life_is_announced_ninety_days_ahead(
    line: Line, days_before_the_end: int, severity: str
) -> None:
    day = date.fromordinal(SECURITY_ENDS.toordinal() - days_before_the_end)

    said = runtime.notice(line, Version(17, 0, 2), day)

    assert said is not None
    assert said.severity == severity


def test_the_facts_hold_what_the_footer_shows() -> None:
    facts = runtime.facts(
        version="17.0.2",
        airflow_version="3.3.3",
        environment={"ORRERY_IMAGE_TAG": "17.0.2-base"},
        catalogue=catalogue.parse(CATALOGUE),
        day=date(2029, 5, 1),
    )

    assert facts == {
        "version": "17.0.2",
        "airflow_version": "3.3.3",
        "image_tag": "17.0.2-base",
        "lifecycle": {"state": "security", "ends_on": "2029-05-31", "days_left": 30},
        "notice": {"severity": "warning", "text": "Runtime 17 is supported until 2029-05-31"},
        "links": runtime.links({}),
    }


def test_a_line_that_the_catalogue_does_not_know_has_no_lifecycle_and_no_notice() -> None:
    facts = runtime.facts(
        version="99.0.0",
        airflow_version="3.3.2",
        environment={},
        catalogue=catalogue.parse(CATALOGUE),
        day=date(2027, 1, 1),
    )

    assert (facts["lifecycle"], facts["notice"]) == (None, None)
