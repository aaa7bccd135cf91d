"""Airflow's home must be set before Airflow is imported; these tests use none of its database."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="orrery-unit-ui-"))
