"""The manifest that Airflow reads in every process: plug-in points as dotted strings.

It imports nothing, so that announcing what exists costs nothing.
"""


def get_provider_info() -> dict[str, object]:
    """Return Orrery's provider manifest, in the form of Airflow's provider_info.schema.json.

    The plug-in is not in it but an entry point of the package: with providers discovered lazily, as is
    the default, Airflow does not read plug-ins from manifests.
    """
    return {
        "package-name": "orrery-runtime",
        "name": "Orrery Runtime",
        # Beside the default of [database] external_db_managers: also under a list of the user's own.
        "db-managers": ["orrery.database.manager.OrreryDBManager"],
        "description": "An open, self-hosted, production-ready distribution of Apache Airflow.",
    }
