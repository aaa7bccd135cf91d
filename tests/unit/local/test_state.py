"""The folders, secrets and lock of a local deployment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orrery.errors import MachineError, StateError
from orrery.local.state import State, ensure_secret, read_json, write_private


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "project" / ".orrery")


@pytest.fixture
def made(state: State) -> State:
    state.root.parent.mkdir()
    state.ensure()
    return state


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_naming_the_state_touches_no_disk(state: State) -> None:
    _ = (state.deployment_id, state.socket, state.log("scheduler"), state.admin_password)
    assert not state.root.parent.exists()


def test_a_deployment_is_named_after_its_real_folder(tmp_path: Path) -> None:
    # Given a project that is also reached through a link, and a copy of it
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "project")
    own = State(tmp_path / "project" / ".orrery").deployment_id
    # Then the link is the same deployment, the copy is another
    assert State(tmp_path / "link" / ".orrery").deployment_id == own
    assert State(tmp_path / "copy" / ".orrery").deployment_id != own


def test_what_is_secret_is_closed_to_others(made: State) -> None:
    assert mode(made.run) == 0o700
    assert mode(made.secrets) == 0o700


def test_the_state_keeps_itself_out_of_the_projects_history(made: State) -> None:
    assert (made.root / ".gitignore").read_text() == "*\n"


def test_making_the_folders_twice_changes_nothing(made: State) -> None:
    (made.root / ".gitignore").write_text("mine\n")
    made.ensure()
    assert (made.root / ".gitignore").read_text() == "mine\n"


def test_a_file_in_the_place_of_the_state_is_told_with_the_next_step(state: State) -> None:
    state.root.parent.mkdir()
    state.root.write_text("not a folder")
    with pytest.raises(MachineError, match=r"Cannot write .*\.orrery") as caught:
        state.ensure()
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_names_the_user_and_the_command(state: State) -> None:
    state.root.parent.mkdir(mode=0o555)
    with pytest.raises(MachineError, match="running as user") as caught:
        state.ensure()
    assert caught.value.hint is not None
    assert "chown" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_run_folder_of_another_user_is_refused(state: State) -> None:
    state.root.mkdir(parents=True)
    state.run.mkdir()
    os.chown(state.run, 65534, 65534)
    with pytest.raises(MachineError, match="belongs to another user"):
        state.ensure()


def test_a_short_path_keeps_the_socket_in_the_project(state: State) -> None:
    short = State(Path("/srv/p/.orrery"))
    assert short.socket == short.run / "supervisor.sock"


@pytest.mark.parametrize("name", ["x" * 120, "ü" * 60], ids=["letters", "bytes"])
def test_a_long_path_puts_the_socket_into_a_short_private_folder(name: str) -> None:
    state = State(Path("/srv") / name / ".orrery")
    assert len(os.fsencode(state.socket)) <= 107
    assert state.deployment_id in str(state.socket)
    assert str(os.getuid()) in str(state.socket)


def test_the_socket_is_found_from_a_shell_with_another_temporary_folder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from orrery.local.state import State;"
        "print(State(pathlib.Path(sys.argv[1])).socket)"
    )
    long = tmp_path / ("x" * 120) / ".orrery"
    told = {
        subprocess.run(
            [sys.executable, "-c", code, str(long)],
            env={**os.environ, "TMPDIR": str(folder)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for folder in (tmp_path, tmp_path.parent)
    }
    assert len(told) == 1


def test_the_lock_tells_who_holds_it(made: State) -> None:
    with (
        made.locked("up"),
        pytest.raises(StateError, match=rf"'orrery up' \(pid {os.getpid()}\) is at work"),
        made.locked("down"),
    ):
        pass


def test_the_lock_is_free_again_after_an_error(made: State) -> None:
    with pytest.raises(ZeroDivisionError), made.locked("up"):
        _ = 1 / 0
    with made.locked("down"):
        pass


def test_a_process_that_is_killed_frees_the_lock(made: State) -> None:
    # Given a command that holds the deployment and is killed
    code = (
        "import sys, time, pathlib; from orrery.local.state import State\n"
        "with State(pathlib.Path(sys.argv[1])).locked('up'):\n"
        "    print('held', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(made.root)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=rf"pid {holder.pid}"), made.locked("down"):
            pass
        holder.kill()
        holder.wait()
    # Then the next command gets it, whatever the file still says
    with made.locked("down"):
        assert f"pid {os.getpid()}" in (made.run / "lock").read_text()


def test_a_private_file_is_closed_to_others_from_its_first_moment(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_text_and_no_rest(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "\udcff")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_is_made_once_and_differs_from_others(tmp_path: Path) -> None:
    first = ensure_secret(tmp_path / "one")
    assert ensure_secret(tmp_path / "one") == first
    assert ensure_secret(tmp_path / "two") != first
    assert first.isalnum()
    assert len(first) >= 24
    assert mode(tmp_path / "one") == 0o600


def test_an_empty_secret_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("\n")
    assert ensure_secret(tmp_path / "one")


@pytest.mark.parametrize(
    "text", [None, "", "{", "[1]", "\x00"], ids=["absent", "empty", "half", "list", "zero"]
)
def test_a_broken_record_is_an_empty_one(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "record.json"
    if text is not None:
        file.write_text(text)
    assert read_json(file) == {}


def test_a_record_is_read(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"port": 8080}')
    assert read_json(tmp_path / "record.json") == {"port": 8080}
