"""Fills a migrated, empty database with certificates as two years of a company's life would leave them.

    .certwright/venv/bin/python -m bench.seed sqlite:////tmp/many.sqlite --count 1000000

Names, owners and tokens are spread unevenly: a few large teams and many small ones, hosts renewed several times, zones
that were retired long ago, an older issuer, three lifetimes, some revocations. Each row has what the product writes
for an issuance (certificate, its names and their domains, intent, OCSP mark) except for journal and publications. The
DER is a real certificate with serial and signature exchanged: its size and digests are right, its names are not.
Rows go in by COPY or executemany, without fsync: only for a database that can be made again.
"""

import argparse
import hashlib
import json
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.store import migrate
from ca.store.issuance import parents

NOW = 1_800_000_000
DAY = 86_400
SPAN = 730 * DAY
LIVES: tuple[int, ...] = (90, 90, 90, 90, 90, 90, 90, 30, 365, 365)
BATCH = 20_000
TABLES = {
    "certificate": "id issuer serial der sha256 profile names not_before not_after issued_at common_name owner order "
    "account token replaces revoked_at reason spki_sha256 sort_name",
    "certificate_name": "certificate value",
    "certificate_parent": "certificate parent",
    "certificate_tag": "certificate key tag",
    "intent": "id issuer serial tbs profile not_before not_after actor names common_name owner order account token "
    "replaces request_id state created_at",
    "ocsp": "issuer serial generation published_generation refresh_at next_update not_after held",
    "revocation": "issuer serial revoked_at reason actor not_after comment invalidity_date shard",
}
Rows = dict[str, list[tuple[object, ...]]]


def tags(i: int) -> list[str]:
    """Half of them have an environment, one in 997 is critical."""
    return [f"env={('prod', 'test')[i % 4 // 2]}"] * (i % 2) + ["critical"] * (i % 997 == 0)


class Company:
    """What the certificates are made from; the same for the same count. Times are epoch seconds."""

    now, span, lives = NOW, SPAN, LIVES
    shards: Sequence[int] = range(1)

    def __init__(self, count: int) -> None:
        self.count, self.dice = count, random.Random(count)
        self.der = _certificate()
        self.place = self.der.index(_SERIAL.to_bytes(19, "big"))

    def rows(self, first: int, last: int) -> Rows:
        made: Rows = {table: [] for table in TABLES}
        for number in range(first, last):
            self._add(made, number)
        return made

    def _add(self, made: Rows, i: int) -> None:
        dice = self.dice
        issued = self.now - self.span + self.span * i // self.count
        life = dice.choice(self.lives) * DAY
        issuer, shard = self.issuer(i), self.shards[i % len(self.shards)]
        serial = f"01{shard:04x}{secrets.token_hex(16)}"
        der = self._der(bytes.fromhex(serial))
        names = self._names(i)
        listed = json.dumps([{"kind": "dns", "value": name} for name in names], separators=(",", ":"))
        by_acme = i % 2
        owner = "" if i % 10 == 9 else f"team{int(dice.paretovariate(0.6)) % 500:03d}"
        account, token = (f"a{dice.randrange(5000)}", "") if by_acme else ("", f"t{int(dice.paretovariate(0.8)) % 50}")
        revoked = self.revoked_at(issued, life)
        reason = "superseded" if revoked else ""
        profile = dice.choices(("server", "mtls", "client"), (90, 9, 1))[0]
        about = (names[0], owner, f"o{i}" if by_acme else "", account, token, "")
        spki = hashlib.sha256(f"{i}".encode()).hexdigest()
        life_of = (issued - 300, issued + life)
        sha256, sort_name = hashlib.sha256(der).hexdigest(), names[0].removeprefix("*.")
        filed = (issued, *about, revoked, reason, spki, sort_name)
        made["certificate"].append((i, issuer, serial, der, sha256, profile, listed, *life_of, *filed))
        made["certificate_name"] += [(i, name) for name in sorted(set(names))]
        made["certificate_parent"] += [(i, one) for one in sorted({up for name in names for up in parents(name)})]
        made["certificate_tag"] += [(i, tag.partition("=")[0], tag) for tag in tags(i)]
        intent = (f"i{i}", issuer, serial, der[:-80], profile, *life_of, _ACTOR, listed, *about)
        made["intent"].append((*intent, "", "issued", issued))
        made["ocsp"].append((issuer, serial, 1, 1, issued + life, 0, issued + life, 0))
        if revoked:
            made["revocation"].append((issuer, serial, revoked, reason, _ACTOR, issued + life, "", 0, shard))

    def issuer(self, i: int) -> str:
        """Of the certificate with that number."""
        return "issuing-g1" if i < self.count * 3 // 10 else "issuing-g2"

    def revoked_at(self, issued: int, life: int) -> int:
        """When it was revoked, or 0."""
        return issued + life // 2 if self.dice.random() < 0.03 and issued + life // 2 < self.now else 0

    def _names(self, i: int) -> list[str]:
        """A host of some zone; the first twentieth also knew the zone old.test, which nobody uses any more."""
        dice = self.dice
        team, host = int(dice.paretovariate(0.5)) % 400, dice.randrange(self.count // 5 + 1)
        if i < self.count // 20 and i % 2:
            return [f"h{host:x}.old.test"]
        domain = f"team{team:03d}.x.test" if i % 5 < 2 else f"s{host % 97}.team{team:03d}.corp.internal"
        first = f"*.{domain}" if i % 50 == 7 else f"{'web' if i % 3 else 'db'}-{host:x}.{domain}"
        return [first] if i % 3 else [first, f"alias-{host:x}.{domain}"]

    def _der(self, serial: bytes) -> bytes:
        start = self.place
        return self.der[:start] + serial + self.der[start + 19 : -64] + secrets.token_bytes(64)


_SERIAL = int.from_bytes(b"\x01\x00\x00" + b"S" * 16, "big")
_ACTOR = '{"id":"bench","kind":"api-token","on_behalf_of":""}'


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web-12345.team001.x.test")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("web-12345.team001.x.test")])
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(oid, x509.UniformResourceIdentifier(f"http://pki.x.test/{path}"))
            for oid, path in ((x509.OID_OCSP, "ocsp"), (x509.OID_CA_ISSUERS, "ca/issuing-g1.cer"))
        ]
    )
    builder = x509.CertificateBuilder(name, name, key.public_key(), _SERIAL, start, start + timedelta(90))
    builder = builder.add_extension(names, False).add_extension(access, False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


# --- into the database --------------------------------------------------------------------------


def fill(url: str, company: Company) -> None:
    """Migrates the database and fills it; statistics are gathered as a server does by itself after a while."""
    migrate(url)
    end = company.count + 1
    batches = (company.rows(first, min(first + BATCH, end)) for first in range(1, end, BATCH))
    if url.startswith("sqlite:///"):
        _fill_sqlite(Path(url.removeprefix("sqlite:///")), batches)
    else:
        _fill_postgresql(url, batches)


def _fill_sqlite(path: Path, batches: Iterator[Rows]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -2000000", "locking_mode = exclusive"):
        connection.execute(f"PRAGMA {pragma}")
    for rows in batches:
        connection.execute("BEGIN")
        for table, some in rows.items():
            marks = ", ".join("?" * len(TABLES[table].split()))
            connection.executemany(f"INSERT INTO {table} ({_quoted(table)}) VALUES ({marks})", some)
        connection.execute("COMMIT")
    connection.execute("PRAGMA locking_mode = normal")
    connection.execute("PRAGMA journal_mode = wal")
    connection.close()


def _fill_postgresql(url: str, batches: Iterator[Rows]) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        for rows in batches:
            for table, some in rows.items():
                with connection.cursor().copy(f"COPY {table} ({_quoted(table)}) FROM STDIN") as copy:
                    for row in some:
                        copy.write_row(row)
            connection.commit()
        sequence = "pg_get_serial_sequence('certificate', 'id')"
        connection.execute(f"SELECT setval({sequence}, (SELECT max(id) FROM certificate))")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _quoted(table: str) -> str:
    return ", ".join(f'"{name}"' for name in TABLES[table].split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="sqlite:///PATH or postgresql://…")
    parser.add_argument("--count", type=int, default=1_000_000)
    wanted = parser.parse_args()
    began = time.monotonic()
    fill(wanted.url, Company(wanted.count))
    print(f"{wanted.count:,} certificates in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
