"""What each page of the UI costs the server over a database of a million certificates (see `bench.seed`).

    .certwright/venv/bin/python -m bench.seed sqlite:////tmp/many.sqlite --count 1000000
    .certwright/venv/bin/python -m bench.pages /tmp/many.sqlite

Adds a real CA's issuers and a million journal entries to it, signs somebody in with every role, and asks for each page
through Flask, without network and browser. Say how busy the machine was.
"""

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from ca import config as configuration
from ca.authority import open_authority, people, signin
from ca.authority.survey import take_survey
from ca.people import ROLES
from ca.records import Actor
from ca.store import Store, migrate
from tests.ca.authority.world import World, small_ca
from tests.web.ui_people import Browser

NOW = 1_800_000_000
ENTRIES = 1_000_000
WHO = Actor("operator", "bench")
COPIED = ("issuer", "signing_key", "responder", "shard")


def adopt(database: Path, world: World) -> None:
    """The hierarchy of a real CA, also under the name of the second generation that the seed speaks of."""
    own = world.place.path / "state" / "certwright.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("ATTACH ? AS own", (str(own),))
        for table in COPIED:
            connection.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM own.{table}")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(issuer)")]
        second = ", ".join("'issuing-g2'" if name == "id" else f'"{name}"' for name in columns)
        connection.execute(f"INSERT OR IGNORE INTO issuer SELECT {second} FROM issuer WHERE id = 'issuing-g1'")
        held = connection.execute("SELECT count(*) FROM event").fetchone()[0]
        rows = (_entry(number) for number in range(held, ENTRIES))
        connection.executemany("INSERT INTO event (time, action, actor, target, body) VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("ANALYZE")


def _entry(number: int) -> tuple[int, str, str, str, bytes]:
    action = ("issuance.intended", "certificate.issued", "order.created")[number % 3]
    at = NOW - 730 * 86400 + number * 63
    target = f"certificate:issuing-g2:{number:040x}"
    body = {
        "v": 1,
        "nonce": "00" * 16,
        "time": at,
        "actor": {"kind": "account", "id": f"a{number % 5000}"},
        "method": "acme",
        "action": action,
        "object": target,
        "key": "issuing-g2",
        "result": "ok",
        "reason": "",
        "request_id": f"{number:032x}",
        "detail": {"profile": "server", "order": f"o{number}"},
        "personal": {},
    }
    return (at, action, f"account:a{number % 5000}", target, json.dumps(body).encode())


def paths(store: Store) -> dict[str, str]:
    """Each page, the list by several queries."""
    [some] = store.rows("SELECT serial FROM certificate ORDER BY id DESC LIMIT 1 OFFSET 1000")
    return {
        "home": "/ui/",
        "certificates": "/ui/certificates",
        "… a team": "/ui/certificates?q=owner:team001",
        "… a domain": "/ui/certificates?q=san:*.zone001.internal",
        "… ending in 14 days": "/ui/certificates?q=within:14d",
        "… ending on a day": "/ui/certificates?q=ends:2027-02-01",
        "… revoked, by name": "/ui/certificates?q=status:revoked+order:name",
        "… as you type": "/ui/certificates?q=app",
        "one certificate": f"/ui/certificates/{some[0]}",
        "revocations": "/ui/revocations",
        "issue": "/ui/issue",
        "acme": "/ui/acme",
        "connect": "/ui/connect",
        "credentials": "/ui/credentials",
        "profiles": "/ui/profiles",
        "authorities": "/ui/authorities",
        "publication": "/ui/publication",
        "jobs": "/ui/jobs",
        "audit": "/ui/audit",
        "… by actor": "/ui/audit?actor=account:a77",
        "… an action that is rare": "/ui/audit?action=key.generated",
        "approvals": "/ui/approvals",
        "people": "/ui/people",
        "account": "/ui/account",
    }


def measure(browser: Browser, path: str, rounds: int) -> tuple[float, float, float, int]:
    """Median and 95th percentile, the 95th of processor time, in milliseconds; and octets."""
    times, spent, size = [], [], 0
    browser.get(path)  # templates are compiled at the first
    for _ in range(rounds):
        began, before = time.perf_counter(), time.thread_time()
        answer = browser.get(path)
        times.append((time.perf_counter() - began) * 1000)
        spent.append((time.thread_time() - before) * 1000)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        size = len(answer.data)
    return statistics.median(times), _high(times), _high(spent), size


def _high(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("database", type=Path)
    options.add_argument("--rounds", type=int, default=60)
    chosen = options.parse_args()
    os.environ["CERTWRIGHT_LOG_LEVEL"] = "ERROR"
    migrate(f"sqlite:///{chosen.database}")
    with tempfile.TemporaryDirectory(prefix="cw-pages-") as folder, small_ca(Path(folder)) as world:
        adopt(chosen.database, world)
        world.use(f"sqlite:///{chosen.database}")
        authority = open_authority(configuration.load(world.place.configuration), lambda: NOW)
        from web.app import create_app

        browser = Browser(create_app(authority, frozenset({"ui"})), authority)
        name = f"bench{time.monotonic_ns()}"
        people.invite(authority, name, tuple(ROLES), (), WHO)
        authority.store.set_password(name, "no hash", b"x" * 64)
        browser.take(signin.open_for(authority, authority.store.person(name), "password", signin.Client()))
        began = time.perf_counter()
        take_survey(authority)
        print(f"take_survey: {(time.perf_counter() - began) * 1000:.0f} ms")
        print("| page | median ms | p95 ms | p95 of processor ms | octets |\n|---|---|---|---|---|")
        for page, path in paths(authority.store).items():
            median, p95, spent, size = measure(browser, path, chosen.rounds)
            print(f"| {page} | {median:.1f} | {p95:.1f} | {spent:.1f} | {size} |", flush=True)
        authority.store.close()


if __name__ == "__main__":
    main()
