"""SQL for the tools: through `psql` of the runtime's environment, so that they need no driver."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orrery.errors import MachineError
from orrery.local import process
from orrery.local.state import write_private


class DatabaseError(MachineError):
    """The database did not do what it was asked, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where a database is and who asks. The password never stands in an argument, which all users see."""

    url_without_password: str
    password: str = field(repr=False)

    @classmethod
    def from_url(cls, url: str) -> Login:
        """Take a `postgresql://` URL apart."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        if parts.port:
            place = f"{place}:{parts.port}"
        if parts.username:
            place = f"{parts.username}@{place}"
        # Put together by hand: urlunsplit drops the slashes before an absent host.
        bare = f"postgresql://{place}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return cls(bare, unquote(parts.password or ""))


def query(programs: Path, login: Login, sql: str) -> list[list[str]]:
    """Run SQL and return rows of text.

    Raises:
        DatabaseError: the server refused or is not there; its message is told.
    """
    with tempfile.TemporaryDirectory(prefix="orrery-sql-") as folder:
        script = Path(folder) / "query.sql"
        write_private(script, sql)
        ended = process.run(
            [
                programs / "psql",
                # -w: a wanted password that we do not have is an error, not a question on the terminal.
                *("-X", "-w", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1"),
                *("-d", login.url_without_password, "-f", script),
            ],
            env={
                "PATH": os.defpath,
                "LC_ALL": "C",
                "PGPASSWORD": login.password,
                "PGCONNECT_TIMEOUT": "5",
            },
            timeout=120,
        )
    if ended.returncode != 0:
        raise DatabaseError(
            f"The database {login.url_without_password} refused: {ended.stderr.strip()}",
            hint="Check that the server runs and that address, user and password are right.",
        )
    return [line.split("\x1f") for line in ended.stdout.splitlines() if line]
