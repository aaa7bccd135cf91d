"""The same DAGs on Airflow's LocalExecutor and on ours: every task ends alike."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.acceptance.executor.conftest import free_port
from tests.acceptance.executor.outcome import (
    Examples,
    Outcome,
    differences,
    normalised,
    read,
    table,
)
from tests.acceptance.executor.running import HERE, RUN_ID, Running, each, until

if TYPE_CHECKING:
    from tests.acceptance.executor.conftest import Make
    from tests.acceptance.executor.running import Executor

SETTINGS = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "True",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    "AIRFLOW__CORE__XCOM_BACKEND": "include.stash.Stash",
    "AIRFLOW_CONN_FIDELITY_ENV": "postgresql://reader:of-the-environment@db.invalid/x",
}
SECRETS = ("of-the-database", "of-the-environment", "of-a-variable")
DAGS = sorted((HERE / "dags").glob("*.py"))

pytestmark = pytest.mark.timeout(1200)

# The pair of executors to compare; two times `local` shows that the harness itself sees no difference.
OURS: Executor = "local" if os.environ.get("COMPARE_STOCK_WITH_ITSELF") else "packing"


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Examples.read(HERE / "examples.toml")


@pytest.fixture(scope="module")
def pair(make_running: Make) -> tuple[Running, Running]:
    """Ours and stock, running, with the same DAGs and the same seeds."""
    ours, stock = make_running("ours", OURS), make_running("stock", "local")
    ours.worker = {"capacity": {"cpu": 8, "memory": "12Gi", "disk": "10Gi"}}
    for running in (ours, stock):
        running.settings = SETTINGS
        if running.executor == "local":
            running.settings = SETTINGS | {"AIRFLOW__CORE__PARALLELISM": "24"}
        running.make([*DAGS, HERE / "dags" / "query.sql"])
        running.up(free_port())
        _seed(running)
    each(_await_dags, (ours, stock))
    return ours, stock


def _seed(running: Running) -> None:
    running.api.post("/pools", {"name": "narrow", "slots": 2})
    running.api.post("/variables", {"key": "colour", "value": "green"})
    running.api.post("/variables", {"key": "api_key_of_fidelity", "value": SECRETS[2]})
    connection = {"connection_id": "fidelity_db", "conn_type": "postgres", "host": "db.invalid", "port": 5432}
    connection |= {"login": "reader", "password": SECRETS[0], "extra": '{"mode": "quiet"}'}
    running.api.post("/connections", connection)


def _await_dags(running: Running) -> None:
    """Wait until all files have been parsed: ours are there, and no other has come for a while."""
    ours = set(re.findall(r"fidelity_[a-z]+(?=\(\):|\",\n)", "".join(map(Path.read_text, DAGS))))
    seen: list[set[str]] = []

    def settled() -> bool:
        seen.append(running.dag_ids())
        return ours <= seen[-1] and len(seen) > 20 and seen[-1] == seen[-20]

    until(settled, limit_seconds=120, what="the DAGs are known")
    assert not running.sql("SELECT filename FROM import_error")


@pytest.fixture(scope="module")
def outcomes(pair: tuple[Running, Running], examples: Examples) -> tuple[Outcome, Outcome]:
    """What both made of all DAGs."""
    ours, stock = pair
    assert ours.dag_ids() == stock.dag_ids()
    mine, theirs = each(lambda running: _outcome(running, examples), pair)
    return mine, theirs


def _outcome(running: Running, examples: Examples) -> Outcome:
    dags = running.dag_ids() - set(examples.left_out)
    for dag in sorted(dags):
        running.api.patch(f"/dags/{dag}", {"is_paused": False})
    for dag in sorted(dags - set(examples.started_by)):
        conf = examples.conf.get(dag, {"greeting": "hello"} if dag.startswith("fidelity") else {})
        running.trigger(dag, conf=conf)
    _backfill(running)
    _mark(running)
    _await_runs(running)
    _clear(running)
    _await_runs(running)
    codes = _dags_test(running)
    found = read(running)
    found.facts["airflow dags test", "", "", -1] = {"exit codes": codes}
    return found


def _backfill(running: Running) -> None:
    days = {"from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-03T00:00:00Z"}
    how = {"max_active_runs": 2, "reprocess_behavior": "completed"}
    running.api.post("/backfills", {"dag_id": "fidelity_daily", **days, **how})


def _mark(running: Running) -> None:
    running.trigger("fidelity_marked")
    for task in ("long", "long_too"):

        def runs(task: str = task) -> bool:
            return running.task_state("fidelity_marked", task) == "running"

        until(runs, limit_seconds=120, what=f"{task} runs on {running.executor}")
    running.mark("fidelity_marked", "long", "failed")
    running.mark("fidelity_marked", "long_too", "success")


def _await_runs(running: Running) -> None:
    """Wait until everything that is compared has ended; what has not is told by its state."""
    left: list[tuple[object, ...]] = []
    ended = "run_id LIKE '%%differential%%' OR run_id LIKE 'backfill%%' OR dag_id = 'fidelity_consumes'"

    def all_ended() -> bool:
        left[:] = running.unfinished(f"({ended}) AND %s", True)
        return not left

    try:
        until(all_ended, limit_seconds=300, what="all runs have ended")
    except AssertionError as error:
        raise AssertionError(f"{running.executor}: unfinished: {sorted(left)}") from error


def _clear(running: Running) -> None:
    running.clear("fidelity_retries")
    running.clear("fidelity_waiting", task_ids=["twice", "too_long", "twice_mapped"])
    running.clear("fidelity_mapping", only_failed=True)
    running.clear("fidelity_setups", task_ids=["good.works"], include_downstream=True)
    running.clear("fidelity_ends", only_failed=True)


def _dags_test(running: Running) -> list[int]:
    codes = []
    for dag in ("fidelity_branches", "fidelity_xcoms"):
        # Paused: a scheduler that sees the run would take part in it.
        running.api.patch(f"/dags/{dag}", {"is_paused": True})
        ended = running.orrery_ended("airflow", "dags", "test", dag, "2026-01-06")
        codes.append(ended.returncode)
    return codes


def test_every_task_of_every_dag_ends_as_on_stock(
    outcomes: tuple[Outcome, Outcome], examples: Examples, results: Path
) -> None:
    ours, stock = outcomes
    found = differences(ours, stock, examples)
    text = table(ours, stock, found, examples)
    (results / "differential.md").write_text(text)
    print(text)
    assert not found, "\n".join(map(str, found))


def test_the_comparison_covers_what_it_names(outcomes: tuple[Outcome, Outcome], examples: Examples) -> None:
    # An exception from the comparison that no longer applies hides what it should show.
    _, stock = outcomes
    tasks = {f"{dag}.{task}" for dag, _, task, _ in stock.facts}
    assert set(examples.varies) <= tasks
    assert not set(examples.left_out) & stock.dag_ids()
    states = {facts.get("state") for (_, _, task, _), facts in stock.facts.items() if task}
    assert states >= {"success", "failed", "skipped", "upstream_failed"}


def test_a_secret_shows_in_no_log(pair: tuple[Running, Running], outcomes: tuple[Outcome, Outcome]) -> None:
    for running in pair:
        log = running.log("fidelity_secrets", "prints_what_is_secret")
        assert "printed *** ***" in log, running.executor
        assert "logged ***" in log
        for secret in SECRETS:
            assert secret not in log, running.executor
        # Nor in what lies on disk
        for file in running.state.logs.rglob("*"):
            if file.is_file() and "fidelity_secrets" in str(file):
                text = file.read_text(errors="replace")
                assert not [secret for secret in SECRETS if secret in text], file


def test_all_that_a_task_says_is_in_its_log(
    pair: tuple[Running, Running], outcomes: tuple[Outcome, Outcome]
) -> None:
    for running in pair:
        said = running.log("fidelity_ends", "talkative")
        assert "00000000 xxx" in said, running.executor
        assert "00009999 xxx" in said, running.executor
        assert "y" * 100_000 in running.log("fidelity_ends", "one_long_line"), running.executor
        streams = running.log("fidelity_ends", "to_stderr")
        for words in ("to stderr", "of a child", "of a child to stderr"):
            assert words in streams, running.executor


def test_a_pool_and_a_limit_of_one_are_kept(
    pair: tuple[Running, Running], outcomes: tuple[Outcome, Outcome]
) -> None:
    for running in pair:
        lines = (running.traces / "one_by_one.txt").read_text().split()
        assert lines == ["begins", "ends"] * 3, running.executor
        lines = (running.traces / "fidelity_pools.txt").read_text().splitlines()
        assert lines == ["wide begins", "wide ends"] * 3, running.executor
        # A task that asks for more slots than its pool has is never begun, by neither
        assert running.task_state("fidelity_pools", "too_wide") != "success"


def test_a_connection_is_tested_by_the_executor(pair: tuple[Running, Running]) -> None:
    answers = []
    for running in pair:
        for name, path in (("there", "/tmp"), ("not_there", "/no/such/folder")):
            body = {"connection_id": name, "conn_type": "fs", "extra": f'{{"path": "{path}"}}'}
            running.api.post("/connections/enqueue-test", body)

        def done(running: Running = running) -> list[tuple[str, str, str]]:
            rows = running.sql(
                "SELECT connection_id, state, result_message FROM connection_test_request"
                " ORDER BY connection_id"
            )
            return rows if all(state in ("success", "failed") for _, state, _ in rows) else []

        answers.append(until(done, limit_seconds=60, what=f"connection tests on {running.executor}"))
    assert [state for _, state, _ in answers[1]] == ["failed", "success"]
    assert answers[0] == answers[1]


def test_two_different_results_are_told_apart() -> None:
    # Given two outcomes that differ in a state, a try, an XCom, a task and a trace
    key = ("dag", RUN_ID, "task", -1)
    same = {("dag", RUN_ID, "", -1): {"state": "success"}}
    stock = Outcome(facts={**same, key: {"state": "success", "try_number": 1, "xcom return_value": [1]}})
    other = {"state": "failed", "try_number": 2, "xcom return_value": [1, 2]}
    ours = Outcome(facts={**same, key: other, ("dag", RUN_ID, "another", 0): {"state": "success"}})
    none = Examples()
    # Then each difference is named with both values
    found = differences(ours, stock, none)
    assert {difference.fact for difference in found} == {"state", "try_number", "xcom return_value", "there"}
    told = "\n".join(map(str, found))
    assert 'dag differential task: state is "failed" on packing, "success" on local' in told
    assert "dag differential another[0]: there is true on packing, false on local" in told
    # And only what is excepted is not
    varies = Examples(varies={"dag.task": "by the clock"})
    assert {each.fact for each in differences(ours, stock, varies)} == {"state", "try_number", "there"}
    assert differences(stock, stock, none) == []


def test_what_the_clock_says_is_no_difference(tmp_path: Path) -> None:
    project = tmp_path / "project"
    one = {"at": "2026-11-02T03:04:05.123456+00:00", "in": f"{project}/dags/x.py", "day": "2026-01-05"}
    two = {"at": "2026-11-02T04:04:05+00:00", "in": f"{tmp_path}/other/dags/x.py", "day": "2026-01-05"}
    assert normalised(one, project) == normalised(two, tmp_path / "other")
    assert normalised({**one, "day": "2026-01-06"}, project) != normalised(one, project)
    assert normalised("2026-01-05T00:00:00Z", project) == "2026-01-05T00:00:00Z"
