"""A plugin that names itself."""

from airflow.plugins_manager import AirflowPlugin


class WeatherPlugin(AirflowPlugin):
    """Seen by `airflow plugins`."""

    name = "weather"
