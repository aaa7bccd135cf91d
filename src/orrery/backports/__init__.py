"""Early fixes: what this release mends in Airflow before Airflow does (docs/early-fixes.md)."""
