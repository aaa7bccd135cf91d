"""The execution API: what it answers in each version, and how many versions it has made by when."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import svcs
from airflow import settings
from airflow.api_fastapi.execution_api.app import create_task_execution_api_app
from airflow.api_fastapi.execution_api.datamodels.token import TIClaims, TIToken
from airflow.api_fastapi.execution_api.routes.variables import has_variable_access
from airflow.api_fastapi.execution_api.security import _jwt_bearer
from airflow.api_fastapi.execution_api.versions import bundle
from airflow.models import import_all_models
from airflow.models.base import Base
from fastapi import Request  # noqa: TC002 - FastAPI looks at the annotation
from starlette.testclient import TestClient

NEWEST = bundle.versions[0].value
OLDEST = bundle.versions[-1].value


def api() -> Any:
    """The API without its lifespan, which needs the secrets of a deployment."""
    app = create_task_execution_api_app()
    app.state.svcs_registry = svcs.Registry()
    return app


def made(app: Any) -> int:
    """How many versions have routes of their own."""
    return sum(len(router.routes) > 0 for router in dict.values(app.router.versioned_routers))


def converters() -> int:
    """How many conversions are registered: twice as many would convert each answer twice."""
    changes = [change for version in bundle.versions for change in version.changes]
    return sum(
        len(found)
        for change in changes
        for found in (
            *change._route_to_request_migration_mapping.values(),
            *change._route_to_response_migration_mapping.values(),
        )
    )


def description(client: TestClient, version: str) -> str:
    """A digest of all that a version offers: routes, parameters, models."""
    text = json.dumps(client.get("/openapi.json", params={"version": version}).json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def answers(client: TestClient, version: str | None) -> list[int]:
    """What a few requests get: of anybody, without a token, for what came with a version, for nothing."""
    headers = {} if version is None else {"Airflow-API-Version": version}
    paths = ("/health", "/variables/a", "/dag-runs/a/previous", "/no-such-route")
    return [client.get(path, headers=headers).status_code for path in paths]


def let_in() -> list[int]:
    """How often a dependency that was put in another's place is asked for one request, and the answer."""
    app, asked = api(), []

    async def allow(request: Request) -> TIToken:
        asked.append(request.url.path)
        return TIToken(id=UUID(int=1), claims=TIClaims(scope="execution"))

    app.dependency_overrides[_jwt_bearer] = allow
    app.dependency_overrides[has_variable_access] = allow
    found = TestClient(app, raise_server_exceptions=False).get("/variables/a").status_code
    return [len(asked), found]


def main() -> None:
    import_all_models()
    Base.metadata.create_all(settings.engine)
    app = api()
    told: dict[str, Any] = {"versions": len(bundle.versions)}
    client = TestClient(app, raise_server_exceptions=False)
    told["newest"] = [answers(client, each) for each in (None, NEWEST, "2999-01-01")]
    told["newest described"] = description(client, NEWEST)
    told["too old"] = answers(client, "2020-01-01")
    told["made for those"] = made(app)
    between = f"{OLDEST[:-2]}29"
    told["older"] = [answers(client, each) for each in (OLDEST, between)]
    told["made then"] = made(app)
    told["described"] = {each.value: description(client, each.value) for each in bundle.versions}
    told["all"] = [answers(client, each.value) for each in bundle.versions]
    told["converters"] = converters()
    told["routes"] = len(app.router.routes)
    told["let in"] = let_in()
    told["a fresh one"] = answers(TestClient(api(), raise_server_exceptions=False), OLDEST)
    print("ANSWER" + json.dumps(told))


if __name__ == "__main__":
    main()
