"""`orrery up` and its companions, as a user meets them: a real PostgreSQL, real components, real kills."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.acceptance

COMPONENTS = ["postgres", "api-server", "scheduler", "dag-processor", "triggerer", "worker"]


def until(is_so: Callable[[], Any], *, limit_seconds: float = 90) -> Any:
    """Wait until something is so; the limit only ends a test that hangs."""
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        if found := is_so():
            return found
        time.sleep(0.3)
    pytest.fail(f"not so after {limit_seconds} s")


def processes_of(project: Path) -> list[psutil.Process]:
    """Every process that names the project in its command line or its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), *process.environ().values()])
        except psutil.Error:
            continue
        if process.pid != os.getpid() and f"{project}/.orrery" in words:
            found.append(process)
    return found


def component(status: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (part for part in status["components"] if part["name"] == name)
    return dict(found)


@contextlib.contextmanager
def signed_in(status: dict[str, Any]) -> Iterator[httpx.Client]:
    url = status["url"].replace("localhost", "127.0.0.1")
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        password = Path(status["password_file"]).read_text()
        answer = client.post("/auth/token", json={"username": status["username"], "password": password})
        client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
        yield client


def test_from_an_empty_folder_to_a_healthy_deployment_and_back(
    tmp_path: Path, cli: Any, free_port: int
) -> None:
    # Given a project made by `orrery init`
    made = cli(tmp_path, "init", "p")
    assert made.code == 0, made.err
    project = tmp_path / "p"
    # When it is started
    started = cli(project, "up", "--detach", "--port", str(free_port))
    assert started.code == 0, started.err
    # Then its status tells where it is and how to sign in
    said = cli(project, "status", "-o", "json")
    status = said.json()
    assert said.code == 0
    assert status["state"] == "healthy"
    assert status["url"] == f"http://localhost:{free_port}"
    assert [part["name"] for part in status["components"]] == COMPONENTS
    for part in status["components"]:
        assert part["state"] == "healthy"
        assert part["memory_bytes"] > 2**20
        assert psutil.pid_exists(part["pid"])
    # And the password, in a file that only its owner reads, gives a token for Airflow's API
    assert Path(status["password_file"]).stat().st_mode & 0o777 == 0o600
    with signed_in(status) as client:
        assert client.get("/api/v2/dags").json()["total_entries"] >= 1
        assert httpx.get(f"{client.base_url}/api/v2/dags", trust_env=False).status_code == 401
        # And a DAG edited on disk is live soon
        edited = "from airflow.sdk import DAG\nedited = DAG('edited', schedule=None, description='{}')\n"
        (project / "dags" / "edited.py").write_text(edited.format("first"))
        until(lambda: client.get("/api/v2/dags/edited").is_success, limit_seconds=30)
        (project / "dags" / "edited.py").write_text(edited.format("second"))
        until(lambda: client.get("/api/v2/dags/edited").json()["description"] == "second", limit_seconds=30)
    # And everything listens on loopback only
    ours = {process.pid for process in processes_of(project)}
    listening = [c for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.pid in ours]
    assert listening
    assert {connection.laddr.ip for connection in listening if connection.laddr} <= {"127.0.0.1", "::1"}
    # When it is stopped, no process, socket or environment of it is left
    assert cli(project, "down").code == 0
    assert processes_of(project) == []
    assert not (project / ".orrery" / "run" / "launch.json").exists()
    assert cli(project, "status").code == 4
    # And stopping it again does no harm
    assert cli(project, "down").code == 0


def test_a_second_up_changes_nothing_and_another_port_is_refused(
    project: Path, cli: Any, free_port: int
) -> None:
    assert cli(project, "up", "-d", "--port", str(free_port)).code == 0
    before = cli(project, "status", "-o", "json").json()
    again = cli(project, "up", "-d", "--port", str(free_port))
    assert again.code == 0
    assert "runs already" in again.err
    other = cli(project, "up", "-d", "--port", "1")
    assert other.code == 4
    assert f"runs already, on port {free_port}" in other.err
    assert "orrery down" in other.err
    after = cli(project, "status", "-o", "json").json()
    assert [part["pid"] for part in after["components"]] == [part["pid"] for part in before["components"]]


def test_a_killed_component_comes_back_and_status_tells(project: Path, cli: Any, free_port: int) -> None:
    assert cli(project, "up", "-d", "--port", str(free_port)).code == 0
    killed = component(cli(project, "status", "-o", "json").json(), "scheduler")["pid"]
    os.kill(killed, signal.SIGKILL)

    def is_back() -> dict[str, Any] | None:
        part = component(cli(project, "status", "-o", "json").json(), "scheduler")
        return part if part["state"] == "healthy" and part["pid"] != killed else None

    assert until(is_back)["crashes"] == 1


def test_a_component_that_keeps_crashing_leaves_the_others_running(
    project: Path, cli: Any, free_port: int
) -> None:
    # Given a setting with which one component cannot start
    (project / ".env").write_text("AIRFLOW__TRIGGERER__CAPACITY=many\n")
    started = cli(project, "up", "-d", "--port", str(free_port))
    # Then up says which, the others run, and status is unhealthy and says why
    assert started.code == 3, started.err
    said = cli(project, "status", "-o", "json")
    status = said.json()
    assert said.code == 3
    assert status["state"] == "unhealthy"
    broken = component(status, "triggerer")
    assert broken["state"] == "failed"
    assert broken["crashes"] >= 2
    assert "many" in broken["why"]
    assert {part["state"] for part in status["components"] if part["name"] != "triggerer"} == {"healthy"}
    # When the setting is mended, a restart of that component heals it
    (project / ".env").write_text("AIRFLOW__TRIGGERER__CAPACITY=10\n")
    mended = cli(project, "restart", "triggerer")
    assert mended.code == 0, mended.err
    assert cli(project, "status").code == 0
    # And every log is there to read
    assert "triggerer" in cli(project, "logs").out
    assert "many" in cli(project, "logs", "triggerer", "-n", "2000").out


def test_an_up_that_was_killed_in_the_middle_is_finished_by_the_next(
    project: Path, cli: Any, free_port: int, environment: dict[str, str]
) -> None:
    orrery = Path(sys.executable).with_name("orrery")
    command = [str(orrery), "up", "-d", "--port", str(free_port)]
    for moment in ("supervisord.conf", "supervisor.sock"):
        # When it is killed as soon as a certain file is there
        starting = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.DEVNULL)
        until((project / ".orrery" / "run" / moment).exists)
        starting.kill()
        starting.wait()
    # Then the next one finishes the work
    finished = cli(project, "up", "-d", "--port", str(free_port))
    assert finished.code == 0, finished.err
    assert cli(project, "status").code == 0


def test_what_a_killed_process_manager_leaves_is_ended(project: Path, cli: Any, free_port: int) -> None:
    assert cli(project, "up", "-d", "--port", str(free_port)).code == 0
    (manager,) = [p for p in processes_of(project) if "orrery-manager" in " ".join(p.cmdline())]
    manager.kill()
    manager.wait()
    said = cli(project, "status")
    assert said.code == 4
    assert "orrery down ends them" in said.out
    assert cli(project, "down").code == 0
    assert processes_of(project) == []


def test_a_taken_port_is_named_with_its_holder_and_a_free_one(project: Path, cli: Any) -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        refused = cli(project, "up", "-d", "--port", str(port))
    assert refused.code == 5
    assert f"Port {port} is taken by" in refused.err
    assert f"(pid {os.getpid()})" in refused.err
    assert "is free: orrery up --port" in refused.err
    assert processes_of(project) == []


def test_a_broken_dag_is_seen_in_up_and_status(project: Path, cli: Any, free_port: int) -> None:
    (project / "dags" / "broken.py").write_text("from airflow.sdk import DAG\nimport nothing_of_that_name\n")
    assert cli(project, "up", "-d", "--port", str(free_port)).code == 0
    found = until(lambda: cli(project, "status", "-o", "json").json()["import_errors"])
    (problem,) = found
    assert problem["file"].endswith("broken.py")
    assert "nothing_of_that_name" in problem["error"]
    # A second up shows it at once
    assert "nothing_of_that_name" in cli(project, "up", "-d").out


def test_trigger_follows_a_run_and_passes_its_outcome_on(project: Path, cli: Any, free_port: int) -> None:
    (project / "dags" / "fails.py").write_text(
        "from airflow.sdk import dag, task\n@dag\ndef fails():\n    @task\n    def stumble():\n"
        "        raise RuntimeError('stumbled')\n    stumble()\nfails()\n"
    )
    succeeded = cli(project, "up", "-d", "--port", str(free_port), "--trigger", "hello")
    assert succeeded.code == 0, succeeded.err
    assert "greet" in succeeded.out
    assert "hello: success" in succeeded.out
    failed = cli(project, "up", "-d", "--trigger", "fails")
    assert failed.code == 1
    assert "stumble" in failed.out
    assert "fails: failed" in failed.out
    assert cli(project, "up", "-d", "--trigger", "hello").code == 0


def test_a_database_of_a_newer_runtime_is_refused_and_left_alone(
    project: Path, cli: Any, free_port: int
) -> None:
    import psycopg

    assert cli(project, "up", "-d", "--port", str(free_port)).code == 0
    state = project / ".orrery"
    port = json.loads((state / "run" / "deployment.json").read_text())["postgres_port"]
    password = (state / "secrets" / "database_password").read_text()
    with psycopg.connect(
        f"host=127.0.0.1 port={port} user=orrery dbname=airflow", password=password
    ) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00df00df00d'")
    assert cli(project, "down").code == 0
    refused = cli(project, "up", "-d", "--port", str(free_port))
    assert refused.code == 4
    assert "made by a newer runtime" in refused.err
    assert "f00df00df00d" in refused.err
    assert processes_of(project) == []


def test_ctrl_c_stops_everything(
    project: Path, cli: Any, free_port: int, environment: dict[str, str]
) -> None:
    orrery = Path(sys.executable).with_name("orrery")
    running = subprocess.Popen(
        [str(orrery), "up", "--no-open", "--port", str(free_port)],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = running.stderr
    assert lines
    until(lambda: "Press Ctrl-C to stop" in lines.readline())
    assert cli(project, "status").code == 0
    # Another command may work on a deployment that somebody watches
    assert cli(project, "airflow", "version").out.strip() == "3.3.2"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "healthy" in out
    assert processes_of(project) == []


def test_wrong_files_are_refused_before_anything_is_made(project: Path, cli: Any) -> None:
    for file, text, words in (
        ("orrery.yaml", "runtme: 17.0.0\n", ["runtme", "runtime"]),
        ("orrery.yaml", "runtime: 17.9.9\n", ["17.9.9", "17.0.0"]),
        ("orrery.yaml", "local:\n  port: high\n", ["local.port", "high"]),
        ("orrery.yaml", 'python: "3.9"\n', ["3.9", "3.11"]),
        ("requirements.txt", "apache-airflow==2.9.0\n", ["apache-airflow", "3.3.2"]),
    ):
        (project / file).write_text(text)
        refused = cli(project, "up", "-d")
        assert refused.code == 2, (text, refused.err)
        for word in words:
            assert word in refused.err
        (project / file).unlink()
    assert not (project / ".orrery").exists()


def test_requirements_that_conflict_show_the_resolvers_reason(project: Path, cli: Any) -> None:
    (project / "requirements.txt").write_text("pydantic<2\n")
    refused = cli(project, "up", "-d")
    assert refused.code == 2
    assert "pydantic" in refused.err
    assert processes_of(project) == []


def test_a_folder_that_is_no_project_says_how_to_make_one(tmp_path: Path, cli: Any) -> None:
    refused = cli(tmp_path, "up")
    assert refused.code == 2
    assert "orrery init" in refused.err


def test_settings_of_an_astro_project_are_applied(project: Path, cli: Any, free_port: int) -> None:
    # Given what `astro dev init` makes, with entries in it
    (project / "Dockerfile").write_text("FROM quay.io/astronomer/astro-runtime:13.0.0\n")
    (project / "include").mkdir()
    (project / "include" / "words.py").write_text("GREETING = 'from include'\n")
    (project / "plugins").mkdir()
    (project / "dags" / "reads.py").write_text(
        "import os\nfrom airflow.sdk import DAG\nfrom include.words import GREETING\n"
        "with DAG('reads', schedule=None, description=GREETING + os.environ['FROM_ENV_FILE']):\n    pass\n"
    )
    (project / ".env").write_text("FROM_ENV_FILE=' and .env'\nAIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL=7\n")
    (project / "airflow_settings.yaml").write_text(
        "airflow:\n"
        "  connections:\n    - {conn_id: store, conn_type: http, conn_host: example.org, conn_port: 80}\n"
        "  pools:\n    - {pool_name: narrow, pool_slot: 2, pool_description: two at a time}\n"
        "  variables:\n    - {variable_name: colour, variable_value: blue}\n"
    )
    untouched = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    # When it is started as it is
    started = cli(project, "up", "-d", "--port", str(free_port))
    assert started.code == 0, started.err
    # Then an old name of a setting is told, once, on the terminal
    assert started.err.count("AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL") == 1
    logs = (project / ".orrery" / "logs").glob("*.log")
    assert not [log for log in logs if "orrery: AIRFLOW__SCHEDULER__DAG_DIR" in log.read_text()]
    # And its entries are there, its folders are importable, and none of its files was touched
    with signed_in(cli(project, "status", "-o", "json").json()) as client:
        assert client.get("/api/v2/connections/store").json()["host"] == "example.org"
        assert client.get("/api/v2/pools/narrow").json()["slots"] == 2
        assert client.get("/api/v2/variables/colour").json()["value"] == "blue"
        until(lambda: client.get("/api/v2/dags/reads").is_success)
        assert client.get("/api/v2/dags/reads").json()["description"] == "from include and .env"
        for path, content in untouched.items():
            assert path.read_bytes() == content
        # And an entry that is added later is there after a restart
        with (project / "airflow_settings.yaml").open("a") as file:
            file.write("    - {variable_name: shape, variable_value: round}\n")
        assert cli(project, "restart", "triggerer").code == 0
        assert client.get("/api/v2/variables/shape").json()["value"] == "round"
    # But what only a new start can change is refused
    (project / "orrery.yaml").write_text(f"local: {{port: {free_port}}}\n")
    refused = cli(project, "restart", "triggerer")
    assert refused.code == 4
    assert "orrery down; then: orrery up" in refused.err


def test_without_our_defaults_a_deployment_works_all_the_same(
    project: Path, cli: Any, free_port: int
) -> None:
    off = {"ORRERY_DEFAULTS": "off"}
    ran = cli(project, "up", "-d", "--port", str(free_port), "--trigger", "hello", env=off)
    assert ran.code == 0, ran.err
    assert "hello: success" in ran.out


def test_a_database_of_ones_own_is_used_and_migrated(
    project: Path, cli: Any, free_port: int, tmp_path: Path
) -> None:
    # Given a PostgreSQL server with an empty database: here another deployment's
    other = tmp_path / "other"
    (other / "dags").mkdir(parents=True)
    assert cli(other, "up", "-d", "--port", str(free_port)).code == 0
    try:
        state = other / ".orrery"
        port = json.loads((state / "run" / "deployment.json").read_text())["postgres_port"]
        password = (state / "secrets" / "warehouse_password").read_text()
        import psycopg

        with psycopg.connect(
            f"host=127.0.0.1 port={port} user=warehouse dbname=postgres", password=password, autocommit=True
        ) as connection:
            connection.execute("CREATE DATABASE elsewhere")
        (project / "orrery.yaml").write_text(
            "database:\n"
            f"  url: postgresql://warehouse:${{DATABASE_PASSWORD}}@127.0.0.1:{port}/elsewhere\n"
            f"local:\n  port: {free_port + 1}\n"
        )
        # When a project that names it is started beside the other deployment
        started = cli(project, "up", "-d", env={"DATABASE_PASSWORD": password})
        # Then it migrates the database and starts no PostgreSQL of its own
        assert started.code == 0, started.err
        assert "Migrating Airflow's tables from empty" in started.err
        status = cli(project, "status", "-o", "json").json()
        assert [part["name"] for part in status["components"]] == COMPONENTS[1:]
        assert not (project / ".orrery" / "postgres").exists()
        assert cli(project, "down").code == 0
        assert cli(other, "status").code == 0
    finally:
        assert cli(other, "down").code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that may not write")
def test_an_unwritable_folder_is_named_with_the_user(tmp_path: Path, environment: dict[str, str]) -> None:
    project = tmp_path / "theirs"
    (project / "dags").mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    orrery = Path(sys.executable).with_name("orrery")
    refused = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", str(orrery), "up", "-d"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 5, refused.stderr
    assert str(project / ".orrery") in refused.stderr
    assert "nobody" in refused.stderr


def test_ctrl_c_while_it_starts_leaves_nothing_behind(
    project: Path, cli: Any, free_port: int, environment: dict[str, str]
) -> None:
    orrery = Path(sys.executable).with_name("orrery")
    starting = subprocess.Popen(
        [str(orrery), "up", "--detach", "--port", str(free_port)],
        cwd=project,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = starting.stderr
    assert lines
    until(lambda: "Starting Airflow's components" in lines.readline())
    starting.send_signal(signal.SIGINT)
    _, err = starting.communicate(timeout=60)
    assert starting.returncode == 130, err
    assert processes_of(project) == []


def test_a_failed_run_in_the_foreground_is_told_and_passed_on_at_the_end(
    project: Path, cli: Any, free_port: int, environment: dict[str, str]
) -> None:
    # Given a DAG that is not there
    orrery = Path(sys.executable).with_name("orrery")
    ended = subprocess.run(
        [str(orrery), "up", "--no-open", "--port", str(free_port), "--trigger", "nothing"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # Then nobody is left to watch it, so it stops
    assert ended.returncode == 2
    assert "There is no DAG 'nothing'" in ended.stderr
    assert processes_of(project) == []
