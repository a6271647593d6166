"""How long a service with a past takes from its start to readiness: many certificates in records and ledger.

    .certwright/venv/bin/python -m bench.restart [--count 100000] [--times 3] [--nice -15] [--work DIR]

A whole service on SQLite and SoftHSM; `/ready` is asked every 20 ms on both planes, and must answer 200 on both.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from bench.seed import Company, fill
from bench.signer import entry
from ca.keys.signer.ledger import Ledger
from cli.place import Place, Ports, default_module
from tests.crash.service import Service, service
from tests.ports import free_port

ROUND = 500


def fill_ledger(folder: Path, count: int) -> None:
    """As if the signer had signed so many more."""
    ledger = Ledger(folder, sync=lambda _: None)
    for start in range(0, count, ROUND):
        ledger.record(*(entry(n) for n in range(start, min(start + ROUND, count))))
    ledger.close()
    os.sync()


def seconds_to_ready(running: Service) -> float:
    """From the start of the supervisor to 200 on both planes; then it is ended again."""
    began = time.perf_counter()
    running.start()
    while not running.ready():
        time.sleep(0.02)
    took = time.perf_counter() - began
    running.stop()
    return took


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a folder on the disk to be measured")
    parser.add_argument("--nice", type=int, default=0, help="-15 (root) gives the service precedence on a busy machine")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        place = Place(Path(name) / "ca")
        place.claim()
        place.prepare(Ports(), default_module())
        fill(f"sqlite:///{place.path}/state/certwright.sqlite", Company(asked.count))
        with service(place.path, free_port()) as running:
            running.stop()
            os.setpriority(os.PRIO_PROCESS, 0, asked.nice)
            short = [seconds_to_ready(running) for _ in range(asked.times)]
            fill_ledger(running.config.path(running.config.signer.state_dir) / "ledger", asked.count)
            long = [seconds_to_ready(running) for _ in range(asked.times)]
    print(f"load {os.getloadavg()[0]:.1f}\n\n| {asked.count} certificates in | seconds to ready |\n|---|---|")
    for what, took in (("records", short), ("records and ledger", long)):
        print(f"| {what} | {', '.join(f'{one:.2f}' for one in sorted(took))} |")


if __name__ == "__main__":
    main()
