"""What DAGs call is plain Python, so it is tested without Airflow."""

from datetime import timedelta

from include.orbits import EPOCH, PERIODS, STARTS, closest_pair, longitude


def test_a_planet_is_back_after_its_period() -> None:
    later = EPOCH + timedelta(days=PERIODS["Earth"])
    assert abs(longitude("Earth", later) - STARTS["Earth"]) < 0.001


def test_the_angle_is_measured_across_zero() -> None:
    assert closest_pair({"Mars": 359.0, "Venus": 2.0, "Earth": 180.0}) == ("Mars", "Venus", 3.0)
