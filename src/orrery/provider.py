"""The manifest that Airflow reads in every process: plug-in points as dotted strings.

It imports nothing, so that announcing what exists costs nothing.
"""


def get_provider_info() -> dict[str, object]:
    """Return Orrery's provider manifest, in the form of Airflow's provider_info.schema.json."""
    return {
        "package-name": "orrery-runtime",
        "name": "Orrery Runtime",
        "description": "An open, self-hosted, production-ready distribution of Apache Airflow.",
        "plugins": [{"name": "orrery", "plugin-class": "orrery.ui.plugin.OrreryPlugin"}],
    }
