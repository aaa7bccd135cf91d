"""A migrated database, made once per runtime and machine, and copied into each new deployment.

A migration of an empty database costs seconds of imports; a copy of the 50 MB cluster costs none.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orrery.local import migrations, ports, process
from orrery.local.exclusive import held
from orrery.local.postgres import Postgres
from orrery.local.processes import MARK
from orrery.local.state import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Template:
    """A cluster at rest, and the password of its owner."""

    folder: Path

    @property
    def data(self) -> Path:
        """The cluster's data."""
        return self.folder / "data"

    @property
    def password(self) -> str:
        """The owner's password in the template; each deployment changes its own."""
        return (self.folder / "secrets" / "database_password").read_text().strip()


def ensure_template(
    folder: Path,
    *,
    programs: Path,
    python: Path,
    environment: Mapping[str, str],
    report: Callable[[str], None],
) -> Template:
    """Return the template in `folder`, which names the runtime; make it when it is not there.

    Safe against a second maker at the same time, and against a death in the middle: the folder gets
    its name only when it is whole.

    Raises:
        MachineError: PostgreSQL or the migration failed, or the folder cannot be written; the reason is told.
    """
    if (folder / "complete").exists():
        return Template(folder)

    def waiting() -> None:
        report("Waiting for another orrery that is preparing the database template")

    with held(folder.parent / f".{folder.name}.lock", waiting=waiting):
        if not (folder / "complete").exists():
            report("Preparing the database template of this runtime (once on this machine)")
            for left in folder.parent.glob(f".{folder.name}.*"):
                if left.is_dir():  # of a maker that was killed
                    shutil.rmtree(left, ignore_errors=True)
            half = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            try:
                _make(half, programs=programs, python=python, environment=environment)
                shutil.rmtree(folder, ignore_errors=True)
                half.rename(folder)
            finally:
                shutil.rmtree(half, ignore_errors=True)
    return Template(folder)


def _make(folder: Path, *, programs: Path, python: Path, environment: Mapping[str, str]) -> None:
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    server = Postgres(programs=programs, data=folder / "data", secrets=secrets, port=ports.free_port())
    log = folder / "postgres.log"
    server.initialise()
    # Marked as the deployment's that makes it: should we be killed, `down` and the next `up` end it.
    running = process.start(server.command(), env={MARK: environment.get(MARK, "")}, output=log)
    try:
        server.wait_until_ready(is_alive=lambda: running.poll() is None, log=log)
        server.ensure_database()
        home = folder / "airflow"
        home.mkdir()
        migrations.migrate(
            python,
            {
                **environment,
                "AIRFLOW_HOME": str(home),
                "ORRERY_SECRETS_DIR": str(home / "secrets"),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url(),
            },
            log=folder / "migrate.log",
        )
        shutil.rmtree(home)
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    write_private(folder / "complete", "")
