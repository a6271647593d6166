"""Whether ACME stays as it is when many orders are stored: rate, processor time and memory beside a new CA.

    .certwright/venv/bin/python -m bench.stored [--orders 100000] [--seconds 8] [--nice -15]

A demo as a user starts it issues for one client, gets so many finished orders with their authorizations and challenges
(copies of rows of its own under other identifiers), is started again, and issues again.
"""

import argparse
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from bench.run import Certwright, Ground, Run, systems

PATTERN = (
    "CREATE TEMP TABLE pattern AS SELECT o.id AS old_order, n.authorization_id AS old_proof FROM acme_order o "
    "JOIN acme_need n ON n.order_id = o.id WHERE o.status = 'valid' LIMIT 1"
)
FRESH = (
    "CREATE TEMP TABLE fresh AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    "SELECT i, hex(randomblob(11)) AS new_order, hex(randomblob(11)) AS new_proof FROM n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--nice", type=int, default=0)
    wanted = parser.parse_args()
    run = Run(Ground(Path(tempfile.mkdtemp(prefix="certwright-bench-")), nice=wanted.nice), wanted.seconds, 1)
    product = Certwright(run.ground)
    print("| orders stored | certificates/s | server CPU ms | p50, p99 ms | MiB before and after (largest process) |")
    print("|---|---|---|---|---|")
    measure(run, product)
    fill(product.folder / "state" / "certwright.sqlite", wanted.orders)
    measure(run, product)


def measure(run: Run, product: Certwright) -> None:
    """One row: a started CA, one client."""
    with product.running() as target:
        before = systems.memory(target)
        result = run.load("acme", target, 1, directory=target.flags["directory"], warm="20")
        unit, after = result["unit"], systems.memory(target)
    with closing(sqlite3.connect(product.folder / "state" / "certwright.sqlite")) as records:
        [[stored]] = records.execute("SELECT count(*) FROM acme_order")
    rate, cpu = result["per_second"], result["server_cpu_ms_per_unit"]
    print(f"| {stored:,} | {rate:.1f} | {cpu:.1f} | {unit['p50_ms']:.1f}, {unit['p99_ms']:.1f} | {before}, {after} |")


def fill(path: Path, count: int) -> None:
    """Stores so many finished orders, spread over the last 29 days."""
    with closing(sqlite3.connect(path)) as records:
        records.execute(PATTERN)
        records.execute(FRESH, (count,))
        then = {"created_at": "created_at - i % 2500000", "expires": "expires - i % 2500000"}
        _copy(records, "acme_order", "id = old_order", id="new_order", authorizations="json_array(new_proof)", **then)
        _copy(records, "acme_need", "order_id = old_order", order_id="new_order", authorization_id="new_proof")
        proof = {"value": "i || value", "status": "'expired'"}
        _copy(records, "acme_authorization", "id = old_proof", id="new_proof", **proof, **then)
        _copy(
            records,
            "acme_challenge",
            "authorization_id = old_proof",
            id="new_proof || id",
            authorization_id="new_proof",
        )
        records.commit()


def _copy(records: sqlite3.Connection, table: str, which: str, **changed: str) -> None:
    columns = [row[1] for row in records.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(name, f'"{name}"') for name in columns)
    source = f"(SELECT * FROM {table}, pattern WHERE {which}), fresh"
    records.execute(f"INSERT INTO {table} SELECT {values} FROM {source}")


if __name__ == "__main__":
    main()
