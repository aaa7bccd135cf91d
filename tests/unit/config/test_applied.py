"""A child process can tell Orrery's values from the user's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orrery.config import applied, secrets

environments = st.dictionaries(
    st.sampled_from(["A", "B", "C", "D", "AIRFLOW__CORE__FERNET_KEY"]), st.text(max_size=5)
)


@given(environments, environments)
def test_what_was_laid_over_an_environment_comes_off_again(
    users: dict[str, str], ours: dict[str, str]
) -> None:
    whole = users | ours | applied.record(users, ours)
    assert applied.users_environment(whole) == users


def test_a_value_that_was_changed_since_belongs_to_the_user() -> None:
    whole = {"A": "1"} | applied.record({}, {"A": "1", "B": "2"})
    assert applied.users_environment(whole | {"A": "9", "B": "2"}) == {"A": "9"}


def test_a_secret_is_not_written_a_second_time() -> None:
    marks = applied.record({}, {"AIRFLOW__CORE__FERNET_KEY": "very-secret"})
    assert "very-secret" not in str(marks)
    assert secrets.digest("very-secret") in str(marks)


@pytest.mark.parametrize("mark", ["", "{", "[]", "null", "7"])
def test_a_damaged_mark_is_no_mark(mark: str) -> None:
    assert applied.users_environment({"A": "1", applied.APPLIED: mark}) == {"A": "1"}
