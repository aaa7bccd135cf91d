"""What tasks are given and what they hand on: XComs, templates, parameters, variables, connections."""
# mypy: ignore-errors

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import BaseHook, BaseOperator, Param, Variable, dag, get_current_context, task

CONSTANTS = {
    "none": None,
    "true": True,
    "whole": 10**15,
    "fraction": 0.1,
    "text": 'with ünïcode, "quotes" and {{ braces }}',
    "list": [1, [2, [3]]],
    "mapping": {"a": {"b": [None, False]}},
    "moment": datetime(2026, 1, 5, 6, 7, 8, tzinfo=UTC),
    "duration": timedelta(days=1, seconds=2),
    "decimal": Decimal("1.10"),
    "set": {7},
    "tuple": (1, "two"),
    "large": "0123456789" * 20_000,
}


@dag(schedule=None, tags=["fidelity"])
def fidelity_xcoms():
    @task
    def push_and_pull(name):
        ti = get_current_context()["ti"]
        ti.xcom_push("own", CONSTANTS[name])
        return CONSTANTS[name]

    @task
    def described(value):
        return f"{type(value).__name__} {str(value)[:60]}"

    @task(multiple_outputs=True)
    def several():
        return {"first": 1, "second": [2]}

    @task
    def generator():
        return list(range(3))

    @task
    def pulls(**context):
        ti = context["ti"]
        return [
            ti.xcom_pull(task_ids="several", key="first"),
            ti.xcom_pull(task_ids="several", key="second"),
            ti.xcom_pull(task_ids="several", key="nothing", default="absent"),
            ti.xcom_pull(task_ids=["several", "generator"]),
        ]

    @task
    def not_serialisable():
        return object()

    for name in CONSTANTS:
        described.override(task_id=f"describe_{name}")(push_and_pull.override(task_id=f"give_{name}")(name))
    [several(), generator()] >> pulls()
    not_serialisable()


fidelity_xcoms()


class Templated(BaseOperator):
    template_fields = ("text", "nested", "file")
    template_ext = (".sql",)

    def __init__(self, *, text, nested, file, **arguments):
        super().__init__(**arguments)
        self.text = text
        self.nested = nested
        self.file = file

    def execute(self, context):
        return [self.text, self.nested, self.file]


@dag(
    schedule=None,
    params={"count": Param(3, type="integer", minimum=1), "name": "given"},
    user_defined_macros={"shout": str.upper},
    user_defined_filters={"twice": lambda text: text * 2},
    render_template_as_native_obj=False,
)
def fidelity_templates():
    Templated(
        task_id="rendered",
        text="{{ ds }} {{ run_id }} {{ params.name | twice }} {{ shout(dag.dag_id) }} {{ var.value.colour }}",
        nested={"list": ["{{ params.count + 1 }}", "{{ conn.fidelity_db.host }}"], "plain": 1},
        file="query.sql",
    )
    Templated(task_id="undefined", text="{{ macros.nothing.there }}", nested={}, file="query.sql")
    Templated.partial(task_id="mapped", nested={}, file="query.sql").expand(
        text=["{{ ti.map_index }} {{ params.name }}", "{{ task_instance_key_str }}"]
    )
    PythonOperator(
        task_id="conf",
        python_callable=lambda dag_run, params, **_: [dag_run.conf, dict(params)],
    )

    @task(params={"name": "of the task"})
    def own_params(params):
        return dict(params)

    own_params()

    @task
    def context_of(**context):
        return {
            name: str(context[name])
            for name in (
                "ds",
                "ts",
                "run_id",
                "logical_date",
                "data_interval_start",
                "data_interval_end",
                "map_index_template",
                "prev_data_interval_start_success",
                "ti",
            )
            if name in context and name != "ti"
        } | {
            "previous": str(context["ti"].get_previous_dagrun()),
            "previous_ti": str(context["ti"].get_previous_ti()),
        }

    context_of()


fidelity_templates()


@dag(schedule=None)
def fidelity_secrets():
    @task
    def prints_what_is_secret():
        import logging

        stored = BaseHook.get_connection("fidelity_db")
        from_environment = BaseHook.get_connection("fidelity_env")
        print("printed", stored.password, from_environment.password)
        print("variable", Variable.get("api_key_of_fidelity"))
        logging.getLogger("airflow.task").info("logged %s in %s", stored.password, stored.get_uri())
        raise RuntimeError(f"raised {stored.password}")

    @task
    def reads_and_writes():
        Variable.set("written_by_fidelity", "1")
        value = Variable.get("written_by_fidelity")
        Variable.delete("written_by_fidelity")
        gone = Variable.get("written_by_fidelity", default="gone")
        try:
            BaseHook.get_connection("no_such_connection")
        except Exception as error:
            missing = type(error).__name__
        stored = BaseHook.get_connection("fidelity_db")
        return [value, gone, missing, stored.host, stored.port, stored.extra_dejson]

    prints_what_is_secret()
    reads_and_writes()


fidelity_secrets()
