"""What a CRL costs: the full list and one more revocation, over 1,000 to 1,000,000 revoked certificates.

    .certwright/venv/bin/python -m bench.crls [--counts 1000 100000 1000000] [--shards 128]

Real records (SQLite), rules and ledger; the key lies in memory, since a token adds the same to each figure.
Seconds are of processor time, which other work on the machine disturbs least; only p50 and p95 are by the clock.
"""

import argparse
import os
import resource
import secrets
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from cryptography import x509

from ca import crl
from ca.records import SYSTEM, Reason, Revocation, RevokeRequest, make_serial
from tests.ca.authority.fast import ISSUER, FastWorld, make_template
from tests.ca.authority.world import OPERATOR
from tests.ca.conftest import hierarchy as fixture

DAY = 86400


def fill(world: FastWorld, count: int, shards: int) -> None:
    """Revocations as they lie in the database, without the way there."""
    now, end = world.clock(), world.clock() + 20 * DAY
    world.authority.store.close()
    with sqlite3.connect(world.folder / "ca.sqlite") as database:
        database.executemany(
            "INSERT INTO revocation (issuer, serial, revoked_at, reason, actor, not_after, comment, invalidity_date, "
            "shard, generation, entry) VALUES (?, ?, ?, 'keyCompromise', ?, ?, '', 0, ?, 1, x'')",
            (
                (
                    ISSUER,
                    f"{make_serial(n % shards, os.urandom(16)):038x}",
                    now - 5,
                    '{"kind":"system","id":"b","method":""}',
                    end,
                    n % shards,
                )
                for n in range(count)
            ),
        )
    world.restart()


def library(world: FastWorld, facts: list[Revocation]) -> float:
    """Processor seconds of the plain library over the same facts."""
    began = time.process_time()
    own = world.hierarchy.issuing_certificate
    entries = [
        x509.RevokedCertificateBuilder(one.serial, crl.lists.at(one.revoked_at).replace(tzinfo=None))
        .add_extension(x509.CRLReason(x509.ReasonFlags(one.reason.value)), False)
        .build()
        for one in facts
    ]
    form = crl.Form(9, world.clock(), world.clock() + DAY)
    builder = x509.CertificateRevocationListBuilder(
        own.subject,
        crl.lists.at(form.this_update),
        crl.lists.at(form.next_update),
        list(crl.lists._extensions(own, form)),
        entries,
    )
    builder.sign(world.hierarchy.issuing_key, crl.lists.signature_hash(world.hierarchy.issuing_key.public_key()))
    return time.process_time() - began


def measure(hierarchy: object, template: Path, count: int, shards: int) -> None:
    """Prints one line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        world = FastWorld(Path(folder), hierarchy, template)
        world.authority.reshard(ISSUER, shards, OPERATOR)
        first = world.authority.store.open_shards(ISSUER)[0]
        fill(world, count, shards + first)
        began = time.process_time()
        report = world.authority.publish_crls()
        written = time.process_time() - began
        assert not report.failed
        world.clock.now += DAY
        from ca.authority.crls import publish_list

        began = time.process_time()
        publish_list(world.authority, ISSUER, crl.FULL)
        full = time.process_time() - began
        kept = world.authority.store.entries(ISSUER, crl.FULL, 0)
        began = time.process_time()
        form = crl.Form(9, world.clock(), world.clock() + DAY)
        crl.assemble(world.hierarchy.issuing, world.hierarchy.issuing_key, kept, form)
        build = time.process_time() - began
        facts = list(world.authority.store.revoked(ISSUER, crl.FULL, 0))
        plain = library(world, facts)
        more, spent = [], time.process_time()
        for _ in range(20):
            serial = make_serial(first + secrets.randbelow(shards), os.urandom(16))
            began = time.monotonic()
            world.authority.revoke_serial(
                ISSUER, serial, RevokeRequest(Reason.SUPERSEDED, SYSTEM), end=world.clock() + 5 * DAY
            )
            more.append((time.monotonic() - began) * 1000)
        cpu = (time.process_time() - spent) / len(more) * 1000
        size = len(world.authority.publisher.get(crl.full_path(ISSUER)).body) >> 20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        p50, p95 = statistics.median(more), sorted(more)[-2]
        seconds = f"{written:.2f} | {full:.2f} | {build:.2f} | {plain:.2f}"
        print(f"| {count:,} in {shards} | {seconds} | {size} | {cpu:.1f} | {p50:.1f}, {p95:.1f} | {peak} |", flush=True)
        world.close()


def main() -> None:
    """Measures each count."""
    options = argparse.ArgumentParser()
    options.add_argument("--counts", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    options.add_argument("--shards", type=int, default=128)
    chosen = options.parse_args()
    hierarchy = fixture.__wrapped__() if hasattr(fixture, "__wrapped__") else fixture._get_wrapped_function()()
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder) / "ca.sqlite", hierarchy)
        heads = (
            "all first s",
            "full again s",
            "its build s",
            "library s",
            "MiB",
            "one more, CPU ms",
            "p50, p95 ms",
            "peak MiB",
        )
        print("| revoked | " + " | ".join(heads) + " |")
        print("|---" * (len(heads) + 1) + "|")
        for count in chosen.counts:
            measure(hierarchy, template, count, chosen.shards)


if __name__ == "__main__":
    main()
