"""Requests as Airflow's own parser, policy and serialisation treat them.

One process reads a folder of DAG files with Airflow's DagBag, as the DAG processor does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest

from orrery.executor.request import Request, parse_request
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.contract

PACKING = "orrery.executor.executor.PackingExecutor"
DEFAULT = Request(resources=Resources(cpu_millicores=200, memory_bytes=400 * 1024**2))
MIB = 1024**2

HEAD = """
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator

"""

GOOD = f"""{HEAD}
shared = {{"isolation": "namespace", "mine": [1]}}
with DAG("good", default_args={{"executor_config": shared}}) as dag:
    BashOperator(task_id="nothing", bash_command="true")
    BashOperator(task_id="operator", bash_command="true", resources={{"cpus": 1, "ram": 512}})
    BashOperator(task_id="one_amount", bash_command="true", resources={{"ram": 2048}})
    BashOperator.partial(task_id="mapped", resources={{"gpus": 1}}).expand(bash_command=["true", "false"])
    BashOperator(
        task_id="both",
        bash_command="true",
        resources={{"gpus": 2}},
        executor_config={{"resources": {{"memory": "1Gi", "nvidia.com/gpu": 1}}}},
    )
    BashOperator(task_id="config", bash_command="true", executor_config={{"resources": {{"cpu": "500m"}}}})

    @task(resources={{"cpus": 1.5}}, executor_config=None)
    def decorated(): ...

    @task(resources={{"ram": 1024}})
    def decorated_mapped(x): ...

    decorated()
    decorated_mapped.expand(x=[1, 2])

with DAG("by_default", default_args={{"resources": {{"cpus": 3}}}}):
    BashOperator(task_id="inherited", bash_command="true")
"""

#: File, what its one task is given, and what its import error says.
BAD = {
    "zero": ('resources={"cpus": 0}', "'cpus' is 0: it must be above zero"),
    "absurd": ('resources={"cpus": 5000}', "'cpus' is 5000: it is above 1024 CPUs"),
    "tiny": ('resources={"ram": 0.1}', "'ram' is 0.1"),
    "config_zero": ('executor_config={"resources": {"cpu": 0}}', "'cpu' is 0: it must be above zero"),
    "config_negative": (
        'executor_config={"resources": {"memory": "-1Gi"}}',
        "'memory' is '-1Gi': it is below",
    ),
    "config_absurd": ('executor_config={"resources": {"memory": "99Ei"}}', "more than any machine has"),
    "config_bytes": ('executor_config={"resources": {"memory": 512}}', "Write '512Mi' if that is what you"),
    "config_unknown": (
        'executor_config={"resources": {"cpuu": 1}}',
        "there is no such resource. Write 'cpu'",
    ),
    "config_half_gpu": ('executor_config={"resources": {"gpu": 0.5}}', "a GPU is not divided"),
    "config_misspelt": ('executor_config={"resource": {"cpu": 1}}', "has no such key. Write 'resources'"),
    "config_no_mapping": ('executor_config={"resources": "1Gi"}', "it is no mapping"),
    "config_isolation": ('executor_config={"isolation": "pod"}', "'isolation' is 'pod'"),
}
#: The same for what Airflow itself refuses, while the file runs.
BAD_FOR_AIRFLOW = {
    "negative": ('resources={"cpus": -1}', "resource quantity must be non-negative"),
    "unknown": ('resources={"cpu": 1}', "unexpected keyword argument 'cpu'"),
    "text": ('resources={"ram": "1Gi"}', "TypeError"),
}
MAPPED_BAD = {
    "mapped_zero": ('resources={"ram": 0}', "'ram' is 0: it must be above zero"),
    "mapped_unknown": ('resources={"cpu": 1}', "an operator has no such resource. Write 'cpus'"),
    "mapped_text": ('resources="1Gi"', "it is no mapping"),
}

#: Reads the folder, and shows each task's executor_config as written, serialised and in a task instance.
ASK = """
import json, sys, uuid
from airflow import settings
from orrery.executor import policy
manager = settings.get_policy_plugin_manager()
if not manager.is_registered(policy):  # an older installation does not name it as an entry point
    manager.register(policy, "orrery-requests")
from airflow.dag_processing.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
tasks = {}
for dag in bag.dags.values():
    for task in dag.tasks:
        policy.task_policy(task)  # a second time: it must change nothing
    serialised = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    for task in DagSerialization.from_dict(serialised).tasks:
        instance = TaskInstance(task, dag_version_id=uuid.uuid4(), run_id="r")
        tasks[f"{dag.dag_id}.{task.task_id}"] = instance.executor_config
hooks = manager.hook.task_instance_mutation_hook.get_hookimpls()
print("ANSWER" + json.dumps({
    "errors": bag.import_errors,
    "tasks": tasks,
    "hooks": [hook.plugin_name for hook in hooks],
}, default=lambda value: value.to_dict()))
"""

CLASSES = """
from orrery.executor.policy import executor_class
packing = "orrery.executor.executor.PackingExecutor"
for configured, wanted, expected in [
    ("LocalExecutor", None, "LocalExecutor"),
    (packing, None, "PackingExecutor"),
    (f"LocalExecutor,{packing}", None, "LocalExecutor"),
    (f"LocalExecutor,{packing}", packing, "PackingExecutor"),
    (f"LocalExecutor, p:{packing}", "p", "PackingExecutor"),
    (f"LocalExecutor,{packing}", "PackingExecutor", "PackingExecutor"),
    (f"LocalExecutor;team=p:{packing}", "p", "PackingExecutor"),
    ("k:KubernetesExecutor", None, "KubernetesExecutor"),
    ("LocalExecutor", "some.where.Other", "Other"),
]:
    found = executor_class(configured, wanted)
    assert found == expected, (configured, wanted, found)
"""


def run(home: Path, program: str, *arguments: str, executor: str = PACKING) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={
            # Without the note of what Orrery has set in this process: what a test sets is a user's.
            **{name: value for name, value in os.environ.items() if name != "ORRERY_DEFAULTS_APPLIED"},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__EXECUTOR": executor,
            "AIRFLOW__ORRERY_EXECUTOR__QUEUES": '{"heavy": {"memory": "4Gi"}}',
            "ORRERY_DEFAULTS": "off",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(home: Path, files: dict[str, str], *, executor: str = PACKING) -> dict[str, Any]:
    dags = home / "dags"
    dags.mkdir(exist_ok=True)
    for name, text in files.items():
        (dags / f"{name}.py").write_text(text)
    answer = run(home, ASK, str(dags), executor=executor).rpartition("ANSWER")[2]
    found: dict[str, Any] = json.loads(answer)
    return found


def one_task(name: str, arguments: str) -> str:
    return f'{HEAD}with DAG("{name}"):\n    BashOperator(task_id="heavy", bash_command="true", {arguments})\n'


def one_mapped_task(name: str, arguments: str) -> str:
    partial = f'BashOperator.partial(task_id="heavy", {arguments})'
    return f'{HEAD}with DAG("{name}"):\n    {partial}.expand(bash_command=["true"])\n'


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bad = {name: one_task(name, arguments) for name, (arguments, _) in {**BAD, **BAD_FOR_AIRFLOW}.items()}
    mapped = {name: one_mapped_task(name, arguments) for name, (arguments, _) in MAPPED_BAD.items()}
    return read(tmp_path_factory.mktemp("airflow"), {"good": GOOD, **bad, **mapped})


def request_of(found: dict[str, Any], task: str) -> Request:
    """Read a task instance's request as the executor does."""
    return parse_request(found["tasks"][task], default=DEFAULT)


@pytest.mark.parametrize(
    ("task", "cpu", "memory_mib", "gpus"),
    [
        ("good.nothing", 200, 400, 0),
        ("good.operator", 1000, 512, 0),
        # Airflow fills in 1 CPU and 512 MB of disk, which nobody has asked for.
        ("good.one_amount", 200, 2048, 0),
        ("good.mapped", 200, 400, 1),
        ("good.both", 200, 1024, 2),
        ("good.config", 500, 400, 0),
        ("good.decorated", 1500, 400, 0),
        ("by_default.inherited", 3000, 400, 0),
    ],
)
def test_what_is_asked_reaches_the_task_instance_and_nothing_else(
    found: dict[str, Any], task: str, cpu: int, memory_mib: int, gpus: int
) -> None:
    assert request_of(found, task).resources == Resources(
        cpu_millicores=cpu, memory_bytes=memory_mib * MIB, gpus=gpus
    )


def test_a_mapped_decorated_task_asks_too(found: dict[str, Any]) -> None:
    # Here Airflow's own object is all there is: what it has filled in counts, unless it is zero.
    assert request_of(found, "good.decorated_mapped").resources.memory_bytes == 1024 * MIB


def test_what_airflow_fills_in_with_zero_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CPUS", "RAM", "DISK", "GPUS"):
        monkeypatch.setenv(f"AIRFLOW__OPERATORS__DEFAULT_{name}", "0")
    found = read(tmp_path, {"good": GOOD})
    assert found["errors"] == {}
    assert found["tasks"]["good.decorated_mapped"]["resources"] == {"memory": "1Gi"}
    assert found["tasks"]["good.operator"]["resources"] == {"cpu": "1", "memory": "512Mi"}


def test_the_rest_of_an_executor_config_stays_as_it_was(found: dict[str, Any]) -> None:
    assert found["tasks"]["good.nothing"] == {"isolation": "namespace", "mine": [1]}
    assert found["tasks"]["good.operator"] == {
        "isolation": "namespace",
        "mine": [1],
        "resources": {"cpu": "1", "memory": "512Mi"},
    }
    assert found["tasks"]["good.config"] == {"resources": {"cpu": "500m"}}


@pytest.mark.parametrize(
    ("name", "expected"), [(name, text) for name, (_, text) in (BAD | MAPPED_BAD).items()]
)
def test_a_wrong_request_is_an_import_error_with_file_task_and_reason(
    found: dict[str, Any], name: str, expected: str
) -> None:
    (error,) = [text for file, text in found["errors"].items() if file.endswith(f"/{name}.py")]
    assert "AirflowClusterPolicyViolation" in error
    assert f"DAG '{name}' in " in error
    assert f"/{name}.py, task 'heavy': " in error
    assert expected in error
    assert f"{name}.heavy" not in found["tasks"]


@pytest.mark.parametrize(("name", "expected"), [(name, text) for name, (_, text) in BAD_FOR_AIRFLOW.items()])
def test_airflow_refuses_the_rest_itself(found: dict[str, Any], name: str, expected: str) -> None:
    (error,) = [text for file, text in found["errors"].items() if file.endswith(f"/{name}.py")]
    assert expected in error


def test_task_instances_are_still_made_in_bulk(found: dict[str, Any]) -> None:
    # Airflow does that only where no policy wants to see each of them.
    assert found["hooks"] == []


def test_an_executor_that_reads_no_requests_is_handed_none_but_they_are_checked(tmp_path: Path) -> None:
    files = {"good": GOOD, "zero": one_task("zero", BAD["zero"][0])}
    found = read(tmp_path, files, executor="LocalExecutor")
    assert found["tasks"]["good.operator"] == {"isolation": "namespace", "mine": [1]}
    assert list(found["errors"]) == [str(tmp_path / "dags" / "zero.py")]


def test_an_executor_that_nobody_knows_here_has_its_own_keys(tmp_path: Path) -> None:
    files = {"own": one_task("own", 'executor_config={"resource": 1, "resources": "own"}')}
    found = read(tmp_path, files, executor="other.place.OtherExecutor")
    assert found["errors"] == {}
    assert found["tasks"]["own.heavy"] == {"resource": 1, "resources": "own"}


def test_the_kubernetes_executor_gets_a_pod_override_that_survives(tmp_path: Path) -> None:
    pytest.importorskip("kubernetes")
    files = {
        "good": GOOD,
        "queue": one_task("queue", 'queue="heavy"'),
    }
    found = read(tmp_path, files, executor="KubernetesExecutor")
    assert found["errors"] == {}
    (container,) = found["tasks"]["good.operator"]["pod_override"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"cpu": "1", "memory": "512Mi"}
    assert container["resources"]["limits"] == {"memory": "512Mi"}
    (container,) = found["tasks"]["queue.heavy"]["pod_override"]["spec"]["containers"]
    assert container["resources"]["requests"] == {"memory": "4Gi"}
    assert "pod_override" not in found["tasks"]["good.nothing"]


def test_a_tasks_executor_is_found_as_airflow_finds_it(tmp_path: Path) -> None:
    run(tmp_path, CLASSES)


def test_airflow_finds_the_policy() -> None:
    assert "orrery.executor.policy" in {entry.value for entry in entry_points(group="airflow.policy")}
