# ruff: noqa: S608 - the conditions are constants of this file
"""What a deployment has made of its DAGs, as plain values that two deployments can be compared by."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.acceptance.executor.running import Running

#: (DAG, run, task, map index); the task is empty for what is said of the whole run.
Key = tuple[str, str, str, int]
Facts = dict[str, Any]

_MOMENT = re.compile(r"20[2-9]\d-\d\d-\d\d[T_ ]\d\d:?\d\d:?\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
_MIDNIGHT = re.compile(r"20[2-9]\d-\d\d-\d\d[T_ ]00:?00:?00(\.0+)?(Z|[+-]00:?00)?")
_VARYING = (
    (re.compile(r"asset_triggered__\S+?(?=[\"\s]|$)"), "asset_triggered"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\bat 0x[0-9a-f]+"), "at <address>"),
    (re.compile(r"/tmp/[\w./-]+"), "<temporary>"),
    (re.compile(r"(localhost|127\.0\.0\.1):\d+"), "<address>"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Which of the DAGs are compared, and how; each exception with its reason."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    #: What starts those that the test does not.
    started_by: Mapping[str, str] = field(default_factory=dict)
    #: `dag.task` whose XComs and rendered fields depend on time or chance.
    varies: Mapping[str, str] = field(default_factory=dict)
    #: With what a run is started.
    conf: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Examples:
        return cls(**tomllib.loads(path.read_text()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The facts about every run and task instance, and the traces that callbacks left."""

    facts: dict[Key, Facts] = field(default_factory=dict)

    def dag_ids(self) -> set[str]:
        return {key[0] for key in self.facts}

    def of(self, dag_id: str) -> dict[Key, Facts]:
        return {key: facts for key, facts in self.facts.items() if key[0] == dag_id}


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One fact about which two deployments do not agree."""

    key: Key
    fact: str
    ours: Any
    stock: Any

    def __str__(self) -> str:
        dag, run, task, index = self.key
        where = f"{dag} {run}" + (f" {task}" if task else "") + (f"[{index}]" if index >= 0 else "")
        return f"{where}: {self.fact} is {_short(self.ours)} on packing, {_short(self.stock)} on local"


def normalised(value: Any, project: Path) -> Any:
    """Return a value with what differs between any two runs of anything replaced by names of it."""
    text = json.dumps(value, sort_keys=True, default=str).replace(str(project), "<project>")
    text = _MOMENT.sub(lambda match: match[0] if _MIDNIGHT.fullmatch(match[0]) else "<moment>", text)
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return json.loads(text)


def read(running: Running) -> Outcome:
    """Read a deployment's outcome from its database and from the traces."""
    chosen = "(run_id LIKE '%%differential%%' OR run_id LIKE 'backfill%%' OR run_id LIKE 'asset_trig%%'"
    chosen += " OR run_id IN (SELECT run_id FROM dag_run WHERE logical_date = '2026-01-06'))"
    chosen += " AND dag_id NOT LIKE 'orrery%%'"
    # What assets of the examples set off comes in numbers that depend on who is first.
    chosen += " AND (dag_id LIKE 'fidelity%%' OR run_id NOT LIKE 'asset_trig%%')"
    facts: dict[Key, Facts] = {}

    def at(dag: str, run: str, task: str = "", index: int = -1) -> Facts:
        run = normalised(run, running.project)
        return facts.setdefault((dag, run, task, index), {})

    for dag, run, state, conf in running.sql(
        f"SELECT dag_id, run_id, state, conf FROM dag_run WHERE {chosen}"
    ):
        at(dag, run).update(state=state, conf=normalised(conf, running.project))
    columns = "dag_id, run_id, task_id, map_index"
    for dag, run, task, index, state, tries, label, pool, queue in running.sql(
        f"SELECT {columns}, state, try_number, rendered_map_index, pool, queue"
        f" FROM task_instance WHERE {chosen}"
    ):
        at(dag, run, task, index).update(state=state, try_number=tries, label=label, pool=pool, queue=queue)
    for dag, run, task, index, history in running.sql(
        f"SELECT {columns}, array_agg(try_number || ' ' || coalesce(state, 'none') ORDER BY try_number)"
        f" FROM task_instance_history WHERE {chosen} GROUP BY {columns}"
    ):
        at(dag, run, task, index)["history"] = history
    for dag, run, task, index, rendered in running.sql(
        f"SELECT {columns}, rendered_fields FROM rendered_task_instance_fields WHERE {chosen}"
    ):
        at(dag, run, task, index)["rendered"] = normalised(rendered, running.project)
    for dag, run, task, index, key, value in running.sql(
        f"SELECT {columns}, key, value FROM xcom WHERE {chosen}"
    ):
        pushed = normalised(value, running.project)
        if key == "skipmixin_key":  # Airflow makes these lists from sets
            pushed = {name: sorted(tasks) for name, tasks in pushed.items()}
        at(dag, run, task, index)[f"xcom {key}"] = pushed
    for trace in running.traces.glob("*.txt"):
        at(f"trace {trace.stem}", "").update(lines=sorted(trace.read_text().splitlines()))
    return Outcome(facts=facts)


def differences(ours: Outcome, stock: Outcome, examples: Examples) -> list[Difference]:
    """Return all facts in which two outcomes differ, but for what is excepted."""
    found = []
    for key in sorted(ours.facts.keys() | stock.facts.keys()):
        mine, theirs = ours.facts.get(key), stock.facts.get(key)
        if mine is None or theirs is None:
            found.append(Difference(key=key, fact="there", ours=mine is not None, stock=theirs is not None))
            continue
        varies = f"{key[0]}.{key[2]}" in examples.varies
        found += [
            Difference(key=key, fact=fact, ours=mine.get(fact), stock=theirs.get(fact))
            for fact in sorted(mine.keys() | theirs.keys())
            if mine.get(fact) != theirs.get(fact)
            and not (varies and fact.startswith(("xcom", "rendered", "label")))
        ]
    return found


def table(ours: Outcome, stock: Outcome, found: list[Difference], examples: Examples) -> str:
    """Return the differential table, in Markdown."""
    lines = ["| DAG | Runs | Task instances | Tries | XComs | Result |", "|---|---:|---:|---:|---:|---|"]
    for dag in sorted(ours.dag_ids() | stock.dag_ids()):
        facts = ours.of(dag)
        tasks = [each for key, each in facts.items() if key[2]]
        differing = sum(difference.key[0] == dag for difference in found)
        tries = sum(each.get("try_number", 0) for each in tasks)
        xcoms = sum(name.startswith("xcom") for each in tasks for name in each)
        result = f"**{differing} different**" if differing else "equal"
        lines.append(f"| {dag} | {len(facts) - len(tasks)} | {len(tasks)} | {tries} | {xcoms} | {result} |")
    lines += ["", "## Differences", "", *(f"- {difference}" for difference in found)]
    lines += [] if found else ["none"]
    lines += ["", "## Left out", "", *(f"- {dag}: {why}" for dag, why in sorted(examples.left_out.items()))]
    lines += ["", "## XComs and rendered fields not compared", ""]
    lines += [f"- {task}: {why}" for task, why in examples.varies.items()]
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 300 else f"{text[:140]} ... {text[-140:]}"
