"""What images are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.errors import InputError
from orrery.image import tags
from orrery.image.tags import Variant
from orrery.release.version import Version

VARIANTS = tags.variants(tags.BASE_IMAGES)


def names(version: str, variant: Variant, *released: str) -> list[str]:
    known = [Version.parse(text) for text in released or (version,)]
    return [tag.name for tag in tags.tags(Version.parse(version), variant, known)]


def test_suffixes_stand_in_one_order() -> None:
    assert (
        names("17.0.0", Variant(providers="slim", is_base=True, python="3.11"))[0]
        == "17.0.0-python-3.11-slim-base"
    )
    assert names("17.0.0", Variant())[0] == "17.0.0"


def test_floating_tags_stand_on_the_newest_release_only() -> None:
    released = ("17.0.0", "17.0.1", "17.1.0")
    assert names("17.1.0", Variant(), *released) == ["17.1.0", "17.1", "17"]
    assert names("17.0.1", Variant(), *released) == ["17.0.1", "17.0"]
    assert names("17.0.0", Variant(), *released) == ["17.0.0"]


def test_a_release_of_another_line_holds_no_tag_of_this_one() -> None:
    assert names("17.0.0", Variant(), "17.0.0", "18.0.0") == ["17.0.0", "17.0", "17"]


def test_every_variant_has_tags_of_its_own() -> None:
    all_names = [name for variant in VARIANTS for name in names("17.0.0", variant)]
    assert len(all_names) == len(set(all_names)) == 3 * 8


@given(st.sampled_from(VARIANTS), st.sampled_from(["17.0.0", "17.0", "17"]))
def test_a_tag_names_its_variant(variant: Variant, version: str) -> None:
    assert tags.parse(f"{version}{variant.suffix}") == (version, variant)
    assert Variant.parse(variant.name, variant.python) == variant


@pytest.mark.parametrize(
    "tag", ["17.0.0-base-slim", "17.0.0-slim-python-3.11", "latest", "17.0.0-", "17.0.0-python-3"]
)
def test_another_order_of_suffixes_is_no_tag(tag: str) -> None:
    with pytest.raises(InputError, match="no tag of orrery/runtime"):
        tags.parse(tag)


def test_a_misspelt_variant_is_told_the_nearest() -> None:
    with pytest.raises(InputError) as error:
        Variant.parse("slm")
    assert error.value.hint == "Did you mean 'slim'?"
