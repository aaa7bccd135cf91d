"""When a file is stored in full, as far as it can be told without a database."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orrery.backports import parsed_dags, stored_dags, unchanged_dags
from orrery.backports.stored_dags import Rows

ROWS = Rows(kept={"a": "1"}, moving={"a": ()})


class Session:
    """Of a database that can be told by name only."""

    def __init__(self, dialect: str = "postgresql") -> None:
        self.rolled_back = 0
        self._dialect = dialect

    def get_bind(self) -> Any:
        return SimpleNamespace(dialect=SimpleNamespace(name=self._dialect))

    def begin_nested(self) -> Any:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def rollback(self) -> None:
        self.rolled_back += 1


class Manager:
    """Airflow's, as far as the fix knows it."""

    def __init__(self) -> None:
        self.stores = 0

    def persist_parsing_result(self, **_: Any) -> None:
        self.stores += 1


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    """A manager with the fix, in a world where nothing changes."""

    class Mended(Manager):
        persist_parsing_result = Manager.persist_parsing_result

    unchanged_dags.apply(SimpleNamespace(DagFileProcessorManager=Mended))  # type: ignore[arg-type]
    found = parsed_dags.ParsedFile(file=("bundle", "a.py"), digest=b"x", dags={"a": None})
    monkeypatch.setattr(parsed_dags, "read", lambda **_: found)
    monkeypatch.setattr(stored_dags, "after_store", lambda *_: ROWS)
    monkeypatch.setattr(stored_dags, "unless_changed", lambda *_: ROWS)
    monkeypatch.setattr(stored_dags, "note_parsed", lambda *_: True)
    return Mended()


def parse(manager: Manager, session: Session | None = None, times: int = 3) -> Session:
    session = session or Session()
    for _ in range(times):
        manager.persist_parsing_result(session=session, run_duration=0.5)
    return session


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError


def test_an_unchanged_file_is_stored_once(manager: Manager) -> None:
    assert parse(manager).rolled_back == 0
    assert manager.stores == 1


def test_on_another_database_all_is_stored(manager: Manager) -> None:
    parse(manager, Session("sqlite"))
    assert manager.stores == 3


@pytest.mark.parametrize("of", ["unless_changed", "note_parsed"])
def test_what_cannot_be_told_is_rolled_back_and_stored(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    monkeypatch.setattr(stored_dags, of, fail)
    assert parse(manager).rolled_back == 2
    assert manager.stores == 3


@pytest.mark.parametrize(("module", "of"), [(parsed_dags, "read"), (stored_dags, "after_store")])
def test_what_cannot_be_read_is_stored_and_harms_nothing(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, module: Any, of: str
) -> None:
    monkeypatch.setattr(module, of, fail)
    assert parse(manager).rolled_back == 0
    assert manager.stores == 3


@pytest.mark.parametrize(("of", "answer"), [("unless_changed", None), ("note_parsed", False)])
def test_what_has_changed_is_stored(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, of: str, answer: Any
) -> None:
    monkeypatch.setattr(stored_dags, of, lambda *_: answer)
    parse(manager)
    assert manager.stores == 3


def test_a_form_that_is_not_stored_yet_is_stored_again(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_dags, "after_store", lambda *_: None)
    parse(manager)
    assert manager.stores == 3


def test_after_some_minutes_all_is_stored(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    parse(manager)
    monkeypatch.setattr(unchanged_dags, "_LONGEST_SECONDS", -1.0)
    parse(manager, times=1)
    assert manager.stores == 2
