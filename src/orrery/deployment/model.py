"""The deployment file as one typed value: what `orrery.yaml` may say, and nothing else."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from orrery import __version__
from orrery.deployment.identity import IdentityProvider  # noqa: TC001 - pydantic reads it
from orrery.deployment.section import Section, complaint
from orrery.deployment.tasks import TaskRequest, Worker
from orrery.errors import InputError
from orrery.release import catalogue

#: Which executor runs the tasks where the file does not say.
DEFAULT_EXECUTOR: Literal["packing", "local"] = "packing"

#: What may stand in a host name: the deployment's name becomes part of some.
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"

#: As Airflow's column of queues.
LONGEST_QUEUE_NAME = 256

#: Databases that people ask for, and why they are not offered.
_REFUSED_DATABASES = {
    "mysql": "MySQL lacks LISTEN/NOTIFY, with which Orrery wakes the scheduler",
    "mariadb": "Airflow does not support MariaDB",
    "sqlite": "SQLite has one writer, so a second task would wait for the first",
    "mssql": "Airflow no longer supports SQL Server",
    "oracle": "Airflow does not support Oracle for its metadata",
}

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Database(Section):
    """Airflow's metadata database. Without this section an embedded PostgreSQL is used."""

    url: Annotated[
        SecretStr,
        WithJsonSchema(
            {"type": "string", "pattern": r"^(postgresql://.*/.+|.*\$\{[A-Za-z_][A-Za-z0-9_]*\}.*)$"}
        ),
    ] = Field(
        examples=["${DATABASE_URL}", "postgresql://airflow:${DATABASE_PASSWORD}@db.example.org:5432/airflow"]
    )
    """`postgresql://user:password@host:port/database`. `${NAME}` is replaced by that environment
    variable, from the shell or from `.env`, so that no password needs to stand in the file."""

    @field_validator("url", mode="before")
    @classmethod
    def _is_a_postgresql_url(cls, value: object, info: ValidationInfo) -> object:
        # No message repeats the URL: it may hold a password.
        if not isinstance(value, str):
            return value
        environment = (info.context or {}).get("environment", {})
        missing = [name for name in _REFERENCE.findall(value) if not environment.get(name)]
        if missing:
            names = " and ".join(f"${{{name}}}" for name in dict.fromkeys(missing))
            raise complaint(f"refers to {names}, which is not set in the environment or in .env")
        return _checked_url(_REFERENCE.sub(lambda match: str(environment[match[1]]), value))


def _checked_url(url: str) -> str:
    advice = "write `postgresql://user:password@host:port/database`"
    try:
        parts: SplitResult = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        reason = "percent-encode the characters @ : / ? # [ ] of user and password"
        raise complaint(f"is not a URL: {reason}; {advice}") from error
    scheme, _, driver = parts.scheme.partition("+")
    if scheme in _REFUSED_DATABASES:
        raise complaint(f"names a {scheme} database: {_REFUSED_DATABASES[scheme]}; {advice}")
    if scheme == "postgresql" and driver:
        raise complaint(f"names the driver {driver}: Orrery chooses drivers itself; {advice}")
    if scheme == "postgres":
        raise complaint("begins with postgres://: SQLAlchemy wants postgresql://")
    if scheme != "postgresql" or not url.startswith("postgresql://"):
        raise complaint(f"is not the URL of a PostgreSQL database; {advice}")
    if not parts.path.strip("/"):
        raise complaint(f"names no database; {advice}")
    return url


class Local(Section):
    """What holds for `orrery up` on this machine only."""

    port: int = Field(default=8080, ge=1, le=65535)
    """Port of the API server and UI, on loopback. `orrery up --port` wins over it."""


class Auth(Section):
    """Access: the auth manager, and the places at which roles are given."""

    manager: Literal["orrery", "simple"] = "orrery"
    """`orrery`: people, teams, roles, API tokens and an audit, in the metadata database. `simple`: Airflow's
    own for development, with one admin."""

    organization: str = Field(default="default", min_length=1, max_length=250)
    """Name of the organization: roles given at it count here."""

    workspace: str = Field(default="default", min_length=1, max_length=250)
    """Name of the workspace: roles given at it count here."""

    providers: Annotated[tuple[IdentityProvider, ...], Field(strict=False)] = ()
    """Identity providers for single sign-on, by OpenID Connect, in the order of their buttons."""

    @field_validator("providers")
    @classmethod
    def _have_ids_of_their_own(cls, value: tuple[IdentityProvider, ...]) -> tuple[IdentityProvider, ...]:
        ids = [each.id for each in value]
        if twice := sorted({each for each in ids if ids.count(each) > 1}):
            raise complaint(f"names '{twice[0]}' twice: each provider needs an id of its own")
        return value


class Deployment(Section):
    """An Orrery deployment: which runtime, under which name, on which database."""

    # `runtime` stands before `python`: the check of one needs the other.
    runtime: str = Field(default=__version__, examples=[__version__])
    """Version of Orrery Runtime. Without it: the version of the `orrery` command."""

    name: str = Field(pattern=NAME_PATTERN, examples=["weather"])
    """Name of the deployment: lower-case letters, digits and hyphens, at most 63. Without it: the
    name of the project's folder."""

    python: Literal["3.11", "3.12", "3.13"] | None = None
    """Python of the runtime. Without it: the Python of the `orrery` command where the runtime supports
    that one, else the runtime's default."""

    providers: Literal["slim", "full"] = "slim"
    """`slim`: the core providers, small and quick to install. `full`: also the clouds, Celery,
    Kubernetes, Databricks, Elasticsearch and Snowflake."""

    database: Database | None = None
    """Airflow's metadata database. Without it: a PostgreSQL that `orrery up` starts itself."""

    local: Local = Local()
    """Settings of `orrery up` on this machine."""

    auth: Auth = Auth()
    """Who may do what, and where this deployment stands."""

    executor: Literal["packing", "local"] = DEFAULT_EXECUTOR
    """`packing`: tasks are packed by what they ask for, each held to its request. `local`: Airflow's
    LocalExecutor, which counts tasks and holds them to nothing."""

    worker: Worker = Worker()
    """What tasks may use of a machine, and what they ask for by default."""

    queues: dict[str, TaskRequest] = Field(default_factory=dict, examples=[{"heavy": {"memory": "4Gi"}}])
    """Queues by name, each with what its tasks ask for that say nothing themselves."""

    @field_validator("queues")
    @classmethod
    def _have_names(cls, value: dict[str, TaskRequest]) -> dict[str, TaskRequest]:
        for name in value:
            if not name.strip() or len(name) > LONGEST_QUEUE_NAME:
                raise complaint(
                    f"holds the queue {name[:60]!r}; a name has 1 to {LONGEST_QUEUE_NAME} characters"
                )
        return value

    @field_validator("runtime")
    @classmethod
    def _is_in_the_catalogue(cls, value: str) -> str:
        known = catalogue.load()
        try:
            release = known.release(value)
        except InputError as error:
            hint = f" {error.hint}" if error.hint else ""
            raise complaint(f"names no release: {error.message}{hint}") from error
        line = known.line(release.version.major)
        if not line.is_built:
            raise complaint(
                f"names a release that cannot be run: line {line.number} is {line.status}; "
                f"the newest release is {known.newest.version}"
            )
        return str(release.version)

    @field_validator("python")
    @classmethod
    def _runs_the_runtime(cls, value: str | None, info: ValidationInfo) -> str | None:
        runtime = info.data.get("runtime")  # absent when the runtime itself is wrong
        if value is None or runtime is None:
            return value
        known = catalogue.load()
        supported = known.line(known.release(runtime).version.major).python_supported or ()
        if value not in supported:
            raise complaint(f"is {value}, but runtime {runtime} runs on Python {', '.join(supported)}")
        return value
