"""Orrery's own tables in Airflow's metadata database, and what wakes the scheduler when Airflow's change."""
