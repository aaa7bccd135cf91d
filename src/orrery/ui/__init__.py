"""Orrery's face in Airflow's web interface: the footer, the menu entries and the pages behind them."""
