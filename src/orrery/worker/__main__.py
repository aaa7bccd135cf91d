"""Run the agent of this machine: `python -m orrery.worker`."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import structlog

from orrery import garbage
from orrery.config import secrets
from orrery.errors import OrreryError

log = structlog.get_logger(__name__)


def main() -> int:
    """Serve until asked to stop; return the exit code."""
    try:
        return _serve()
    except OrreryError as error:
        hint = f" {error.hint}" if error.hint else ""
        sys.stderr.write(f"orrery: {error.message}{hint}\n")
        return int(error.exit_code)


def _serve() -> int:
    # Nothing that a task may not see is in this process, for zygotes are forked from it: should somebody
    # have started the agent with more, it begins anew with less.
    fewer = secrets.for_tasks(os.environ)
    if fewer != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], fewer)  # noqa: S606

    # Airflow reads its configuration while it is imported.
    from airflow.configuration import conf  # noqa: PLC0415
    from airflow.executors.base_executor import get_execution_api_server_url  # noqa: PLC0415
    from setproctitle import setproctitle  # noqa: PLC0415

    from orrery.executor import settings as executor_settings  # noqa: PLC0415
    from orrery.worker import bundles, compat, kernel, machine, shortcuts  # noqa: PLC0415
    from orrery.worker.agent import Agent  # noqa: PLC0415
    from orrery.worker.batch import airflow_transport  # noqa: PLC0415
    from orrery.worker.cell import Cells  # noqa: PLC0415
    from orrery.worker.seed import Seed  # noqa: PLC0415
    from orrery.worker.zygotes import Zygotes  # noqa: PLC0415

    setproctitle("orrery-agent")
    settings = executor_settings.read(
        lambda option: conf.get(executor_settings.SECTION, option, fallback=None)
    )
    path = settings.socket or Path(conf.get("core", "dags_folder")).parent / "run" / "worker.sock"
    state = path.parent
    here = machine.measure(state, environment=os.environ)
    configured = bundles.configured()
    # Tasks of each may come without a version: the zygote for these starts at once.
    unversioned: list[tuple[str, str | None]] = [(bundle.name, None) for bundle in configured]
    visible = bundles.visible(os.environ, configured)
    # As late as can be, for more is shared then; but before there are threads, tokens, or locks of ours.
    seed = Seed.sow()
    # Before there are threads: it forks to find out what this machine allows.
    cells = Cells.open(
        state,
        settings=settings,
        hide=bundles.hidden(path, os.environ),
        keep=visible,
    )
    # It will hold the tokens of all tasks: none of them may look into its memory.
    kernel.set_dumpable(dumpable=False)
    server = get_execution_api_server_url()
    transport = airflow_transport(server)
    compat.separate_secrets()
    shortcuts.remember_hostname()
    agent = Agent(
        name=settings.node_name or socket.gethostname(),
        path=path,
        here=here,
        settings=settings,
        cells=cells,
        zygotes=Zygotes(
            environment=secrets.for_tasks(os.environ),
            deny=settings.preload_deny,
            together=unversioned,
            seed=seed,
            # Each version gets a zygote of its own.
            keeps_seed=any(bundle.supports_versioning for bundle in configured),
        ),
        server=server,
        transport=transport,
        fingerprint=bundles.fingerprint,
        bundles=unversioned,
    )
    garbage.leave_alone()
    try:
        asyncio.run(agent.serve())
    finally:
        transport.shut_down()
    return 0


if __name__ == "__main__":
    # Not under the name `__main__`: a forked child looks for the module by its name.
    sys.exit(main())
