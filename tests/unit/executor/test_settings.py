"""The section `[orrery_executor]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from orrery.errors import InputError
from orrery.executor.request import Request
from orrery.executor.resources import Resources
from orrery.executor.settings import ExecutorSettings, PartialRequest, read

MACHINE = Request(resources=Resources(cpu_millicores=200, memory_bytes=400 * 1024**2))


def settings(**options: str) -> ExecutorSettings:
    return read(options.get)


def refusal(**options: str) -> str:
    with pytest.raises(InputError) as caught:
        settings(**options)
    return f"{caught.value.message} {caught.value.hint}"


def test_nothing_set_gives_every_promised_default() -> None:
    found = settings()
    assert (found.queues, found.default_request, found.capacity, found.reserve) == ({}, None, None, None)
    assert (found.socket, found.node_name, found.preload_deny) == (None, None, ())
    assert (found.memory_limit_factor, found.cpu_cap) == (1.0, False)
    assert (found.pids_limit, found.parse_ahead, found.listen_url) == (4096, True, None)


def test_an_empty_option_counts_as_not_set() -> None:
    names = (*ExecutorSettings.__slots__,)
    assert settings(**dict.fromkeys(names, " ")) == ExecutorSettings()


def test_every_option_is_read() -> None:
    found = settings(
        queues='{"heavy": {"cpu": 2}}',
        default_request='{"memory": "1Gi"}',
        capacity='{"cpu": 8, "memory": "32Gi", "gpu": 2, "disk": "100Gi"}',
        reserve='{"memory": "2Gi"}',
        socket="/run/orrery/agent.sock",
        node_name="node-1.example",
        memory_limit_factor="1.25",
        cpu_cap="True",
        pids_limit="512",
        preload_deny='["torch", "google.cloud"]',
        parse_ahead="False",
        listen_url="postgresql://u:p@direct/airflow",
    )
    assert found == ExecutorSettings(
        queues={"heavy": PartialRequest(entries={"cpu": 2})},
        default_request=PartialRequest(entries={"memory": "1Gi"}),
        capacity=Resources(cpu_millicores=8000, memory_bytes=32 * 1024**3, gpus=2, disk_bytes=100 * 1024**3),
        reserve=Resources(memory_bytes=2 * 1024**3),
        socket=Path("/run/orrery/agent.sock"),
        node_name="node-1.example",
        memory_limit_factor=1.25,
        cpu_cap=True,
        pids_limit=512,
        preload_deny=("torch", "google.cloud"),
        parse_ahead=False,
        listen_url="postgresql://u:p@direct/airflow",
    )


def test_a_queue_wins_over_the_default_and_the_default_over_the_machine() -> None:
    found = settings(default_request='{"cpu": 1, "gpu": 1}', queues='{"heavy": {"memory": "4Gi", "gpu": 0}}')
    assert found.request_for("heavy", MACHINE).resources == Resources(
        cpu_millicores=1000, memory_bytes=4 * 1024**3
    )
    assert found.request_for("default", MACHINE).resources == Resources(
        cpu_millicores=1000, memory_bytes=400 * 1024**2, gpus=1
    )
    assert settings().request_for("default", MACHINE) == MACHINE


def test_a_queue_may_ask_for_isolation_alone() -> None:
    found = settings(queues='{"foreign": {"isolation": "namespace"}}')
    assert found.request_for("foreign", MACHINE) == Request(
        resources=MACHINE.resources, isolation="namespace"
    )
    assert found.request_for("other", MACHINE).isolation == "process"


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("queues", "{", "[orrery_executor] queues is '{': it is no JSON"),
        ("queues", "[]", "it is no JSON object"),
        ("queues", '{"a": {}, "a": {}}', "'a' stands twice"),
        ("queues", '{"": {}}', "a queue's name has 1 to 256 characters, not 0"),
        ("queues", '{"heavy": 5}', "'[orrery_executor] queues.heavy.request' is 5: it is no mapping"),
        ("queues", '{"heavy": {"cpu": 0}}', "'[orrery_executor] queues.heavy.cpu' is 0: it must be above"),
        ("queues", '{"heavy": {"cpu": NaN}}', "it is no finite number"),
        ("queues", '{"heavy": {"cpuu": 1}}', "there is no such resource. Write 'cpu'"),
        ("queues", '{"heavy": {"memory": "-1Gi"}}', "it is below zero"),
        ("queues", '{"heavy": {"isolation": "pod"}}', "queues.heavy.isolation' is 'pod'"),
        ("queues", '{"heavy": {"isolaton": "process"}}', "Write 'isolation'"),
        ("default_request", '{"memory": 512}', "'[orrery_executor] default_request.memory' is 512"),
        ("default_request", '{"memory": 512}', "Write '512Mi' if that is what you meant"),
        ("capacity", '{"cpu": 2}', "it must give both cpu and memory"),
        ("capacity", '{"cpu": 2, "memory": "99Ei"}', "more than any machine has"),
        ("reserve", '{"memory": 0}', "'[orrery_executor] reserve.memory' is 0: it must be above zero"),
        ("reserve", "nothing", "reserve is 'nothing': it is no JSON"),
        ("socket", "agent.sock", "it is no absolute path. Write a path that begins with /"),
        ("socket", "/" + "a" * 107, "a socket's path has at most 107 bytes"),
        ("node_name", "a b", "node_name is 'a b': it is no name of a node"),
        ("node_name", "a" * 254, "it is no name of a node"),
        ("memory_limit_factor", "0.99", "it is out of bounds. Write a number from 1.0 to 100.0"),
        ("memory_limit_factor", "nan", "it is out of bounds"),
        ("memory_limit_factor", "inf", "it is out of bounds"),
        ("memory_limit_factor", "twice", "memory_limit_factor is 'twice': it is no such number"),
        ("cpu_cap", "perhaps", "cpu_cap is 'perhaps': it is no boolean. Write true or false"),
        ("pids_limit", "0", "pids_limit is '0': it is out of bounds. Write a whole number from 16 to"),
        ("pids_limit", "1.5", "it is no such number"),
        ("parse_ahead", "perhaps", "parse_ahead"),
        ("preload_deny", '"torch"', "it is no list of module names"),
        ("preload_deny", '["a b"]', 'Write a JSON list of module names such as ["torch", "grpc"]'),
        ("preload_deny", "[5]", "it is no list of module names"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name_its_value_and_what_is_expected(
    option: str, text: str, expected: str
) -> None:
    found = refusal(**{option: text})
    assert expected in found
    assert option in found


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(refusal(queues="[" + "1," * 1000 + "1]")) < 300
