"""How long a page takes: every kind of search over a database that `seed.py` filled, from first to third page.

    .certwright/venv/bin/python -m bench.search sqlite:////tmp/many.sqlite postgresql://…

Each search is asked again with other values each time, as the values lie in the database; p50 and p95 are of single
pages of 100 certificates, decoded, in milliseconds.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from bench.seed import DAY, NOW
from ca.records import Query
from ca.store import Store

Ask = Callable[[random.Random, Store], Query]


def _one(store: Store, dice: random.Random) -> dict[str, str]:
    """What one certificate is known by."""
    number = dice.randrange(1, store.rows("SELECT max(id) FROM certificate")[0][0])
    serial, name, account = store.rows("SELECT serial, sort_name, account FROM certificate WHERE id = ?", number)[0]
    return {"serial": serial, "name": name, "account": account}


SEARCHES: dict[str, Ask] = {
    "list, newest first": lambda dice, store: Query(),
    "list, by expiry": lambda dice, store: Query(order_by="expiry"),
    "list, by name": lambda dice, store: Query(order_by="name"),
    "name": lambda dice, store: Query(name=_one(store, dice)["name"]),
    "suffix of a zone": lambda dice, store: Query(name=f"*.team{dice.randrange(400):03d}.x.test"),
    "suffix of a zone, by expiry": lambda dice, store: Query(
        name=f"*.team{dice.randrange(400):03d}.x.test", order_by="expiry"
    ),
    "suffix *.x.test": lambda dice, store: Query(name="*.x.test"),
    "suffix *.x.test, by expiry": lambda dice, store: Query(name="*.x.test", order_by="expiry"),
    "suffix *.x.test, by name": lambda dice, store: Query(name="*.x.test", order_by="name"),
    "suffix *.x.test, expiring in 7 days, by expiry": lambda dice, store: Query(
        name="*.x.test", status="expiring", expiring_within=7 * DAY, order_by="expiry"
    ),
    "suffix *.old.test (retired zone)": lambda dice, store: Query(name="*.old.test"),
    "suffix *.old.test, valid (none)": lambda dice, store: Query(name="*.old.test", status="valid"),
    "suffix *.old.test, by expiry": lambda dice, store: Query(name="*.old.test", order_by="expiry"),
    "suffix *.internal (60 % of all)": lambda dice, store: Query(name="*.internal"),
    "owner, large": lambda dice, store: Query(owner=f"team{1 + dice.randrange(3):03d}"),
    "owner, any": lambda dice, store: Query(owner=f"team{dice.randrange(500):03d}"),
    "owner, large, by expiry": lambda dice, store: Query(owner="team001", order_by="expiry"),
    "owner, any, by name": lambda dice, store: Query(owner=f"team{dice.randrange(500):03d}", order_by="name"),
    "owner, any, valid": lambda dice, store: Query(owner=f"team{dice.randrange(500):03d}", status="valid"),
    "tag, a quarter of all": lambda dice, store: Query(tag="env=prod"),
    "tag's key, half of all, by name": lambda dice, store: Query(tag="env", order_by="name"),
    "tag, rare, by expiry": lambda dice, store: Query(tag="critical", order_by="expiry"),
    "tag, a quarter, of an owner, valid": lambda dice, store: Query(tag="env=prod", owner="team001", status="valid"),
    "account": lambda dice, store: Query(account=f"a{dice.randrange(5000)}"),
    "token, with suffix *.x.test": lambda dice, store: Query(token=f"t{dice.randrange(50)}", name="*.x.test"),
    "serial prefix": lambda dice, store: Query(text=_one(store, dice)["serial"][: dice.randrange(9, 38)]),
    "serial prefix 01 (all)": lambda dice, store: Query(text="01"),
    "name prefix": lambda dice, store: Query(text=_one(store, dice)["name"][:10]),
    "name prefix web- (2 of 3)": lambda dice, store: Query(text="web-"),
    "name prefix db-1": lambda dice, store: Query(text=f"db-{dice.randrange(1, 9)}"),
    "name prefix db-1, by expiry": lambda dice, store: Query(text=f"db-{dice.randrange(1, 9)}", order_by="expiry"),
    "expiring in 1 to 30 days, by expiry": lambda dice, store: Query(
        status="expiring", expiring_within=dice.randrange(1, 31) * DAY, order_by="expiry"
    ),
    "expiring in 1 to 30 days, newest first": lambda dice, store: Query(
        status="expiring", expiring_within=dice.randrange(1, 31) * DAY
    ),
    "valid": lambda dice, store: Query(status="valid"),
    "expired, newest first": lambda dice, store: Query(status="expired"),
    "expired, by name": lambda dice, store: Query(status="expired", order_by="name"),
    "revoked": lambda dice, store: Query(status="revoked"),
    "revoked, by expiry": lambda dice, store: Query(status="revoked", order_by="expiry"),
    "profile, rare": lambda dice, store: Query(profile="client"),
    "old issuer, profile mtls": lambda dice, store: Query(issuer="issuing-g1", profile="mtls"),
    "old issuer, valid": lambda dice, store: Query(issuer="issuing-g1", status="valid"),
    "no such name": lambda dice, store: Query(name="nobody.x.test"),
}


def measure(store: Store, ask: Ask, rounds: int) -> Iterator[tuple[float, int, bool]]:
    """Milliseconds, certificates and whether there is more, of each page."""
    dice = random.Random(7)
    for _ in range(rounds):
        query = ask(dice, store)
        for _page in range(3):
            began = time.perf_counter()
            page = store.find(query, NOW)
            yield 1000 * (time.perf_counter() - began), len(page.items), bool(page.next)
            if not page.next:
                break
            query = replace(query, after=page.next)


def table(urls: list[str], rounds: int, only: str) -> None:
    """A Markdown table, one column a database: p50 and p95, and how many pages were short though there was more."""
    heads = [f"{url.partition(':')[0]} p50, p95 ms" for url in urls]
    print(f"| search | {' | '.join(heads)} | short pages |")
    print(f"|---|{'---|' * len(urls)}---|")
    stores = [Store.open(url) for url in urls]
    for name, ask in SEARCHES.items():
        if only not in name:
            continue
        cells, short = [], 0
        for store in stores:
            found = list(measure(store, ask, rounds))
            times = sorted(ms for ms, _, _ in found)
            cells.append(f"{statistics.median(times):.1f}, {times[int(0.95 * (len(times) - 1))]:.1f}")
            short = sum(more and count < 100 for _, count, more in found)
        print(f"| {name} | {' | '.join(cells)} | {short} of {len(found)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", help="only the searches whose name contains this")
    wanted = parser.parse_args()
    table(wanted.urls, wanted.rounds, wanted.only)


if __name__ == "__main__":
    main()
