"""The pages 'Access' and 'My access', and invitations, in a browser, on a deployment with Orrery's manager.

Screenshots go to test-results/access/.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from tests import oidc_server

from orrery.local import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, Page
    from tests.acceptance.conftest import Cli

    SignIn = Callable[..., AbstractContextManager[Page]]

pytestmark = pytest.mark.acceptance

PASSWORD = "a horse of the acceptance test"
ACCESS = "/orrery/v1/access"
ALL_TABS = ["People", "Teams", "Bindings", "Roles", "Tokens", "Audit", "Effective access"]
READ_ONLY = ["People", "Teams", "Roles"]
BROWSE = {"Audit Log", "Deadlines", "Jobs", "XComs", "Required Actions"}
ADMIN = {"Variables", "Pools", "Providers", "Plugins", "Connections", "Config", "Workers"}

#: What the browser measures; contrast as in WCAG 2.
MEASURE = """
() => {
  const pixel = (colour) => {
    const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d"); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data]; };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => {
    while (getComputedStyle(e).backgroundColor === "rgba(0, 0, 0, 0)") e = e.parentElement;
    return luminance(pixel(getComputedStyle(e).backgroundColor)); };
  const page = document.querySelector(".oa-page");
  const edges = page.getBoundingClientRect();
  const texts = [...page.querySelectorAll("*")].filter((e) => e.checkVisibility() && e.tagName !== "STYLE" &&
    !e.closest("thead, datalist, select, .oa-tabs") &&
    [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()));
  const contrast = (e) => {
    const [a, b] = [luminance(pixel(getComputedStyle(e).color)), ground(e)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  return {
    ground: ground(page),
    contrast: Math.min(...texts.map(contrast)),
    cut: texts.filter((e) => { const r = e.getBoundingClientRect();
      return r.left < edges.left - 1 || r.right > edges.right + 1; }).map((e) => e.textContent),
    wide: document.documentElement.scrollWidth - innerWidth,
  };
}
"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody of one role, and what the pages show them."""

    name: str
    role: str
    scope: str | None = None
    tabs: list[str]
    #: Entries of Airflow's menus 'Browse' and 'Admin'.
    menu: set[str]
    #: Buttons on the first tab.
    buttons: set[str]


OWNER = Person(
    name="olga",
    role="organization-owner",
    tabs=ALL_TABS,
    menu=BROWSE | ADMIN,
    buttons={"Invite", "Create user", "Manage"},
)
PEOPLE = [
    OWNER,
    Person(
        name="omar",
        role="workspace-operator",
        tabs=READ_ONLY,
        menu=BROWSE | ADMIN,
        buttons=set(),
    ),
    Person(
        name="aya",
        role="workspace-author",
        tabs=READ_ONLY,
        menu=(BROWSE | ADMIN) - {"Audit Log", "Config"},
        buttons=set(),
    ),
    Person(
        name="mia",
        role="workspace-member",
        tabs=READ_ONLY,
        menu={"Deadlines", "Required Actions", "Workers"},
        buttons=set(),
    ),
    Person(
        name="vera",
        role="dag-viewer",
        scope="dag:hello",
        tabs=[],
        menu={"Deadlines", "Required Actions", "Workers"},
        buttons=set(),
    ),
]


@dataclass(frozen=True)
class Site:
    """A deployment of our own: its address, its identity provider's, a client of its admin, its logs."""

    url: str
    provider: str
    admin: httpx.Client
    logs: Path

    def token_of(self, name: str) -> str:
        body = {"username": name, "password": PASSWORD}
        return str(self.admin.post("/auth/token", json=body).raise_for_status().json()["access_token"])


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """An identity provider that knows the same people by other names; their roles are its groups."""
    claims = [
        {"sub": f"sso-{each.name}", "preferred_username": f"{each.name}-there", "groups": [each.role]}
        for each in PEOPLE
    ]
    with oidc_server.serve(claims) as url:
        yield url


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cli: Cli, provider: str) -> Iterator[Site]:
    project = tmp_path_factory.mktemp("access") / "project"
    (project / "dags").mkdir(parents=True)
    (project / "dags" / "hello.py").write_text(
        "from airflow.sdk import dag, task\n\n\n@dag\ndef hello():\n"
        "    @task\n    def greet():\n        print('hello')\n\n    greet()\n\n\nhello()\n"
    )
    (project / "orrery.yaml").write_text(
        "name: access\nruntime: 17.0.0\nauth:\n  providers:\n"
        f"    - {{id: company, title: Sign in with Example, issuer: '{provider}', client_id: airflow,"
        " client_secret_file: secret}\n"
    )
    (project / "secret").write_text("any one will do")
    started = cli(project, "up", "--detach", "--port", str(ports.free_port()), timeout=600)
    try:
        assert started.code == 0, started.err
        status = cli(project, "status", "-o", "json").json()
        # The name by which the deployment knows itself: it sends browsers there, and cookies are of a name.
        url = str(status["url"]).rstrip("/")
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            secret = Path(status["password_file"]).read_text().strip()
            made = client.post("/auth/token", json={"username": "admin", "password": secret})
            client.headers["Authorization"] = f"Bearer {made.raise_for_status().json()['access_token']}"
            for each in PEOPLE:
                client.post(
                    f"{ACCESS}/users", json={"username": each.name, "password": PASSWORD}
                ).raise_for_status()
                binding = {"user": each.name, "role": each.role, "scope": each.scope}
                client.post(f"{ACCESS}/bindings", json=binding).raise_for_status()
                of_group = {"group": f"company:{each.role}", "role": each.role, "scope": each.scope}
                client.post(f"{ACCESS}/bindings", json=of_group).raise_for_status()
            yield Site(url, provider, client, project / ".orrery" / "logs")
    finally:
        stopped = cli(project, "down")
        assert stopped.code == 0, stopped.err


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def enter(browser: Browser, site: Site, complaints: list[str]) -> SignIn:
    """Opens a window in which somebody has signed in on the login page."""

    @contextmanager
    def window(name: str, *, scheme: Literal["light", "dark"] = "light", width: int = 1280) -> Iterator[Page]:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 760})
        context.set_default_timeout(60_000)  # a busy machine must not fail a test
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site.url}/auth/login")
        page.locator("[name=username]").fill(name)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.wait_for_selector(".orrery-links")
        yield page
        context.close()

    return window


@pytest.fixture(scope="module")
def owner(enter: SignIn) -> Iterator[Page]:
    with enter(OWNER.name) as page:
        yield page


@pytest.fixture
def photograph() -> Callable[[Page, str], None]:
    from tests.acceptance.conftest import SCREENSHOTS

    def take(page: Page, name: str) -> None:
        path = SCREENSHOTS / "access" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)

    return take


def opened(page: Page, site: Site, tab: str = "") -> Page:
    """Open the page 'Access', on a tab, and wait until it is there."""
    page.goto(f"{site.url}/plugin/access")
    page.get_by_role("heading", name="Access", exact=True).wait_for()
    if tab:
        page.get_by_role("tab", name=tab, exact=True).click()
    page.wait_for_load_state("networkidle")
    return page


def entries(page: Page, menu: str) -> set[str]:
    """Open one of Airflow's menus and return what is in it."""
    page.get_by_test_id("nav-sidebar").get_by_text(menu, exact=True).click()
    found = page.get_by_role("menuitem")
    found.first.wait_for()
    names = set(found.all_inner_texts())
    page.keyboard.press("Escape")
    found.first.wait_for(state="hidden")
    return names


def my_access(page: Page, site: Site) -> Page:
    page.goto(f"{site.url}/plugin/my-access")
    page.get_by_role("heading", name="My roles").wait_for()
    page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.role)
def test_each_role_sees_what_it_may(
    enter: SignIn, site: Site, photograph: Any, person: Person, complaints: list[str]
) -> None:
    with enter(person.name) as page:
        bar = page.get_by_test_id("nav-sidebar")
        bar.get_by_text("Access", exact=True).wait_for()
        menu = entries(page, "Browse") | entries(page, "Admin")
        assert "My access" in entries(page, "User")
        opened(page, site)
        photograph(page, f"role-{person.role}")
        tabs = page.get_by_role("tab").all_inner_texts()
        buttons = set(page.locator("[role=tabpanel] button").all_inner_texts())
        my_access(page, site)
        roles = page.get_by_role("table", name="My roles").inner_text()
        photograph(page, f"mine-{person.role}")

    assert menu == person.menu
    assert tabs == person.tabs
    assert buttons == person.buttons
    assert (person.scope or "default") in roles
    assert complaints == []


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.role)
def test_each_role_signs_in_at_the_identity_provider(
    browser: Browser, site: Site, photograph: Any, person: Person, complaints: list[str]
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 760})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{site.url}/auth/login?next={site.url}/plugin/access")
    page.get_by_role("link", name="Sign in with Example").click()
    page.get_by_role("button", name=f"sso-{person.name}").click()
    page.get_by_role("heading", name="Access", exact=True).wait_for()
    page.wait_for_load_state("networkidle")
    photograph(page, f"sso-{person.role}")
    tabs = page.get_by_role("tab").all_inner_texts()
    menu = entries(page, "Browse") | entries(page, "Admin")
    my_access(page, site)
    roles = page.get_by_role("table", name="My roles").inner_text()
    page.goto(f"{site.url}/auth/logout")
    page.wait_for_url(f"{site.provider}/**")
    context.close()

    assert tabs == person.tabs
    assert menu == person.menu
    assert f"company:{person.role}" in roles
    assert complaints == []


def test_the_login_page_says_what_is_wrong_in_light_and_dark(
    browser: Browser, site: Site, photograph: Any
) -> None:
    for scheme, width in (("light", 1280), ("dark", 360)):
        context = browser.new_context(
            color_scheme=scheme,  # type: ignore[arg-type] # one of two
            viewport={"width": width, "height": 760},
            java_script_enabled=False,
        )
        page = context.new_page()
        page.goto(f"{site.url}/auth/login")
        photograph(page, f"login-{scheme}")
        page.locator("[name=username]").fill("nobody")
        page.locator("[name=password]").fill("wrong")
        page.locator("[name=password]").press("Enter")
        page.get_by_role("alert").wait_for()
        photograph(page, f"login-{scheme}-wrong")
        assert page.get_by_role("alert").inner_text() == "Name and password do not fit."
        assert page.locator("[name=username]").input_value() == "nobody"
        assert page.locator("[name=password]").input_value() == ""
        # Nobody has to scroll sideways, and the provider is offered still.
        assert page.locator("main").bounding_box()["width"] <= width  # type: ignore[index]
        assert page.get_by_role("link", name="Sign in with Example").is_visible()
        context.close()


def test_who_sees_nothing_of_access_is_led_to_their_own(enter: SignIn, site: Site) -> None:
    with enter("vera") as page:
        opened(page, site)
        assert "show nothing of access" in page.locator(".oa-page").inner_text()
        page.get_by_role("link", name="My access").click()
        page.get_by_role("heading", name="My roles").wait_for()
        # In the same window, without loading Airflow anew.
        assert page.url == f"{site.url}/plugin/my-access"


def test_a_team_is_made_and_its_role_reaches_its_members(
    owner: Page, site: Site, photograph: Any, complaints: list[str]
) -> None:
    page = opened(owner, site, "Teams")
    page.get_by_role("button", name="Create team").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("analysts")
    dialog.get_by_label("Description").fill("They look at sales")
    dialog.get_by_text("mia", exact=True).click()
    photograph(page, "team-new")
    dialog.get_by_role("button", name="Create", exact=True).click()

    dialog = page.get_by_role("dialog", name="analysts")
    dialog.get_by_label("Role", exact=True).select_option("workspace-operator")
    dialog.get_by_role("button", name="Give role").click()
    dialog.get_by_role("cell", name="Workspace Operator").wait_for()
    photograph(page, "team")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    row = page.get_by_role("row", name="analysts")
    assert "mia" in row.inner_text()

    page.get_by_role("tab", name="Effective access").click()
    page.get_by_label("Who").fill("mia")
    page.get_by_label("Does what").fill("update")
    page.get_by_label("With what").fill("variable")
    page.get_by_role("button", name="Explain").click()
    verdict = page.locator(".oa-verdict")
    verdict.wait_for()
    photograph(page, "explain")
    assert "mia: allowed variable.update" in verdict.inner_text()
    assert "Workspace Operator at workspace:default through team analysts" in verdict.inner_text()
    # Of the server, not of the page.
    asked = {"user": "mia", "action": "update", "resource": "variable"}
    assert site.admin.get(f"{ACCESS}/explain", params=asked).json()["by"]["through"] == "team analysts"

    page.get_by_role("tab", name="Bindings").click()
    page.get_by_role("button", name="Remove workspace-operator from analysts").click()
    confirm = page.get_by_role("dialog", name="Remove a role")
    photograph(page, "remove-role")
    confirm.get_by_role("button", name="Cancel").click()
    assert site.admin.get(f"{ACCESS}/explain", params=asked).json()["is_allowed"]
    page.get_by_role("button", name="Remove workspace-operator from analysts").click()
    page.get_by_role("dialog", name="Remove a role").get_by_role("button", name="Remove it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert not site.admin.get(f"{ACCESS}/explain", params=asked).json()["is_allowed"]
    assert complaints == []


def test_a_token_is_shown_once_works_and_ends(enter: SignIn, site: Site, photograph: Any) -> None:
    def answers(text: str) -> int:
        return httpx.get(f"{site.url}/api/v2/dags", headers={"Authorization": f"Bearer {text}"}).status_code

    with enter("aya") as page:
        my_access(page, site)
        page.get_by_role("button", name="Create token").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name", exact=True).fill("laptop")
        dialog.get_by_label("Limited to role").or_(dialog.get_by_label("Role", exact=True)).first.wait_for()
        photograph(page, "token-new")
        dialog.get_by_role("button", name="Create", exact=True).click()
        field = page.get_by_label("Text of the token")
        field.wait_for()
        photograph(page, "token-shown")
        text = field.input_value()
        assert re.fullmatch(r"orrery_pat_[\w-]{43}", text)
        assert answers(text) == 200
        page.get_by_role("button", name="Done").click()
        page.get_by_role("row", name="laptop").wait_for()
        assert text not in page.content()

        page.get_by_role("button", name="Rotate laptop").click()
        page.get_by_role("dialog").get_by_role("button", name="Rotate", exact=True).click()
        field.wait_for()
        rotated = field.input_value()
        assert answers(text) in (401, 403)
        assert answers(rotated) == 200
        page.get_by_role("button", name="Done").click()

        page.get_by_role("button", name="Revoke laptop").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
        page.get_by_role("row", name="revoked").wait_for()
        photograph(page, "tokens")
        assert answers(rotated) in (401, 403)


def test_what_the_server_refuses_stands_where_it_was_asked(owner: Page, site: Site, photograph: Any) -> None:
    page = opened(owner, site, "People")
    page.get_by_role("button", name="Create user").click()
    dialog = page.get_by_role("dialog", name="Create a user")
    dialog.get_by_label("User name").fill("mia")
    dialog.get_by_role("button", name="Create", exact=True).click()
    dialog.get_by_role("alert").wait_for()
    photograph(page, "refused")
    assert dialog.get_by_role("alert").inner_text() == "There is a user 'mia' already."
    # What was filled in is still there, and Escape leads back to the button.
    assert dialog.get_by_label("User name").input_value() == "mia"
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == "Create user"


def test_a_custom_role_is_made_changed_and_removed(owner: Page, site: Site, photograph: Any) -> None:
    def there() -> dict[str, Any]:
        found = site.admin.get(f"{ACCESS}/roles").json()["roles"]
        return {each["name"]: each for each in found if each["is_custom"]}

    page = opened(owner, site, "Roles")
    page.get_by_role("button", name="Create role").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("variables")
    dialog.get_by_label("Title").fill("Variables only")
    dialog.get_by_label("variable.read: ").check()
    photograph(page, "role-new")
    dialog.get_by_role("button", name="Save").click()
    dialog.wait_for(state="detached")
    assert there()["variables"]["permissions"] == ["variable.read"]

    page.get_by_role("button", name="Edit variables").click()
    page.get_by_role("dialog").get_by_label("pool.read: ").check()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert there()["variables"]["permissions"] == ["pool.read", "variable.read"]

    page.get_by_role("button", name="Remove variables").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert there() == {}


def test_somebody_is_disabled_and_enabled_again(owner: Page, site: Site) -> None:
    def signs_in() -> bool:
        body = {"username": "omar", "password": PASSWORD}
        return httpx.post(f"{site.url}/auth/token", json=body).is_success

    page = opened(owner, site, "People")
    page.get_by_role("button", name="Manage omar", exact=True).click()
    page.get_by_role("dialog", name="omar").get_by_role("button", name="Disable").click()
    page.get_by_role("dialog", name="Disable: omar").get_by_role("button", name="Disable").click()
    page.get_by_role("dialog", name="omar").get_by_role("button", name="Enable").wait_for()
    assert not signs_in()
    page.get_by_role("dialog", name="omar").get_by_role("button", name="Enable").click()
    page.get_by_role("dialog", name="omar").get_by_role("button", name="Disable").wait_for()
    assert signs_in()


def test_the_audit_is_filtered_and_exported(owner: Page, site: Site, photograph: Any) -> None:
    page = opened(owner, site, "Audit")
    table = page.get_by_role("table", name="Audit")
    table.wait_for()
    page.get_by_label("Event begins with").fill("binding")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.oa-table code')]"
        ".every(each => each.textContent.startsWith('binding'))"
    )
    photograph(page, "audit")
    assert table.get_by_role("row").count() > len(PEOPLE)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Export as JSON lines").click()
    lines = waiting.value.path().read_text().splitlines()
    ids = [json.loads(line)["id"] for line in lines]
    assert waiting.value.suggested_filename == "access-audit.jsonl"
    assert ids == sorted(ids, reverse=True)
    assert len(ids) > 10


def test_somebody_is_invited_accepts_and_is_signed_in(
    owner: Page, browser: Browser, site: Site, photograph: Any
) -> None:
    page = opened(owner, site, "People")
    page.get_by_role("button", name="Invite", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("E-mail").fill("guest@example.org")
    dialog.get_by_label("Role", exact=True).select_option("workspace-member")
    dialog.get_by_role("button", name="Invite", exact=True).click()
    field = page.get_by_label("Link of the invitation")
    field.wait_for()
    photograph(page, "invited")
    link = field.input_value()
    page.get_by_role("button", name="Done").click()
    address, _, secret = link.partition("#")
    assert address == f"{site.url}/auth/invitation"

    context = browser.new_context()
    guest = context.new_page()
    sent: list[str] = []
    said: list[str] = []
    guest.on("request", lambda request: sent.append(request.url + json.dumps(request.headers)))
    guest.on("console", lambda message: said.append(message.text))
    guest.goto(link)
    # The script has moved it out of the address bar, and the page's policy let it.
    assert guest.url == address
    assert not guest.get_by_label("Invitation code").is_visible()
    photograph(guest, "accept")
    guest.get_by_label("User name").fill("guest")
    guest.get_by_label("Your name").fill("A Guest")
    guest.get_by_label("Password").fill("short but long")
    guest.get_by_role("button").click()
    guest.wait_for_selector(".orrery-links")
    my_access(guest, site)
    assert "Workspace Member" in guest.get_by_role("table", name="My roles").inner_text()
    assert not [each for each in sent if secret in each]
    assert not [each for each in said if "Content Security Policy" in each]
    logged = "".join(each.read_text(errors="replace") for each in site.logs.rglob("*.log"))
    assert "path=/auth/invitation" in logged
    assert secret not in logged

    guest.goto(link)
    guest.get_by_label("User name").fill("another")
    guest.get_by_label("Password").fill("another long sentence")
    guest.get_by_role("button").click()
    guest.get_by_role("alert").wait_for()
    photograph(guest, "accept-refused")
    assert "not valid" in guest.get_by_role("alert").inner_text()
    context.close()


def test_without_scripts_the_code_is_pasted(browser: Browser, site: Site) -> None:
    made = site.admin.post(f"{ACCESS}/invitations", json={"email": "plain@example.org"}).json()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/auth/invitation")
    page.get_by_label("Invitation code").fill(made["secret"])
    page.get_by_label("User name").fill("plain")
    page.get_by_label("Password").fill("a sentence without scripts")
    page.get_by_role("button").click()
    page.wait_for_url(f"{site.url}/")
    assert [each["name"] for each in context.cookies() if each["httpOnly"]] == ["_token"]
    context.close()


def test_signing_out_everywhere_ends_other_windows_too(enter: SignIn, site: Site) -> None:
    with enter("mia") as other, enter("mia") as page:
        my_access(page, site)
        page.get_by_role("button", name="Sign out everywhere").click()
        page.get_by_role("dialog").get_by_role("button", name="Sign out", exact=True).click()
        page.wait_for_url("**/auth/login**")
        other.goto(f"{site.url}/plugin/my-access")
        other.wait_for_url("**/auth/login**")


def test_the_arrow_keys_choose_tabs_and_the_address_keeps_them(owner: Page, site: Site) -> None:
    page = opened(owner, site)
    page.get_by_role("tab", name="People").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", selected=True).inner_text() == "Bindings"
    assert page.evaluate("document.activeElement.textContent") == "Bindings"
    page.keyboard.press("End")
    assert page.get_by_role("tab", selected=True).inner_text() == "Effective access"
    page.reload()
    page.get_by_role("heading", name="Effective access").wait_for()


@pytest.mark.parametrize(("look", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_every_tab_can_be_read_in_every_look(
    enter: SignIn, site: Site, photograph: Any, look: Literal["light", "dark"], width: int
) -> None:
    with enter(OWNER.name, scheme=look, width=width) as page:
        for tab in ALL_TABS:
            opened(page, site, tab)
            photograph(page, f"{tab.lower().replace(' ', '-')}-{look}-{width}")
            facts = page.evaluate(MEASURE)
            assert facts["cut"] == [], tab
            assert facts["wide"] <= 0, tab
            assert facts["contrast"] >= 4.5, tab
            assert (facts["ground"] < 0.2) == (look == "dark"), tab
        my_access(page, site)
        photograph(page, f"mine-{look}-{width}")
        assert page.evaluate(MEASURE)["contrast"] >= 4.5
