"""The data sets that the DAGs of this project hand to one another."""

from airflow.sdk import Asset

AIRPORTS = Asset(name="airports", uri="x-warehouse://airports/airports")
