"""Names of options, right and nearly right."""

from __future__ import annotations

import pytest

from orrery.config import defaults, options
from orrery.errors import InputError

OPTIONS = options.load(old_names=defaults.load().old_names)


@pytest.mark.parametrize(
    "name",
    ["core.parallelism", "CORE.Parallelism", "AIRFLOW__CORE__PARALLELISM", "airflow__core__parallelism"],
)
def test_an_option_is_found_by_its_name_or_its_variable(name: str) -> None:
    assert OPTIONS.find(name).name == "core.parallelism"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("dag_procesor.refresh_intervall", "no option", "dag_processor.refresh_interval"),
        ("parallelism", "no option", "core.parallelism"),
        ("scheduler.paralelism", "no option", "'core.parallelism'"),
        ("paralelism", "no option", "'core.parallelism'"),
        ("AIRFLOW__SCHEDULER__PARALELISM", "no option", "'core.parallelism'"),
        ("scheduler.dags_folder", "no option", "'core.dags_folder'"),
        ("core.dag_folder", "no option", "'core.dags_folder'"),
        ("core.sql_alchemy_pool_sise", "no option", "'database.sql_alchemy_pool_size'"),
        ("celery.worker_concurency", "no option", "'celery.worker_concurrency'"),
        ("web.port", "no option", "Name its section: api.port"),
        ("apis.port", "no option", "'api.port'"),
        ("scheduler.qqqqqqqq", "no option", "orrery config list"),
        ("port", "no option", "Name its section too"),
        ("zzz", "no option", "orrery config list"),
        ("scheduler.dag_dir_list_interval", "old name", "dag_processor.refresh_interval"),
        ("AIRFLOW_CORE_PARALLELISM", "old name", "core.parallelism"),
        ("celery.stalled_task_timeout", "old name", "scheduler.task_queued_timeout"),
        ("webserver.web_server_port", "old name", "api.port"),
    ],
)
def test_a_wrong_name_leads_to_the_right_one(name: str, message: str, hint: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        OPTIONS.find(name)
    assert hint in (caught.value.hint or "")


def test_options_with_credentials_are_sensitive() -> None:
    for name in (
        "core.fernet_key",
        "database.sql_alchemy_conn",
        "celery.broker_url",
        "openlineage.transport",
    ):
        assert OPTIONS.find(name).is_sensitive, name
