"""Pods: a task's request as the resources of its pod, where the Kubernetes executor runs it.

Requests become `pod_override` in the task's executor_config, the Kubernetes executor's own way. What the
DAG's author has written in a `pod_override` stands.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orrery.executor.request import Request, parse_request
from orrery.executor.resources import Resources

if TYPE_CHECKING:
    from orrery.executor.settings import ExecutorSettings

_NOTHING = Request(resources=Resources())
#: Airflow's older form, which cannot stand beside `pod_override`.
_LEGACY = "KubernetesExecutor"


@dataclass(frozen=True, kw_only=True, slots=True)
class PodResources:
    """`resources` of a container: Kubernetes' names and notation."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]

    def beside(self, given: Any) -> PodResources:
        """Return what may be added to a container's resources: nothing that they mention already.

        A limit of ours below a request of the author's would make the pod invalid.
        """
        mentioned = {*(getattr(given, "requests", None) or {}), *(getattr(given, "limits", None) or {})}
        return PodResources(
            requests={name: text for name, text in self.requests.items() if name not in mentioned},
            limits={name: text for name, text in self.limits.items() if name not in mentioned},
        )


def pod_resources(asked: Resources, settings: ExecutorSettings) -> PodResources:
    """Return requests and limits for what is asked; an amount of zero is not asked.

    The limits are those that the packing executor sets: memory times its factor, CPU only when capped.
    """
    requests = {name: text for name, text in asked.kubernetes().items() if text != "0"}
    limits = {name: text for name, text in requests.items() if name != "cpu" or settings.cpu_cap}
    if "memory" in limits:
        limits["memory"] = asked.scaled(settings.memory_limit_factor).kubernetes()["memory"]
    return PodResources(requests=requests, limits=limits)


def with_pod_request(config: Any, *, queue: str, settings: ExecutorSettings) -> Any:
    """Return an executor_config whose `pod_override` asks for what the task or its queue asks for.

    The same one where nothing is asked, or where it holds something that this must not touch.

    Raises:
        ResourceError: the request is wrong.
    """
    given = config if isinstance(config, Mapping) else {}
    asked = parse_request(given, default=settings.request_for(queue, _NOTHING)).resources
    wanted = pod_resources(asked, settings)
    if not wanted.requests or given.get(_LEGACY):
        return config
    pod = _pod(given.get("pod_override"), wanted)
    return config if pod is None else {**given, "pod_override": pod}


def _pod(override: Any, wanted: PodResources) -> Any:
    """Return a copy of the author's pod, or a new one, with these resources; None where it is no pod."""
    try:
        # It comes with the Kubernetes executor, and only with it.
        from kubernetes.client import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415
            models,
        )
    except ImportError:
        return None
    if override is not None and not isinstance(override, models.V1Pod):
        return None
    pod = copy.deepcopy(override) or models.V1Pod()
    pod.spec = pod.spec or models.V1PodSpec(containers=[])
    # The executor merges containers by position: the first is the task's.
    pod.spec.containers = pod.spec.containers or [models.V1Container(name="base")]
    container = pod.spec.containers[0]
    given = container.resources or models.V1ResourceRequirements()
    added = wanted.beside(given)
    given.requests = {**(given.requests or {}), **added.requests} or None
    given.limits = {**(given.limits or {}), **added.limits} or None
    container.resources = given
    return pod
