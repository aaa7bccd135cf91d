"""The example project in a running deployment: real data, from the register to the picture."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any, Protocol

import pytest

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "airports"
# Facts about airportsdata 20260905, which requirements.txt pins, counted by hand and not by our rules.
REGISTER_ROWS = 28_298
PLACEHOLDER_CODES = 13
REGIONS = {"Africa", "Americas", "Asia", "Europe", "Oceania", "Oceans and poles"}
FINAL_STATES = ("success", "failed")
# Generous: the first task of a deployment waits for much, and machines differ.
PATIENCE_SECONDS = 300


class Deployment(Protocol):
    """What the fixture `deployment` gives: a running copy of the example project."""

    project: Path

    def api(self, method: str, path: str, **json: Any) -> dict[str, Any]: ...

    def psql(self, database: str, sql: str) -> list[tuple[Any, ...]]: ...


def finished(deployment: Deployment, path: str) -> dict[str, Any]:
    """Wait for the end of a DAG run and return it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    run = deployment.api("GET", path)
    while run["state"] not in FINAL_STATES and time.monotonic() < deadline:
        time.sleep(0.5)
        run = deployment.api("GET", path)
    return run


@pytest.fixture(scope="module")
def run(deployment: Deployment) -> dict[str, Any]:
    """One run of `airports_ingest`, at its end."""
    deployment.api("PATCH", "/dags/airports_ingest", is_paused=False)
    started = deployment.api("POST", "/dags/airports_ingest/dagRuns", logical_date=None)
    return finished(deployment, f"/dags/airports_ingest/dagRuns/{started['dag_run_id']}")


@pytest.fixture(scope="module")
def tasks(deployment: Deployment, run: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/dags/airports_ingest/dagRuns/{run['dag_run_id']}/taskInstances"
    instances: list[dict[str, Any]] = deployment.api("GET", path)["task_instances"]
    return instances


@pytest.fixture(scope="module")
def report(deployment: Deployment, run: dict[str, Any]) -> dict[str, Any]:
    """The run of `airports_report` that this run's asset event caused, at its end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    caused: list[dict[str, Any]] = []
    while not caused and time.monotonic() < deadline:
        path = f"/assets/events?source_dag_id=airports_ingest&source_run_id={quoted(run)}"
        events = deployment.api("GET", path)["asset_events"]
        caused = [created for event in events for created in event["created_dagruns"]]
        time.sleep(0.5)
    assert [created["dag_id"] for created in caused] == ["airports_report"]
    return finished(deployment, f"/dags/airports_report/dagRuns/{caused[0]['run_id']}")


def quoted(run: dict[str, Any]) -> str:
    # The `+` of a run id's time zone would be a space in a query.
    return str(run["dag_run_id"]).replace("+", "%2B")


def test_the_pipeline_succeeds(run: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
    assert run["state"] == "success", [(task["task_id"], task["state"]) for task in tasks]


def test_every_airport_is_in_the_database_and_every_reject_in_quarantine(
    deployment: Deployment, run: dict[str, Any]
) -> None:
    read = deployment.psql

    assert read("airports", "SELECT count(*), count(DISTINCT icao) FROM airports") == [
        (REGISTER_ROWS - PLACEHOLDER_CODES, REGISTER_ROWS - PLACEHOLDER_CODES)
    ]
    assert read("airports", "SELECT count(*) FROM quarantine WHERE icao LIKE '\\_%'") == [
        (PLACEHOLDER_CODES,)
    ]
    assert read("airports", "SELECT iata, country, region FROM airports WHERE icao = 'ENTC'") == [
        ("TOS", "NO", "Europe")
    ]


def test_the_register_was_asked_again_after_it_had_failed(
    deployment: Deployment, run: dict[str, Any], tasks: list[dict[str, Any]]
) -> None:
    (extract,) = (task for task in tasks if task["task_id"] == "extract")
    path = f"/dags/airports_ingest/dagRuns/{run['dag_run_id']}/taskInstances/extract/tries"
    tries = deployment.api("GET", path)["task_instances"]

    assert (extract["state"], extract["try_number"]) == ("success", 2)
    assert [(one["try_number"], one["state"]) for one in tries] == [(1, "failed"), (2, "success")]


def test_the_wait_was_handed_to_the_triggerer(deployment: Deployment, run: dict[str, Any]) -> None:
    path = f"/eventLogs?dag_id=airports_ingest&run_id={quoted(run)}&task_id=wait_for_the_register"
    events = [log["event"] for log in deployment.api("GET", path + "&order_by=id")["event_logs"]]

    assert "deferred" in events
    assert events.index("deferred") < events.index("success")


def test_one_task_was_mapped_over_the_regions(tasks: list[dict[str, Any]]) -> None:
    loads = [task for task in tasks if task["task_id"] == "load"]

    assert {load["rendered_map_index"] for load in loads} == REGIONS
    assert sorted(load["map_index"] for load in loads) == list(range(len(REGIONS)))


def test_the_data_announces_itself_with_its_counts(deployment: Deployment, run: dict[str, Any]) -> None:
    path = f"/assets/events?source_dag_id=airports_ingest&source_run_id={quoted(run)}"
    (event,) = deployment.api("GET", path)["asset_events"]

    assert event["name"] == "airports"
    assert event["extra"]["rows"] == REGISTER_ROWS - PLACEHOLDER_CODES
    assert event["extra"]["quarantined"] == PLACEHOLDER_CODES


def test_the_data_sets_off_the_report(report: dict[str, Any]) -> None:
    assert (report["run_type"], report["state"]) == ("asset_triggered", "success")


def test_the_report_has_a_picture_of_the_world(deployment: Deployment, report: dict[str, Any]) -> None:
    width, height, pixels = decoded(deployment.project / "include" / "reports" / "airports.png")

    def share_lit(left: int, top: int, right: int, bottom: int) -> float:
        """Share of the pixels in a box that are bright: dots, glow or text."""
        box = [pixels[y][3 * x : 3 * x + 3] for y in range(top, bottom) for x in range(left, right)]
        return sum(max(pixel) > 110 for pixel in box) / len(box)

    assert (width, height) == (1600, 940)
    assert share_lit(420, 260, 540, 340) > 0.5  # the United States: crowded
    assert 0.01 < share_lit(860, 560, 950, 660) < 0.6  # south-east Africa: dots
    assert share_lit(660, 420, 720, 480) < 0.01  # the Atlantic: empty


def test_the_report_is_a_page_that_shows_the_picture(deployment: Deployment, report: dict[str, Any]) -> None:
    page = (deployment.project / "include" / "reports" / "airports.html").read_text()

    assert '<img src="airports.png"' in page
    assert f"<b>{REGISTER_ROWS - PLACEHOLDER_CODES:,}</b>" in page
    assert f"In quarantine ({PLACEHOLDER_CODES})" in page


def test_running_it_again_changes_no_row(deployment: Deployment, run: dict[str, Any]) -> None:
    conf = {"flaky_register": False}
    started = deployment.api("POST", "/dags/airports_ingest/dagRuns", logical_date=None, conf=conf)
    again = finished(deployment, f"/dags/airports_ingest/dagRuns/{started['dag_run_id']}")

    assert again["state"] == "success"
    sql = f"SELECT sum(rows), sum(changed_rows) FROM loads WHERE run_id = '{again['dag_run_id']}'"  # noqa: S608
    assert deployment.psql("airports", sql) == [(REGISTER_ROWS - PLACEHOLDER_CODES, 0)]
    assert deployment.psql("airports", "SELECT count(*) FROM airports") == [
        (REGISTER_ROWS - PLACEHOLDER_CODES,)
    ]
    extract = deployment.api(
        "GET", f"/dags/airports_ingest/dagRuns/{again['dag_run_id']}/taskInstances/extract"
    )
    assert extract["try_number"] == 1


def test_too_many_bad_rows_stop_the_run_at_once(deployment: Deployment, run: dict[str, Any]) -> None:
    conf = {"flaky_register": False, "largest_reject_share": 0}
    started = deployment.api("POST", "/dags/airports_ingest/dagRuns", logical_date=None, conf=conf)
    stopped = finished(deployment, f"/dags/airports_ingest/dagRuns/{started['dag_run_id']}")

    assert stopped["state"] == "failed"
    path = f"/dags/airports_ingest/dagRuns/{stopped['dag_run_id']}/taskInstances"
    tasks = {task["task_id"]: task for task in deployment.api("GET", path)["task_instances"]}
    # Bad rows do not get better: no second attempt, although the task may have two more.
    assert (tasks["validate"]["state"], tasks["validate"]["try_number"]) == ("failed", 1)
    assert tasks["load"]["state"] == "upstream_failed"
    assert deployment.psql("airports", "SELECT count(*) FROM airports") == [
        (REGISTER_ROWS - PLACEHOLDER_CODES,)
    ]


def test_orrery_watches_itself_beside_the_project(deployment: Deployment) -> None:
    dag = deployment.api("GET", "/dags/orrery_monitoring_dag")
    path = "/dags/orrery_monitoring_dag/dagRuns?limit=1&order_by=run_after"
    runs = deployment.api("GET", path)["dag_runs"]

    assert (dag["bundle_name"], dag["is_paused"]) == ("orrery-system", False)
    assert runs, "a fresh deployment is proven at once, not at the next tick"
    first = finished(deployment, f"/dags/orrery_monitoring_dag/dagRuns/{runs[0]['dag_run_id']}")
    assert (first["run_type"], first["state"]) == ("scheduled", "success")
    (heartbeat,) = deployment.api(
        "GET", f"/dags/orrery_monitoring_dag/dagRuns/{first['dag_run_id']}/taskInstances"
    )["task_instances"]
    assert (heartbeat["pool"], heartbeat["priority_weight"]) == ("orrery_system", 2**31 - 1)


def test_the_projects_own_tests_pass(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", "tests"],
        cwd=EXAMPLE,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def decoded(path: Path) -> tuple[int, int, list[bytes]]:
    """Return width, height and the rows of an RGB picture: PNG without a library for pictures."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    position, data, width, height = 8, b"", 0, 0
    while position < len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunk = content[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            width, height, *form = struct.unpack(">IIBBBBB", chunk)
            assert form == [8, 2, 0, 0, 0], "8 bits, RGB, not interlaced"
        elif kind == b"IDAT":
            data += chunk
        position += 12 + length
    raw, stride = zlib.decompress(data), 3 * width + 1
    rows: list[bytes] = []
    above = bytes(3 * width)
    for start in range(0, stride * height, stride):
        above = unfiltered(raw[start], raw[start + 1 : start + stride], above)
        rows.append(above)
    return width, height, rows


def unfiltered(method: int, line: bytes, above: bytes) -> bytes:
    """Undo one of PNG's five filters on a row of three bytes a pixel."""
    row = bytearray(line)
    if method == 0:
        return bytes(row)
    for i, value in enumerate(line):
        left, up, corner = (row[i - 3], above[i], above[i - 3]) if i >= 3 else (0, above[i], 0)
        if method == 1:
            guess = left
        elif method == 2:
            guess = up
        elif method == 3:
            guess = (left + up) // 2
        else:
            estimate = left + up - corner
            guess = min((left, up, corner), key=lambda near: abs(estimate - near))
        row[i] = (value + guess) & 0xFF
    return bytes(row)
