"""What the acceptance tests share: the installed `orrery`, the example project running, a browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, ConsoleMessage, Page

REPOSITORY = Path(__file__).parents[2]
ORRERY = Path(sys.executable).with_name("orrery")
SCREENSHOTS = REPOSITORY / "test-results"
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Cli(Protocol):
    """Runs the installed `orrery` in a folder."""

    def __call__(
        self, folder: Path, *arguments: str, env: dict[str, str] | None = None, timeout: float = 300
    ) -> Said: ...


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user: nothing of Airflow's or ours set, a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ORRERY"))}
    return kept | {"ORRERY_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="session")
def cli(environment: dict[str, str]) -> Cli:
    def run(folder: Path, *arguments: str, env: dict[str, str] | None = None, timeout: float = 300) -> Said:
        ended = subprocess.run(
            [str(ORRERY), *arguments],
            cwd=folder,
            env=environment | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Said(code=ended.returncode, out=ended.stdout, err=ended.stderr)

    return run


@pytest.fixture
def free_port() -> int:
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def _nothing_is_left_running(tmp_path: Path, cli: Cli) -> Iterator[None]:
    """Stop whatever a test has started below its folder, also when it failed."""
    yield
    for state in tmp_path.glob("*/.orrery"):
        stopped = cli(state.parent, "down")
        assert stopped.code == 0, stopped.err


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project of one DAG."""
    root = tmp_path / "project"
    (root / "dags").mkdir(parents=True)
    (root / "dags" / "hello.py").write_text(
        "from airflow.sdk import dag, task\n\n\n@dag\ndef hello():\n"
        "    @task\n    def greet():\n        print('hello')\n\n    greet()\n\n\nhello()\n"
    )
    return root


class Deployment:
    """A running deployment of the example project, as its user sees it."""

    username = "admin"

    def __init__(self, project: Path, status: dict[str, Any], client: httpx.Client) -> None:
        self.project = project
        self.url: str = status["url"].replace("localhost", "127.0.0.1")
        self.password = Path(status["password_file"]).read_text()
        self._client = client
        client.base_url = httpx.URL(self.url)
        token = self._client.post(
            "/auth/token", json={"username": self.username, "password": self.password}
        ).raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def api(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Call Airflow's REST API; the path is below /api/v2."""
        answer = self._client.request(method, f"/api/v2{path}", json=body or None)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        value = answer.json() if answer.content else {}
        assert isinstance(value, dict)
        return value

    def psql(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """Ask the deployment's PostgreSQL, as its owner."""
        import psycopg

        port = json.loads((self.project / ".orrery" / "run" / "deployment.json").read_text())["postgres_port"]
        password = (self.project / ".orrery" / "secrets" / "database_password").read_text()
        where = f"host=127.0.0.1 port={port} user=orrery dbname={database}"
        with psycopg.connect(where, password=password) as connection:
            return connection.execute(sql.encode()).fetchall()


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Iterator[Deployment]:
    """The example project, started once for all tests that only look at it or run its DAGs."""
    project = tmp_path_factory.mktemp("example") / "airports"
    shutil.copytree(
        REPOSITORY / "examples" / "airports", project, ignore=shutil.ignore_patterns(".orrery", "__pycache__")
    )
    started = cli(project, "up", "--detach", "--port", str(_free_port()), timeout=600)
    try:
        assert started.code == 0, started.err
        with httpx.Client(timeout=60, trust_env=False) as client:
            yield Deployment(project, cli(project, "status", "-o", "json").json(), client)
    finally:
        stopped = cli(project, "down")
        assert stopped.code == 0, stopped.err


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a browser's window is set up."""

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

    def turn(self, look: str) -> Look:
        """Turn the open page to that look and return it."""
        wanted = LOOKS[look]
        self.page.set_viewport_size({"width": wanted.width, "height": wanted.height})
        self.page.emulate_media(color_scheme=wanted.scheme)
        self.page.wait_for_selector(f"html.{wanted.scheme}")
        # Airflow sets it too, when the words of a right-to-left language arrive.
        self.page.evaluate("direction => { document.documentElement.dir = direction; }", wanted.direction)
        return wanted

    def photograph(self, name: str) -> None:
        """Keep a picture of what is in view, as test-results/NAME.png."""
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)


class SignIn(Protocol):
    """Opens a window of its own, signed in."""

    def __call__(self, language: str = "en") -> AbstractContextManager[Window]: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for no longer than a module: while Playwright runs, this thread counts as an event loop."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        missing = "Chromium is not installed (apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def token(deployment: Deployment) -> str:
    answer = httpx.post(
        f"{deployment.url.rstrip('/')}/auth/token",
        json={"username": deployment.username, "password": deployment.password},
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


@pytest.fixture(scope="session")
def api(deployment: Deployment, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=deployment.url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="module")
def signed_in(browser: Browser, deployment: Deployment, token: str) -> SignIn:
    @contextlib.contextmanager
    def window(language: str = "en") -> Iterator[Window]:
        context = browser.new_context()
        context.set_default_timeout(60_000)  # a busy machine must not fail a test
        context.add_cookies([{"name": "_token", "value": token, "url": deployment.url}])
        context.add_init_script(f"localStorage.setItem('i18nextLng', '{language}')")
        opened = Window(page=context.new_page(), url=deployment.url.rstrip("/"))

        def note(message: ConsoleMessage) -> None:
            ours = "orrery" in f"{message.text} {message.location['url']}".lower()
            # Airflow's words for a plug-in that it could not load.
            if message.type in {"error", "warning"} and (ours or "Component failed to load" in message.text):
                opened.complaints.append(message.text)

        opened.page.on("console", note)
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        yield opened
        context.close()

    return window


@pytest.fixture(scope="module")
def window(signed_in: SignIn) -> Iterator[Window]:
    with signed_in() as opened:
        yield opened
