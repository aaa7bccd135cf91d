"""One run that uses what the project's files brought, and one that takes its time."""

import shutil
import time

from airflow.sdk import dag, task
from include import DEGREES


@dag(schedule="@once", is_paused_upon_creation=False)
def weather():
    """Uses a Debian package, a Python package and include/."""

    @task
    def measure() -> int:
        import airportsdata

        assert shutil.which("jq"), "packages.txt was not installed"
        assert airportsdata.__file__
        return DEGREES

    @task
    def report(degrees: int) -> None:
        assert degrees == 21
        print(f"It has {degrees} degrees")

    report(measure())


@dag(schedule=None, is_paused_upon_creation=False)
def patience():
    """Runs long enough to be asked to stop in the middle."""

    @task
    def wait() -> None:
        time.sleep(15)

    wait()


weather()
patience()
