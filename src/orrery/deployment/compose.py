"""A deployment as a Compose file: PostgreSQL, the migration, every component, secrets as files.

Pure: what is asked in, a document out. `write` is the thin shell around it.
"""

from __future__ import annotations

import json
import os
import secrets as random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from orrery.components import AIRFLOW_COMPONENTS, WORKER
from orrery.config import secrets
from orrery.config.once import write_once
from orrery.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "compose.yaml"
_SECRETS = "/run/secrets"
_PASSWORDS = "admin.json"
_HOME = "/usr/local/airflow"
_DATABASE = "airflow"
#: Group 0 may write in the image, so any user will do: the one who renders owns the secrets.
_IMAGE_USER = 50000

#: Memory and CPUs that a component may take; what it needs for a few dozen DAGs. No more than one CPU: Docker
#: refuses more than the machine has. The worker measures the machine and shares it among its tasks.
LIMITS: dict[str, dict[str, str]] = {
    "api-server": {"memory": "2G", "cpus": "1"},
    "scheduler": {"memory": "2G", "cpus": "1"},
    "dag-processor": {"memory": "2G", "cpus": "1"},
    "triggerer": {"memory": "1G", "cpus": "1"},
    "worker": {"memory": "4G"},
    "migrate": {"memory": "1G", "cpus": "1"},
    "postgres": {"memory": "1G", "cpus": "1"},
}
#: A worker lets its tasks end, for ten minutes at most; the others have nothing to lose.
_GRACE = {"worker": "610s"}
_DRAIN_SECONDS = "600"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is rendered. `user` is the numeric id that the secrets belong to."""

    name: str
    image: str
    port: int
    user: int
    #: Airflow's variables that the deployment file gives.
    settings: Mapping[str, str]
    #: The project's `.env`, as the Compose file reaches it.
    env_file: str | None = None


def document(wanted: Wanted) -> dict[str, Any]:
    """Return the Compose file."""
    shared = {
        **wanted.settings,
        "AIRFLOW__API__BASE_URL": f"http://localhost:{wanted.port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://api-server:8080/execution/",
        "AIRFLOW__API__INSTANCE_NAME": wanted.name,
    }
    platform = shared | {
        "ORRERY_SECRETS_DIR": _SECRETS,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": f"cat {_SECRETS}/database_url",
    }
    services: dict[str, Any] = {
        "postgres": {
            # In full: podman knows no registry that a short name could mean.
            "image": "${POSTGRES_IMAGE:-docker.io/library/postgres:17}",
            "environment": {
                "POSTGRES_USER": _DATABASE,
                "POSTGRES_DB": _DATABASE,
                "POSTGRES_PASSWORD_FILE": f"{_SECRETS}/database_password",
            },
            "volumes": [
                "database:/var/lib/postgresql/data",
                f"./secrets/database_password:{_SECRETS}/database_password:ro",
            ],
            "healthcheck": {
                "test": ["CMD", "pg_isready", "--host=127.0.0.1", f"--username={_DATABASE}"],
                "interval": "2s",
                "timeout": "5s",
                "retries": 30,
            },
            "restart": "unless-stopped",
            **_limits("postgres"),
        },
        "migrate": {
            **_service(wanted, "migrate", platform),
            "volumes": [f"./secrets:{_SECRETS}:ro"],
            "depends_on": {"postgres": {"condition": "service_healthy"}},
            "restart": "no",
        },
    }
    for component in AIRFLOW_COMPONENTS:
        if component is WORKER and not has_worker(wanted.settings):
            continue
        service = _service(wanted, component.name, shared if component is WORKER else platform)
        # The scheduler and the worker meet at a socket; the api-server reads the logs of all.
        service["volumes"] = [f"run:{_HOME}/run", f"logs:{_HOME}/logs"]
        if component is not WORKER:
            service["volumes"].append(f"./secrets:{_SECRETS}:ro")
        service["depends_on"] = {"migrate": {"condition": "service_completed_successfully"}}
        service["restart"] = "unless-stopped"
        if component is WORKER:
            service["environment"].setdefault("AIRFLOW__ORRERY_EXECUTOR__DRAIN_SECONDS", _DRAIN_SECONDS)
        service["stop_grace_period"] = _GRACE.get(component.name, "30s")
        if component.probe == "http":
            service["ports"] = [f"127.0.0.1:{wanted.port}:8080"]
            passwords = f"/run/sign-in/{_PASSWORDS}"
            service["volumes"].append("./sign-in:/run/sign-in")
            # Whichever auth manager it is, it begins with this one person.
            service["environment"] |= {
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
                "AIRFLOW__ORRERY_AUTH__BOOTSTRAP_FILE": passwords,
            }
        services[component.name] = service
    return {"services": services, "volumes": {"database": {}, "run": {}, "logs": {}}}


def has_worker(settings: Mapping[str, str]) -> bool:
    """Say whether a worker runs the tasks, not the scheduler."""
    return "PackingExecutor" in settings.get("AIRFLOW__CORE__EXECUTOR", "")


def _service(wanted: Wanted, name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        "image": wanted.image,
        "command": [name],
        "user": f"{wanted.user}:0",
        **({"env_file": [wanted.env_file]} if wanted.env_file else {}),
        "environment": {name: value.replace("$", "$$") for name, value in sorted(environment.items())},
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - in the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        **_limits(name),
    }


def _limits(name: str) -> dict[str, Any]:
    return {"deploy": {"resources": {"limits": LIMITS[name]}}}


def text(wanted: Wanted) -> str:
    """Return the document as YAML with a word for its readers."""
    head = (
        "# Rendered by `orrery deployment render --target compose`: change orrery.yaml and render again.\n"
        "# docker compose up --wait; sign in as admin with the password in sign-in/.\n"
    )
    return head + yaml.safe_dump(document(wanted), sort_keys=False, width=110)


def write(folder: Path, wanted: Wanted) -> list[Path]:
    """Write the Compose file and what it mounts; secrets that exist stay. Return what was written.

    Raises:
        InputError: the folder holds a Compose file that was not rendered.
    """
    target = folder / FILE
    if target.exists() and not target.read_text(encoding="utf-8").startswith("# Rendered by `orrery"):
        raise InputError(
            f"{target} was not rendered by orrery; it is left as it is.",
            hint="Choose another folder: --output FOLDER",
        )
    password = random.token_urlsafe(24)
    values = {secret.file: secrets.new_value(secret.size_bytes) for secret in secrets.SECRETS}
    values["database_password"] = password
    kept = folder / "secrets"
    kept.mkdir(parents=True, mode=0o700, exist_ok=True)
    sign_in = folder / "sign-in"
    sign_in.mkdir(mode=0o700, exist_ok=True)
    for name, value in values.items():
        write_once(kept / name, value)
    password = (kept / "database_password").read_text(encoding="utf-8").strip()
    write_once(
        kept / "database_url", f"postgresql+psycopg2://{_DATABASE}:{password}@postgres:5432/{_DATABASE}"
    )
    write_once(sign_in / _PASSWORDS, json.dumps({"admin": random.token_urlsafe(16)}))
    if os.geteuid() == 0:
        for path in (kept, sign_in, *kept.iterdir(), *sign_in.iterdir()):
            os.chown(path, wanted.user, 0)
        # PostgreSQL's own image reads it as another user.
        (kept / "database_password").chmod(0o644)
    # A name inside the file is not understood by Compose 1.
    (folder / ".env").write_text(f"COMPOSE_PROJECT_NAME={wanted.name}\n", encoding="utf-8")
    target.write_text(text(wanted), encoding="utf-8")
    return [target]


def user() -> int:
    """Return the user id for the containers: the caller's, or the image's own for root."""
    return os.geteuid() or _IMAGE_USER
