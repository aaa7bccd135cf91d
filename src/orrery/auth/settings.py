"""What the deployment says of access: the section `[orrery_auth]` of Airflow's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from airflow.configuration import conf

from orrery.auth.provider import Provider, parse
from orrery.auth.roles import Place

SECTION: Final = "orrery_auth"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All of it; `config/airflow_options.json` and docs/access describe each option."""

    place: Place
    #: How long a browser may be idle before it has to sign in again.
    idle: timedelta
    #: How long a session lasts in any case.
    session: timedelta
    audit_days: int
    #: PostgreSQL itself, where Airflow's own URL leads through a pool.
    listen_url: str | None
    #: A file of JSON, `{"username": "password"}`: the first owner, made where there is none.
    bootstrap_file: Path | None
    providers: tuple[Provider, ...] = ()


def load() -> Settings:
    """Read the settings.

    Raises:
        AirflowConfigException: an option is not of its kind.
        InputError: the identity providers are not what they should be.
    """
    bootstrap = conf.get(SECTION, "bootstrap_file", fallback="")
    return Settings(
        place=Place(
            organization=conf.get(SECTION, "organization", fallback="default"),
            workspace=conf.get(SECTION, "workspace", fallback="default"),
            deployment=conf.get(SECTION, "deployment", fallback="") or "default",
        ),
        idle=timedelta(minutes=conf.getint(SECTION, "session_idle_minutes", fallback=60)),
        session=timedelta(hours=conf.getint(SECTION, "session_hours", fallback=12)),
        audit_days=conf.getint(SECTION, "audit_days", fallback=365),
        listen_url=conf.get(SECTION, "listen_url", fallback="") or None,
        bootstrap_file=Path(bootstrap) if bootstrap else None,
        providers=parse(conf.get(SECTION, "providers", fallback="")),
    )
