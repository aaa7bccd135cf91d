"""Debian's order of versions: as dpkg compares them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orrery.image.debian_version import DebianVersion

#: Each is older than the next.
RISING = ("0~~", "0~~a", "0~", "0", "0a", "0+", "1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1+deb13u1", "1.0.1")
EQUAL = (("1.0", "1.0-0"), ("1.0", "0:1.0"), ("1.0", "1.00"), ("1a", "1a0"))

upstream = st.text("019az~+.", min_size=1, max_size=6).map(lambda rest: f"1{rest}")
revision = st.one_of(st.just(""), st.text("019az~+.", min_size=1, max_size=4).map(lambda text: f"-{text}"))
epoch = st.sampled_from(["", "0:", "2:"])
versions = st.tuples(epoch, upstream, revision).map("".join)


def test_versions_rise() -> None:
    read = [DebianVersion.parse(text) for text in (*RISING, "1.2", "1.10", "1:0.1")]
    assert all(one < other for one, other in itertools.pairwise(read))


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_versions_may_be_written_in_two_ways(one: str, other: str) -> None:
    assert DebianVersion.parse(one) == DebianVersion.parse(other)


@pytest.mark.parametrize("text", ["", "1 0", "a:1", "-1", "1.0-", "1:"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        DebianVersion.parse(text)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no Debian: there is nothing to compare with")
@settings(max_examples=150, deadline=None)
@given(one=versions, other=versions)
def test_the_order_is_dpkgs(one: str, other: str) -> None:
    for relation, holds in (
        ("lt", DebianVersion.parse(one) < DebianVersion.parse(other)),
        ("eq", DebianVersion.parse(one) == DebianVersion.parse(other)),
    ):
        said = subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode
        assert (said == 0) == holds, (one, relation, other)
