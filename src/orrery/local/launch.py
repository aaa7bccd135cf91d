"""Become a component: read the deployment's environment, then exec the command.

Run by path (`python -I -S launch.py ENVIRONMENT_FILE COMMAND...`), before any package is importable.
The environment lies in a 0600 file, not in the process manager's configuration: secrets stay out of
it, and a restarted component sees the settings of today.
"""

import json
import os
import sys


def main() -> None:
    """Replace this process by the command."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs 5 ms here
        environment = json.load(file)
    command = sys.argv[2:]
    os.execve(command[0], command, environment)  # noqa: S606 - to become another program is the point


if __name__ == "__main__":
    main()
