"""The secrets that all components of a deployment share, made once and kept in files of mode 0600."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orrery.config.note import Note
from orrery.config.once import write_once
from orrery.config.user import variable_of
from orrery.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from orrery.config.user import UserSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret:
    """One shared secret: an option of Airflow's, the file that keeps it, and what replaces it."""

    section: str
    option: str
    file: str
    why: str
    instead: tuple[str, str] | None = None
    #: Random bytes in a new one. A Fernet key has 32, no more and no fewer.
    size_bytes: int = 32

    @property
    def variable(self) -> str:
        """The environment variable that Airflow reads."""
        return variable_of(self.section, self.option)


SECRETS = (
    Secret(
        section="core",
        option="fernet_key",
        file="fernet_key",
        why="Encrypts connections and variables in the database; without it they lie there readable.",
    ),
    Secret(
        section="api_auth",
        option="jwt_secret",
        file="jwt_secret",
        why="Signs the tokens of users and tasks; every component must hold the same, also after a restart.",
        instead=("api_auth", "jwt_private_key_path"),
        # Airflow signs with HS512, for which RFC 7518 (section 3.2) asks for 64 bytes.
        size_bytes=64,
    ),
    Secret(
        section="api",
        option="secret_key",
        file="api_secret_key",
        why="Signs sessions and log requests; every component must hold the same, also after a restart.",
    ),
)
VARIABLES = frozenset(secret.variable for secret in SECRETS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The values of secrets by variable, and what has to be said about them."""

    values: dict[str, str]
    notes: tuple[Note, ...] = ()


#: What lets a process into the platform: the shared secrets, and the database.
PLATFORM = (
    *(secret.variable for secret in SECRETS),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
    "AIRFLOW__ORRERY_EXECUTOR__LISTEN_URL",
    "AIRFLOW__ORRERY_AUTH__LISTEN_URL",
    "AIRFLOW__ORRERY_AUTH__BOOTSTRAP_FILE",
    "AIRFLOW__ORRERY_AUTH__PROVIDERS",
)


def for_tasks(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for the worker and its tasks: without the platform's secrets.

    Tasks reach the platform through the API server, each with a token of its own.
    """
    hidden = {f"{name}{ending}" for name in PLATFORM for ending in ("", "_CMD", "_SECRET")}
    return {name: value for name, value in environment.items() if name not in hidden} | {
        "ORRERY_COMPONENT": "worker",
        # Airflow makes an engine from it when it is imported; nobody connects.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
    }


def missing(user: UserSettings) -> list[Secret]:
    """Return the secrets that the user has not set in any way."""
    return [
        secret
        for secret in SECRETS
        if user.given(secret.section, secret.option) is None
        and (secret.instead is None or user.given(*secret.instead) is None)
    ]


def ensure(folder: Path, wanted: Iterable[Secret], *, inherited: Mapping[str, str]) -> Kept:
    """Return the wanted secrets, making those that do not exist yet.

    `inherited` are the values that a process above this one has passed on: they serve where the files
    cannot be reached, for instance in a task that runs as another user.

    Raises:
        MachineError: others may read or replace a secret, or it is empty.
    """
    values: dict[str, str] = {}
    notes: list[Note] = []
    for secret in wanted:
        path = folder / secret.file
        try:
            value, said = _read_or_make(path, secret.size_bytes)
        except OSError as error:
            if secret.variable in inherited:
                values[secret.variable] = inherited[secret.variable]
            else:
                notes.append(_not_kept(folder, error))
            continue
        values[secret.variable] = value
        notes += said
    return Kept(values=values, notes=tuple(dict.fromkeys(notes)))


def digest(value: str) -> str:
    """Return what may be written down about a secret in order to recognise it."""
    return "sha256:" + hashlib.sha256(value.encode()).hexdigest()[:16]


def new_value(size_bytes: int) -> str:
    """Return that many random bytes in URL-safe base64: the form of a Fernet key, good for the others too."""
    return base64.urlsafe_b64encode(os.urandom(size_bytes)).decode("ascii")


def _read_or_make(path: Path, size_bytes: int) -> tuple[str, list[Note]]:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_open_folder(path.parent)
        write_once(path, new_value(size_bytes) + "\n")
    notes = _tighten(path)
    value = path.read_text(encoding="utf-8").strip()
    if not value:
        raise MachineError(
            f"The secret {path} is empty.",
            hint="Restore it from a backup, or remove the file so that a new secret is made.",
        )
    return value, notes


def _refuse_open_folder(folder: Path) -> None:
    mode = folder.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise MachineError(
            f"Others may write into {folder}, so they could replace the secrets in it.",
            hint=f"Run: chmod 700 {folder}",
        )


def _tighten(path: Path) -> list[Note]:
    """Make a secret unreadable to others, or refuse it where that is not ours to do."""
    facts = path.stat()
    if not stat.S_IMODE(facts.st_mode) & 0o077:
        return []
    if facts.st_uid == os.geteuid():
        path.chmod(0o600)
        text = f"Others could read the secret {path}; its mode is now 0600. Consider replacing it."
        return [Note(key=f"secret:{path}", text=text)]
    if facts.st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        raise MachineError(
            f"The secret {path} may be read or changed by others.", hint=f"Run: chmod 600 {path}"
        )
    return []  # readable by a group of ours: how a secret is mounted into a container


def _not_kept(folder: Path, error: OSError) -> Note:
    text = (
        f"Shared secrets cannot be kept in {folder} ({error.strerror}). Set ORRERY_SECRETS_DIR to a folder "
        "that can be written, or set " + ", ".join(secret.variable for secret in SECRETS) + "."
    )
    return Note(key=f"secrets:{folder}", text=text)
