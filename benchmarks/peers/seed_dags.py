"""Make the benchmark's Dags, as the Dag processor leaves them; of two, also what a request for one needs.

    python seed_dags.py COUNT MINE

Every so manieth is tagged `mine`, so that there are MINE of them.
"""

from __future__ import annotations

import sys

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session


def main(count: int, mine: int) -> None:
    names = [f"dag_{number:05}" for number in range(count)]
    of_mine = names[:: count // mine]
    with create_session() as session:
        session.add(DagBundleModel(name="bench"))
        session.flush()
        for name in names:
            dag = DagModel(dag_id=name, bundle_name="bench", fileloc=__file__, relative_fileloc=f"{name}.py")
            dag.is_stale = dag.is_paused = False
            session.add(dag)
        session.flush()
        session.add_all(DagTag(name="mine", dag_id=name) for name in of_mine)
    for name in (names[1], of_mine[1]):
        with create_session() as session:
            lazy = LazyDeserializedDAG.from_dag(DAG(name, schedule=None))
            SerializedDagModel.write_dag(lazy, bundle_name="bench", session=session)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
