"""The signer as it is, on the clock of a test's world: `python -m tests.ca.authority.travelling CONFIGURATION`."""

import sys
from pathlib import Path

from ca.config import load
from ca.keys.signer import process
from tests.ca.authority.world import LiveClock

if __name__ == "__main__":
    configuration = Path(sys.argv[1])
    process.run(load(configuration), LiveClock(configuration.parent / "clock"))
