"""Versions are read strictly and ordered by number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.errors import InputError
from orrery.release.version import Version

numbers = st.integers(min_value=0, max_value=999_999)


@given(numbers, numbers, numbers)
def test_a_version_survives_being_written_and_read(major: int, minor: int, patch: int) -> None:
    version = Version(major, minor, patch)
    assert Version.parse(str(version)) == version


def test_versions_are_ordered_by_number_not_by_text() -> None:
    texts = ["17.0.10", "9.21.0", "17.0.9", "17.1.0", "9.3.0"]
    assert [str(v) for v in sorted(map(Version.parse, texts))] == [
        "9.3.0",
        "9.21.0",
        "17.0.9",
        "17.0.10",
        "17.1.0",
    ]


@pytest.mark.parametrize(
    "text", ["", "17", "17.0", "3.3-8", "17.0.0.1", "v17.0.0", "17.0.x", "017.0.0", "١٧.0.0"]
)
def test_what_is_not_major_minor_patch_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Version.parse(text)
    assert f"'{text}'" in caught.value.message
    assert "17.0.0" in (caught.value.hint or "")
