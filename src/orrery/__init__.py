"""Orrery Runtime: an open, self-hosted, production-ready distribution of Apache Airflow."""

__version__ = "17.0.0"
