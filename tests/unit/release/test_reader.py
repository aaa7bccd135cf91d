"""A fault in the catalogue is found when it is read, not when somebody relies on it."""

from __future__ import annotations

from datetime import date

import pytest

from orrery.release import reader
from orrery.release.catalogue import parse
from orrery.release.line import EarlyFix

POLICY = """
[policy]
bugfix_months = 24
security_months = 6
ends = "last day"
[policy.versioning]
[policy.fixes]
"""

LINE = """
[[lines]]
number = 17
airflow = "3.3"
status = "built here"
first_release = 2026-01-15
"""


def test_an_early_fix_has_an_id_a_pull_request_a_title_a_reason_and_a_guard() -> None:
    text = f"""{POLICY}{LINE}
[[lines.releases]]
version = "17.0.1"
early_fixes = [{{ id = "drain", pull_request = 1, title = "Drain", why = "It hangs.", guard = "<3.3.3" }}]
"""
    (line,) = reader.read(text)[1]
    assert line.releases[0].early_fixes == (
        EarlyFix(id="drain", pull_request=1, title="Drain", why="It hangs.", guard="<3.3.3"),
    )


def test_an_early_fix_may_have_no_pull_request_yet() -> None:
    text = f"""{POLICY}{LINE}
[[lines.releases]]
version = "17.0.1"
early_fixes = [{{ id = "drain", title = "Drain", why = "It hangs.", guard = "airflow==3.3.2" }}]
"""
    (line,) = reader.read(text)[1]
    assert line.releases[0].early_fixes == (
        EarlyFix(id="drain", pull_request=None, title="Drain", why="It hangs.", guard="airflow==3.3.2"),
    )


def test_a_built_line_takes_its_ends_from_the_policy() -> None:
    (line,) = reader.read(POLICY + LINE)[1]
    assert line.lifecycle is not None
    assert line.lifecycle.security_ends == date(2028, 7, 31)


def test_lines_come_in_ascending_order_however_they_are_written() -> None:
    text = POLICY + LINE + LINE.replace("17", "18").replace("3.3", "3.4") + LINE.replace("17", "9")
    assert [line.number for line in reader.read(text)[1]] == [9, 17, 18]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (POLICY + LINE + 'colour = "blue"', TypeError),
        (POLICY + LINE.replace('airflow = "3.3"', ""), TypeError),
        (POLICY + LINE.replace("built here", "built there"), ValueError),
        (POLICY + LINE.replace("2026-01-15", '"2026"'), ValueError),
        (POLICY.replace("bugfix_months = 24", "") + LINE, KeyError),
        (POLICY + LINE + '[[lines.releases]]\nversion = "17.0.0"\nairflw = "3.3.2"', TypeError),
        (POLICY + LINE + '[[lines.releases]]\nversion = "17.0.0"\nearly_fixes = [{ id = "x" }]', TypeError),
    ],
    ids=[
        "unknown key",
        "missing key",
        "status",
        "vague date of a built line",
        "policy",
        "misspelt",
        "half a fix",
    ],
)
def test_a_malformed_catalogue_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        reader.read(text)


def test_a_withdrawn_range_marks_its_releases_and_the_newest_sound_one_replaces_them() -> None:
    text = f"""{POLICY}{LINE}
[[lines.yanked]]
first = "17.0.1"
last = "17.1.0"
why = "it loses logs"
[[lines.releases]]
version = "17.1.0"
[[lines.releases]]
version = "17.0.0"
[[lines.releases]]
version = "17.0.1"
"""
    known = parse(text)
    assert [release.yanked for release in known.releases] == [None, "it loses logs", "it loses logs"]
    assert str(known.newest_patch(known.release("17.1.0")).version) == "17.0.0"
    assert str(known.release("17").version) == "17.0.0"
