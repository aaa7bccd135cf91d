"""Healthy means the same for all: Airflow's health endpoint has heard from this start of each component."""

from __future__ import annotations

import time
from datetime import datetime

import httpx
from benchmarks.lab.errors import BenchError

JOBS = ("scheduler", "triggerer", "dag_processor")


def wait_healthy(port: int, since: float) -> None:
    """Wait until all components have sent a heartbeat after `since` (seconds since 1970)."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            health = httpx.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", trust_env=False).json()
            beats = [health[job][f"latest_{job}_heartbeat"] for job in JOBS]
            if all(beat and datetime.fromisoformat(beat).timestamp() >= since for beat in beats):
                return
        except (httpx.HTTPError, ValueError, KeyError):
            pass
        time.sleep(0.1)
    raise BenchError("not healthy after 180 s")
