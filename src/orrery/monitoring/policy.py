"""Names that belong to Orrery, and Airflow's cluster policy that keeps them.

Every process of Airflow imports this module, tasks included: it imports only what they have already.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.policies import hookimpl

if TYPE_CHECKING:
    from airflow.sdk import DAG

RESERVED_PREFIX = "orrery_"
SYSTEM_POOL = "orrery_system"
SYSTEM_DAGS_FOLDER = Path(__file__).resolve().parent / "dags"


@hookimpl  # type: ignore[untyped-decorator]
def dag_policy(dag: DAG) -> None:
    """Refuse a DAG that borrows the reserved prefix; the last file parsed would replace the system's.

    Raises AirflowClusterPolicyViolation, which Airflow shows as an import error of that file.
    """
    if not dag.dag_id.startswith(RESERVED_PREFIX) or is_of_the_system(dag.fileloc):
        return
    raise AirflowClusterPolicyViolation(
        f"DAG id {dag.dag_id!r} in {dag.fileloc} starts with {RESERVED_PREFIX!r}, which is reserved for "
        f"Orrery Runtime's own DAGs. Give it another name, for instance "
        f"{renamed(dag.dag_id)!r}, and save the file."
    )


def is_of_the_system(fileloc: str | None) -> bool:
    """Tell whether a file lies in the folder of DAGs that this package ships."""
    return fileloc is not None and Path(fileloc).resolve().is_relative_to(SYSTEM_DAGS_FOLDER)


def renamed(dag_id: str) -> str:
    """Return a free spelling of a reserved DAG id, as a proposal."""
    return "my_" + dag_id.removeprefix(RESERVED_PREFIX)
