"""What a CRL costs: the full list and one more revocation, over 1,000 to 1,000,000 revoked certificates.

    .certwright/venv/bin/python -m bench.crls [--counts 1000 100000 1000000] [--shards 128 512]

Real records (SQLite), rules and ledger; the key lies in memory, since a token adds the same to each figure. The plain
library builds the same list in the same run, and every octet that is signed is compared. Seconds are of processor time,
which other work on the machine disturbs least; p50 and p95 are by the clock. Memory is what a step adds at its height.
"""

import argparse
import gc
import os
import secrets
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from ca import crl
from ca.authority.crls import publish_list
from ca.records import SYSTEM, Reason, Revocation, RevokeRequest, make_serial
from tests.ca.authority.fast import ISSUER, FastWorld, make_template
from tests.ca.authority.world import OPERATOR
from tests.ca.conftest import hierarchy as fixture

DAY = 86400
MORE = 40
HEADS = (
    "revoked in shards",
    "MiB",
    "full: all s, MiB",
    "of it the build s, MiB",
    "library s, MiB",
    "one more: CPU ms",
    "p50, p95 ms",
)
_FACT = (
    "INSERT INTO revocation (issuer, serial, revoked_at, reason, actor, not_after, comment, invalidity_date, "
    "shard, generation, entry) VALUES (?, ?, ?, 'keyCompromise', ?, ?, '', 0, ?, 1, x'')"
)
_ACTOR = '{"kind":"system","id":"b","method":""}'


@dataclass
class Spent:
    """Processor seconds, and MiB above what was held before."""

    seconds: float = 0.0
    memory: int = 0

    def __str__(self) -> str:
        return f"{self.seconds:.2f}, {self.memory}"


@contextmanager
def spending() -> Iterator[Spent]:
    """Measures what is done inside."""
    spent = Spent()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the height begins anew
    before, began = _mib("VmRSS"), time.process_time()
    yield spent
    spent.seconds, spent.memory = time.process_time() - began, _mib("VmHWM") - before


def _mib(field: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) >> 10


# --- the lists -----------------------------------------------------------------------------------


def fill(world: FastWorld, count: int, shards: range) -> None:
    """Revocations as they lie in the database, without the way there; every list is dirty then."""
    now, end = world.clock(), world.clock() + 20 * DAY
    rows = (
        (ISSUER, f"{make_serial(shard, os.urandom(16)):038x}", now - 5, _ACTOR, end, shard)
        for shard in (shards[n % len(shards)] for n in range(count))
    )
    world.authority.store.close()
    with sqlite3.connect(world.folder / "ca.sqlite") as database:
        database.executemany(_FACT, rows)
        database.execute("UPDATE shard SET generation = generation + 1 WHERE issuer = ?", (ISSUER,))
    world.restart()


def library(world: FastWorld, facts: Iterable[Revocation], form: crl.Form) -> x509.CertificateRevocationList:
    """The list as the plain library makes it."""
    own = world.hierarchy.issuing_certificate
    builder = x509.CertificateRevocationListBuilder(
        own.subject,
        crl.lists.at(form.this_update).replace(tzinfo=None),
        crl.lists.at(form.next_update).replace(tzinfo=None),
        list(crl.lists._extensions(own, form)),
        list(map(_entry, facts)),
    )
    key = world.hierarchy.issuing_key
    return builder.sign(key, crl.lists.signature_hash(key.public_key()))


def _entry(fact: Revocation) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(fact.serial, crl.lists.at(fact.revoked_at).replace(tzinfo=None))
    return builder.add_extension(x509.CRLReason(x509.ReasonFlags(fact.reason.value)), False).build()


def compare(world: FastWorld) -> tuple[Spent, Spent]:
    """Our build and the library's over the same facts; they sign the same octets."""
    store, own = world.authority.store, world.hierarchy
    form = crl.Form(9, world.clock(), world.clock() + DAY)
    entries, _ = store.entries(ISSUER, crl.FULL, 0)
    with spending() as ours:
        made = crl.assemble(own.issuing, own.issuing_key, entries, form)
    del entries
    facts = store.revoked(ISSUER, crl.FULL, 0)
    with spending() as plain:
        built = library(world, facts, form)
    assert crl.tbs_of(made) == built.tbs_certlist_bytes
    return ours, plain


# --- one more ------------------------------------------------------------------------------------


def one_more(world: FastWorld, shards: range) -> tuple[float, list[float]]:
    """Revokes one certificate after the other: processor milliseconds of each, and milliseconds by the clock."""
    request, took, before = RevokeRequest(Reason.SUPERSEDED, SYSTEM), [], time.process_time()
    for _ in range(MORE):
        serial = make_serial(secrets.choice(shards), os.urandom(16))
        took.append(_milliseconds(lambda: _revoke(world, serial, request)))  # noqa: B023 - called at once
    return (time.process_time() - before) / MORE * 1000, sorted(took)


def _revoke(world: FastWorld, serial: int, request: RevokeRequest) -> None:
    done = world.authority.revoke_serial(ISSUER, serial, request, end=world.clock() + 5 * DAY)
    assert done.published_in is not None


def _milliseconds(deed: Callable[[], None]) -> float:
    began = time.monotonic()
    deed()
    return (time.monotonic() - began) * 1000


def measure(world: FastWorld, count: int, shards: int) -> str:
    """One line of the table."""
    made = world.authority.reshard(ISSUER, shards, OPERATOR)
    opened = range(made[0], made[-1] + 1)
    fill(world, count, opened)
    assert not world.authority.publish_crls().failed
    world.clock.now += DAY
    with spending() as whole:
        publish_list(world.authority, ISSUER, crl.FULL)
    ours, plain = compare(world)
    cpu, took = one_more(world, opened)
    size = len(world.authority.publisher.get(crl.full_path(ISSUER)).body) / 2**20
    clocked = f"{statistics.median(took):.1f}, {took[-2]:.1f}"
    return f"| {count:,} in {shards} | {size:.1f} | {whole} | {ours} | {plain} | {cpu:.1f} | {clocked} |"


def main() -> None:
    """Measures each count with each number of shards."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--counts", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    options.add_argument("--shards", type=int, nargs="+", default=[128, 512])
    chosen = options.parse_args()
    hierarchy = fixture.__wrapped__() if hasattr(fixture, "__wrapped__") else fixture._get_wrapped_function()()
    print("| " + " | ".join(HEADS) + " |\n" + "|---" * len(HEADS) + "|")
    with tempfile.TemporaryDirectory() as template:
        recorded = make_template(Path(template) / "ca.sqlite", hierarchy)
        for count, shards in ((count, shards) for count in chosen.counts for shards in chosen.shards):
            with tempfile.TemporaryDirectory() as folder:
                world = FastWorld(Path(folder), hierarchy, recorded)
                print(measure(world, count, shards), flush=True)
                world.close()


if __name__ == "__main__":
    main()
