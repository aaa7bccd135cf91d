"""Makes `include` importable in tests, as it is in the deployment."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
