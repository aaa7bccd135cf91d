"""The footer as people see it: every kind of page, light, dark, narrow, right to left, with the Tab key.

Screenshots go to test-results/footer/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import quote

import pytest

from orrery import __version__

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import httpx
    from playwright.sync_api import Page

pytestmark = pytest.mark.acceptance

LOOKS = ["light", "dark", "narrow", "right-to-left"]
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


class Look(Protocol):
    """How the window is set up."""

    scheme: Literal["light", "dark"]
    direction: Literal["ltr", "rtl"]


class Window(Protocol):
    """A signed-in browser window, and what it complained about."""

    page: Page
    url: str
    complaints: list[str]

    def visit(self, path: str) -> None: ...

    def turn(self, look: str) -> Look: ...

    def photograph(self, name: str) -> None: ...


class SignIn(Protocol):
    """Opens a window of its own, signed in."""

    def __call__(self, language: str = "en") -> AbstractContextManager[Window]: ...


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


@pytest.fixture(scope="module", params=PAGES)
def opened(request: pytest.FixtureRequest, window: Window, paths: dict[str, str]) -> str:
    """Open one kind of page, once for all its looks, and return its name."""
    name: str = request.param
    window.visit(paths[name])
    return name


def assert_well_placed(window: Window, look: str, name: str) -> dict[str, Any]:
    """All of the footer is in view, covers nothing and can be read; return where its words are."""
    turned = window.turn(look)
    facts: dict[str, Any] = window.page.evaluate(MEASURE)
    window.photograph(f"footer/{name}")
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
    assert (facts["ground"] < 0.2) == (turned.scheme == "dark")
    assert facts["direction"] == turned.direction
    return facts


@pytest.mark.parametrize("look", LOOKS)
def test_the_footer_stands_on_every_page(opened: str, window: Window, api: httpx.Client, look: str) -> None:
    assert_well_placed(window, look, f"{opened}-{look}")

    said = window.page.locator(".orrery-facts").inner_text()
    runtime = api.get("/orrery/v1/runtime").json()
    for text in (__version__, f"Airflow {runtime['airflow_version']}", runtime["image_tag"]):
        assert text in said
    assert window.complaints == []


def test_the_footer_fits_a_hebrew_interface(signed_in: SignIn, paths: dict[str, str]) -> None:
    with signed_in(language="he") as window:
        window.visit(paths["dags"])
        facts = assert_well_placed(window, "right-to-left", "dags-hebrew")

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
def test_a_page_works_whatever_the_runtime_route_answers(signed_in: SignIn, answer: dict[str, Any]) -> None:
    with signed_in() as window:
        window.page.route("**/orrery/v1/runtime", lambda route: route.fulfill(**answer))

        window.page.goto(f"{window.url}/dags")
        window.page.wait_for_selector(".orrery-facts")
        window.page.get_by_placeholder("Search Dags").wait_for()

        assert window.page.locator(".orrery-facts").inner_text().strip().startswith("Orrery Runtime")
        # The browser itself reports the refused call; nothing else may.
        assert [said for said in window.complaints if "Failed to load resource" not in said] == []


@pytest.mark.parametrize("severity", ["info", "warning", "error"])
def test_a_notice_stands_in_the_footer(signed_in: SignIn, api: httpx.Client, severity: str) -> None:
    facts = api.get("/orrery/v1/runtime").json()
    facts["notice"] = {"severity": severity, "text": "Runtime 17 is supported until 2029-05-31"}
    with signed_in() as window:
        window.page.route("**/orrery/v1/runtime", lambda route: route.fulfill(json=facts))
        window.visit("/dags")
        assert window.page.get_by_role("status").filter(has_text="2029-05-31").is_visible()
        for look in LOOKS:
            assert_well_placed(window, look, f"notice-{severity}-{look}")
