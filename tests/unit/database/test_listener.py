"""What a listener says before it has heard anything."""

from __future__ import annotations

from contextlib import closing

import pytest

from orrery.database.listener import Listener
from orrery.errors import InputError


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:////tmp/airflow.db", "Only PostgreSQL can wake the scheduler, and the database is 'sqlite'"),
        ("mysql+pymysql://me:secret@there/airflow", "the database is 'mysql'"),
        ("me:secret@there", "cannot be read"),
    ],
)
def test_what_is_no_postgresql_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        Listener(url)
    assert "secret" not in str(caught.value)
    assert caught.value.hint is not None
    assert "listen_url" in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@there/airflow",
        "postgresql+psycopg2://me@there/airflow",
        "postgresql+psycopg://me@there/airflow?sslmode=require",
        "postgres://me@there/airflow",
    ],
)
def test_making_one_connects_to_nothing(url: str) -> None:
    with closing(Listener(url)) as listener:
        assert not listener.is_listening
        assert listener.problem is None
        assert listener.fileno() >= 0
