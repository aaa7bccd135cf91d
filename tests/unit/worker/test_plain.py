"""Which DAG files are plain: those that may be executed once for many tasks, judged by their syntax."""

from __future__ import annotations

import pytest

from orrery.worker.plain import judge

HEAD = """
import os, random, time, requests, datetime as dt
from datetime import datetime, timedelta
from airflow.sdk import DAG, Variable, chain, task
from airflow.providers.standard.operators.python import PythonOperator
"""

PLAIN = {
    "a DAG": """
with DAG('a', start_date=datetime(2026, 1, 1)) as dag:
    PythonOperator(task_id='t', python_callable=print)
""",
    "a decorated task": """
@task(retries=1)
def load(n):
    return requests.get(n)

with DAG('a'):
    load.expand(n=[1, 2])
""",
    "what a task does": """
@task
def now():
    return datetime.now() if random.random() else time.time()
""",
    "a factory": """
def make(n):
    with DAG(f'd{n}') as dag:
        chain(*[PythonOperator(task_id=f't{i}', python_callable=len) for i in range(3)])
    return dag

for n in range(9):
    globals()[f'd{n}'] = make(n)
""",
    "a factory without a function": """
for n in range(9):
    globals()[f'd{n}'] = dag = DAG(f'd{n}')
""",
    "the environment": """
team = os.environ.get('TEAM', 'x')
name = os.path.join(os.path.dirname(__file__), 'a')
""",
}
NOT_PLAIN = {
    "start = datetime.now()": "it uses datetime.datetime.now",
    "start = dt.datetime.now() - timedelta(days=1)": "it uses datetime.datetime.now",
    "for n in range(int(random.random() * 9)): DAG(f'd{n}')": "it calls random.random()",
    "sizes = requests.get('http://h/').json()": "it calls requests.get()",
    "rows = open('rows.csv')": "it calls open()",
    "colour = Variable.get('colour')": "it uses airflow.sdk.Variable",
    "import mine\nmine.build()": "it calls mine.build()",
    "from mine import *": "it imports all names of a module",
    "while True: pass": "it uses `while`",
    "def f():\n    return time.time()\nnow = f()": "it calls time.time()",
    "with DAG('a', start_date=datetime.now()): pass": "it uses datetime.datetime.now",
    "exec('x = 1')": "it calls exec()",
    "known = globals()": "it calls globals()",
    "globals().update(d=DAG('d'))": "it calls globals()",
    "known = globals()['d']": "it calls globals()",
    "globals()['d'] = datetime.now()": "it uses datetime.datetime.now",
    "globals()[str(random.random())] = DAG('d')": "it calls random.random()",
    "def f(:": "it cannot be read: invalid syntax",
}


@pytest.mark.parametrize("source", PLAIN.values(), ids=PLAIN)
def test_what_gives_the_same_whenever_it_is_executed_is_plain(source: str) -> None:
    assert judge(HEAD + source) is None


@pytest.mark.parametrize(("source", "reason"), NOT_PLAIN.items(), ids=NOT_PLAIN)
def test_what_may_give_something_else_is_not_and_the_reason_is_told(source: str, reason: str) -> None:
    found = judge(HEAD + source)

    assert found is not None
    assert reason in found.reason
    assert found.line > HEAD.count("\n")
