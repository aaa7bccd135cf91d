"""The SQL text of regular calls. All calls of one kind are one statement: its parameters are arrays.

The statements leave the rows that the route functions of Airflow 3.3.2 leave; `batch_store` runs them.
"""
# ruff: noqa: S608 - put together from constants only

from __future__ import annotations

#: Fields of a run that a start is told, as they are named in both.
RUN_FIELDS = (
    *("logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date", "end_date"),
    *("clear_number", "run_type", "state", "triggering_user_name", "partition_key", "partition_date"),
)

_TASK = """
ti.id::text, ti.state, ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number, ti.max_tries,
ti.hostname, ti.pid, ti.next_method IS NOT NULL OR coalesce(jsonb_typeof(ti.next_kwargs), 'null') <> 'null',
dr.id, dr.logical_date, dag.owners, coalesce(dag.fail_fast, false)"""

_RUN = f"""
{", ".join(f"dr.{name}" for name in RUN_FIELDS)}, dr.conf::text,
ARRAY(
    SELECT x.key FROM xcom x
    WHERE x.dag_id = ti.dag_id AND x.task_id = ti.task_id AND x.run_id = ti.run_id
    AND (ti.map_index < 0 OR x.map_index = ti.map_index)
),
(SELECT count(*) FROM task_reschedule r WHERE r.ti_id = ti.id),
EXISTS (SELECT FROM dagrun_asset_event e WHERE e.dag_run_id = dr.id)"""

# Locked first, by themselves: planning one join of all costs PostgreSQL more than running it. Whoever holds a
# row that is written later (an XCom's) is not waited for longer than `patience`.
_LOCK = """
WITH ti AS MATERIALIZED (
    SELECT id, state, dag_id, task_id, run_id, map_index, try_number, max_tries, hostname, pid, next_method,
        next_kwargs, set_config('lock_timeout', %(patience)s, true)
    FROM task_instance WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
SELECT {columns}
FROM ti
JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id
JOIN dag ON dag.dag_id = ti.dag_id"""
LOCK_TASKS = _LOCK.format(columns=_TASK)
LOCK_STARTS = _LOCK.format(columns=f"{_TASK}, {_RUN}")

_LOG = """
INSERT INTO log (dttm, dag_id, task_id, map_index, event, logical_date, run_id, owner, extra, try_number)
SELECT %(now)s::timestamptz, dag_id, task_id, map_index, state, logical_date, run_id, owner, extra, try_number
FROM changed"""

START = f"""
WITH told AS (
    SELECT * FROM unnest(
        %(id)s::uuid[], %(hostname)s::text[], %(unixname)s::text[], %(pid)s::int[],
        %(start_date)s::timestamptz[], %(logical_date)s::timestamptz[], %(owner)s::text[], %(extra)s::text[]
    ) AS told (id, hostname, unixname, pid, start_date, logical_date, owner, extra)
), changed AS (
    UPDATE task_instance ti
    SET state = 'running', hostname = told.hostname, unixname = told.unixname, pid = told.pid,
        start_date = told.start_date, end_date = NULL, last_heartbeat_at = %(now)s::timestamptz,
        retry_delay_override = NULL, retry_reason = NULL, updated_at = %(now)s::timestamptz
    FROM told WHERE ti.id = told.id
    RETURNING ti.dag_id, ti.task_id, ti.map_index, ti.state, told.logical_date, ti.run_id, told.owner,
        told.extra, ti.try_number
){_LOG}"""

BEAT = """
UPDATE task_instance SET last_heartbeat_at = %(now)s::timestamptz, updated_at = %(now)s::timestamptz
WHERE id = ANY(%(id)s::uuid[])"""

END = f"""
WITH told AS (
    SELECT * FROM unnest(
        %(id)s::uuid[], %(state)s::text[], %(end_date)s::timestamptz[], %(is_labelled)s::boolean[],
        %(label)s::text[], %(logical_date)s::timestamptz[], %(owner)s::text[], %(extra)s::text[]
    ) AS told (id, state, end_date, is_labelled, label, logical_date, owner, extra)
), changed AS (
    UPDATE task_instance ti
    SET state = told.state, end_date = told.end_date,
        duration = EXTRACT(EPOCH FROM told.end_date - ti.start_date),
        next_method = NULL, next_kwargs = 'null',
        rendered_map_index = CASE WHEN told.is_labelled THEN told.label ELSE ti.rendered_map_index END,
        updated_at = %(now)s::timestamptz
    FROM told WHERE ti.id = told.id
    RETURNING ti.dag_id, ti.task_id, ti.map_index, ti.state, told.logical_date, ti.run_id, told.owner,
        told.extra, ti.try_number
){_LOG}"""

FIELDS = """
INSERT INTO rendered_task_instance_fields
    (dag_id, task_id, run_id, map_index, rendered_fields, k8s_pod_yaml)
SELECT dag_id, task_id, run_id, map_index, rendered::json, 'null'
FROM unnest(
    %(dag_id)s::text[], %(task_id)s::text[], %(run_id)s::text[], %(map_index)s::int[], %(text)s::text[]
) AS told (dag_id, task_id, run_id, map_index, rendered)
ON CONFLICT (dag_id, task_id, run_id, map_index)
DO UPDATE SET rendered_fields = EXCLUDED.rendered_fields, k8s_pod_yaml = EXCLUDED.k8s_pod_yaml"""

# What another transaction deletes just now is left to it. One Dag at a time, its name written out: so
# PostgreSQL knows whether it has few runs or many, for which it finds the newest in different ways.
FORGET_FIELDS = """
DELETE FROM rendered_task_instance_fields WHERE ctid IN (
    SELECT f.ctid FROM rendered_task_instance_fields f
    WHERE f.dag_id = %(dag_id)s AND f.task_id = ANY(%(task_ids)s::text[]) AND f.run_id NOT IN (
        SELECT run_id FROM dag_run WHERE dag_id = %(dag_id)s ORDER BY run_after DESC LIMIT %(keep)s
    )
    FOR UPDATE OF f SKIP LOCKED
)"""

PUSH = """
INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_result, dag_id, run_id, value, timestamp)
SELECT run_key, task_id, map_index, key, is_dag_result, dag_id, run_id, value::jsonb, %(now)s::timestamptz
FROM unnest(
    %(run_key)s::int[], %(dag_id)s::text[], %(task_id)s::text[], %(run_id)s::text[], %(map_index)s::int[],
    %(key)s::text[], %(value)s::text[], %(is_dag_result)s::boolean[]
) AS told (run_key, dag_id, task_id, run_id, map_index, key, value, is_dag_result)
ON CONFLICT (dag_run_id, task_id, map_index, key) DO UPDATE
SET value = EXCLUDED.value, dag_result = EXCLUDED.dag_result, timestamp = EXCLUDED.timestamp,
    dag_id = EXCLUDED.dag_id, run_id = EXCLUDED.run_id"""

LENGTH = """
INSERT INTO task_map (dag_id, task_id, run_id, map_index, length, keys)
SELECT dag_id, task_id, run_id, map_index, length, 'null'
FROM unnest(
    %(dag_id)s::text[], %(task_id)s::text[], %(run_id)s::text[], %(map_index)s::int[], %(length)s::int[]
) AS told (dag_id, task_id, run_id, map_index, length)
ON CONFLICT (dag_id, task_id, run_id, map_index)
DO UPDATE SET length = EXCLUDED.length, keys = EXCLUDED.keys"""
