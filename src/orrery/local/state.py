"""Where a local deployment keeps its state: `.orrery/` in the project."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orrery.errors import MachineError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Longest path of a Unix socket on Linux, in bytes, less room for the terminating zero.
_LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class State:
    """The folders and files of one local deployment. Making the value touches no disk."""

    root: Path

    @property
    def deployment_id(self) -> str:
        """Name this deployment: its processes carry it, so that they can be found again.

        It follows from the folder, not from a file in it: a copied project is another deployment.
        """
        return hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:12]

    @property
    def airflow_home(self) -> Path:
        """Airflow's home."""
        return self.root / "airflow"

    @property
    def logs(self) -> Path:
        """One log per component, and those of the tasks in `tasks/`."""
        return self.root / "logs"

    @property
    def task_logs(self) -> Path:
        """The logs of the tasks."""
        return self.logs / "tasks"

    @property
    def run(self) -> Path:
        """What is true only while the deployment runs: sockets, pids, environment."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """Passwords and keys, each a file of mode 0600."""
        return self.root / "secrets"

    @property
    def postgres(self) -> Path:
        """The data of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def launch_file(self) -> Path:
        """The command and the environment of Airflow's components, as JSON, mode 0600."""
        return self.run / "launch.json"

    @property
    def worker_launch_file(self) -> Path:
        """The same for the worker, whose environment holds no secrets of the platform."""
        return self.run / "launch-worker.json"

    @property
    def worker_socket(self) -> Path:
        """Where the worker's agent listens, beside the process manager's socket."""
        return self.socket.with_name("worker.sock")

    @property
    def supervisor_configuration(self) -> Path:
        """The process manager's configuration."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_log(self) -> Path:
        """What the process manager did."""
        return self.logs / "supervisor.log"

    @property
    def admin_password(self) -> Path:
        """The file that holds the admin's password alone."""
        return self.secrets / "admin_password"

    @property
    def sign_in(self) -> Path:
        """The file of the admin's name and password, as auth managers read it."""
        return self.secrets / "sign_in.json"

    def keep_admin(self, username: str, password: str) -> None:
        """Write the admin's password to both files: what the commands sign in with."""
        write_private(self.admin_password, password)
        write_private(self.sign_in, json.dumps({username: password}))

    @property
    def socket(self) -> Path:
        """The process manager's socket: in `run`, or in a short private folder when that path is too long."""
        near = self.run / "supervisor.sock"
        if len(os.fsencode(near)) <= _LONGEST_SOCKET_PATH - len(".1234567"):
            return near
        # Not gettempdir(): every shell must find the same socket, whatever its TMPDIR.
        return Path("/tmp") / f"orrery-{os.getuid()}-{self.deployment_id}" / "supervisor.sock"  # noqa: S108

    def log(self, component: str) -> Path:
        """Return the log file of one component."""
        return self.logs / f"{component}.log"

    def ensure(self) -> None:
        """Make the folders.

        Raises:
            MachineError: a folder cannot be made or written.
        """
        try:
            self.root.mkdir(mode=0o755, exist_ok=True)
            # The state is never part of the project's history, whatever its .gitignore says.
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
            for folder in (self.airflow_home, self.logs, self.task_logs):
                folder.mkdir(exist_ok=True)
            for folder in (self.run, self.secrets, self.socket.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                # lstat: in /tmp another user may have put a link to a folder of ours.
                if folder.lstat().st_uid != os.getuid():
                    raise MachineError(
                        f"The folder {folder} belongs to another user.",
                        hint=f"Remove it, or run as its owner: ls -ld {folder}",
                    )
        except OSError as error:
            raise self._unwritable(error) from error

    @contextlib.contextmanager
    def locked(self, command: str) -> Iterator[None]:
        """Hold the deployment for one command that changes it; the kernel frees it when we die.

        Raises:
            StateError: another command holds it; its name and pid are told.
        """
        try:
            opened = (self.run / "lock").open("a+")
        except OSError as error:
            raise self._unwritable(error) from error
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another command"
                raise StateError(
                    f"{holder} is at work on this deployment.",
                    hint="Wait for it to end, or stop it, then run this command again.",
                ) from None
            file.truncate(0)
            file.write(f"'orrery {command}' (pid {os.getpid()})")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def _unwritable(self, error: OSError) -> MachineError:
        try:
            user = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:  # a container's arbitrary user has a number only
            user = str(os.geteuid())
        return MachineError(
            f"Cannot write {error.filename or self.root}: {error.strerror} (running as user '{user}').",
            hint=f"Give that user the folder: chown -R {user} {self.root.parent}"
            if isinstance(error, PermissionError)
            else "Free disk space or choose another folder, then run the command again.",
        )


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 at once: a reader sees the old text or the new, never a half."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def ensure_secret(path: Path) -> str:
    """Return the secret in a file; make it, 0600, when it is not there yet."""
    with contextlib.suppress(FileNotFoundError):
        if secret := path.read_text().strip():
            return secret
    # Letters and digits only: people type it, and it stands unquoted in URLs.
    secret = secrets.token_hex(12)
    write_private(path, secret)
    return secret


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an absent or broken one is an empty object."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
