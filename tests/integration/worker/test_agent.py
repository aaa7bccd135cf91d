"""The agent as it ships, with real zygotes and real tasks, beside a played API server: no database."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.processes import is_fork

from orrery.executor.batch_protocol import KEEPS_ORDER, NOT_BATCHED, PATH, Answer, Call, calls, pack
from orrery.executor.protocol import (
    VERSION,
    Acknowledge,
    Cancel,
    Declined,
    Ended,
    Freed,
    Hello,
    Lines,
    Measured,
    NodeStatus,
    Placed,
    Run,
    Started,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orrery.executor.protocol import Message, ToAgent

PATIENCE_SECONDS = 120.0
ASKED = {"cpu_millicores": 200, "memory_bytes": 512 * 1024**2, "gpus": 0, "disk_bytes": 0}
NOW = "2026-01-01T00:00:00Z"
SECRETS = {
    "AIRFLOW__CORE__FERNET_KEY": "c2VjcmV0LWZlcm5ldC1rZXktb2YtdGhlLXRlc3RzLi4=",
    "AIRFLOW__API_AUTH__JWT_SECRET": "secret-that-signs-all-tokens-of-the-platform",
    "AIRFLOW__API__SECRET_KEY": "secret-of-the-sessions",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow:secret-of-the-database@127.0.0.1:1/airflow",
}

DAG_FILE = """
import os

import good_third
from airflow.sdk import DAG, task

SEEN = []

def note(name, what):
    import json
    path = os.path.join(os.environ["TEST_OUT"], name)
    with open(path + ".new", "w") as file:
        json.dump(what, file)
    os.rename(path + ".new", path)

def wait_for(name):
    import time
    while not os.path.exists(os.path.join(os.environ["TEST_OUT"], name)):
        time.sleep(0.02)

with DAG("d", schedule=None):

    @task
    def hello(ti=None):
        print("hello from the task")
        note(str(ti.id), {"pid": os.getpid(), "ppid": os.getppid(), "tmp": os.environ["TMPDIR"]})
        return {"answer": 42}

    @task
    def fails():
        raise ValueError("it was meant to fail")

    @task
    def waits(ti=None):
        print("waiting now")
        note(str(ti.id), {"pid": os.getpid(), "ppid": os.getppid(), "tmp": os.environ["TMPDIR"]})
        wait_for(str(ti.id) + ".go")
        print("going on")

    @task
    def waits_and_fails(ti=None):
        note(str(ti.id), {"tmp": os.environ["TMPDIR"]})
        wait_for(str(ti.id) + ".go")
        raise ValueError("it was meant to fail")

    @task
    def leaves_a_daemon(ti=None):
        import subprocess
        daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
        note(str(ti.id), {"pid": os.getpid(), "daemon": daemon.pid})
        wait_for(str(ti.id) + ".go")

    @task
    def remembers(ti=None):
        import json
        import sys
        SEEN.append(1)
        known = getattr(json, "of_another_task", None)
        json.of_another_task = "seen"
        os.environ["OF_ANOTHER_TASK"] = os.environ.get("OF_ANOTHER_TASK", "") + "x"
        note(str(ti.id), {"seen": len(SEEN), "known": known, "environment": os.environ["OF_ANOTHER_TASK"]})

    @task
    def shows_its_environment(ti=None):
        with open("/proc/self/environ", "rb") as file:
            first = file.read().decode(errors="replace")
        with open("/proc/%d/environ" % os.getppid(), "rb") as file:
            parents = file.read().decode(errors="replace")
        from airflow.configuration import conf
        note(str(ti.id), {
            "environment": dict(os.environ), "first": first, "parents": parents,
            "settings": [
                conf.get("core", "fernet_key", fallback=""),
                conf.get("api_auth", "jwt_secret", fallback=""),
                conf.get("api", "secret_key", fallback=""),
                conf.get("database", "sql_alchemy_conn", fallback=""),
            ],
        })

    @task
    def masks():
        from airflow.sdk.log import mask_secret
        mask_secret("hunter-and-gatherer")
        print("the password is hunter-and-gatherer")

    @task
    def prints_the_same_word():
        print("the password is hunter-and-gatherer")

    @task
    def tells_what_is_imported(ti=None):
        import sys
        note(str(ti.id), {name: name in sys.modules for name in (
            "good_third", "threaded_third", "failing_third", "beside", "pendulum",
        )})

    for each in (
        hello, fails, waits, waits_and_fails, leaves_a_daemon, remembers, shows_its_environment, masks,
        prints_the_same_word, tells_what_is_imported,
    ):
        each()
"""


def wait_for(what: Callable[[], Any], why: str = "") -> Any:
    """Return what it returns as soon as that is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it never happened: {why or what}")


def title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Api:
    """The execution API of a run, of which it remembers what it was told."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[str, str, Any]]] = defaultdict(list)
        self.other: list[tuple[str, str]] = []
        #: What the server answers to a task's start instead.
        self.refusals: dict[str, tuple[int, Any]] = {}
        #: Of these tasks the server takes its time to hear of the end.
        self.holds: dict[str, threading.Event] = {}
        self.should_retry = False
        self.is_away = False
        self.refused_connections = 0
        self.has_batches = False
        self.batches: list[list[Call]] = []
        #: What the server answers to an XCom.
        self.xcom_status = 201
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if outer.is_away:
                    outer.refused_connections += 1
                    self.close_connection = True
                    return
                if outer.has_batches and self.path == f"/{PATH}":
                    status, data, headers = 200, outer.answer_batch(body), KEEPS_ORDER
                else:
                    status, said = outer.answer(self.command, self.path.partition("?")[0], body)
                    data, headers = b"" if said is None else json.dumps(said).encode(), {}
                self.send_response(status)
                self.send_header("content-type", "application/json")
                for header in headers.items():
                    self.send_header(*header)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        for method in ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/execution/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        found = re.fullmatch(r"/execution/task-instances/([0-9a-f-]{36})/([a-z]+)", path)
        if found is None:
            self.other.append((method, path))
            is_xcom = method == "POST" and "/xcoms/" in path
            return (self.xcom_status, {"message": "set"}) if is_xcom else (404, {"detail": {}})
        task, what = found.groups()
        if what == "state" and task in self.holds:
            self.holds[task].wait(PATIENCE_SECONDS)
        self.told[task].append((method, what, json.loads(body) if body else None))
        match what:
            case "run" if task in self.refusals:
                return self.refusals[task]
            case "run":
                return 200, self.context()
            case "rtif":
                return 201, {"message": "set"}
            case "state" | "heartbeat":
                return 204, None
        return 404, {"detail": {}}

    def answer_batch(self, body: bytes) -> bytes:
        """Answer calls as the batch route does, of which one task at most pushes an XCom."""
        self.batches.append(asked := calls(body))
        found: list[Answer] = []
        for call in asked:
            if any(before.status == self.xcom_status != 201 for before in found):
                found.append(Answer(NOT_BATCHED, {}, b""))
                continue
            status, said = self.answer(
                call.method, f"/execution/{call.path}".partition("?")[0], bytes(call.body)
            )
            headers = {"content-type": "application/json"}
            found.append(Answer(status, headers, b"" if said is None else json.dumps(said).encode()))
        return pack(found)

    def context(self) -> dict[str, Any]:
        run: dict[str, Any] = {
            "dag_id": "d",
            "run_id": "r",
            "logical_date": NOW,
            "data_interval_start": NOW,
            "data_interval_end": NOW,
            "run_after": NOW,
            "start_date": NOW,
            "end_date": None,
            "run_type": "manual",
            "state": "running",
            "conf": {},
            "consumed_asset_events": [],
            "partition_key": None,
        }
        return {
            "dag_run": run,
            "max_tries": 1,
            "should_retry": self.should_retry,
            # A task whose DAG is not there is put off some times before it fails.
            "task_reschedule_count": 100,
        }

    def state_of(self, task: str) -> str | None:
        states = [said["state"] for _, what, said in self.told[task] if what == "state"]
        assert len(states) <= 1, states
        return states[0] if states else None


class Home:
    """All folders of one deployment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dags, self.plugins, self.logs = root / "dags", root / "plugins", root / "logs"
        self.out, self.state, self.library = root / "out", root / "state", root / "lib" / "site-packages"
        for folder in (self.dags, self.plugins, self.logs, self.out, self.state, self.library):
            folder.mkdir(parents=True)
        (self.dags / "d.py").write_text(DAG_FILE)
        (self.library / "good_third.py").write_text("")
        self.socket = self.state / "worker.sock"

    def answer(self, task: str) -> Any:
        """Return what a task has noted."""
        path = self.out / task
        wait_for(path.exists, f"a note of {task}")
        return json.loads(path.read_text())

    def let_go(self, task: str) -> None:
        (self.out / f"{task}.go").touch()

    def log(self, task: str) -> str:
        path = self.logs / f"{task}.log"
        return path.read_text() if path.exists() else ""

    def events(self, task: str) -> list[str]:
        """Return what stands in a task's log, line by line."""
        return [json.loads(line)["event"] for line in self.log(task).splitlines()]


class Agent:
    """An agent's process, and one executor's connection to it."""

    def __init__(self, home: Home, api: Api, **variables: str) -> None:
        self.home = home
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "ORRERY", "PYTHON"))
        }
        capacity = {"cpu": 4, "memory": "8Gi", "disk": "1Gi"}
        environment = inherited | {
            "AIRFLOW_HOME": str(home.root),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(home.plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": api.url,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home.logs),
            "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN": "0.05",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "0.5",
            "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "100",
            "AIRFLOW__ORRERY_EXECUTOR__SOCKET": str(home.socket),
            "AIRFLOW__ORRERY_EXECUTOR__NODE_NAME": "node-1",
            "AIRFLOW__ORRERY_EXECUTOR__CAPACITY": json.dumps(capacity),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
            "ORRERY_COMPONENT": "worker",
            "PYTHONPATH": str(home.library),
            "TEST_OUT": str(home.out),
        }
        self.log_file = home.root / f"agent-{uuid.uuid4().hex[:6]}.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orrery.worker"],
                env=environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.heard: list[Message] = []
        self._socket: socket.socket | None = None

    @property
    def said(self) -> str:
        return self.log_file.read_text()

    def connect(self) -> Agent:
        """Wait until it serves, and say hello."""

        def connected() -> socket.socket | None:
            assert self.process.poll() is None, self.said
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(str(self.home.socket))
            except OSError:
                found.close()
                return None
            return found

        self._socket = wait_for(connected, "the agent serves")
        threading.Thread(target=self._listen, args=(self._socket,), daemon=True).start()
        self.send(Hello(scheduler="1"))
        wait_for(lambda: self.of(NodeStatus))
        return self

    def _listen(self, end: socket.socket) -> None:
        lines = Lines()
        with contextlib.suppress(OSError):
            while data := end.recv(1 << 16):
                self.heard.extend(lines.feed(data))

    def disconnect(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def send(self, message: ToAgent) -> None:
        assert self._socket is not None
        self._socket.sendall(encode(message))

    def of(self, kind: type[Any], job: str | None = None) -> list[Any]:
        return [
            each
            for each in list(self.heard)
            if isinstance(each, kind) and job in (None, getattr(each, "id", None))
        ]

    def run(self, task_id: str, *, file: str = "d.py", dag_id: str = "d", **rest: Any) -> str:
        """Order a task; return its id, which is also the order's."""
        task = str(uuid.uuid4())
        workload = {
            "type": "ExecuteTask",
            "token": "a.b.c",
            "dag_rel_path": file,
            "bundle_info": {"name": "dags-folder", "version": None},
            "log_path": f"{task}.log",
            "ti": {
                "id": task,
                "dag_version_id": str(uuid.uuid4()),
                "task_id": task_id,
                "dag_id": dag_id,
                "run_id": "r",
                "try_number": 1,
                "map_index": -1,
                "pool_slots": 1,
                "queue": "default",
                "priority_weight": 1,
            },
            "sentry_integration": "",
        }
        self.send(Run(id=task, workload=json.dumps(workload), **({"resources": ASKED} | rest)))
        return task

    def ended(self, task: str) -> Ended:
        found: Ended = wait_for(lambda: self.of(Ended, task), f"the end of {task}")[0]
        self.send(Acknowledge(ids=(task,)))
        return found

    def stop(self) -> int:
        """Ask it to stop, and wait until it has."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)

    def zygotes(self) -> list[int]:
        """Return the processes that it has started, and that run."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in threads for pid in path.read_text().split() if is_alive(int(pid))]

    def close(self) -> None:
        self.disconnect()
        if self.process.poll() is None:
            # It removes what it has made; asked again, it does not wait for its tasks.
            for ask in (self.process.terminate, self.process.terminate, self.process.kill):
                ask()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(10)
                    return


@pytest.fixture(scope="module")
def shared_api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.close()


def make_home() -> Home:
    # A socket's path may have 107 bytes only: pytest's own folders are too deep.
    return Home(Path(tempfile.mkdtemp(prefix="orrery-a-")))


@pytest.fixture
def home() -> Iterator[Home]:
    made = make_home()
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(shared_api: Api) -> Iterator[Agent]:
    """An agent for the tests that leave it as it was; its folders have all that such tests look at."""
    home = make_home()
    (home.dags / "broken.py").write_text("import nothing_of_this_name\n")
    (home.dags / "beside.py").write_text("")
    (home.dags / "imports.py").write_text("import threaded_third\nimport failing_third\nimport beside\n")
    (home.library / "threaded_third.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    (home.library / "failing_third.py").write_text("raise RuntimeError('no such device')\n")
    (home.library / "callbacks_third.py").write_text(
        "import os, pathlib\n"
        "def called(name, **context):\n"
        "    pathlib.Path(os.environ['TEST_OUT'], name).write_text('\"called\"')\n"
        "def fails(**context):\n"
        "    raise ValueError('the callback was meant to fail')\n"
    )
    agent = Agent(home, shared_api, **SECRETS).connect()
    yield agent
    agent.close()
    shutil.rmtree(home.root, ignore_errors=True)


@pytest.fixture
def agents(home: Home, api: Api) -> Iterator[Callable[..., Agent]]:
    started: list[Agent] = []

    def start(**variables: str) -> Agent:
        started.append(Agent(home, api, **variables))
        return started[-1]

    yield start
    for agent in started:
        agent.close()


# -- an ordinary life -----------------------------------------------------------------------------


def test_a_task_runs_and_all_is_told(shared: Agent, shared_api: Api) -> None:
    task = shared.run("hello")

    ended = shared.ended(task)

    assert (ended.ending, ended.text, ended.needs_judgement) == ("finished", "", False)
    assert 0 < ended.started_at <= ended.ended_at
    assert ended.usage.cpu_seconds > 0
    assert ended.usage.memory_peak_bytes > 0
    assert shared_api.state_of(task) == "success"
    told = [what for _, what, _ in shared_api.told[task]]
    assert told == ["run", "rtif", "state"]  # and no first heartbeat
    assert shared_api.told[task][0][2]["pid"] == shared.home.answer(task)["pid"]
    assert ("POST", "/execution/xcoms/d/r/hello/return_value") in shared_api.other
    assert "hello from the task" in shared.home.events(task)


def test_an_executor_hears_of_each_step(shared: Agent) -> None:
    task = shared.run("hello")
    shared.ended(task)

    steps = [type(each) for each in list(shared.heard) if getattr(each, "id", None) == task]

    # At times it is known how it ended as soon as that its process is gone.
    assert [step for step in steps if step is not Freed] == [Placed, Started, Ended]
    assert steps[-1] is Ended


def test_a_task_that_has_ended_holds_no_room_while_the_server_hears_of_it(
    shared: Agent, shared_api: Api
) -> None:
    whole = ASKED | {"cpu_millicores": 4000}
    # A failure is told after the process has ended.
    first = shared.run("waits_and_fails", resources=whole)
    shared.home.answer(first)
    shared_api.holds[first] = threading.Event()
    try:
        shared.home.let_go(first)
        wait_for(lambda: shared.of(Freed, first), "its room is given back")
        freed_by = time.time()
        second = shared.run("hello", resources=whole)
        assert shared.ended(second).ending == "finished"
        # Who connects now hears of it, as of one that occupies nothing.
        assert shared.of(Ended, first) == []
        shared.disconnect()
        shared.heard.clear()
        shared.connect()
        assert [each.resources for each in shared.of(NodeStatus)[0].running if each.id == first] == [{}]
    finally:
        shared_api.holds[first].set()

    ended = shared.ended(first)
    assert (ended.ending, ended.needs_judgement) == ("finished", False)
    assert ended.ended_at <= freed_by
    assert shared_api.state_of(first) == "failed"


def test_a_task_that_asked_for_disk_holds_it_until_its_folder_is_gone(shared: Agent) -> None:
    task = shared.run("hello", resources=ASKED | {"disk_bytes": 1024**2})
    assert shared.ended(task).ending == "finished"

    assert shared.of(Freed, task) == []


def test_the_socket_is_its_owners_alone(shared: Agent) -> None:
    assert stat.S_IMODE(shared.home.socket.stat().st_mode) == 0o600


def test_the_agent_tells_what_the_node_is(shared: Agent) -> None:
    status = shared.of(NodeStatus)[0]

    assert (status.name, status.state, status.version) == ("node-1", "ready", VERSION)
    assert status.allocatable["cpu_millicores"] == 4000
    assert status.pid == shared.process.pid


def test_a_failure_is_told_with_its_reason_in_the_log(shared: Agent, shared_api: Api) -> None:
    task = shared.run("fails")

    ended = shared.ended(task)

    assert ended.ending == "finished"
    assert shared_api.state_of(task) == "failed"
    assert "it was meant to fail" in shared.home.log(task)


def test_a_dag_that_does_not_import_fails_its_task(shared: Agent, shared_api: Api) -> None:
    task = shared.run("any", file="broken.py")

    shared.ended(task)

    assert shared_api.state_of(task) == "failed"
    assert "nothing_of_this_name" in shared.home.log(task)


def test_the_temporary_folder_goes_with_the_task(shared: Agent) -> None:
    task = shared.run("hello")
    shared.ended(task)

    assert not Path(shared.home.answer(task)["tmp"]).exists()


def test_daemons_of_a_task_end_with_it(shared: Agent) -> None:
    task = shared.run("leaves_a_daemon")
    found = shared.home.answer(task)
    assert is_alive(found["daemon"])

    shared.home.let_go(task)
    shared.ended(task)

    wait_for(lambda: not is_alive(found["daemon"]))
    assert shared.of(Freed, task) == []


def test_tasks_share_no_state(shared: Agent) -> None:
    tasks = [shared.run("remembers") for _ in range(3)]
    for task in tasks:
        shared.ended(task)
    tasks.append(shared.run("remembers"))
    shared.ended(tasks[-1])

    found = [shared.home.answer(task) for task in tasks]

    assert found == [{"seen": 1, "known": None, "environment": "x"}] * 4


def test_a_task_holds_no_secret_of_the_platform(shared: Agent) -> None:
    task = shared.run("shows_its_environment")
    shared.ended(task)

    said = json.dumps(shared.home.answer(task))

    for secret in SECRETS.values():
        assert secret not in said
    assert "secret-of-the-database" not in said


def test_a_masked_word_of_one_task_is_another_tasks_own_business(shared: Agent) -> None:
    waiting = [shared.run("waits") for _ in range(3)]
    for task in waiting:
        shared.home.answer(task)  # supervisors that are at work meanwhile
    hiding = shared.run("masks")
    shared.ended(hiding)
    showing = [shared.run("prints_the_same_word") for _ in range(3)]
    for task in showing:
        shared.ended(task)
    for task in waiting:
        shared.home.let_go(task)
        shared.ended(task)

    assert "the password is ***" in shared.home.events(hiding)
    assert "hunter-and-gatherer" not in shared.home.log(hiding)
    for task in showing:
        assert "the password is hunter-and-gatherer" in shared.home.events(task)


def test_what_cannot_be_preloaded_is_said_and_left_to_the_tasks(shared: Agent) -> None:
    wait_for(lambda: "threaded_third" in shared.said and "failing_third" in shared.said)
    tasks = [shared.run("tells_what_is_imported", file="d.py") for _ in range(2)]
    for task in tasks:
        shared.ended(task)

    for task in tasks:
        found = shared.home.answer(task)
        assert found.pop("good_third")
        assert found.pop("pendulum")
        assert found == {"threaded_third": False, "failing_third": False, "beside": False}
    assert "no such device" in shared.said
    assert "it starts threads" in shared.said


def test_zygotes_have_one_thread(shared: Agent) -> None:
    wait_for(lambda: "threaded_third" in shared.said)

    def all_single() -> bool:
        return all(len(list(Path(f"/proc/{pid}/task").iterdir())) == 1 for pid in shared.zygotes())

    shared.ended(shared.run("hello"))
    wait_for(all_single, "zygotes without threads")
    assert shared.zygotes()


# -- callbacks ------------------------------------------------------------------------------------


def callback(agent: Agent, path: str, **kwargs: Any) -> str:
    number = str(uuid.uuid4())
    workload = {
        "type": "ExecuteCallback",
        "token": "a.b.c",
        "dag_rel_path": "d.py",
        "bundle_info": {"name": "dags-folder", "version": None},
        "log_path": f"{number}.log",
        "callback": {"id": number, "fetch_method": "import_path", "data": {"path": path, "kwargs": kwargs}},
    }
    agent.send(Run(id=number, workload=json.dumps(workload), resources=ASKED))
    return number


def test_a_callback_is_run(shared: Agent) -> None:
    number = callback(shared, "callbacks_third.called", name="callback-note")

    ended = shared.ended(number)

    assert ended.ending == "finished"
    assert shared.home.answer("callback-note") == "called"


def test_a_callback_that_fails_is_told_with_its_reason(shared: Agent) -> None:
    ended = shared.ended(callback(shared, "callbacks_third.fails"))

    assert ended.ending == "exit_code"
    assert "exit code 1" in ended.text


def test_a_workload_too_long_for_the_zygote_harms_nobody_else(shared: Agent) -> None:
    before = shared.zygotes()
    ended = shared.ended(callback(shared, "callbacks_third.called", name="large", text="x" * 300_000))

    assert ended.ending == "lost"
    assert set(before) <= set(shared.zygotes())
    assert shared.ended(callback(shared, "callbacks_third.called", name="small")).ending == "finished"


def test_what_is_no_workload_is_lost(shared: Agent) -> None:
    shared.send(Run(id="nonsense", workload='{"type":"ExecuteTask"}', resources=ASKED))

    ended = shared.ended("nonsense")

    assert ended.ending == "lost"
    assert "ValidationError" in ended.text


# -- the API server -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 409, 410])
def test_a_start_that_the_server_refuses_is_no_failure(shared: Agent, shared_api: Api, status: int) -> None:
    refused = {"detail": {"reason": "invalid_state", "message": "no", "previous_state": "success"}}
    shared_api.refusals = _All((status, refused))
    try:
        task = shared.run("waits")
        ended = shared.ended(task)
    finally:
        shared_api.refusals = {}

    assert ended.ending == "refused"
    assert "the API server did not let it start" in ended.text
    assert [what for _, what, _ in shared_api.told[task]] == ["run"]
    assert not (shared.home.out / task).exists()


def test_a_start_of_what_runs_already_is_for_the_scheduler_to_judge(shared: Agent, shared_api: Api) -> None:
    refused = {"detail": {"reason": "invalid_state", "message": "no", "previous_state": "running"}}
    shared_api.refusals = _All((409, refused))
    try:
        ended = shared.ended(shared.run("hello"))
    finally:
        shared_api.refusals = {}

    assert ended.ending == "lost"


class _All(dict[str, tuple[int, Any]]):
    """The same answer for every task."""

    def __init__(self, answer: tuple[int, Any]) -> None:
        super().__init__()
        self.answer = answer

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, _: str) -> tuple[int, Any]:
        return self.answer


def test_an_api_server_that_is_away_for_a_while_fails_no_task(shared: Agent, shared_api: Api) -> None:
    running = shared.run("waits")
    shared.home.answer(running)
    shared_api.is_away = True
    try:
        before = shared_api.refused_connections
        starting = shared.run("hello")
        shared.home.let_go(running)
        wait_for(lambda: shared_api.refused_connections > before + 6, "attempts")
    finally:
        shared_api.is_away = False

    assert shared.ended(running).ending == "finished"
    assert shared.ended(starting).ending == "finished"
    assert shared_api.state_of(running) == "success"
    assert shared_api.state_of(starting) == "success"


# -- orders ---------------------------------------------------------------------------------------


def test_a_task_that_runs_is_cancelled_with_the_reason_in_its_log(shared: Agent, shared_api: Api) -> None:
    task = shared.run("waits")
    found = shared.home.answer(task)

    shared.send(Cancel(id=task, reason="somebody has asked for it"))

    ended = shared.ended(task)
    assert (ended.ending, ended.text) == ("cancelled", "somebody has asked for it")
    assert not is_alive(found["pid"])
    assert shared_api.state_of(task) == "failed"
    assert "Ending this task: somebody has asked for it" in shared.home.events(task)
    assert "not by Orrery" not in shared.home.log(task)


def test_what_does_not_fit_is_declined(shared: Agent) -> None:
    task = shared.run("hello", resources=ASKED | {"cpu_millicores": 4001})

    (declined,) = wait_for(lambda: shared.of(Declined, task))

    assert "room" in declined.reason
    assert shared.ended(shared.run("hello")).ending == "finished"


def test_an_order_that_comes_twice_is_carried_out_once(shared: Agent, shared_api: Api) -> None:
    task = shared.run("waits")
    shared.home.answer(task)
    shared.send(Run(id=task, workload="{}", resources=ASKED))
    shared.home.let_go(task)

    assert shared.ended(task).ending == "finished"
    shared.ended(shared.run("hello"))
    assert len(shared.of(Ended, task)) == 1
    assert [what for _, what, _ in shared_api.told[task]].count("run") == 1


def test_an_end_is_told_again_until_it_is_acknowledged(shared: Agent) -> None:
    task = shared.run("hello")
    wait_for(lambda: shared.of(Ended, task))

    shared.disconnect()
    shared.heard.clear()
    shared.connect()
    assert wait_for(lambda: shared.of(Ended, task))[0].ending == "finished"
    shared.send(Acknowledge(ids=(task,)))
    shared.ended(shared.run("hello"))  # so that it has read that

    shared.disconnect()
    shared.heard.clear()
    shared.connect()
    assert shared.of(Ended, task) == []


def test_a_task_goes_on_without_an_executor(shared: Agent, shared_api: Api) -> None:
    task = shared.run("waits")
    shared.home.answer(task)
    shared.disconnect()
    shared.home.let_go(task)
    wait_for(lambda: shared_api.state_of(task) == "success")

    shared.heard.clear()
    shared.connect()

    assert shared.ended(task).ending == "finished"


def test_what_runs_is_measured_and_listed(shared: Agent) -> None:
    task = shared.run("waits")
    shared.home.answer(task)

    measured = wait_for(
        lambda: [
            each
            for said in shared.of(Measured)
            for each in said.running
            if each.id == task and each.memory_bytes
        ]
    )[0]
    shared.disconnect()
    shared.heard.clear()
    shared.connect()
    listed = shared.of(NodeStatus)[0].running
    shared.home.let_go(task)
    shared.ended(task)

    assert measured.resources == ASKED
    assert [each.id for each in listed] == [task]


def test_an_executor_of_another_version_is_told_so_and_sent_away(shared: Agent) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(PATIENCE_SECONDS)
        end.connect(str(shared.home.socket))
        end.sendall(encode(Hello(scheduler="2", version=VERSION + 1)))
        said = b""
        while data := end.recv(1 << 16):
            said += data

    (status,) = Lines().feed(said)
    assert isinstance(status, NodeStatus)
    assert status.version == VERSION


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b'{"type":"run","id":1}\n', b"\0" * 100 + b"\n"]
)
def test_garbage_costs_the_connection_only(shared: Agent, garbage: bytes) -> None:
    before = len(shared.said)
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(PATIENCE_SECONDS)
        end.connect(str(shared.home.socket))
        end.sendall(garbage)
        assert end.recv(10) == b""

    assert shared.ended(shared.run("hello")).ending == "finished"
    assert "Traceback" not in shared.said[before:]


# -- what is killed -------------------------------------------------------------------------------


def test_a_killed_task_is_told_with_a_last_line_in_its_log(shared: Agent, shared_api: Api) -> None:
    task = shared.run("waits")
    os.kill(shared.home.answer(task)["pid"], signal.SIGKILL)

    ended = shared.ended(task)

    assert ended.ending == "signal"
    assert "SIGKILL" in ended.text
    assert shared_api.state_of(task) == "failed"
    assert not ended.needs_judgement
    assert shared.home.events(task)[-1] == ended.text


def test_whether_a_killed_task_is_retried_is_left_to_the_scheduler(shared: Agent, shared_api: Api) -> None:
    shared_api.should_retry = True
    try:
        task = shared.run("waits")
        os.kill(shared.home.answer(task)["pid"], signal.SIGKILL)
        ended = shared.ended(task)
    finally:
        shared_api.should_retry = False

    # As with every executor of Airflow's: it runs the callbacks of a retry, the agent could not.
    assert shared_api.state_of(task) is None
    assert ended.ending == "signal"
    assert ended.needs_judgement


def test_a_return_value_and_the_end_are_told_in_one_batch(
    agents: Callable[..., Agent], home: Home, api: Api
) -> None:
    api.has_batches = True
    agent = agents().connect()
    task = agent.run("hello")

    assert agent.ended(task).ending == "finished"

    assert api.state_of(task) == "success"
    told = [[call.path.rpartition("/")[2] for call in batch] for batch in api.batches]
    assert told == [["run"], ["rtif", "return_value", "state"]]


@pytest.mark.parametrize("status", [400, 500])
def test_a_task_whose_return_value_is_refused_has_not_ended_well(
    agents: Callable[..., Agent], home: Home, api: Api, status: int
) -> None:
    api.has_batches, api.xcom_status = True, status
    agent = agents().connect()
    task = agent.run("hello")

    ended = agent.ended(task)

    # As of any task whose end the API server does not know: the scheduler retries it or lets it fail.
    assert ended.needs_judgement
    assert api.state_of(task) is None
    assert f"return_value failed: HTTP {status}" in home.log(task)


def test_a_killed_zygote_takes_no_task_with_it(agents: Callable[..., Agent], home: Home, api: Api) -> None:
    agent = agents(AIRFLOW__ORRERY_EXECUTOR__PARSE_AHEAD="false").connect()
    running, killed = agent.run("waits"), agent.run("waits")
    zygote = home.answer(running)["ppid"]
    assert home.answer(killed)["ppid"] == zygote
    assert zygote in agent.zygotes()
    assert "dags-folder" in agent.of(NodeStatus)[0].warm

    os.kill(zygote, signal.SIGKILL)
    wait_for(lambda: not is_alive(zygote))
    following = agent.run("hello")

    assert agent.ended(following).ending == "finished"
    assert home.answer(following)["ppid"] != zygote
    assert is_alive(home.answer(running)["pid"])
    # Nobody else knows how it ends: the agent has inherited it.
    os.kill(home.answer(killed)["pid"], signal.SIGKILL)
    assert agent.ended(killed).ending == "signal"
    home.let_go(running)
    assert agent.ended(running).ending == "finished"
    assert api.state_of(running) == "success"


def test_a_killed_agent_leaves_no_process_and_the_next_one_begins_anew(
    agents: Callable[..., Agent], home: Home
) -> None:
    agent = agents().connect()
    agent.ended(agent.run("hello"))  # the next ones may come from a branch
    agent.ended(agent.run("hello"))
    tasks = [agent.run("waits") for _ in range(3)]
    children = [home.answer(task)["pid"] for task in tasks]
    folders = [Path(home.answer(task)["tmp"]) for task in tasks]
    zygotes = agent.zygotes()
    daemon_task = agent.run("leaves_a_daemon")
    daemon = home.answer(daemon_task)["daemon"]

    agent.process.kill()
    agent.wait()

    wait_for(lambda: not any(map(is_alive, (*children, *zygotes))), "the end of all")
    assert home.socket.exists()
    following = agents().connect()
    assert following.of(NodeStatus)[0].running == ()
    assert not is_alive(daemon)
    assert not any(folder.exists() for folder in folders)
    assert following.ended(following.run("hello")).ending == "finished"


def test_a_second_agent_is_refused_and_the_first_goes_on(agents: Callable[..., Agent]) -> None:
    first = agents().connect()
    second = agents()

    assert second.wait() == 4
    assert "orrery: Another agent" in second.said
    assert "Stop it first" in second.said
    assert "Traceback" not in second.said
    assert first.ended(first.run("hello")).ending == "finished"


def test_what_is_no_socket_is_not_removed(agents: Callable[..., Agent], home: Home) -> None:
    home.socket.write_text("precious")
    agent = agents()

    assert agent.wait() == 4
    assert "is no socket" in agent.said
    assert home.socket.read_text() == "precious"


def test_an_agent_that_is_asked_to_stop_lets_its_tasks_end(
    agents: Callable[..., Agent], home: Home, api: Api
) -> None:
    agent = agents().connect()
    task = agent.run("waits")
    home.answer(task)

    agent.process.terminate()
    wait_for(lambda: agent.of(NodeStatus)[-1].state == "draining")
    late = agent.run("hello")
    assert wait_for(lambda: agent.of(Declined, late))[0].reason == "the agent stops"
    assert agent.process.poll() is None
    home.let_go(task)

    assert agent.wait() == 0
    assert api.state_of(task) == "success"
    assert agent.of(Ended, task)[0].ending == "finished"
    assert not home.socket.exists()
    assert not (home.state / "scratch").exists() or not list((home.state / "scratch").iterdir())


def test_an_agent_that_is_asked_twice_ends_its_tasks(
    agents: Callable[..., Agent], home: Home, api: Api
) -> None:
    agent = agents().connect()
    task = agent.run("waits")
    pid = home.answer(task)["pid"]
    zygotes = agent.zygotes()

    agent.process.terminate()
    wait_for(lambda: agent.of(NodeStatus)[-1].state == "draining")
    agent.process.terminate()

    assert agent.wait() == 0
    assert api.state_of(task) == "failed"
    assert "Ending this task: the agent stops" in home.events(task)
    wait_for(lambda: not any(map(is_alive, (pid, *zygotes))), "the end of all")


def test_changed_plugins_replace_the_zygotes(agents: Callable[..., Agent], home: Home) -> None:
    agent = agents(AIRFLOW__ORRERY_EXECUTOR__PARSE_AHEAD="false").connect()
    running = agent.run("waits")
    before = home.answer(running)["ppid"]
    assert is_fork(before, agent.process.pid)

    (home.plugins / "new.py").write_text("")
    wait_for(lambda: "Replacing a zygote" in agent.said)
    following = agent.run("hello")
    agent.ended(following)

    after = home.answer(following)["ppid"]
    assert after != before
    assert not is_fork(after, agent.process.pid)  # which has imported what was there before the change
    assert is_alive(before)  # as long as its task runs
    home.let_go(running)
    assert agent.ended(running).ending == "finished"
    wait_for(lambda: not is_alive(before))


@pytest.mark.parametrize(("versions", "seeds"), [(False, 0), (True, 1)])
def test_a_seed_stays_where_a_bundle_has_versions(
    agents: Callable[..., Agent], home: Home, versions: bool, seeds: int
) -> None:
    (home.library / "own_bundle.py").write_text(
        "from airflow.dag_processing.bundles.local import LocalDagBundle\n"
        "class Own(LocalDagBundle):\n"
        f"    supports_versioning = {versions}\n"
    )
    bundle = {"name": "dags-folder", "classpath": "own_bundle.Own", "kwargs": {"path": str(home.dags)}}
    agent = agents(
        AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps([bundle]),
        AIRFLOW__ORRERY_EXECUTOR__PARSE_AHEAD="false",
    ).connect()
    first = agent.run("waits")
    zygote = home.answer(first)["ppid"]

    # Either way the next one is made, of the seed or anew.
    os.kill(zygote, signal.SIGKILL)
    second = agent.run("hello")
    assert agent.ended(second).ending == "finished"
    assert is_fork(home.answer(second)["ppid"], agent.process.pid) == bool(seeds)

    assert sum("orrery-seed" in title(pid) for pid in agent.zygotes()) == seeds


def test_a_bundle_that_cannot_be_preloaded_fails_its_tasks_and_no_others(
    agents: Callable[..., Agent], home: Home, api: Api
) -> None:
    (home.library / "bad_bundle.py").write_text(
        "from airflow.dag_processing.bundles.local import LocalDagBundle\n"
        "class Bad(LocalDagBundle):\n"
        "    def initialize(self):\n"
        "        raise RuntimeError('no such repository')\n"
    )
    bundles = [
        {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(home.dags)},
        },
        {"name": "bad", "classpath": "bad_bundle.Bad", "kwargs": {"path": str(home.dags)}},
    ]
    agent = agents(AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(bundles)).connect()

    assert agent.ended(agent.run("hello")).ending == "finished"
    assert "no such repository" in agent.said


def test_a_module_that_ends_the_zygote_costs_no_task(
    agents: Callable[..., Agent], home: Home, api: Api
) -> None:
    (home.library / "deadly_third.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    (home.dags / "deadly.py").write_text("import deadly_third\n")
    agent = agents().connect()

    task = agent.run("hello")

    assert agent.ended(task).ending == "finished"
    assert api.state_of(task) == "success"
