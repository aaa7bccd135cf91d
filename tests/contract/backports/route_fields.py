"""The public API: what it describes and answers, and how many type adapters it has made by when."""

from __future__ import annotations

import gc
import hashlib
import json
import threading
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import annotated_types
from airflow import settings
from airflow.api_fastapi.app import create_app
from airflow.models import import_all_models
from airflow.models.base import Base
from fastapi import Body, Depends, FastAPI, Query
from fastapi._compat.v2 import ModelField
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, TypeAdapter
from starlette.testclient import TestClient


class Colour(Enum):
    RED = "red"


class Cat(BaseModel):
    kind: str = "cat"


class Dog(BaseModel):
    kind: str = "dog"
    parent: Dog | None = None


class Impossible:
    """Nothing that Pydantic knows."""


def made() -> int:
    """How many fields have an adapter, and of how many."""
    return sum("_type_adapter" in vars(each) for each in gc.get_objects() if type(each) is ModelField)


def total(kind: type) -> int:
    return sum(type(each) is kind for each in gc.get_objects())


def limit(day: str, least: int = 0) -> str:
    """A dependency whose `day` is a part of the path where the path has one, and asked for where not."""
    return f"{day} {least}"


Limit = Annotated[str, Depends(limit)]


def twice(first: Limit, again: Annotated[str, Depends(limit, use_cache=False)]) -> str:
    return f"{first} {again}"


def own() -> FastAPI:
    app = FastAPI()

    @app.get("/in-path/{day}")
    def in_path(both: Annotated[str, Depends(twice)]) -> str:
        return both

    @app.get("/asked")
    def asked(both: Annotated[str, Depends(twice)], one: Annotated[str, Depends(limit)]) -> str:
        return f"{both} {one}"

    @app.get("/get/{day}")
    def get(
        day: UUID,
        colour: Colour = Colour.RED,
        least: Annotated[int, Query(ge=3)] = 3,
        names: Annotated[list[str] | None, Query()] = None,
    ) -> list[Dog]:
        return [Dog(kind=f"{day} {colour} {least} {names}")]

    @app.post("/post")
    def post(dog: Annotated[Dog, Body()], more: Annotated[dict[str, int] | None, Body()] = None) -> Dog:
        return Dog(parent=dog, kind=str(more))

    return app


def declared(annotation: Any) -> str:
    """What declaring a parameter of that annotation gives."""
    app = FastAPI()

    def route(value: Any = None) -> None: ...

    route.__annotations__["value"] = annotation
    try:
        app.post("/")(route)
    except Exception as error:
        return type(error).__name__
    return "declared"


def answers(client: TestClient, *requests: tuple[str, str, Any]) -> list[Any]:
    told = []
    for method, path, body in requests:
        answer = client.request(method, path, json=body)
        told.append([answer.status_code, answer.json()])
    return told


def at_once(app: FastAPI) -> int:
    """How many different adapters eight threads see that ask for the same one first."""
    (route,) = (each for each in app.routes if getattr(each, "path", "") == "/post")
    field = route.response_field  # type: ignore[attr-defined]
    seen: list[TypeAdapter[Any]] = []
    begin = threading.Barrier(8)

    def ask() -> None:
        begin.wait()
        seen.append(field._type_adapter)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return len({id(each) for each in seen})


def depending(app: FastAPI) -> list[Any]:
    """What dependencies find, and what another one in their place does, for as long as it is there."""
    client = TestClient(app, raise_server_exceptions=False)
    requests = ("/in-path/a?least=2", "/asked?day=b", "/asked")
    before = [client.get(path).json() for path in requests]
    app.dependency_overrides[limit] = lambda: "instead"
    between = [client.get(path).json() for path in requests]
    app.dependency_overrides.clear()
    return [before, between, before == [client.get(path).json() for path in requests]]


def main() -> None:
    import_all_models()
    Base.metadata.create_all(settings.engine)
    app = create_app(apps="core")
    told: dict[str, Any] = {"fields": total(ModelField), "made": made(), "dependants": total(Dependant)}
    client = TestClient(app, raise_server_exceptions=False)
    paths = ("/api/v2/version", "/api/v2/monitor/health", "/api/v2/dags", "/api/v2/dags?limit=-1", "/no-such")
    told["answers"] = [client.get(path).status_code for path in paths]
    described = json.dumps(app.openapi(), sort_keys=True)
    told["described"] = hashlib.sha256(described.encode()).hexdigest()
    told["length"] = len(described)
    mine = own()
    told["at once"] = at_once(mine)
    told["mine"] = answers(
        TestClient(mine, raise_server_exceptions=False),
        ("GET", f"/get/{UUID(int=1)}?names=a&names=b", None),
        ("GET", "/get/x?colour=blue&least=2", None),
        ("POST", "/post", {"dog": {"kind": "a", "parent": {"kind": "b"}}, "more": {"a": 1}}),
        ("POST", "/post", {"dog": {"kind": 1}, "more": {"a": "x"}}),
    )
    told["mine described"] = mine.openapi()
    told["depending"] = depending(mine)
    told["declared"] = [
        declared(each)
        for each in (
            Impossible,
            list[Impossible],
            dict[str, Impossible | None],
            Annotated[Cat | Dog, Body(discriminator="kind")],
            Annotated[str, annotated_types.MultipleOf(2)],
            Annotated[int, Query(pattern="x")],
            list[Dog],
            Colour,
        )
    ]
    print("ANSWER" + json.dumps(told))


if __name__ == "__main__":
    main()
