"""Prints the modules that Airflow's processes load: those get byte-code in the image, the rest does not.

Byte-code of everything would be half a gigabyte, for a start that is no faster.
"""

import contextlib
import importlib
import io
import sys
import sysconfig
from pathlib import Path

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
#: What the components and the tasks import, beside what these import themselves.
STARTED = (
    "airflow.__main__",
    "airflow.api_fastapi.main",
    "airflow.cli.cli_config",
    "airflow.cli.commands.api_server_command",
    "airflow.cli.commands.dag_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.db_command",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.task_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.dag_processing.manager",
    "airflow.executors.local_executor",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.sdk.execution_time.task_runner",
    "airflow.utils.db",
    # What they import only once they run: Airflow the migrations, uvicorn its loop and its protocols.
    "alembic.command",
    "alembic.config",
    "alembic.ext.checkconstraint_byname",
    "anyio._backends._asyncio",
    "asyncpg",
    "mako.ext.pygmentplugin",
    "mako.template",
    "pip._internal.cli.main",
    "psycopg2.extras",
    "pygments.formatters.html",
    "pygments.styles.default",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvicorn.workers",
)


def main() -> None:
    """Import what is started, and print where it lies."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for name in STARTED:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        with contextlib.suppress(Exception):
            importlib.import_module("airflow.api_fastapi.app").create_app()
    loaded = {
        str(file)
        for module in list(sys.modules.values())
        if (origin := getattr(module, "__file__", None)) and (file := Path(origin)).suffix == ".py"
        if file.is_relative_to(SITE_PACKAGES)
    }
    # All of Airflow's core and of the providers that every project uses.
    for package in ("airflow", "airflow/providers/standard", "airflow/providers/common"):
        for file in (SITE_PACKAGES / package).rglob("*.py"):
            if package != "airflow" or "providers" not in file.relative_to(SITE_PACKAGES).parts:
                loaded.add(str(file))
    sys.stdout.write("\n".join(sorted(loaded)) + "\n")


if __name__ == "__main__":
    main()
