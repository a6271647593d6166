"""The crash harness for as long as one likes: what the tests run for half a minute on each database.

    .certwright/venv/bin/python -m bench.crash [--minutes 60] [--database postgresql] [--workers 8] [--work DIR]

Ends with exit code 0 and a table, or with an AssertionError that says what clients were told and is not so; the
installation is kept in WORK then, with its log.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Cluster, cluster
from tests.crash.service import service
from tests.crash.storm import Outcome, Plan, storm
from tests.interop.world import webroot
from tests.ports import free_port


@contextmanager
def database(kind: str) -> Iterator[Cluster | None]:
    """A private PostgreSQL with fsync on, or None for SQLite."""
    if kind == "sqlite":
        yield None
        return
    with cluster() as made:
        yield made


def table(outcome: Outcome) -> str:
    """The outcome as rows of Markdown."""
    rows = [*outcome.seen.items(), *((f"kills of {victim}", count) for victim, count in sorted(outcome.killed.items()))]
    lines = [f"| {what} | {count} |" for what, count in rows]
    return "\n".join(["| what | count |", "|---|---|", *lines, f"| seconds to rest | {outcome.seconds_to_rest:.0f} |"])


def main() -> None:
    """Storms, judges, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, help="order of the kills")
    parser.add_argument("--work", type=Path, help="a folder that is not there yet")
    asked = parser.parse_args()
    work, port = asked.work or Path(tempfile.mkdtemp(prefix="cw-crash-")), free_port()
    work.mkdir(parents=True, exist_ok=True)
    print(f"working in {work}", flush=True)
    plan = Plan(asked.minutes * 60, asked.workers, asked.pause)
    with (
        database(asked.database) as server,
        webroot(work / "www", port) as shown,
        service(work / "ca", port, server) as running,
    ):
        outcome = storm(running, plan, shown, asked.seed)
    print(table(outcome))


if __name__ == "__main__":
    main()
