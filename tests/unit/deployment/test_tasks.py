"""What orrery.yaml says of tasks: the executor, what a machine has, what tasks ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orrery.deployment.file import load_deployment
from orrery.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from orrery.deployment.model import Deployment


@dataclass(frozen=True)
class Files:
    deployment_file: Path
    name: str = "weather"


def load(tmp_path: Path, content: str) -> Deployment:
    file = tmp_path / "orrery.yaml"
    file.write_text(content)
    return load_deployment(Files(file), {})


def complaint(tmp_path: Path, content: str) -> str:
    with pytest.raises(InputError) as caught:
        load(tmp_path, content)
    return caught.value.message.replace(str(tmp_path / "orrery.yaml"), "orrery.yaml")


def test_amounts_are_kept_as_they_were_written(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "executor: packing\n"
        "worker:\n  capacity: {cpu: 2, memory: 8Gi}\n  default: {cpu: 0.5}\n  memory_limit_factor: 1.5\n"
        "queues:\n  heavy: {cpu: 1500m, memory: 4Gi, isolation: namespace}\n  light: {}\n",
    )
    assert found.executor == "packing"
    assert found.worker.capacity is not None
    assert (found.worker.capacity.cpu, found.worker.capacity.memory) == (2, "8Gi")
    assert found.worker.default is not None
    assert found.worker.default.cpu == "0.5"
    assert found.worker.memory_limit_factor == 1.5
    assert (found.queues["heavy"].cpu, found.queues["heavy"].isolation) == ("1500m", "namespace")
    assert found.queues["light"].cpu is None


def heavy(entry: str) -> str:
    return f"queues:\n  heavy:\n    {entry}\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (heavy("cpu: 0"), "orrery.yaml:3: `queues.heavy.cpu` is the number 0: it must be above zero; write"),
        (heavy("cpu: true"), "`queues.heavy.cpu` is the boolean true: a value of type bool is no amount"),
        (heavy("cpu: [1]"), "`queues.heavy.cpu` is a list: a value of type list is no amount"),
        (heavy("cpu: 5000"), "is above 1024 CPUs, more than any machine has"),
        (heavy("memory: -1Gi"), "`queues.heavy.memory` is the text '-1Gi': it is below zero"),
        (heavy("memory: 512"), "512 bytes are less than a process needs; write '512Mi' if that is what"),
        (heavy("memory: 4GB"), "there is no unit 'GB'; write '4Gi' if that is what you meant"),
        (heavy("disk: 99Ei"), "it is above 64 TiB"),
        (heavy("gpu: 1.5"), "a GPU is not divided; write a whole number of GPUs"),
        (heavy("cpuu: 1"), "orrery.yaml:3: `queues.heavy.cpuu` is no key here. Did you mean `cpu`?"),
        (heavy("isolation: pod"), "`queues.heavy.isolation` is the text 'pod'; expected `process` or"),
        ("queues: {heavy: 5}", "`queues.heavy` is the number 5; expected a section: `cpu`, `memory`"),
        ("queues: 5", "`queues` is the number 5; expected names, each with `cpu`, `memory`"),
        ("queues: {5: {}}", "`queues.5` is the number 5; expected text; put it in quotes."),
        ("queues: {'': {}}", "`queues` holds the queue ''; a name has 1 to 256 characters."),
        ("worker: {capacity: {cpu: 1}}", "`worker.capacity.memory` is missing."),
        ("worker: {reserve: {memory: 0}}", "`worker.reserve.memory` is the number 0: it must be above zero"),
        ("worker: {default: {cpuu: 1}}", "`worker.default.cpuu` is no key here. Did you mean `cpu`?"),
        ("worker: {memory_limit_factor: 0.9}", "is the number 0.9; expected 1 or more."),
        ("worker: {memory_limit_factor: big}", "is the text 'big'; expected a number."),
        ("worker: {memory_limit_factor: nan}", "`worker.memory_limit_factor` is the number nan; expected"),
        ("worker: {cpu_cap: ja}", "`worker.cpu_cap` is the text 'ja'; expected `true` or `false`."),
        ("worker: {preload_deny: torch}", "`worker.preload_deny` is the text 'torch'; expected a list."),
        ("worker: {preload_deny: [a b]}", "is the text 'a b'; expected the name of a module"),
        ("worker: {preload_dny: []}", "`worker.preload_dny` is no key here. Did you mean `preload_deny`?"),
    ],
)
def test_an_error_names_line_key_found_and_expected(tmp_path: Path, content: str, expected: str) -> None:
    assert expected in complaint(tmp_path, content)
