"""Access of the running deployment, from its machine: over its API, and past it for the first owner."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from orrery.errors import InputError, OrreryError, StateError
from orrery.local import process
from orrery.local.api import USERNAME, ApiError
from orrery.local.status import client

if TYPE_CHECKING:
    from types import TracebackType

    from orrery.local.deployment import LocalDeployment

#: What the routes say of a wish that cannot be: not there, there already, malformed.
_WRONG: Final = frozenset({400, 404, 409, 422})
_RECOVERY_SECONDS: Final = 120


class Access:
    """The routes below /orrery/v1/access, as the deployment's admin; signed in once for all calls.

    Raises:
        StateError: the deployment does not run.
    """

    def __init__(self, deployment: LocalDeployment) -> None:
        if not deployment.supervisor.is_running():
            raise StateError(f"{deployment.name} does not run.", hint="Start it: orrery up")
        self._api = client(deployment.state)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call a route.

        Raises:
            StateError: the deployment has another auth manager.
            InputError: what is wished for cannot be; nothing was changed.
            OrreryError: it was refused, or nothing answers.
        """
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            return self._api.call_orrery(method, f"/access{path}", json=body, params=asked)
        except ApiError as error:
            if error.status is None:
                raise
            if "auth manager" in error.detail:
                raise StateError(
                    error.detail,
                    hint="Set 'auth: {manager: orrery}' in orrery.yaml; then: orrery down; orrery up",
                ) from error
            kind = InputError if error.status in _WRONG else OrreryError
            raise kind(error.detail, hint=_hint(error)) from error

    def __enter__(self) -> Access:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.__exit__(kind, error, trace)


def _hint(error: ApiError) -> str | None:
    if error.status == 403:
        return f"The commands act as '{USERNAME}', which needs to be an owner."
    return (
        "See what there is: orrery auth users list, teams list, roles list" if error.status == 404 else None
    )


def recover(
    deployment: LocalDeployment, action: str, username: str, password: str, *, email: str | None = None
) -> dict[str, Any]:
    """Make the first owner (`bootstrap`) or set a password (`password`) straight in the database.

    Raises:
        StateError: the deployment does not run, or has an owner already.
        InputError: the name or the password is refused.
    """
    (python, *_), environment = deployment.launch()
    ended = process.run(
        [python, "-m", "orrery.auth.recovery", action, username, *filter(None, [email])],
        # Not in the arguments, which every user of the machine can see.
        env={**environment, "ORRERY_ACCESS_PASSWORD": password},
        timeout=_RECOVERY_SECONDS,
    )
    lines = ended.stdout.strip().splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1]) if ended.returncode == 0 and lines else {}
    except ValueError:
        answer = {}
    if not answer:
        why = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OrreryError(f"The database could not be changed: {why}", hint="See what runs: orrery status")
    if message := answer.get("error"):
        kind = {2: InputError, 4: StateError}.get(answer["code"], OrreryError)
        raise kind(message, hint=answer.get("hint"))
    if username.strip().lower() == USERNAME:
        # As whom the commands sign in.
        deployment.state.keep_admin(USERNAME, password)
    return answer
