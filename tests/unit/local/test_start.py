"""What a start looks at before it starts anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.errors import InputError, MachineError
from orrery.local import ports, start
from orrery.local.deployment import LocalDeployment
from orrery.local.output import Progress
from orrery.local.plan import Plan
from orrery.local.start import Starter
from orrery.local.state import State, write_private

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starter:
    """The start of a project that has run before; it gets no further than to the runtime."""

    def ensure_runtime(*_: object, **__: object) -> None:
        raise InputError("It came to the runtime.")

    monkeypatch.setattr(start, "ensure_runtime", ensure_runtime)
    state = State(tmp_path / ".orrery")
    state.ensure()
    state.postgres.mkdir()
    (state.postgres / "PG_VERSION").write_text("18")
    plan = Plan(
        name="shop",
        root=tmp_path,
        dags=tmp_path / "dags",
        plugins=tmp_path / "plugins",
        requirements=tmp_path / "requirements.txt",
        state=state,
        runtime="17.0.0",
        python="3.11",
        providers="slim",
        database_url=None,
        port=ports.free_port(),
        environment={},
        cache=tmp_path / "cache",
    )
    return Starter(LocalDeployment(state, name="shop", progress=Progress(quiet=True)), plan)


def test_data_whose_password_is_lost_are_not_given_a_new_one(starter: Starter) -> None:
    with pytest.raises(MachineError, match="password of the database is gone") as caught:
        starter.up()
    password = starter.state.secrets / "database_password"
    assert str(password) in caught.value.message
    assert "Put the file back" in (caught.value.hint or "")
    assert not password.exists()
    assert (starter.state.postgres / "PG_VERSION").exists()


@pytest.mark.parametrize("name", ["database_password", "template_password"])
def test_data_with_either_password_are_used(starter: Starter, name: str) -> None:
    # The template's is there when an earlier start was killed before it had changed it
    write_private(starter.state.secrets / name, "secret")
    with pytest.raises(InputError, match="came to the runtime"):
        starter.up()


def test_without_data_no_password_is_missed(starter: Starter) -> None:
    (starter.state.postgres / "PG_VERSION").unlink()
    with pytest.raises(InputError, match="came to the runtime"):
        starter.up()
