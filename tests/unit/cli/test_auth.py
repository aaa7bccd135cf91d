"""`orrery auth`: what it asks of the routes, how it tells the answers, and passwords that stay secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from orrery.cli.auth import auth, common
from orrery.errors import InputError, OrreryError, StateError
from orrery.local import access
from orrery.local.api import ApiError

if TYPE_CHECKING:
    from pathlib import Path


class Routes:
    """Answers, and what was asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answer: dict[str, Any] = {}
        monkeypatch.setattr(common, "call", self._call)

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        self.asked.append((method, path, options.get("body", options.get("query"))))
        return self.answer

    def run(self, *arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(auth, arguments, input=stdin)


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> Routes:
    return Routes(monkeypatch)


def test_a_password_is_read_from_standard_input_and_never_printed(routes: Routes) -> None:
    routes.answer = {"username": "ada"}

    said = routes.run("users", "create", "--username", "ada", "--password-stdin", stdin="se cret\n")

    body = {"username": "ada", "is_service_account": False, "password": "se cret"}
    assert routes.asked == [("POST", "/users", body)]
    assert "Created 'ada'" in said.output
    assert "se cret" not in said.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--password", "a", "--password-stdin"), "exclude one another"),
        (("--password-stdin",), "empty"),
        (("--password", ""), "empty"),
    ],
)
def test_a_password_that_is_none_is_refused(routes: Routes, arguments: tuple[str, ...], said: str) -> None:
    error = routes.run("users", "create", "--username", "ada", *arguments).exception

    assert isinstance(error, InputError)
    assert said in error.message
    assert routes.asked == []


def test_names_are_parts_of_an_address(routes: Routes) -> None:
    routes.run("users", "delete", "../roles?x")

    assert routes.asked == [("DELETE", "/users/..%2Froles%3Fx", None)]


def test_nothing_to_change_is_an_error(routes: Routes) -> None:
    assert isinstance(routes.run("users", "update", "ada").exception, InputError)
    assert routes.asked == []


def test_a_team_keeps_whom_one_does_not_name(routes: Routes) -> None:
    routes.answer = {"teams": [{"name": "data", "members": ["ada", "bob"]}], "members": ["ada", "cy"]}

    routes.run("teams", "update", "data", "--add", "cy", "--remove", "bob")

    assert routes.asked[-1] == ("PATCH", "/teams/data", {"members": ["ada", "cy"]})


def test_an_invitation_prints_a_link_whose_secret_is_in_its_fragment(
    routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "address", lambda: "http://localhost:8080/")
    routes.answer = {"id": "1", "email": "a@example.org", "secret": "orrery_inv_x"}

    said = routes.run("invitations", "create", "--email", "a@example.org", "--role", "workspace-member")

    assert routes.asked == [("POST", "/invitations", {"email": "a@example.org", "role": "workspace-member"})]
    assert said.output == "http://localhost:8080/auth/invitation#orrery_inv_x\n"


def test_an_invitation_is_withdrawn_by_its_id(routes: Routes) -> None:
    routes.run("invitations", "withdraw", "1/2")

    assert routes.asked == [("DELETE", "/invitations/1%2F2", None)]


def test_the_whole_audit_is_exported_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: dict[int | None, dict[str, Any]]
    pages = {None: {"events": [{"id": 3}, {"id": 2}], "next": 2}, 2: {"events": [{"id": 1}], "next": None}}
    asked = []

    def call(_: str, path: str, *, query: dict[str, Any]) -> dict[str, Any]:
        asked.append((path, query["event"], query.get("before")))
        return pages[query.get("before")]

    monkeypatch.setattr(common, "call", call)
    said = CliRunner().invoke(auth, ["audit", "--export", "--event", "sign-in"])

    assert said.output == '{"id": 3}\n{"id": 2}\n{"id": 1}\n'
    assert asked == [("/audit", "sign-in", None), ("/audit", "sign-in", 2)]


def test_an_explanation_says_yes_or_no_and_why(routes: Routes) -> None:
    routes.answer = {
        "user": "ada",
        "is_allowed": False,
        "permission": "variable.update",
        "reason": "No role allows this.",
        "also_by": [],
        "is_active": False,
    }

    said = routes.run("explain", "ada", "PUT", "variable").output

    assert "ada PUT variable: denied" in said
    assert "No role allows this." in said
    assert "disabled" in said


class Deployment:
    """One that runs; nothing else is asked of it."""

    name = "here"
    state = supervisor = property(lambda self: self)

    def is_running(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("status", "detail", "kind"),
    [
        (404, "There is no user 'x'.", InputError),
        (422, "There is no role 'x'.", InputError),
        (403, "This needs the permission user.create.", OrreryError),
        (409, "This deployment uses another auth manager than Orrery's.", StateError),
    ],
)
def test_what_the_deployment_refuses_has_the_documented_kind(
    monkeypatch: pytest.MonkeyPatch, status: int, detail: str, kind: type[OrreryError]
) -> None:
    class Refusing:
        def __enter__(self) -> Refusing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def call_orrery(self, *_: object, **__: object) -> None:
            raise ApiError("refused", status=status, detail=detail)

    monkeypatch.setattr(access, "client", lambda _: Refusing())

    with (
        pytest.raises(OrreryError) as error,
        access.Access(Deployment()) as opened,  # type: ignore[arg-type]
    ):
        opened.call("GET", "/users")

    assert type(error.value) is kind
    assert error.value.message == detail


def test_a_command_signs_in_once_for_all_of_its_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []

    class Answering:
        def __init__(self, _: object) -> None:
            opened.append(self)

        def __enter__(self) -> Answering:
            return self

        def __exit__(self, *_: object) -> None:
            opened.append("closed")

        def call(self, method: str, path: str, **_: object) -> dict[str, object]:
            return {"users": [], "teams": [], "roles": [], "bindings": []}

    class Deployment:
        def launch(self) -> tuple[list[str], dict[str, str]]:
            return ["python"], {}

    file = tmp_path / "access.yaml"
    file.write_text("users:\n  - username: ada\n  - username: alan\n")
    monkeypatch.setattr(access, "Access", Answering)
    monkeypatch.setattr("orrery.cli.context.local_deployment", lambda **_: Deployment())

    said = CliRunner().invoke(auth, ["apply", str(file)], catch_exceptions=False)

    assert "Changes made: 2." in said.output
    assert [type(each).__name__ for each in opened] == ["Answering", "str"]


def test_without_a_running_deployment_it_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dags").mkdir()
    monkeypatch.chdir(tmp_path)

    for arguments in (["users", "list"], ["bootstrap", "--password", "a long password"]):
        error = CliRunner().invoke(auth, arguments).exception
        assert isinstance(error, StateError)
        assert "orrery up" in (error.hint or "")
