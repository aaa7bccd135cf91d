"""Every operation of the API server x every role x own, other and system Dag, by real requests.

What is expected comes from the table of operations and the roles' sets; no operation may be missing.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Mount
from tests.integration.auth import people

from orrery.auth import api, permissions

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

OPERATIONS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("operations.toml").read_text(encoding="utf-8")
)["operations"]
#: Of ours beside the access routes: what `orrery.ui.views` has, and the permission.
OURS = {
    "GET /orrery/v1/runtime": None,
    "GET /orrery/v1/pages/{page}": None,
    "GET /orrery/static/{file}": None,
    "GET /orrery/v1/workers": "job.read",
}


def routes(found: Any, prefix: str = "") -> Iterator[tuple[str, APIRoute]]:
    """All operations that ask for people; the execution API has tokens of tasks."""
    for route in found:
        if isinstance(route, APIRoute):
            for method in sorted(route.methods):
                yield f"{method} {prefix}{route.path}", route
        elif isinstance(route, Mount) and route.path != "/execution":
            yield from routes(getattr(route.app, "routes", None) or [], prefix + route.path)


def asked(dependant: Any) -> set[str]:
    """What a route's dependencies ask of the auth manager, as the table writes it."""
    found = set()
    call = dependant.call
    name, _, _ = getattr(call, "__qualname__", "").partition(".")
    if name.startswith("requires_access_"):
        given = dict(
            zip(
                call.__code__.co_freevars,
                (cell.cell_contents for cell in call.__closure__ or ()),
                strict=True,
            )
        )
        method = str(given.get("method", ""))
        what = name.removeprefix("requires_access_")
        if what == "dag":
            entity = given["access_entity"]
            found.add(f"dag {method} {entity.value if entity else ''}".strip())
        elif what == "event_log":
            found.add(f"dag {method} AUDIT_LOG")
        elif what == "dag_from_file_token":
            found.add(f"file {method}")
        elif what == "view":
            found.add(f"view {given['access_view'].value}")
        elif what.endswith("_bulk"):
            found.add(f"bulk {what.removesuffix('_bulk')}")
        else:
            found.add(f"{what} {method}")
    elif name == "get_user":
        found.add("signed-in")
    for each in dependant.dependencies:
        found |= asked(each)
    return found


def test_every_operation_of_the_server_is_in_the_table_with_what_it_asks(airflow_app: Any) -> None:
    running = {}
    for operation, route in routes(airflow_app.routes):
        asks = asked(route.dependant)
        running[operation] = sorted(asks - {"signed-in"} or asks or {"public"})
    assert running == OPERATIONS


def test_every_route_of_ours_asks_who_it_is(airflow_app: Any) -> None:
    from orrery.ui import views

    known = {operation for operation, _ in routes(views.create_app().routes, "/orrery")}
    assert known == set(OURS)
    found = {tuple(operation.split(" ", 1)) for operation, _ in routes(api.create_app().routes)}
    assert found == {(method, path) for method, path, *_ in api.ROUTES}


def test_the_tables_name_every_part_and_view_of_this_airflow() -> None:
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
    from airflow.api_fastapi.common.types import MenuItem

    assert {each.value for each in DagAccessEntity} == set(permissions.DAG_ENTITIES) - {""}
    assert {each.value for each in AccessView} == set(permissions.VIEWS)
    assert {each.name for each in MenuItem} == set(permissions.MENU)


class Asking:
    """Makes requests and tells what is expected of them."""

    def __init__(self, app: Any, tokens: dict[str, str], backfills: dict[str, int]) -> None:
        self.client = TestClient(app, follow_redirects=False, raise_server_exceptions=False)
        self.tokens = tokens
        self.backfills = backfills
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def ask(self, operation: str, person: people.Person, dag_id: str | None, *, allowed: bool | None) -> None:
        method, path = operation.split(" ", 1)
        address = re.sub(r"\{(\w+)(:path)?\}", lambda match: self._value(match[1], dag_id), path)
        body = self._body(operation, dag_id)
        headers = {"Authorization": f"Bearer {self.tokens[person.username]}"}
        answer = self.client.request(
            method, address, headers=headers, json=body if method not in ("GET", "DELETE") else None
        )
        denied = answer.status_code == 403 and any(
            said in answer.text for said in ('"Forbidden"', "This needs the permission")
        )
        if "backfill_id" in operation:
            denied = denied or answer.status_code == 404
        self.counts["allowed" if allowed else "denied"] += 1
        if allowed is not None and (denied == allowed or answer.status_code == 401):
            expected = "allowed" if allowed else "denied"
            self.wrong.append(f"{operation} {dag_id} {person.username}: {expected}, {answer.status_code}")

    def _value(self, name: str, dag_id: str | None) -> str:
        if name == "dag_id":
            return dag_id or "~"
        if name == "backfill_id":
            return str(self.backfills[dag_id or people.OWN])
        if name == "try_number" or name.endswith(("_id", "_index", "_number")):
            return "999999"
        return "nothing"

    def _body(self, operation: str, dag_id: str | None) -> Any:
        if OPERATIONS.get(operation, [""])[0] in ("bulk connection", "bulk variable", "bulk pool"):
            return {
                "actions": [{"action": "delete", "entities": ["nothing"], "action_on_non_existence": "skip"}]
            }
        if OPERATIONS.get(operation) == ["bulk dag_run"]:
            return {
                "actions": [{"action": "delete", "entities": [{"dag_run_id": "nothing", "dag_id": dag_id}]}]
            }
        if OPERATIONS.get(operation) == ["bulk dag_run_clear"]:
            return {"dag_runs": [{"dag_run_id": "nothing", "dag_id": dag_id}]}
        if operation.startswith("POST /api/v2/backfills"):
            return {"dag_id": dag_id}
        return {}


def expected(asks: list[str], person: people.Person, dag_id: str | None) -> bool | None:
    """Return whether it is allowed; None: the handler decides."""
    verdict = True
    for ask in asks:
        kind, *rest = ask.split()
        match kind:
            case "public" | "signed-in":
                continue
            case "view":
                permission = permissions.VIEWS[rest[0]]
                verdict &= person.may(permission) or (
                    permission == "import_error.read" and person.may(permission, people.OWN)
                )
            case "dag":
                permission = permissions.of_dag(rest[0], rest[1] if len(rest) > 1 else None) or ""
                is_list = rest[0] == "GET" or ask in ("dag PUT", "dag PUT TASK_INSTANCE")
                if dag_id is None and is_list:
                    verdict &= person.may_list(permission)
                else:
                    verdict &= person.may(permission, dag_id)
            case "backfill":
                permission = permissions.of_dag(rest[0], "RUN") or ""
                is_list = dag_id is None and rest[0] == "GET"
                verdict &= person.may_list(permission) if is_list else person.may(permission, dag_id)
            case "bulk":
                permission = {"dag_run": "dag_run.delete", "dag_run_clear": "dag_run.update"}.get(
                    rest[0], f"{rest[0]}.delete"
                )
                verdict &= person.may(permission, dag_id if rest[0].startswith("dag_run") else None)
            case "file":
                return None
            case _:
                verdict &= person.may(permissions.of_resource(rest[0], kind) or "")
    return verdict


def test_the_matrix(airflow_app: Any, tokens: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        backfills = people.write_backfills(session)
    asking = Asking(airflow_app, tokens, backfills)
    everybody = people.everybody()
    for operation, asks in OPERATIONS.items():
        if asks == ["public"]:
            continue
        names_dag = any(word in operation for word in ("{dag_id}", "{backfill_id}")) or operation.startswith(
            "POST /api/v2/backfills"
        )
        dag_ids = (people.OWN, people.OTHER, people.SYSTEM) if names_dag else (None,)
        for person in everybody:
            for dag_id in dag_ids:
                asking.ask(operation, person, dag_id, allowed=expected(asks, person, dag_id))
                if operation.startswith("DELETE /api/v2/dags/{dag_id}") and "/dagRuns" not in operation:
                    with create_session(scoped=False) as session:
                        people.write_dags(session)
                        asking.backfills = people.write_backfills(session)
    # Of a token that is not one's own.
    of_others = {"/tokens/{token_id}/rotate": "token.update", "/tokens/{token_id}": "token.delete"}
    access = [
        (f"{method} /orrery/v1/access{path}", permission or of_others.get(path))
        for method, path, permission, *_ in api.ROUTES
        if path != "/me/sign-out"
    ]
    for operation, permission in [*OURS.items(), *access]:
        for person in everybody:
            asking.ask(
                operation,
                person,
                None,
                allowed=None
                if operation.endswith("/explain")
                else permission is None or person.may(permission),
            )
    total = sum(asking.counts.values())
    with capsys.disabled():
        print(
            f"\nmatrix: {len(OPERATIONS) + len(OURS) + len(access)} operations, {len(everybody)} people,"
            f" {total} requests: {asking.counts['allowed']} allowed, {asking.counts['denied']} denied"
        )
    assert not asking.wrong, "\n".join(asking.wrong)
    assert total > 4000
