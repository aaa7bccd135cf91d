"""The table of early fixes: what each one mends, and in which versions.

Titles, reasons and pull requests are for people and stand in the release catalogue; a test keeps the two
in agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

from orrery.config.note import Note

_ALL = {"", "on", "true", "yes", "1"}
_NONE = {"off", "false", "no", "0"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """An early fix. The module of the same name in this package has `apply(module)`."""

    id: str
    #: The module of Airflow's that it mends, as soon as that has been imported.
    target: str
    #: The distribution that holds the target, and the versions that the fix was written and tested for.
    distribution: str
    versions: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module that holds the fix."""
        return f"{__package__}.{self.id.replace('-', '_')}"

    @property
    def guard(self) -> str:
        """What it is applied to, as the catalogue says it."""
        return " or ".join(f"{self.distribution}=={version}" for version in self.versions)


FIXES = (
    Fix(
        id="task-exit",
        target="airflow.sdk.execution_time.supervisor",
        distribution="apache-airflow-task-sdk",
        versions=("1.3.2",),
    ),
    Fix(
        id="stale-success",
        target="airflow.jobs.scheduler_job_runner",
        distribution="apache-airflow-core",
        versions=("3.3.2",),
    ),
    Fix(
        id="queued-by-id",
        target="airflow.jobs.scheduler_job_runner",
        distribution="apache-airflow-core",
        versions=("3.3.2",),
    ),
    Fix(
        id="processor-pace",
        target="airflow.dag_processing.manager",
        distribution="apache-airflow-core",
        versions=("3.3.2",),
    ),
    Fix(
        id="unchanged-dags",
        target="airflow.dag_processing.manager",
        distribution="apache-airflow-core",
        versions=("3.3.2",),
    ),
    Fix(
        id="cron-description",
        target="airflow.timetables._cron",
        distribution="apache-airflow-core",
        versions=("3.3.2",),
    ),
    Fix(
        id="idle-triggerer",
        target="airflow.jobs.triggerer_job_runner",
        distribution="apache-airflow-core",
        versions=("3.3.2",),
    ),
    Fix(
        id="lazy-api-versions",
        target="cadwyn.applications",
        distribution="cadwyn",
        versions=("7.0.0",),
    ),
    Fix(
        id="lazy-route-fields",
        target="fastapi._compat.v2",
        distribution="fastapi",
        versions=("0.136.3",),
    ),
    Fix(
        id="shared-dependants",
        target="fastapi.dependencies.utils",
        distribution="fastapi",
        versions=("0.136.3",),
    ),
    Fix(
        id="lean-svcs",
        target="svcs._core",
        distribution="svcs",
        versions=("26.2.0",),
    ),
)


def chosen(setting: str) -> tuple[tuple[Fix, ...], tuple[Note, ...]]:
    """Return the fixes that ORRERY_EARLY_FIXES leaves in, and what to tell about its value.

    `on` and nothing mean all, `off` none; else it lists the ids to leave out. An id that is not known is
    no error: a fix goes when Airflow has it, and an upgrade should not stop over it.
    """
    word = setting.strip().lower()
    if word in _ALL:
        return FIXES, ()
    if word in _NONE:
        return (), ()
    left_out = set(word.replace(",", " ").split())
    known = ", ".join(fix.id for fix in FIXES)
    notes = tuple(
        Note(
            key=f"early-fix:{name}",
            text=f"ORRERY_EARLY_FIXES names '{name}', which is no early fix of this release ({known}).",
        )
        for name in sorted(left_out - {fix.id for fix in FIXES})
    )
    return tuple(fix for fix in FIXES if fix.id not in left_out), notes
