"""Orrery watches itself: the system DAG, its bundle and pool, and the policy that reserves its name."""
