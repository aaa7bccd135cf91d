"""The start of a deployment on this machine.

Every step looks at what is there and does what is missing, so a start that was killed in the middle is
finished by the next one.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orrery
from orrery.components import AIRFLOW_COMPONENTS, COMPONENTS, POSTGRES, WORKER, Component
from orrery.config import notices, secrets
from orrery.config.settings import load_settings
from orrery.errors import MachineError, StateError
from orrery.local import migrations, ports, postgres, seeding
from orrery.local.api import USERNAME
from orrery.local.environment import RuntimeEnvironment, ensure_runtime
from orrery.local.overlay import ensure_overlay
from orrery.local.plan import Plan, Ports, component_environment, has_worker
from orrery.local.processes import MARK
from orrery.local.record import Record, digest_of
from orrery.local.sql import DatabaseError, Login, query
from orrery.local.state import ensure_secret, read_json, write_private
from orrery.local.status import Status, client, is_heard, reason, worker_answers
from orrery.local.supervisor import launch_command
from orrery.local.template import ensure_template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orrery.local.deployment import LocalDeployment

#: How long components may take to become healthy before `up` stops waiting for them.
_START_LIMIT_SECONDS = 180
#: How long what has been heard of once may seem to be starting still.
_SETTLE_LIMIT_SECONDS = 30
#: A pause between two looks at the components while they start.
_LOOK_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a start has made ready: the interpreter of the components, and PostgreSQL's programs."""

    runtime: RuntimeEnvironment
    python: Path
    programs: Path


class Starter:
    """Brings a deployment to what its plan asks for."""

    def __init__(self, deployment: LocalDeployment, plan: Plan) -> None:
        self.deployment = deployment
        self.plan = plan
        self.state = deployment.state
        self.supervisor = deployment.supervisor
        self._progress = deployment.progress

    def up(self, *, port: int | None = None) -> Status:
        """Start what does not run yet and wait until it is healthy.

        A component that does not come up leaves the others running: the returned status tells why.

        Raises:
            StateError: it runs on another port than the one asked for; another command is at work;
                a newer runtime made the database.
            MachineError: a port, disk, memory or permission is missing. Nothing is left running.
            InputError: the runtime or the requirements cannot be had. Nothing is left running.
        """
        self.state.ensure()
        with self.state.locked("up"):
            if self.supervisor.is_running():
                self._require_same_port(port)
            else:
                self.deployment.clear_leftovers()
                ports.require_free(port or self.plan.port)
            was_up = self.deployment.is_up()
            try:
                self._start(self._ports(port))
                self._await(self._airflow())
            except BaseException:
                # A start that failed or was interrupted leaves nothing behind; what ran before stays.
                if not was_up:
                    self.deployment.stop()
                raise
            self._seed()
            status = self._settled_status()
            with client(self.state) as api:
                api.warm_up()
        return status

    def restart(self, names: Iterable[str]) -> Status:
        """Restart components with today's settings, requirements and `.env`.

        Raises:
            StateError: it does not run, or runs another runtime than the project now asks for.
        """
        with self.deployment.running("restart"):
            chosen = [component for component in COMPONENTS if component.name in set(names)]
            self._require_no_difference(chosen)
            self._prepare(self._ports(None))
            for component in chosen:
                self.supervisor.stop_program(component)
            for component in chosen:
                self.supervisor.start_program(component)
                if component is POSTGRES:
                    self._await_postgres()
            self._await([component for component in chosen if component is not POSTGRES])
            self._seed()
            return self._settled_status()

    # -- the steps of a start ---------------------------------------------------------------------

    def _start(self, chosen: Ports) -> None:
        if self.deployment.is_up():
            for component in self._airflow():
                # One that was given up is tried again; the others are left alone.
                self.supervisor.start_program(component)
            return
        self._require_password()
        made = self._prepare(chosen)
        if not self.supervisor.is_running():
            # Another version of ours may know no such manager.
            self.supervisor.start(imports_airflow=made.runtime.version == orrery.__version__)
        if chosen.postgres is not None:
            self._ensure_postgres(made, chosen.postgres)
        self._ensure_schema(made, chosen)
        self._progress.step("Starting Airflow's components")
        for component in self._airflow():
            self.supervisor.start_program(component)

    def _airflow(self) -> list[Component]:
        """Return Airflow's components, those that the process manager was configured with."""
        programs = self.supervisor.programs()
        return [component for component in AIRFLOW_COMPONENTS if component.name in programs]

    def _prepare(self, chosen: Ports) -> Made:
        """Make environment, secrets and configuration; start nothing."""
        plan = self.plan
        report = self._progress.step
        runtime = ensure_runtime(
            plan.runtime,
            plan.python,
            plan.providers,
            cache_dir=plan.cache,
            env=plan.user_environment,
            report=report,
        )
        python = ensure_overlay(
            runtime, plan.requirements, state_dir=self.state.root, env=plan.user_environment, report=report
        )
        made = Made(runtime=runtime, python=python, programs=postgres.programs(runtime.site_packages))
        server = self._server(made, chosen.postgres) if chosen.postgres is not None else None
        environment = component_environment(
            plan,
            ports=chosen,
            database_url=server.url() if server else _sqlalchemy_url(plan.database_url or ""),
            connection_url=server.warehouse_url() if server else None,
        )
        said = notices.notes(environment, "local")
        for note in said:
            self._progress.note(note.text)
        # Told here, once, and not again in the log of each component.
        environment |= notices.marked(environment, said)
        if not load_settings(environment).defaults_on:
            # Nobody else makes the secrets that the components must share.
            wanted = [secret for secret in secrets.SECRETS if secret.variable not in environment]
            environment |= secrets.ensure(self.state.secrets, wanted, inherited={}).values
        self.state.keep_admin(USERNAME, ensure_secret(self.state.admin_password))
        launch = {"command": [str(python), "-m", "airflow"], "environment": environment}
        write_private(self.state.launch_file, json.dumps(launch))
        worker = {
            "command": [str(python), "-m", str(WORKER.module)],
            "environment": secrets.for_tasks(environment),
        }
        write_private(self.state.worker_launch_file, json.dumps(worker))
        Record(
            port=chosen.api_server,
            postgres_port=chosen.postgres,
            runtime=runtime.version,
            python=runtime.python_version,
            providers=runtime.providers,
            programs=str(made.programs),
            planned_port=plan.port,
            database=digest_of(plan.database_url),
        ).write(self.state)
        if not self.supervisor.is_running():
            self.supervisor.configure(self._commands(chosen, server, has_worker=has_worker(environment)))
        return made

    def _commands(
        self, chosen: Ports, server: postgres.Postgres | None, *, has_worker: bool
    ) -> dict[str, list[str]]:
        commands = {POSTGRES.name: server.command()} if server else {}
        if has_worker:
            commands[WORKER.name] = launch_command(self.state.worker_launch_file)
        for component in AIRFLOW_COMPONENTS:
            if component is WORKER:
                continue
            arguments = [
                word.format(host=ports.HOST, port=chosen.api_server)
                for word in component.airflow_arguments or ()
            ]
            commands[component.name] = launch_command(self.state.launch_file, arguments)
        return commands

    def _ensure_postgres(self, made: Made, port: int) -> None:
        server = self._server(made, port)
        former_password = None
        if not (server.data / "PG_VERSION").exists():
            template = ensure_template(
                self.plan.cache / "templates" / _template_name(made),
                programs=made.programs,
                python=made.runtime.python,
                environment=self._migration_environment(),
                report=self._progress.step,
            )
            # First the password, then the copy: killed in between, the next start still gets in.
            former_password = template.password
            write_private(self.state.secrets / "template_password", former_password)
            server.adopt(template.data)
        elif (kept := self.state.secrets / "template_password").exists():
            # Killed after the copy and before the password was changed.
            former_password = kept.read_text().strip()
        if not self.deployment.runs(POSTGRES):
            server.clear_stale_pid()
            self._rotate_log(POSTGRES)
            self.supervisor.start_program(POSTGRES)
        self._await_postgres()
        server.ensure_roles(former_password=former_password)
        (self.state.secrets / "template_password").unlink(missing_ok=True)
        server.ensure_database()
        self._progress.done(POSTGRES.name)

    def _await_postgres(self) -> None:
        record = Record.read(self.state)
        if record is None or record.postgres_port is None:
            return
        server = postgres.Postgres(
            programs=Path(record.programs),
            data=self.state.postgres,
            secrets=self.state.secrets,
            port=record.postgres_port,
        )
        server.wait_until_ready(
            is_alive=lambda: self.deployment.state_of(POSTGRES) not in ("failed", "stopped", "restarting"),
            log=self.state.log(POSTGRES.name),
        )

    def _ensure_schema(self, made: Made, chosen: Ports) -> None:
        login = self._login(chosen.postgres)
        stale = migrations.stale(
            lambda sql: query(made.programs, login, sql),
            site_packages=made.runtime.site_packages,
            package=_package(made),
        )
        if stale:
            self._progress.step(f"Migrating {' and '.join(stale)}")
            environment = read_json(self.state.launch_file)["environment"]
            migrations.migrate(made.python, environment, log=self.state.logs / "migrate.log")

    def _seed(self) -> None:
        with client(self.state) as api:
            seeding.apply(self.plan.seeds, api, report=self._progress.note)

    def _settled_status(self) -> Status:
        """Look until nothing is starting any more: a busy api-server may answer late."""
        deadline = time.monotonic() + _SETTLE_LIMIT_SECONDS
        while (status := self.deployment.status()).state == "starting" and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return status

    def _await(self, components: Iterable[Component]) -> None:
        """Wait until components are healthy, have failed, or the limit has passed; say each."""
        waiting = {component.name: component for component in components}
        deadline = time.monotonic() + _START_LIMIT_SECONDS
        with client(self.state, timeout_seconds=60) as api:
            while waiting and time.monotonic() < deadline:
                programs = self.supervisor.programs()
                health = api.health() if self.deployment.runs(AIRFLOW_COMPONENTS[0]) else None
                beats = self._heartbeats() if health is None else {}
                for name, component in list(waiting.items()):
                    program = programs.get(name)
                    if program is None or program.state in ("failed", "stopped"):
                        log = self.state.log(name)
                        why = reason(program, log, self.supervisor.crashes(name)) if program else "gone"
                        self._progress.failed(name, why)
                        del waiting[name]
                    elif is_heard(
                        component, program, health, worker_answers=worker_answers(component, self.state)
                    ) or (program.started_at and beats.get(component.job_type, 0) >= program.started_at):
                        self._progress.done(name)
                        del waiting[name]
                time.sleep(_LOOK_SECONDS)
        for name in waiting:
            self._progress.failed(name, f"not healthy after {_START_LIMIT_SECONDS} s; it goes on trying")

    def _heartbeats(self) -> dict[str | None, float]:
        """Return the last heartbeat of each kind of job, from the database: the api-server comes up last."""
        record = Record.read(self.state)
        if record is None:
            return {}
        try:
            rows = query(
                Path(record.programs),
                self._login(record.postgres_port),
                "SELECT job_type, extract(epoch FROM max(latest_heartbeat)) FROM job"
                " WHERE state = 'running' AND latest_heartbeat IS NOT NULL GROUP BY job_type",
            )
        except DatabaseError:
            return {}
        return {job_type: float(beat) for job_type, beat in rows}

    def _login(self, postgres_port: int | None) -> Login:
        """Return the login of Airflow's database."""
        if postgres_port is None:
            return Login.from_url(self.plan.database_url or "")
        password = ensure_secret(self.state.secrets / "database_password")
        url = f"postgresql://{postgres.OWNER}@{ports.HOST}:{postgres_port}/{postgres.DATABASE}"
        return Login(url, password)

    # -- the state of things ----------------------------------------------------------------------

    def _ports(self, asked: int | None) -> Ports:
        """Return the running deployment's ports, else those for a new start."""
        record = Record.read(self.state)
        if record and self.supervisor.is_running():
            return Ports(api_server=record.port, postgres=record.postgres_port)
        own = None
        if self.plan.database_url is None:
            own = record.postgres_port if record else None
            if not own or not ports.is_free(own):
                own = ports.free_port()
        return Ports(api_server=asked or self.plan.port, postgres=own)

    def _require_same_port(self, asked: int | None) -> None:
        record = Record.read(self.state)
        if asked is not None and record is not None and asked != record.port:
            raise StateError(
                f"The deployment of '{self.plan.name}' runs already, on port {record.port}, not {asked}.",
                hint=f"Stop it first: orrery down; then: orrery up --port {asked}",
            )

    def _require_no_difference(self, chosen: Iterable[Component]) -> None:
        """Refuse what a restart cannot do: all components of a deployment are of one start."""
        record = Record.read(self.state)
        if record and (found := record.differences(self.plan)):
            raise StateError(
                f"The project now asks for {'; '.join(found)}, which a restart cannot change.",
                hint="Change all components together: orrery down; then: orrery up",
            )
        if self.plan.database_url and POSTGRES in chosen:
            raise StateError(
                "This deployment uses a database of your own (orrery.yaml); there is none to restart.",
                hint="Restart Airflow's components: orrery restart",
            )

    def _require_password(self) -> None:
        """Refuse to make a new password for a database that has one."""
        folder = self.state.secrets
        known = any((folder / name).exists() for name in ("database_password", "template_password"))
        if not known and (self.state.postgres / "PG_VERSION").exists():
            raise MachineError(
                f"The password of the database is gone: {folder / 'database_password'}.",
                hint=f"Put the file back, or start anew without the data: rm -r {self.state.root}",
            )

    def _server(self, made: Made, port: int) -> postgres.Postgres:
        return postgres.Postgres(
            programs=made.programs, data=self.state.postgres, secrets=self.state.secrets, port=port
        )

    def _migration_environment(self) -> dict[str, str]:
        """Return an environment without the project: a template belongs to the runtime alone."""
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
        user = self.plan.user_environment
        return {
            **{name: user[name] for name in keep if name in user},
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            MARK: self.state.deployment_id,
        }

    def _rotate_log(self, component: Component) -> None:
        """Begin a new log, so that what it says is of this start."""
        log = self.state.log(component.name)
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.1"))


def _template_name(made: Made) -> str:
    """Name the template after what it holds: a cluster of that server, both schemas at their newest."""
    _, airflow = migrations.known_revisions(made.runtime.site_packages)
    _, ours = migrations.orrery_revisions(_package(made))
    return "-".join(["postgresql-18-airflow", airflow, *(["orrery", ours] if ours else [])])


def _package(made: Made) -> Path:
    """Return the folder of the `orrery` that Airflow's components import."""
    if made.runtime.origin == "current":  # perhaps not installed but linked to
        return Path(orrery.__file__).parent
    return made.runtime.site_packages / "orrery"


def _sqlalchemy_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)
