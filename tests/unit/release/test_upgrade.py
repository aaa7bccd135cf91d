"""What may follow what: never down over a migration, never past a stop, never to a withdrawn release."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from orrery.release import catalogue
from orrery.release.catalogue import Catalogue
from orrery.release.line import Release
from orrery.release.upgrade import may_upgrade
from orrery.release.version import Version

SHIPPED = catalogue.load()
LINE = SHIPPED.line(17)


def release(
    text: str, *, migrates: bool = False, needs_stop: bool = False, yanked: str | None = None
) -> Release:
    return Release(
        version=Version.parse(text), database_migration=migrates, needs_stop=needs_stop, yanked=yanked
    )


def catalogue_of(*releases: Release) -> Catalogue:
    """Return the shipped history with other releases built here, each in the line of its major."""
    history = [line for line in SHIPPED.lines if not line.is_built]
    majors = sorted({entry.version.major for entry in releases})
    built = [
        dataclasses.replace(
            LINE, number=major, releases=tuple(entry for entry in releases if entry.version.major == major)
        )
        for major in majors
    ]
    return Catalogue(policy=SHIPPED.policy, lines=(*history, *built))


def v(text: str) -> Version:
    return Version.parse(text)


PLAIN = catalogue_of(
    release("17.0.0", migrates=True),
    release("17.0.1"),
    release("17.1.0", needs_stop=True),
    release("17.2.0"),
    release("17.2.1", yanked="it loses logs"),
    release("18.0.0", migrates=True),
    release("18.0.1"),
)


def test_a_patch_rolls_in_without_a_stop() -> None:
    verdict = may_upgrade(v("17.0.0"), v("17.0.1"), PLAIN)
    assert (verdict.allowed, verdict.needs_stop, verdict.steps) == (True, False, (v("17.0.1"),))


def test_a_migration_needs_a_stop_and_is_named() -> None:
    verdict = may_upgrade(v("17.2.0"), v("18.0.1"), PLAIN)
    assert (verdict.allowed, verdict.needs_stop) == (True, True)
    assert "18.0.0 migrates the database" in verdict.why


def test_a_release_that_needs_a_stop_may_be_the_target() -> None:
    verdict = may_upgrade(v("17.0.0"), v("17.1.0"), PLAIN)
    assert (verdict.allowed, verdict.needs_stop) == (True, True)


def test_a_release_that_needs_a_stop_may_not_be_skipped() -> None:
    verdict = may_upgrade(v("17.0.0"), v("18.0.0"), PLAIN)
    assert not verdict.allowed
    assert "17.1.0 may not be skipped" in verdict.why
    assert verdict.steps == (v("17.1.0"), v("18.0.0"))


def test_a_downgrade_over_a_migration_is_refused() -> None:
    verdict = may_upgrade(v("18.0.1"), v("17.2.0"), PLAIN)
    assert not verdict.allowed
    assert "18.0.0 migrated the database" in verdict.why
    assert verdict.steps == ()


def test_a_downgrade_without_a_migration_between_is_allowed_with_a_stop() -> None:
    verdict = may_upgrade(v("18.0.1"), v("18.0.0"), PLAIN)
    assert (verdict.allowed, verdict.needs_stop) == (True, True)


def test_a_downgrade_past_a_stop_goes_through_it() -> None:
    verdict = may_upgrade(v("17.2.0"), v("17.0.0"), PLAIN)
    assert (verdict.allowed, verdict.steps) == (False, (v("17.1.0"), v("17.0.0")))


def test_several_stops_are_met_in_the_order_of_the_way() -> None:
    known = catalogue_of(
        release("17.0.0"),
        release("17.1.0", needs_stop=True),
        release("17.2.0", needs_stop=True),
        release("17.3.0"),
    )
    up = may_upgrade(v("17.0.0"), v("17.3.0"), known)
    assert up.steps == (v("17.1.0"), v("17.2.0"), v("17.3.0"))
    down = may_upgrade(v("17.3.0"), v("17.0.0"), known)
    assert down.steps == (v("17.2.0"), v("17.1.0"), v("17.0.0"))


def test_a_withdrawn_release_is_nobodys_stop() -> None:
    known = catalogue_of(
        release("17.0.0"), release("17.1.0", needs_stop=True, yanked="it harms"), release("17.2.0")
    )
    assert may_upgrade(v("17.0.0"), v("17.2.0"), known).allowed


def test_a_withdrawn_target_is_refused_with_the_reason() -> None:
    verdict = may_upgrade(v("17.2.0"), v("17.2.1"), PLAIN)
    assert (verdict.allowed, verdict.why) == (False, "17.2.1 was withdrawn: it loses logs")


def test_a_withdrawn_release_may_be_left() -> None:
    assert may_upgrade(v("17.2.1"), v("18.0.0"), PLAIN).allowed


def test_the_same_version_is_nothing_to_do_even_when_withdrawn() -> None:
    verdict = may_upgrade(v("17.2.1"), v("17.2.1"), PLAIN)
    assert (verdict.allowed, verdict.needs_stop, verdict.steps) == (True, False, ())


def test_an_unknown_target_is_refused_with_the_nearest() -> None:
    verdict = may_upgrade(v("17.0.0"), v("17.2.9"), PLAIN)
    assert not verdict.allowed
    assert "the nearest is 17.2.0" in verdict.why


def test_neither_history_nor_an_unbuilt_line_takes_part() -> None:
    for source, target in (("13.11.0", "17.0.0"), ("17.0.0", "14.0.0"), ("17.0.0", "9.21.0")):
        verdict = may_upgrade(v(source), v(target), PLAIN)
        assert (verdict.allowed, verdict.steps) == (False, ())
        assert "not a release of Orrery" in verdict.why


# --- whatever the catalogue holds -----------------------------------------------------------------

versions = st.builds(Version, st.integers(17, 19), st.integers(0, 2), st.integers(0, 2))


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Draw some releases with any marks."""
    drawn = sorted(draw(st.sets(versions, min_size=4, max_size=9)))
    flags = st.booleans()
    return catalogue_of(
        *(
            Release(
                version=version,
                database_migration=draw(flags),
                needs_stop=draw(flags),
                yanked=draw(st.sampled_from([None, None, "it harms"])),
            )
            for version in drawn
        )
    )


def built(known: Catalogue) -> list[Release]:
    return [entry for entry in known.releases if entry.version.major >= 17]


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Release, Release, Catalogue]:
    known = draw(catalogues())
    pick = st.sampled_from(built(known))
    return draw(pick), draw(pick), known


@given(journeys())
def test_no_allowed_downgrade_undoes_a_migration(journey: tuple[Release, Release, Catalogue]) -> None:
    source, target, known = journey
    undone = [entry for entry in built(known) if target.version < entry.version <= source.version]
    verdict = may_upgrade(source.version, target.version, known)
    if any(entry.database_migration for entry in undone):
        assert not verdict.allowed
    if verdict.allowed and target.version < source.version:
        assert verdict.needs_stop


@given(journeys())
def test_no_allowed_step_skips_a_stop(journey: tuple[Release, Release, Catalogue]) -> None:
    source, target, known = journey
    lower, upper = sorted((source.version, target.version))
    skipped = [
        entry
        for entry in built(known)
        if entry.needs_stop and not entry.yanked and lower < entry.version < upper
    ]
    if skipped:
        assert not may_upgrade(source.version, target.version, known).allowed


@given(journeys())
def test_nothing_goes_to_a_withdrawn_release(journey: tuple[Release, Release, Catalogue]) -> None:
    source, target, known = journey
    verdict = may_upgrade(source.version, target.version, known)
    if target.yanked and source != target:
        assert not verdict.allowed
        assert target.yanked in verdict.why


@given(journeys())
def test_the_steps_of_a_verdict_lead_to_the_target_and_each_is_allowed(
    journey: tuple[Release, Release, Catalogue],
) -> None:
    source, target, known = journey
    verdict = may_upgrade(source.version, target.version, known)
    assert verdict.why
    here = source.version
    for step in verdict.steps:
        assert may_upgrade(here, step, known).allowed
        here = step
    assert not verdict.steps or here == target.version


@given(journeys())
def test_an_upgrade_to_a_sound_release_always_has_a_way(journey: tuple[Release, Release, Catalogue]) -> None:
    source, target, known = journey
    if source.version < target.version and not target.yanked:
        assert may_upgrade(source.version, target.version, known).steps


@given(versions, versions, catalogues())
def test_any_two_versions_get_a_verdict(source: Version, target: Version, known: Catalogue) -> None:
    verdict = may_upgrade(source, target, known)
    assert verdict.why
    if known.find(target) is None or known.find(source) is None:
        assert not verdict.allowed
