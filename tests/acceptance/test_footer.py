"""The footer as people see it: every kind of page, light, dark, narrow, right to left, with the Tab key.

Screenshots go to test-results/footer/.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from orrery import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SCREENSHOTS = Path(__file__).parents[2] / "test-results" / "footer"
PAGES = ["home", "dags", "dag", "run", "task", "connections", "variables", "plugins", "error"]

#: What the browser measures: all in CSS pixels, contrast as in WCAG 2.
MEASURE = """
() => {
  const box = (element) => { const r = element.getBoundingClientRect();
    return {left: r.left, top: r.top, right: r.right, bottom: r.bottom}; };
  const pixel = (colour) => {
    const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d"); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data]; };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const footer = document.querySelector("[role=contentinfo]");
  const bar = footer.querySelector(".orrery-bar");
  const area = footer.parentElement;
  const filler = area.appendChild(document.createElement("div"));
  filler.style.cssText = "flex: none; height: 3000px";
  area.scrollTop = 0;
  const onLongPage = box(bar);
  filler.remove();
  area.scrollTop = area.scrollHeight;
  // Airflow's own charts may be wider than the window for a while after the direction turned.
  const widest = () => document.documentElement.scrollWidth;
  const withFooter = widest();
  footer.style.display = "none";
  const withoutFooter = widest();
  footer.style.display = "";
  const ground = pixel(getComputedStyle(bar).backgroundColor);
  const texts = [...bar.querySelectorAll("*")].filter((e) =>
    [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()));
  const contrast = texts.map((e) => {
    const [a, b] = [luminance(pixel(getComputedStyle(e).color)), luminance(ground)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
  return {
    bar: box(bar), onLongPage,
    sidebar: box(document.querySelector("[data-testid=nav-sidebar]")),
    content: [...area.children].filter((e) => e !== footer).map(box),
    phrases: texts.map((e) => ({text: e.textContent, hidden: e.scrollWidth > e.clientWidth + 1, ...box(e)})),
    opacity: ground[3],
    ground: luminance(ground),
    contrast: Math.min(...contrast),
    width: innerWidth, height: innerHeight, withFooter, withoutFooter,
    direction: getComputedStyle(bar).direction,
  };
}
"""


class Deployment(Protocol):
    """What the session's deployment offers."""

    url: str
    username: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the window is set up."""

    width: int = 1280
    height: int = 720
    scheme: Literal["light", "dark"] = "light"
    direction: Literal["ltr", "rtl"] = "ltr"


LOOKS = {
    "light": Look(),
    "dark": Look(scheme="dark"),
    "narrow": Look(width=360, height=740),
    "right-to-left": Look(direction="rtl"),
}


@dataclass(kw_only=True)
class Window:
    """A signed-in browser window, and what it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def visit(self, path: str) -> None:
        """Open the page and wait for the footer's facts and for the page's own content."""
        self.page.goto(self.url + path)
        self.page.wait_for_selector(".orrery-links")
        self.page.wait_for_load_state("networkidle")

    def measure(self, look: Look) -> dict[str, Any]:
        """Turn the open page to that look and return the footer's measurements."""
        self.page.set_viewport_size({"width": look.width, "height": look.height})
        self.page.emulate_media(color_scheme=look.scheme)
        self.page.wait_for_selector(f"html.{look.scheme}")
        # Airflow sets it too, when the words of a right-to-left language arrive.
        self.page.evaluate("direction => { document.documentElement.dir = direction; }", look.direction)
        facts: dict[str, Any] = self.page.evaluate(MEASURE)
        return facts

    def photograph(self, name: str) -> None:
        """Keep a picture of what is in view."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing = "Chromium is not installed (apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def token(deployment: Deployment) -> str:
    answer = httpx.post(
        f"{deployment.url.rstrip('/')}/auth/token",
        json={"username": deployment.username, "password": deployment.password},
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def api(deployment: Deployment, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=deployment.url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="module")
def paths(api: httpx.Client) -> dict[str, str]:
    """The path of each kind of page; Dag, run and task are those of the newest run."""
    tasks = api.get("/api/v2/dags/~/dagRuns/~/taskInstances", params={"limit": 1}).json()["task_instances"]
    assert tasks, "the deployment has run no task yet"
    dag_id, run_id, task_id = (quote(tasks[0][key]) for key in ("dag_id", "dag_run_id", "task_id"))
    return {
        "home": "/",
        "dags": "/dags",
        "dag": f"/dags/{dag_id}",
        "run": f"/dags/{dag_id}/runs/{run_id}",
        "task": f"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}",
        "connections": "/connections",
        "variables": "/variables",
        "plugins": "/plugins",
        "error": "/no/such/page",
    }


@contextlib.contextmanager
def signed_in(browser: Browser, deployment: Deployment, token: str, language: str = "en") -> Iterator[Window]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    context.add_cookies([{"name": "_token", "value": token, "url": deployment.url}])
    context.add_init_script(f"localStorage.setItem('i18nextLng', '{language}')")
    window = Window(page=context.new_page(), url=deployment.url.rstrip("/"))

    def note(message: ConsoleMessage) -> None:
        ours = "orrery" in f"{message.text} {message.location['url']}".lower()
        # Airflow's words for a plug-in that it could not load.
        if message.type in {"error", "warning"} and (ours or "Component failed to load" in message.text):
            window.complaints.append(message.text)

    window.page.on("console", note)
    window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
    yield window
    context.close()


@pytest.fixture(scope="module")
def window(browser: Browser, deployment: Deployment, token: str) -> Iterator[Window]:
    with signed_in(browser, deployment, token) as window:
        yield window


@pytest.fixture(scope="module", params=PAGES)
def opened(request: pytest.FixtureRequest, window: Window, paths: dict[str, str]) -> str:
    """Open one kind of page, once for all its looks, and return its name."""
    name: str = request.param
    window.visit(paths[name])
    return name


def assert_well_placed(facts: dict[str, Any], look: Look) -> None:
    """All of the footer is in view, covers nothing and can be read."""
    bar, sidebar = facts["bar"], facts["sidebar"]
    assert bar["bottom"] == pytest.approx(facts["height"], abs=1)
    assert facts["onLongPage"]["bottom"] == pytest.approx(facts["height"], abs=1)
    assert 0 <= bar["left"] < bar["right"] <= facts["width"]
    assert bar["left"] >= sidebar["right"] or bar["right"] <= sidebar["left"]
    # The footer makes no page wider than it is without it.
    assert facts["withFooter"] <= max(facts["width"], facts["withoutFooter"])
    cut = [
        phrase["text"]
        for phrase in facts["phrases"]
        if phrase["left"] < bar["left"] or phrase["right"] > bar["right"] or phrase["hidden"]
    ]
    # A narrow window keeps this one word for screen readers alone.
    assert [text for text in cut if text.strip() != "Runtime"] == []
    # Scrolled to its end, the page stops above the bar.
    assert facts["opacity"] == 255
    assert [box for box in facts["content"] if box["bottom"] > bar["top"] + 1] == []
    assert facts["contrast"] >= 4.5
    assert (facts["ground"] < 0.2) == (look.scheme == "dark")
    assert facts["direction"] == look.direction


@pytest.mark.parametrize("look", LOOKS)
def test_the_footer_stands_on_every_page(opened: str, window: Window, api: httpx.Client, look: str) -> None:
    facts = window.measure(LOOKS[look])
    window.photograph(f"{opened}-{look}")

    said = window.page.locator(".orrery-facts").inner_text()
    runtime = api.get("/orrery/v1/runtime").json()
    for text in (__version__, f"Airflow {runtime['airflow_version']}", runtime["image_tag"]):
        assert text in said
    assert_well_placed(facts, LOOKS[look])
    assert window.complaints == []


def test_the_footer_fits_a_hebrew_interface(
    browser: Browser, deployment: Deployment, token: str, paths: dict[str, str]
) -> None:
    with signed_in(browser, deployment, token, language="he") as window:
        window.visit(paths["dags"])
        facts = window.measure(LOOKS["right-to-left"])
        window.photograph("dags-hebrew")

        assert_well_placed(facts, LOOKS["right-to-left"])
        # Mirrored: what runs stands at the right, the links at the left.
        left_to_right = sorted(facts["phrases"], key=lambda phrase: phrase["left"])
        assert left_to_right[0]["text"] == "Support"
        assert left_to_right[-1]["text"].startswith(("Orrery", "Runtime"))


def test_the_tab_key_reaches_every_link_and_shows_where_it_is(window: Window, paths: dict[str, str]) -> None:
    window.page.set_viewport_size({"width": 1280, "height": 720})
    window.visit(paths["variables"])
    wanted = window.page.locator(".orrery-links a").all_inner_texts()
    assert wanted == ["Documentation", "Release notes", "Support"]
    window.page.evaluate("document.activeElement.blur()")

    reached = []
    for _ in range(100):
        window.page.keyboard.press("Tab")
        focus = window.page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
                 return {text: e.textContent, ours: !!e.closest('.orrery-links'),
                         ring: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2}; }"""
        )
        if focus["ours"]:
            assert focus["ring"], focus
            reached.append(focus["text"])
        if reached == wanted:
            break

    assert reached == wanted


def test_the_links_open_pages_that_the_deployment_serves(
    window: Window, paths: dict[str, str], api: httpx.Client
) -> None:
    window.page.set_viewport_size({"width": 1280, "height": 720})
    window.visit(paths["error"])
    links = window.page.locator(".orrery-links a")
    for index in range(links.count()):
        with window.page.context.expect_page() as opened:
            links.nth(index).click()
        opened.value.wait_for_load_state()
        assert opened.value.url.startswith(f"{window.url}/orrery/v1/pages/")
        assert opened.value.locator("h1").count() == 1
        opened.value.close()


def test_the_menu_docs_holds_the_same_links(window: Window, paths: dict[str, str]) -> None:
    window.page.set_viewport_size({"width": 1280, "height": 720})
    window.visit(paths["dags"])
    in_footer = window.page.locator(".orrery-links a").evaluate_all("links => links.map(a => a.href)")

    window.page.get_by_test_id("nav-sidebar").get_by_text("Docs", exact=True).click()
    window.page.get_by_role("menuitem", name="Orrery support").wait_for()
    in_menu = window.page.get_by_role("menuitem").evaluate_all("links => links.map(a => a.href)")
    window.photograph("menu")

    assert [href for href in in_menu if "/orrery/" in href] == in_footer


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "body": "Internal Server Error"},
        {"status": 401, "json": {"detail": "Not authenticated"}},
        {"status": 200, "body": "<!doctype html>"},
        {"status": 200, "json": {"version": [], "links": 7, "notice": {"text": {}}}},
    ],
    ids=["broken", "signed out", "no JSON", "odd JSON"],
)
def test_a_page_works_whatever_the_runtime_route_answers(
    browser: Browser, deployment: Deployment, token: str, answer: dict[str, Any]
) -> None:
    with signed_in(browser, deployment, token) as window:
        window.page.route("**/orrery/v1/runtime", lambda route: route.fulfill(**answer))

        window.page.goto(f"{window.url}/dags")
        window.page.wait_for_selector(".orrery-facts")
        window.page.get_by_placeholder("Search Dags").wait_for()

        assert window.page.locator(".orrery-facts").inner_text().strip().startswith("Orrery Runtime")
        # The browser itself reports the refused call; nothing else may.
        assert [said for said in window.complaints if "Failed to load resource" not in said] == []


@pytest.mark.parametrize("severity", ["info", "warning", "error"])
def test_a_notice_stands_in_the_footer(
    browser: Browser, deployment: Deployment, token: str, api: httpx.Client, severity: str
) -> None:
    facts = api.get("/orrery/v1/runtime").json()
    facts["notice"] = {"severity": severity, "text": "Runtime 17 is supported until 2029-05-31"}
    with signed_in(browser, deployment, token) as window:
        window.page.route("**/orrery/v1/runtime", lambda route: route.fulfill(json=facts))
        window.visit("/dags")
        assert window.page.get_by_role("status").filter(has_text="2029-05-31").is_visible()
        for name, look in LOOKS.items():
            measured = window.measure(look)
            window.photograph(f"notice-{severity}-{name}")
            assert_well_placed(measured, look)
