"""What the deployment's owner does on its machine, without a sign-in: the first owner, a forgotten password.

    python -m orrery.auth.recovery bootstrap|password USERNAME [EMAIL]

The password comes in the environment, in `ORRERY_ACCESS_PASSWORD`; whoever can run this has the database's
password too. The answer is one line of JSON; what is refused is `{"error": ..., "code": ...}`.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from airflow.configuration import conf
from airflow.utils.session import create_session

from orrery.auth import passwords, settings, store
from orrery.auth.bootstrap import create_owner
from orrery.auth.roles import Place, PrincipalKind
from orrery.errors import InputError, OrreryError, StateError

MANAGER: Final = "orrery.auth.manager.OrreryAuthManager"
PASSWORD: Final = "ORRERY_ACCESS_PASSWORD"  # noqa: S105 - the name of a variable


def bootstrap(place: Place, *, username: str, email: str | None, password: str) -> dict[str, Any]:
    """Make the first owner, or an owner of the account of that name.

    Raises:
        InputError: the password is refused.
        StateError: there is an owner.
    """
    passwords.check_strength(password, username=username)
    with create_session(scoped=False) as session:
        policy = store.load_policy_here(session, place)
    existing = policy.find(username)
    if create_owner(place, username=username, email=email, password=password) is None:
        raise StateError(
            "The organization has an owner.",
            hint="A forgotten password: orrery auth reset-password NAME",
        )
    if existing is not None:
        reset_password(place, username=username, password=password)
    return {"owner": username}


def reset_password(place: Place, *, username: str, password: str) -> dict[str, Any]:
    """Give somebody another password, enable them, and sign them out everywhere.

    Raises:
        InputError: there is no such person, or the password is refused.
    """
    now = datetime.now(UTC)
    with create_session(scoped=False) as session:
        store.lock_policy(session)
        account = store.load_policy_here(session, place).find(username)
        if account is None or account.kind is not PrincipalKind.USER:
            raise InputError(
                f"There is no person '{username}'.", hint="See who there is: orrery auth users list"
            )
        passwords.check_strength(password, username=account.username)
        store.update_account(
            session,
            account.id,
            password_hash=passwords.hashed(password),
            is_active=True,
            epoch=account.epoch + 1,
        )
        store.record(
            session, "user.password", now=now, actor="recovery", subject=account.username, by="machine"
        )
    return {"reset": account.username}


def main(arguments: list[str]) -> int:
    """Do what the arguments say, and print the answer."""
    action, username, *rest = arguments
    password = os.environ.pop(PASSWORD)
    name, place = username.strip().lower(), settings.load().place
    try:
        if conf.get("core", "auth_manager") != MANAGER:
            raise StateError(
                "This deployment uses another auth manager than Orrery's.",
                hint="Set 'auth: {manager: orrery}' in orrery.yaml; then: orrery down; orrery up",
            )
        if action == "bootstrap":
            answer = bootstrap(place, username=name, email=rest[0] if rest else None, password=password)
        else:
            answer = reset_password(place, username=name, password=password)
    except OrreryError as error:
        answer = {"error": error.message, "hint": error.hint, "code": error.exit_code}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
