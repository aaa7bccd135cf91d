"""The page 'Workers' and `orrery workers` on what schedulers have reported.

The reports are written as a scheduler writes them, so that all states can be seen at will. Screenshots go
to test-results/workers/.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orrery.database.tables import executor_snapshot, task_usage
from orrery.executor.advice import Usage
from orrery.executor.resources import Resources
from orrery.executor.snapshot import NodeView, Snapshot, TaskView, WaitingView
from orrery.executor.store import save_snapshot, save_usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import httpx
    from playwright.sync_api import Page

pytestmark = pytest.mark.acceptance

LOOKS = ["light", "dark", "narrow", "right-to-left"]
SCHEDULER = "of the acceptance test"
GIB = 1024**3
MIB = 1024**2

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
  const ratio = (one, other) => {
    const [a, b] = [luminance(pixel(one)), luminance(pixel(other))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  const page = document.querySelector(".ow-page");
  let ground = page;
  while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  const behind = getComputedStyle(ground).backgroundColor;
  const edges = page.getBoundingClientRect();
  const texts = [...page.querySelectorAll("*")].filter((e) => e.tagName !== "STYLE" && !e.closest("thead") &&
    [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()));
  return {
    ground: luminance(pixel(behind)),
    contrast: Math.min(...texts.map((e) => ratio(getComputedStyle(e).color, behind))),
    used: ratio(getComputedStyle(page.querySelector(".ow-used")).backgroundColor, behind),
    cut: texts.filter((e) => { const r = e.getBoundingClientRect();
      return r.left < edges.left - 1 || r.right > edges.right + 1; }).map((e) => e.textContent),
    wide: document.documentElement.scrollWidth - innerWidth,
    direction: getComputedStyle(page).direction,
  };
}
"""

SCROLL_TO_END = """
() => {
  const main = document.querySelector("[data-testid=main-content]");
  main.scrollTop = main.scrollHeight;
  const box = (e) => { const r = e.getBoundingClientRect(); return {top: r.top, bottom: r.bottom}; };
  return {bar: box(document.querySelector(".orrery-bar")), height: innerHeight,
          last: box(document.querySelector(".ow-page > :last-child"))};
}
"""


class Deployment(Protocol):
    """What the session's deployment offers."""

    project: Path

    def psql(self, database: str, sql: str) -> list[tuple[Any, ...]]: ...


class Said(Protocol):
    """What a command said."""

    code: int
    out: str
    err: str

    def json(self) -> Any: ...


class Cli(Protocol):
    """Runs the installed `orrery` in a folder."""

    def __call__(self, folder: Path, *arguments: str) -> Said: ...


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


class Reports:
    """Writes what a scheduler would, into the deployment's own database."""

    def __init__(self, engine: sa.Engine, instance: dict[str, Any]) -> None:
        self._engine = engine
        self.instance = instance

    def write(self, snapshot: Snapshot, *usage: Usage) -> None:
        with Session(self._engine) as session:
            save_snapshot(session, snapshot)
            save_usage(session, usage)
            session.commit()

    def clear(self) -> None:
        with self._engine.begin() as connection:
            mine = executor_snapshot.c.scheduler == SCHEDULER
            connection.execute(sa.delete(executor_snapshot).where(mine))
            connection.execute(sa.delete(task_usage).where(task_usage.c.node == "laptop-of-the-test"))

    def task(self, **values: Any) -> dict[str, Any]:
        """Return the fields of a task instance that is really there, with some changed."""
        return {
            "ti_id": self.instance["id"],
            "dag_id": self.instance["dag_id"],
            "task_id": self.instance["task_id"],
            "run_id": self.instance["dag_run_id"],
            "map_index": self.instance["map_index"],
            "queue": "default",
        } | values


@pytest.fixture(scope="module")
def reports(deployment: Deployment, api: httpx.Client) -> Iterator[Reports]:
    state = deployment.project / ".orrery"
    port = json.loads((state / "run" / "deployment.json").read_text())["postgres_port"]
    url = sa.URL.create(
        "postgresql+psycopg",
        username="orrery",
        password=(state / "secrets" / "database_password").read_text(),
        host="127.0.0.1",
        port=port,
        database="airflow",
    )
    engine = sa.create_engine(url)
    found = api.get("/api/v2/dags/~/dagRuns/~/taskInstances", params={"limit": 1}).json()["task_instances"]
    assert found, "the deployment has run no task yet"
    made = Reports(engine, found[0])
    yield made
    made.clear()
    engine.dispose()


@pytest.fixture(autouse=True)
def _own_reports_only(reports: Reports) -> Iterator[None]:
    reports.clear()
    yield
    reports.clear()


def busy(reports: Reports, *, age: timedelta = timedelta(minutes=-30)) -> Snapshot:
    """Return a report of a busy scheduler; one of the future stays fresh for as long as a test looks."""
    taken_at = datetime.now(UTC) - age
    laptop = NodeView(
        name="laptop",
        state="ready",
        host="laptop.example",
        version="17.0.0",
        allocatable=Resources(cpu_millicores=8000, memory_bytes=24 * GIB, disk_bytes=100 * GIB),
        requested=Resources(cpu_millicores=5200, memory_bytes=15 * GIB, disk_bytes=10 * GIB),
        memory_bytes=7 * GIB,
        cpu_millicores=3170,
        starting=1,
        max_starting=16,
        queues=("default", "heavy"),
        heard_at=taken_at,
        started_at=taken_at - timedelta(hours=26),
        isolation="cgroup v2, namespaces",
    )
    cordoned = NodeView(
        name="gpu-1",
        state="cordoned",
        allocatable=Resources(cpu_millicores=16000, memory_bytes=64 * GIB, gpus=2),
        requested=Resources(cpu_millicores=16000, memory_bytes=60 * GIB, gpus=2),
        memory_bytes=63 * GIB,
        cpu_millicores=15800,
        queues=("gpu",),
        heard_at=taken_at,
        isolation="process groups, limits",
        notes=(
            "No cgroup is delegated: memory is watched, not limited. `orrery doctor` tells how to get it.",
        ),
    )
    lost = NodeView(
        name="old-host",
        state="unreachable",
        allocatable=Resources(cpu_millicores=2000, memory_bytes=6 * GIB),
        heard_at=datetime.now(UTC) - timedelta(minutes=4),
    )
    asks = Resources(cpu_millicores=500, memory_bytes=2 * GIB)
    return Snapshot(
        scheduler=SCHEDULER,
        taken_at=taken_at,
        nodes=(laptop, cordoned, lost),
        running=(
            TaskView(
                **reports.task(),
                resources=asks,
                node="laptop",
                started_at=datetime.now(UTC) - timedelta(minutes=12),
                memory_bytes=310 * MIB,
                memory_peak_bytes=420 * MIB,
                cpu_seconds=180.0,
            ),
            TaskView(
                **reports.task(
                    ti_id=str(UUID(int=2)), task_id="a_task_whose_name_does_not_fit_into_any_column"
                ),
                try_number=2,
                resources=asks,
                node="laptop",
                started_at=datetime.now(UTC) - timedelta(minutes=3),
                memory_bytes=2 * GIB - 9 * MIB,
                memory_peak_bytes=2 * GIB - 9 * MIB,
                cpu_seconds=90.0,
            ),
            TaskView(**reports.task(ti_id=str(UUID(int=3)), task_id="begins"), resources=asks, node="laptop"),
        ),
        waiting=(
            WaitingView(
                **reports.task(ti_id=str(UUID(int=4)), task_id="waits"),
                priority=5,
                resources=Resources(cpu_millicores=4000, memory_bytes=12 * GIB),
                queued_at=datetime.now(UTC) - timedelta(minutes=2),
                reason="waits for 4 CPU: node laptop has 2.8 CPU free of 8, the other 2 lack more",
            ),
            WaitingView(
                **reports.task(ti_id=str(UUID(int=5)), task_id="wants_a_gpu") | {"queue": "gpu"},
                resources=Resources(cpu_millicores=1000, memory_bytes=GIB, gpus=2),
                queued_at=datetime.now(UTC) - timedelta(seconds=40),
                reason="waits for a node that can hold 1 CPU, 1 GiB, 2 GPU: gpu-1 is cordoned",
            ),
        ),
        waiting_total=740,
    )


def tries(reports: Reports) -> list[Usage]:
    """Return what twenty runs of the task have used."""
    now = datetime.now(UTC)
    return [
        Usage(
            **reports.task(ti_id=str(UUID(int=100 + number))),
            try_number=1,
            resources=Resources(cpu_millicores=500, memory_bytes=2 * GIB),
            node="laptop-of-the-test",
            memory_peak_bytes=(310 - number) * MIB,
            started_at=now - timedelta(hours=number + 1),
            ended_at=now - timedelta(hours=number),
            ending="success",
        )
        for number in range(20)
    ]


def opened(window: Window, wait_for: str) -> Page:
    window.visit("/plugin/workers")
    window.page.locator(".ow-page").get_by_text(wait_for).first.wait_for()
    return window.page


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_shows_a_busy_deployment(window: Window, reports: Reports, look: str) -> None:
    reports.write(busy(reports), *tries(reports))
    page = opened(window, "laptop")
    turned = window.turn(look)
    window.photograph(f"workers/busy-{look}")
    facts = page.evaluate(MEASURE)
    end = page.evaluate(SCROLL_TO_END)
    window.photograph(f"workers/busy-{look}-end")

    assert facts["cut"] == []
    assert facts["wide"] <= 0
    # The footer stays at the bottom edge, and the page ends above it.
    assert end["bar"]["bottom"] == pytest.approx(end["height"], abs=1)
    assert end["last"]["bottom"] <= end["bar"]["top"] + 1
    assert facts["contrast"] >= 4.5
    assert facts["used"] >= 3
    assert (facts["ground"] < 0.2) == (turned.scheme == "dark")
    assert facts["direction"] == turned.direction
    assert window.complaints == []


def test_bars_tables_and_advice_say_what_was_reported(window: Window, reports: Reports) -> None:
    reports.write(busy(reports), *tries(reports))
    page = opened(window, "laptop")
    window.turn("light")

    memory = page.get_by_role("meter", name="Memory of node laptop")
    assert memory.get_attribute("aria-valuetext") == "Memory: 7 GiB used, 15 GiB requested, of 24 GiB"
    runs = page.get_by_role("table", name="Running tasks")
    first = runs.get_by_role("row").nth(1)
    assert f"{reports.instance['dag_id']} · {reports.instance['task_id']}" in first.inner_text()
    assert "310 MiB of 2 GiB, at most 420 MiB" in first.inner_text()
    waits = page.get_by_role("table", name="Waiting tasks").get_by_role("row").nth(1)
    assert "node laptop has 2.8 CPU free of 8" in waits.inner_text()
    assert "The first 2 of 740." in page.locator(".ow-page").inner_text()
    advice = page.get_by_role("table", name="Advice").inner_text()
    assert "asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB" in advice
    assert "not heard of since" in page.locator(".ow-card", has_text="old-host").inner_text()


def test_the_menu_leads_to_the_page_and_a_task_to_its_own(window: Window, reports: Reports) -> None:
    reports.write(busy(reports))
    page = window.page
    window.visit("/")
    window.turn("light")
    page.get_by_test_id("nav-sidebar").get_by_text("Admin").click()
    entry = page.get_by_role("menuitem", name="Workers")
    entry.wait_for()
    page.wait_for_timeout(300)  # it fades in
    window.photograph("workers/menu")
    entry.click()
    page.get_by_role("heading", name="Workers").wait_for()

    page.get_by_role("table", name="Running tasks").get_by_role("link").first.click()
    page.wait_for_url(f"**/tasks/{reports.instance['task_id']}**")

    # In the same window, without loading Airflow anew.
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    assert window.complaints == []


def test_the_tab_key_reaches_every_task(window: Window, reports: Reports) -> None:
    reports.write(busy(reports))
    page = opened(window, "laptop")
    window.turn("light")
    wanted = page.locator(".ow-page a").all_inner_texts()
    page.locator(".ow-page h1").click()

    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
                 return {text: e.innerText, ours: !!e.closest('.ow-page'),
                 ring: s.outlineStyle !== 'none'}; }"""
        )
        if focus["ours"]:
            assert focus["ring"], focus
            reached.append(focus["text"])

    assert reached[: len(wanted)] == wanted


def test_the_page_follows_what_is_reported_and_nothing_jumps(window: Window, reports: Reports) -> None:
    snapshot = busy(reports)
    reports.write(snapshot)
    page = opened(window, "3.17 used")
    window.turn("light")
    where = page.locator(".ow-page h2").evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")

    changed = replace(snapshot.nodes[0], cpu_millicores=6543)
    reports.write(replace(snapshot, nodes=(changed, *snapshot.nodes[1:])))

    page.get_by_text("6.54 used").first.wait_for()
    again = page.locator(".ow-page h2").evaluate_all("all => all.map(e => e.getBoundingClientRect().top)")
    assert again == where


def test_a_silent_scheduler_is_told_with_the_time(window: Window, reports: Reports) -> None:
    reports.write(busy(reports, age=timedelta(minutes=2)))
    page = opened(window, "laptop")
    window.turn("light")
    window.photograph("workers/silent")

    text = page.locator(".ow-card", has_text="laptop").inner_text()
    assert "not heard of since" in text
    assert "2 min ago" in text


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        (
            "other-executor",
            {
                "json": {
                    "executor": "LocalExecutor",
                    "message": "This deployment runs LocalExecutor; set executor: packing in orrery.yaml.",
                }
            },
            "set executor: packing",
        ),
        (
            "idle",
            {"json": {"executor": "PackingExecutor", "nodes": [{"name": "a", "state": "ready"}]}},
            "No task runs.",
        ),
        ("denied", {"status": 403, "json": {"detail": "Forbidden"}}, "You may not see this page"),
        ("broken", {"status": 500, "body": "Internal Server Error"}, "does not answer"),
        ("no-json", {"status": 200, "body": "<!doctype html>"}, "does not answer"),
        (
            "odd",
            {"status": 200, "json": {"nodes": 7, "running": [{"dag_id": []}]}},
            "No node has joined yet.",
        ),
    ],
)
def test_the_page_says_what_is_wrong_whatever_the_route_answers(
    signed_in: SignIn, name: str, answer: dict[str, Any], said: str
) -> None:
    with signed_in() as window:
        window.page.route("**/orrery/v1/workers", lambda route: route.fulfill(**answer))
        opened(window, said)
        window.photograph(f"workers/{name}")

        # The browser itself reports the refused call; nothing else may.
        assert [text for text in window.complaints if "Failed to load resource" not in text] == []


def test_the_page_fits_a_hebrew_interface(signed_in: SignIn, reports: Reports) -> None:
    reports.write(busy(reports), *tries(reports))
    with signed_in(language="he") as window:
        page = opened(window, "laptop")
        window.turn("right-to-left")
        window.photograph("workers/busy-hebrew")
        facts = page.evaluate(MEASURE)

        assert (facts["cut"], facts["direction"]) == ([], "rtl")


def test_the_command_tells_the_same(deployment: Deployment, cli: Cli, reports: Reports) -> None:
    reports.write(busy(reports), *tries(reports))

    said = cli(deployment.project, "workers")
    told = cli(deployment.project, "workers", "-o", "json")

    assert said.code == told.code == 3  # a node is not heard of
    assert f"{reports.instance['dag_id']}.{reports.instance['task_id']}" in said.out
    assert "node laptop has 2.8 CPU free of 8" in said.out
    assert "asks 2 GiB, used 310 MiB at most over 20 runs: ask 512 MiB" in said.out
    assert {"laptop", "gpu-1", "old-host"} <= {node["name"] for node in told.json()["nodes"]}
    assert told.json()["waiting_total"] >= 740


def test_who_is_not_signed_in_is_told_nothing(reports: Reports, api: httpx.Client) -> None:
    reports.write(busy(reports))

    answer = api.get("/orrery/v1/workers", headers={"Authorization": "Bearer of nobody"})

    assert answer.status_code in {401, 403}
    assert "laptop" not in answer.text
