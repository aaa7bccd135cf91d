"""What holds for all rings of tests."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

# No test is about seconds: a busy machine must not fail a property.
settings.register_profile("orrery", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("orrery")

RINGS = ("contract", "integration", "acceptance")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the user's own Airflow out of the tests, and the tests out of it."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "ORRERY"))]:
        del os.environ[name]
    # Started in the background of a script we inherit an ignored Ctrl-C, and so would all that we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = tempfile.mkdtemp(prefix="orrery-tests-")
    os.environ["AIRFLOW_HOME"] = home
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the ring that its folder is."""
    for item in items:
        ring = item.path.relative_to(Path(__file__).parent).parts[0]
        if ring in RINGS:
            item.add_marker(ring)
