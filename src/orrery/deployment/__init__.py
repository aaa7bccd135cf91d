"""The deployment file, `orrery.yaml`: one typed model, read with errors that name line and key."""
