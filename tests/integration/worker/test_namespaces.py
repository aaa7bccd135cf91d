"""Isolation 'namespace', with real processes, as root and as an ordinary user."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import pwd
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orrery.worker import cgroup, kernel, namespaces
from orrery.worker.cell_spec import CellSpec, Namespaces
from orrery.worker.enter import enter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 30.0
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module", autouse=True)
def _needs_namespaces() -> None:
    if reason := namespaces.unavailable():
        pytest.skip(f"no namespaces here: {reason}")


@pytest.fixture(params=["root", "nobody"])
def user(request: pytest.FixtureRequest) -> str:
    if not IS_ROOT and request.param == "root":
        pytest.skip("not root")
    return str(request.param)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder below /tmp that everybody may use: what is in it would vanish with /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        top = Path(folder)
        top.chmod(0o711)
        for name in ("scratch", "secrets", "project"):
            (top / name).mkdir()
            (top / name).chmod(0o777)
        (top / "secrets" / "key").write_text("the key")
        (top / "password").write_text("the password")
        (top / "password").chmod(0o644)
        yield top


_started: list[int] = []


@pytest.fixture(autouse=True)
def _leave_nothing() -> Iterator[None]:
    """End what a failed test has started."""
    yield
    while _started:
        pid = _started.pop()
        with contextlib.suppress(ChildProcessError):  # it has been waited for
            if not os.waitpid(pid, os.WNOHANG)[0]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def start(
    run_as: str,
    place: Path,
    body: Callable[[], object],
    *,
    keep: tuple[str, ...] = (),
    hide: tuple[str, ...] = (),
    **more: Any,
) -> int:
    """Return the keeper's PID."""
    spec = CellSpec(
        name="task",
        scratch=str(place / "scratch"),
        namespaces=Namespaces(
            hide=(str(place / "secrets"), str(place / "password"), "/no/such/file", *hide),
            keep=(*keep, str(place / "project"), str(place / "secrets"), str(place / "password")),
        ),
        **more,
    )
    child = os.fork()
    if child:
        _started.append(child)
        return child
    code = 99
    try:
        faulthandler.disable()  # a signal is wanted, not its story
        if IS_ROOT and run_as == "nobody":
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            kernel.set_dumpable()
        enter(CellSpec.from_json(spec.to_json()))
        body()
        code = 0
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    codes: list[int] = []

    def ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            codes.append(os.waitstatus_to_exitcode(status))
        return bool(codes)

    until(ended)
    return codes[0]


def lives(pid: int) -> bool:
    text = cgroup.read(f"/proc/{pid}/stat") or ""
    return bool(text) and text.rpartition(")")[2].split()[0] not in "ZX"


def below(pid: int) -> list[int]:
    """Return the PIDs, as they are outside, of all descendants."""
    text = cgroup.read(f"/proc/{pid}/task/{pid}/children") or ""
    children = [int(word) for word in text.split()]
    return children + [found for child in children for found in below(child)]


def pids_here() -> list[int]:
    return sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def may_reach(user: str, path: Path) -> bool:
    return user == "root" or all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def test_a_task_sees_only_itself(user: str, place: Path) -> None:
    # Given and when a task runs in namespaces of its own
    out = place / "project" / "out.json"

    def body() -> None:
        Path(tempfile.gettempdir(), "mine").touch()
        found = {
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "user": os.getuid(),
            "folder": tempfile.gettempdir(),
            "pids": pids_here(),
            "ipc": str(Path("/proc/self/ns/ipc").readlink()),
            "tmp": sorted(path.name for path in Path("/tmp").iterdir()),
            "secrets": [path.name for path in (place / "secrets").iterdir()],
            "password": (place / "password").read_text(),
            "python": os.access(sys.prefix, os.X_OK),
        }
        out.write_text(json.dumps(found))

    assert wait(start(user, place, body)) == 0
    # Then there is nobody else, its /tmp is its own, and secrets are hidden
    found = json.loads(out.read_text())
    assert found["pids"] == [1, found["pid"]]
    assert found["group"] == found["pid"]
    assert found["user"] == (0 if user == "root" else pwd.getpwnam("nobody").pw_uid)
    assert found["ipc"] != str(Path("/proc/self/ns/ipc").readlink())
    assert found["folder"] == "/tmp"
    assert "mine" in found["tmp"]
    assert (place / "scratch" / "mine").exists()
    assert not Path("/tmp/mine").exists()
    assert found["secrets"] == []
    assert found["password"] == ""
    # (a checkout of root's own is out of nobody's reach, also without namespaces)
    assert found["python"] or not may_reach(user, Path(sys.prefix))
    # And outside nothing has changed
    assert (place / "secrets" / "key").read_text() == "the key"
    assert (place / "password").read_text() == "the password"


def test_what_the_user_cannot_reach_stops_nothing(place: Path) -> None:
    # Given a folder that only its owner may enter, with something to keep and something to hide
    private = place / "private"
    for name in ("kept", "hidden"):
        (private / name).mkdir(parents=True)
    private.chmod(0o700)
    # When another user's task runs, then it runs
    code = wait(
        start("nobody", place, lambda: None, keep=(str(private / "kept"),), hide=(str(private / "hidden"),))
    )
    assert code == 0


def test_what_is_hidden_cannot_be_uncovered(user: str, place: Path) -> None:
    # Given a task that knows how it was done
    def body() -> None:
        for target in (place / "secrets", place / "password", Path("/tmp"), Path("/proc")):
            with pytest.raises(PermissionError):
                kernel.unmount(str(target))
        # When it makes itself root of a namespace of its own
        kernel.unshare(kernel.CLONE_USER | kernel.CLONE_MOUNTS)
        # Then what was laid over the secrets is locked
        for target in (place / "secrets", place / "password"):
            with pytest.raises(OSError, match="Invalid argument"):
                kernel.unmount(str(target))
        assert list((place / "secrets").iterdir()) == []

    assert wait(start(user, place, body, no_new_privs=False)) == 0


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_the_tasks(user: str, place: Path, code: int) -> None:
    assert wait(start(user, place, lambda: os._exit(code))) == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT])
def test_the_signal_is_the_tasks(user: str, place: Path, number: signal.Signals) -> None:
    assert wait(start(user, place, lambda: os.kill(os.getpid(), number))) == -number


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the process", "to its group"])
def test_a_polite_signal_reaches_the_task_once(
    user: str, place: Path, send: Callable[[int, int], None]
) -> None:
    # Given a task that counts
    project = place / "project"

    def body() -> None:
        def note(*_: object) -> None:
            with (project / "seen").open("a") as file:
                file.write("x")

        signal.signal(signal.SIGTERM, note)
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(5))
        (project / "ready").touch()
        while True:
            time.sleep(1)

    keeper = start(user, place, body)
    until((project / "ready").exists)
    # When the agent asks it to end
    send(keeper, signal.SIGTERM)
    until((project / "seen").exists)
    send(keeper, signal.SIGUSR1)
    # Then
    assert wait(keeper) == 5
    assert (project / "seen").read_text() == "x"


def test_all_ends_when_the_task_ends(user: str, place: Path) -> None:
    # Given a task that leaves a daemon behind
    project = place / "project"

    def body() -> None:
        if not os.fork():
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (project / "ready").touch()
            time.sleep(1000)
        until((project / "ready").exists)
        until((project / "go").exists)

    keeper = start(user, place, body)
    until((project / "ready").exists)
    everybody = below(keeper)
    assert len(everybody) >= 3
    # When it ends
    (project / "go").touch()
    assert wait(keeper) == 0
    # Then the daemon has ended too
    assert not any(map(lives, everybody))


def test_all_ends_when_the_keeper_is_killed(user: str, place: Path) -> None:
    # Given a task that runs
    def body() -> None:
        (place / "project" / "ready").touch()
        time.sleep(1000)

    keeper = start(user, place, body)
    until((place / "project" / "ready").exists)
    everybody = below(keeper)
    assert len(everybody) == 2
    # When the process that the agent knows is killed
    os.kill(keeper, signal.SIGKILL)
    assert wait(keeper) == -signal.SIGKILL
    # Then the task ends with it
    until(lambda: not any(map(lives, everybody)))


def test_orphans_do_not_stay_as_zombies(user: str, place: Path) -> None:
    # Given a task whose grandchildren lose their parent and end
    def body() -> None:
        for _ in range(5):
            child = os.fork()
            if not child:
                if not os.fork():
                    time.sleep(0.05)
                os._exit(0)
            os.waitpid(child, 0)
        # Then the namespace's first process takes them in
        until(lambda: len(pids_here()) == 2)

    assert wait(start(user, place, body)) == 0


def test_only_the_task_holds_its_sockets(user: str, place: Path) -> None:
    # Given a task that has a pipe to the agent
    inward, outward = os.pipe()

    def body() -> None:
        os.close(outward)
        (place / "project" / "closed").touch()
        time.sleep(1000)

    keeper = start(user, place, body)
    os.close(outward)
    # When it closes its end
    until((place / "project" / "closed").exists)
    # Then the agent sees that: neither keeper nor first process hold it open
    assert select.select([inward], [], [], PATIENCE_SECONDS)[0] == [inward]
    assert os.read(inward, 1) == b""
    os.close(inward)
    os.kill(keeper, signal.SIGKILL)
    wait(keeper)


@pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
def test_a_task_may_be_another_user_too(place: Path) -> None:
    from orrery.worker.users import find_user

    nobody = find_user("nobody")
    out = place / "project" / "out"

    def body() -> None:
        out.write_text(f"{os.getuid()} {os.getpid()}")
        Path(tempfile.gettempdir(), "file").touch()

    assert wait(start("root", place, body, user=nobody)) == 0
    assert out.read_text() == f"{nobody.uid} 2"
    assert (place / "scratch" / "file").stat().st_uid == nobody.uid


@pytest.mark.skipif(not IS_ROOT, reason="only root may forbid it")
def test_a_machine_without_namespaces_refuses_the_task(place: Path) -> None:
    # Given a machine that allows no PID namespace: a limit that is in force below a user namespace
    ran = place / "project" / "ran"
    spec = CellSpec(name="task", scratch=str(place / "scratch"), namespaces=Namespaces())
    inward, outward = os.pipe()
    child = os.fork()
    if not child:
        code = 99
        try:
            kernel.unshare(kernel.CLONE_USER)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text("0 0 1")
            Path("/proc/self/gid_map").write_text("0 0 1")
            Path("/proc/sys/user/max_pid_namespaces").write_text("0")
            # When a task wants one
            enter(spec)
            ran.touch()
        except namespaces.NamespacesUnavailable as error:
            os.write(outward, f"{error.message} {error.hint}".encode())
            code = 0
        finally:
            os._exit(code)
    os.close(outward)
    # Then it is not started, and told why and what to do
    assert wait(child) == 0
    assert not ran.exists()
    with os.fdopen(inward) as file:
        words = file.read()
    assert "which this machine does not allow: unshare: No space left on device" in words
    assert "isolation 'process'" in words
