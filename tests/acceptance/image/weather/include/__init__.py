"""What the DAGs share."""

DEGREES = 21
