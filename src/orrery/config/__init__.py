"""Settings: Orrery's own, Airflow's, and who has set what."""
