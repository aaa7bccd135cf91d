"""The first owner and a forgotten password, straight in a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orrery.errors import InputError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "a horse without a sign-in"
ANOTHER = "another horse without one"


@pytest.fixture
def place(airflow_app: Any) -> Iterator[Any]:
    """An organization that has no owner yet; nobody of it is left behind."""
    from airflow.utils.session import create_session

    from orrery.auth import store
    from orrery.auth.roles import Place

    elsewhere = Place(organization="elsewhere", workspace="default", deployment="default")
    yield elsewhere
    with create_session(scoped=False) as session:
        account = store.load_policy_here(session, elsewhere).find("first")
        if account is not None:
            store.delete_account(session, account.id)
    airflow_app.state.auth_manager.cache.refresh()


def test_the_first_owner_is_made_once_and_a_password_is_set_back(place: Any) -> None:
    from airflow.utils.session import create_session

    from orrery.auth import passwords, recovery, store

    assert recovery.bootstrap(place, username="first", email=None, password=PASSWORD) == {"owner": "first"}

    with pytest.raises(StateError, match="has an owner"):
        recovery.bootstrap(place, username="second", email=None, password=PASSWORD)
    with pytest.raises(InputError, match="no person 'nobody'"):
        recovery.reset_password(place, username="nobody", password=ANOTHER)
    with pytest.raises(InputError):
        recovery.reset_password(place, username="first", password="first")

    recovery.reset_password(place, username="first", password=ANOTHER)
    with create_session(scoped=False) as session:
        policy = store.load_policy_here(session, place)
        kept = store.password_hash(session, policy.by_username["first"].id)
    assert "second" not in policy.by_username
    assert passwords.verify(ANOTHER, kept)
    assert not passwords.verify(PASSWORD, kept)
