"""The defaults that Orrery promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orrery.config import defaults, plan

if TYPE_CHECKING:
    from pathlib import Path

PROMISED = {
    ("dag_processor", "refresh_interval"): "30",
    ("scheduler", "task_queued_timeout"): "600",
    ("kubernetes_executor", "worker_pods_creation_batch_size"): "16",
}


def test_the_promised_values_are_there() -> None:
    general = defaults.load().of_profile(None)
    assert {key: general[key].value for key in PROMISED} == PROMISED
    assert general["core", "parallelism"].compute == "parallelism"


def test_every_default_has_a_reason_a_source_and_a_value_that_can_be_made() -> None:
    known = defaults.load()
    assert len({(entry.key, entry.profile) for entry in known.defaults}) == len(known.defaults)
    for entry in known.defaults:
        assert entry.why.endswith((".", "!")), entry
        assert entry.source.endswith("."), entry
        assert entry.compute is None or entry.compute in plan.COMPUTED


def test_the_local_profile_comes_on_top() -> None:
    known = defaults.load()
    local, general = known.of_profile("local"), known.of_profile(None)
    assert set(general) < set(local)
    assert float(local["dag_processor", "refresh_interval"].value or 99) <= 5
    assert local["core", "parallelism"] == general["core", "parallelism"]


def test_truth_values_are_written_as_airflow_reads_them() -> None:
    assert defaults.load().of_profile(None)["core", "load_examples"].value == "False"


def test_an_entry_needs_a_value_or_a_computation(tmp_path: Path) -> None:
    file = tmp_path / "defaults.toml"
    file.write_text('[[default]]\nsection = "core"\noption = "x"\nwhy = "."\nsource = "."\n')
    with pytest.raises(ValueError, match="either value or compute"):
        defaults.load(file)
