"""A request as the resources of a pod."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orrery.executor.pods import PodResources, pod_resources, with_pod_request
from orrery.executor.resources import Resources
from orrery.executor.settings import ExecutorSettings, PartialRequest, read

PLAIN = ExecutorSettings()
ASKED = Resources(cpu_millicores=500, memory_bytes=1024**3, gpus=1, disk_bytes=10 * 1024**3)


def test_all_that_is_asked_is_requested_and_limited_but_cpu() -> None:
    found = pod_resources(ASKED, PLAIN)
    assert found.requests == {
        "cpu": "500m",
        "memory": "1Gi",
        "nvidia.com/gpu": "1",
        "ephemeral-storage": "10Gi",
    }
    assert found.limits == {"memory": "1Gi", "nvidia.com/gpu": "1", "ephemeral-storage": "10Gi"}


def test_limits_follow_the_settings_of_the_packing_executor() -> None:
    found = pod_resources(ASKED, ExecutorSettings(memory_limit_factor=1.5, cpu_cap=True))
    assert (found.requests["memory"], found.limits["memory"]) == ("1Gi", "1536Mi")
    assert found.limits["cpu"] == "500m"


def test_what_is_not_asked_is_not_in_the_pod() -> None:
    found = pod_resources(Resources(cpu_millicores=2000), PLAIN)
    assert (found.requests, found.limits) == ({"cpu": "2"}, {})


def test_what_the_author_has_written_is_neither_replaced_nor_contradicted() -> None:
    ours = PodResources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"})
    written = SimpleNamespace(requests={"memory": "8Gi"}, limits=None)
    assert ours.beside(written) == PodResources(requests={"cpu": "1"}, limits={})


@pytest.mark.parametrize("config", [{}, None, {"isolation": "namespace"}])
def test_a_task_that_asks_nothing_keeps_its_executor_config(config: Any) -> None:
    assert with_pod_request(config, queue="default", settings=PLAIN) is config


def test_the_older_form_of_airflow_is_left_alone() -> None:
    config = {"KubernetesExecutor": {"request_cpu": "1"}, "resources": {"cpu": 1}}
    assert with_pod_request(config, queue="default", settings=PLAIN) is config


class TestWithKubernetes:
    """With the models of Kubernetes' own client."""

    @pytest.fixture
    def models(self) -> Any:
        return pytest.importorskip("kubernetes.client.models")

    def test_a_request_becomes_a_pod_override(self, models: Any) -> None:
        given = {"resources": {"cpu": 1, "memory": "1Gi"}}
        config = with_pod_request(given, queue="default", settings=PLAIN)
        assert given == {"resources": {"cpu": 1, "memory": "1Gi"}}
        assert config["resources"] == given["resources"]
        (container,) = config["pod_override"].spec.containers
        assert container.name == "base"
        assert container.resources == models.V1ResourceRequirements(
            requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"}
        )

    def test_a_queues_request_becomes_one_too(self, models: Any) -> None:
        settings = ExecutorSettings(queues={"heavy": PartialRequest(entries={"memory": "4Gi"})})
        config = with_pod_request({}, queue="heavy", settings=settings)
        assert config["pod_override"].spec.containers[0].resources.requests == {"memory": "4Gi"}
        assert with_pod_request({}, queue="light", settings=settings) == {}

    def test_a_task_wins_over_its_queue(self, models: Any) -> None:
        settings = read({"queues": '{"heavy": {"cpu": 4, "memory": "4Gi"}}'}.get)
        config = with_pod_request({"resources": {"memory": "1Gi"}}, queue="heavy", settings=settings)
        requests = config["pod_override"].spec.containers[0].resources.requests
        assert requests == {"cpu": "4", "memory": "1Gi"}

    def test_the_authors_pod_stands_and_is_completed(self, models: Any) -> None:
        author = models.V1Pod(
            metadata=models.V1ObjectMeta(labels={"team": "a"}),
            spec=models.V1PodSpec(
                containers=[
                    models.V1Container(
                        name="base",
                        image="own",
                        resources=models.V1ResourceRequirements(requests={"memory": "8Gi"}),
                    ),
                    models.V1Container(name="sidecar"),
                ]
            ),
        )
        before = author.to_dict()
        given = {"pod_override": author, "resources": {"cpu": 1, "memory": "1Gi"}}
        pod = with_pod_request(given, queue="default", settings=PLAIN)["pod_override"]
        assert author.to_dict() == before
        base, sidecar = pod.spec.containers
        assert (base.image, pod.metadata.labels, sidecar.resources) == ("own", {"team": "a"}, None)
        assert base.resources == models.V1ResourceRequirements(requests={"cpu": "1", "memory": "8Gi"})

    def test_an_override_without_a_container_gets_one(self, models: Any) -> None:
        given = {"pod_override": models.V1Pod(), "resources": {"cpu": 1}}
        pod = with_pod_request(given, queue="default", settings=PLAIN)["pod_override"]
        assert pod.spec.containers[0].resources.requests == {"cpu": "1"}

    def test_a_second_time_changes_nothing(self, models: Any) -> None:
        given = {"resources": {"cpu": 1}}
        once = with_pod_request(given, queue="default", settings=PLAIN)
        assert with_pod_request(once, queue="default", settings=PLAIN) == once

    def test_what_is_no_pod_is_left_for_airflow_to_refuse(self, models: Any) -> None:
        given = {"pod_override": {"spec": {}}, "resources": {"cpu": 1}}
        assert with_pod_request(given, queue="default", settings=PLAIN) is given
