"""From the click that revokes to what relying parties see, on a service with a million certificates.

    .certwright/venv/bin/python -m bench.clicks [--count 1000000] [--revoked 0.1] [--shards 128] [--clicks 200]
        [--at-once 4] [--many 10000] [--work DIR]

A whole service on SQLite and SoftHSM with its default intervals. Clicks are calls of the API; OCSP answer and CRL are
fetched over HTTP every 20 ms beside each call, and verified. Then `--many` more are revoked as one incident, and each
one's answer and every CRL are fetched until all tell of it.
"""

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509 import ocsp

from bench.seed import DAY, Company, fill
from ca import crl, relying
from ca.errors import CAError
from ca.records import serial_shard
from cli.place import Place, Ports, default_module
from tests.crash.service import QUICK, Service, service
from tests.ports import free_port

ISSUER = "issuing-g1"
PAUSE = 0.02
PATIENCE = 180.0
_CHOSEN = "SELECT id FROM certificate WHERE revoked_at = 0 AND owner NOT IN ('click', 'incident') ORDER BY sha256"


class Estate(Company):
    """Certificates of one issuer that are all valid, but for those that are revoked."""

    now, span, lives = int(time.time()) - 60, 30 * DAY, (90,)

    def __init__(self, count: int, shards: Sequence[int], revoked: float) -> None:
        super().__init__(count)
        self.shards, self.revoked = shards, revoked

    def issuer(self, _i: int) -> str:
        return ISSUER

    def revoked_at(self, issued: int, _life: int) -> int:
        return issued if self.dice.random() < self.revoked else 0


@dataclass(frozen=True)
class Bench:
    """A running service, whom its clicks are made by, and what they are made on."""

    running: Service
    secret: str
    issuer: x509.Certificate
    clicks: Sequence[int]
    many: Sequence[int]

    def post(self, path: str, body: dict[str, str]) -> dict[str, object]:
        """One call of the API, by a client of its own."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        answer = self.running.session().post(self.running.origin + path, json=body, headers=headers, timeout=PATIENCE)
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())

    def ocsp_tells(self, serial: int) -> bool:
        """Whether the answer that relying parties get says revoked."""
        body = relying.fetch(f"{self.running.status}/ocsp", relying.request(self.issuer, serial))
        try:
            found = relying.read_answer(body)
        except CAError:
            return False  # the seeded ones have no answer before
        relying.verify_answer(found, self.issuer, int(time.time()))
        return found.certificate_status is ocsp.OCSPCertStatus.REVOKED

    def listed(self, shard: int) -> x509.CertificateRevocationList:
        """The CRL that relying parties get."""
        url = f"{self.running.status}/{crl.shard_path(ISSUER, shard)}"
        return relying.read_crl(relying.fetch(url), self.issuer, int(time.time()))

    def crl_tells(self, serial: int) -> bool:
        """Whether it lists that serial."""
        return self.listed(serial_shard(serial)).get_revoked_certificate_by_serial_number(serial) is not None


# --- the service ---------------------------------------------------------------------------------


@contextmanager
def prepared(folder: Path, asked: argparse.Namespace) -> Iterator[Bench]:
    """A service with that many certificates, and its CRLs published."""
    place, file = Place(folder), folder / "state" / "certwright.sqlite"
    place.claim()
    place.prepare(Ports(), default_module())
    shards = range(1, asked.shards + 1)  # an issuer begins with shard 0
    told("seeded", lambda: fill(f"sqlite:///{file}", Estate(asked.count, shards, asked.revoked)))
    with service(folder, free_port()) as running:
        running.stop()
        running.environment = {name: value for name, value in running.environment.items() if name not in QUICK}
        running.start()
        running.wait_until_ready()
        told("every CRL published", lambda: _json(running, "crl", "reshard", ISSUER, str(asked.shards), "--yes"))
        token = _json(running, "token", "create", "bench", "--profile", "server", "--allow", "**.localhost")
        with closing(sqlite3.connect(file)) as database, database:
            clicks = _own(database, token["id"], "click", asked.clicks)
            many = _own(database, token["id"], "incident", asked.many)
            [(der,)] = database.execute("SELECT certificate FROM issuer WHERE id = ?", (ISSUER,))
        yield Bench(running, token["secret"], x509.load_der_x509_certificate(der), clicks, many)


def _json(running: Service, *words: str) -> Any:
    done = running.command(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def told(what: str, deed: Callable[[], object]) -> None:
    """Does it and says how long it took."""
    began = time.monotonic()
    deed()
    print(f"{what} after {time.monotonic() - began:.0f} s", flush=True)


def _own(database: sqlite3.Connection, token: str, owner: str, count: int) -> list[int]:
    """The serials of so many certificates, which belong to that token and owner from now on."""
    chosen = [one for (one,) in database.execute(f"{_CHOSEN} LIMIT ?", (count,))]
    own = "UPDATE certificate SET token = ?, owner = ? WHERE id = ?"
    database.executemany(own, ((token, owner, one) for one in chosen))
    found = database.execute("SELECT serial FROM certificate WHERE owner = ? ORDER BY id", (owner,))
    return [int(serial, 16) for (serial,) in found]


# --- what is measured ----------------------------------------------------------------------------


def until(tells: Callable[[], bool], began: float, pause: float = PAUSE) -> float:
    """Seconds since then until it is told from outside."""
    while not tells():
        assert time.monotonic() - began < PATIENCE, "it was never told"
        time.sleep(pause)
    return time.monotonic() - began


def click(bench: Bench, serial: int) -> tuple[float, float]:
    """Seconds from one click to the OCSP answer and to the CRL."""
    path, body = f"/api/v1/certificates/{serial:038x}/revoke", {"reason": "superseded"}
    call = threading.Thread(target=bench.post, args=(path, body))
    began = time.monotonic()
    call.start()
    seen = until(partial(bench.ocsp_tells, serial), began), until(partial(bench.crl_tells, serial), began)
    call.join()
    return seen


def incident(bench: Bench) -> dict[str, float]:
    """Seconds from the call until all is recorded, told by every CRL, and by every OCSP answer."""
    began = time.monotonic()
    mass = bench.post("/api/v1/revocations", {"owner": "incident", "reason": "keyCompromise"})
    assert mass["total"] == len(bench.many), mass
    with ThreadPoolExecutor(2) as pool:
        lists = pool.submit(lambda: [until(partial(_all_listed, bench, *one), began, 0.25) for one in _sharded(bench)])
        answers = pool.submit(lambda: [until(partial(bench.ocsp_tells, one), began, 0.25) for one in bench.many])
        return {"every CRL": max(lists.result()), "every OCSP answer": max(answers.result())}


def _sharded(bench: Bench) -> list[tuple[int, set[int]]]:
    shards: dict[int, set[int]] = {}
    for serial in bench.many:
        shards.setdefault(serial_shard(serial), set()).add(serial)
    return sorted(shards.items())


def _all_listed(bench: Bench, shard: int, wanted: set[int]) -> bool:
    return wanted <= {one.serial_number for one in bench.listed(shard)}


def quantiles(values: Sequence[float]) -> str:
    """p50, p99 and the longest, in seconds."""
    found = sorted(values)
    return f"{statistics.median(found):.3f}, {found[min(len(found) - 1, int(len(found) * 0.99))]:.3f}, {found[-1]:.3f}"


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--revoked", type=float, default=0.1, help="the part of them that is revoked already")
    parser.add_argument("--shards", type=int, default=128)
    parser.add_argument("--clicks", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--work", type=Path, help="a folder on the disk to be measured")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=asked.work) as name,
        prepared(Path(name) / "ca", asked) as bench,
        ThreadPoolExecutor(asked.at_once) as pool,
    ):
        seen = list(pool.map(partial(click, bench), bench.clicks))
        many = incident(bench)
    print(f"\n{asked.count:,} certificates, load {os.getloadavg()[0]:.1f}\n\n| what | seconds |\n|---|---|")
    for what, took in zip(("OCSP", "CRL"), zip(*seen, strict=True), strict=True):
        print(f"| click to {what}, {asked.at_once} at once: p50, p99, longest | {quantiles(took)} |")
    for what, seconds in many.items():
        print(f"| {asked.many:,} as one incident: to {what} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
