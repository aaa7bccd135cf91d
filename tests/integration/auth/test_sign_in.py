"""Signing in by password: tokens and sessions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.auth.conftest import OWNER, PASSWORD

pytestmark = pytest.mark.integration


def test_a_password_gives_a_token_and_that_the_api(client: Any) -> None:
    answer = client.post("/auth/token", json={"username": OWNER, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    token = answer.json()["access_token"]
    assert client.get("/api/v2/dags").status_code == 401
    answer = client.get("/api/v2/dags", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text


def test_the_form_begins_a_session_and_sign_out_ends_it(client: Any) -> None:
    answer = client.post("/auth/login", data={"username": OWNER, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    stolen = client.cookies["_token"]
    assert client.get("/ui/auth/me").json()["username"] == OWNER
    assert client.get("/auth/logout").status_code == 303
    answer = client.get("/ui/auth/me", headers={"Authorization": f"Bearer {stolen}"})
    assert answer.status_code == 403
