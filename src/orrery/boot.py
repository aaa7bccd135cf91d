"""Placeholder until the real module lands."""


def install() -> None:
    """Do nothing yet."""
