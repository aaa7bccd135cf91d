"""The routes under /orrery on Airflow's API server. Every one asks for a signed-in user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow import __version__ as airflow_version
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from orrery import __version__
from orrery.config.settings import own_variables
from orrery.release import catalogue
from orrery.ui import bundle, pages, runtime, workers

# The address of the file carries its hash (`?v=`), so a browser may keep it for ever.
_CACHE_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}


def create_app() -> FastAPI:
    """Build the application that Airflow mounts under /orrery."""
    app = FastAPI(
        title="Orrery Runtime",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(get_user)],
    )
    app.add_api_route("/v1/runtime", _runtime, methods=["GET"])
    app.add_api_route("/v1/pages/{page}", _page, methods=["GET"], response_model=None)
    app.add_api_route("/static/{file}", _bundle, methods=["GET"], response_model=None)
    app.include_router(workers.router())
    return app


def _runtime() -> dict[str, Any]:
    return runtime.facts(
        version=__version__,
        airflow_version=airflow_version,
        environment=own_variables(),
        catalogue=catalogue.load(),
        day=datetime.now(UTC).date(),
    )


def _page(page: runtime.Page) -> Response:
    if address := runtime.own_address(page, own_variables()):
        return RedirectResponse(address)
    return HTMLResponse(pages.render(page))


def _bundle(file: str) -> Response:
    wanted = bundle.bundles().get(file)
    if wanted is None:
        raise HTTPException(404, "There is no such file.")
    if not wanted.path.is_file():
        raise HTTPException(404, f"{file} was not built: Node.js was missing at set-up.")
    return FileResponse(wanted.path, media_type="text/javascript", headers=_CACHE_FOR_EVER)
