"""The parity table answers in both directions."""

from __future__ import annotations

import pytest

from orrery.release.parity import Parity, airflow_minor

PARITY = Parity({7: "2.5", 12: "2.10", 17: "3.3"})


@pytest.mark.parametrize("airflow", ["3.3.2", "3.3", " 3.3.0 ", "3.3.2rc1", "3.3.2+local.1", "3.3-8"])
def test_any_version_of_an_airflow_minor_leads_to_its_line(airflow: str) -> None:
    assert PARITY.runtime_for_airflow(airflow) == 17


def test_2_10_is_not_2_1() -> None:
    assert PARITY.runtime_for_airflow("2.10.5") == 12
    assert PARITY.runtime_for_airflow("2.1.0") is None


@pytest.mark.parametrize("airflow", ["", "3", "three", "4.0.0"])
def test_an_airflow_without_a_line_has_none(airflow: str) -> None:
    assert PARITY.runtime_for_airflow(airflow) is None


def test_the_minor_of_a_version_is_its_first_two_numbers() -> None:
    assert airflow_minor("2.10.5") == "2.10"
    assert airflow_minor("latest") is None
