"""The routes under /orrery: who may ask, and what they answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from airflow import __version__ as airflow_version
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from orrery import __version__
from orrery.ui import bundle
from orrery.ui.runtime import PAGES, Page
from orrery.ui.views import create_app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def footer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "footer.js"
    monkeypatch.setattr(bundle, "FOOTER", replace(bundle.FOOTER, path=path))
    path.write_text("globalThis.OrreryFooter = () => null")
    return path


@pytest.fixture
def stranger(footer: Path) -> TestClient:
    return TestClient(create_app())


@pytest.fixture
def client(footer: Path) -> TestClient:
    app = create_app()
    app.dependency_overrides[get_user] = object
    return TestClient(app)


@pytest.mark.parametrize(
    "path", ["/v1/runtime", "/v1/workers", "/static/footer.js", *(f"/v1/pages/{page}" for page in PAGES)]
)
def test_every_route_asks_who_is_there(stranger: TestClient, path: str) -> None:
    assert stranger.get(path).status_code == 401


def test_no_route_is_left_out_of_the_test_above() -> None:
    paths = {getattr(route, "path", "") for route in create_app().routes}

    assert paths == {"/v1/runtime", "/v1/workers", "/static/{file}", "/v1/pages/{page}"}


def test_a_signed_in_user_gets_the_facts(client: TestClient) -> None:
    answer = client.get("/v1/runtime")

    assert answer.status_code == 200
    assert answer.json()["version"] == __version__
    assert answer.json()["airflow_version"] == airflow_version
    assert answer.json()["lifecycle"].keys() == {"state", "ends_on", "days_left"}


def test_the_footer_is_javascript_that_a_browser_may_keep(client: TestClient) -> None:
    answer = client.get("/static/footer.js?v=0")

    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert "private" in answer.headers["cache-control"]


def test_an_absent_footer_says_why(client: TestClient, footer: Path) -> None:
    footer.unlink()

    answer = client.get("/static/footer.js")

    assert answer.status_code == 404
    assert "Node.js" in answer.json()["detail"]


@pytest.mark.parametrize("file", ["plugin.py", "..%2fplugin.py", "footer.css"])
def test_no_other_file_is_served(client: TestClient, file: str) -> None:
    assert client.get(f"/static/{file}").status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_served_by_the_deployment_itself(client: TestClient, page: Page) -> None:
    answer = client.get(f"/v1/pages/{page}")

    assert answer.status_code == 200
    assert "<h1>" in answer.text


def test_a_page_of_the_site_takes_the_place_of_ours(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORRERY_SUPPORT_URL", "https://desk.example/airflow")

    answer = client.get("/v1/pages/support", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (307, "https://desk.example/airflow")


@pytest.mark.parametrize("page", ["nonsense", "..%2fplugin", "release_notes"])
def test_there_are_no_other_pages(client: TestClient, page: str) -> None:
    assert client.get(f"/v1/pages/{page}").status_code in {404, 422}
