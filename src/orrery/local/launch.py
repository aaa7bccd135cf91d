"""Become a component: read the deployment's environment, then exec the command.

Run by path (`python -I -S launch.py LAUNCH_FILE ARGUMENTS...`), before any package is importable. The
environment and the interpreter lie in a 0600 file, not in the process manager's configuration: secrets
stay out of it, and a restarted component sees the settings and requirements of today.
"""

import json
import os
import sys


def main() -> None:
    """Replace this process by the command."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs 5 ms here
        launch = json.load(file)
    command = [*launch["command"], *sys.argv[2:]]
    os.execve(command[0], command, launch["environment"])  # noqa: S606 - to become it is the point


if __name__ == "__main__":
    main()
