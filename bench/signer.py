"""What the signer's rules, verification and ledger cost of one issuance, and how quickly it starts over a long ledger.

    .certwright/venv/bin/python -m bench.signer [--count 300] [--ledger 100000] [--work DIR]

Issues at the front desk of a real small CA (SoftHSM, signer process, SQLite), one after the other, and then does each
part of the signer's work by itself, in the same run and on the same disk, with the TBS that were just issued. Processor
time is that of desk and signer together; wall time includes the waits for the disk.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ca import logs
from ca.authority import Authority
from ca.clock import system_clock
from ca.config import Config
from ca.keys import ledger as disk
from ca.keys.algorithms import ALGORITHMS, load_spki
from ca.keys.checkpoint import Checkpoint
from ca.keys.ledger import Entry
from ca.keys.ring import KeyState
from ca.keys.signer.book import Book, Deed
from ca.keys.signer.ledger import Ledger
from ca.keys.signer.rates import Rates, configured
from ca.keys.signer.rules import KeyFacts, permit
from ca.keys.signer.tally import Tally
from ca.keys.softhsm import provision_softhsm
from ca.keys.token import Token
from ca.records import KeyPurpose, SignKind
from tests.ca.authority.world import World, a_request, small_ca

CERTIFICATE = SignKind.CERTIFICATE


@dataclass(frozen=True)
class Cost:
    """Of one: microseconds on the clock, and of the processor."""

    wall: float
    cpu: float


def measure(work: Callable[[int], object], count: int, cpu: Callable[[], float] = time.process_time) -> Cost:
    """The mean cost of `work(n)`."""
    begun, spent = time.perf_counter(), cpu()
    for n in range(count):
        work(n)
    return Cost((time.perf_counter() - begun) / count * 1e6, (cpu() - spent) / count * 1e6)


def both(world: World) -> float:
    """Processor seconds of this process and the signer's."""
    assert world.signer is not None
    fields = Path(f"/proc/{world.signer.pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / 100


def issuances(authority: Authority, world: World, count: int) -> Cost:
    """Whole issuances, each with its own key made before the clock runs."""
    requests = [a_request() for _ in range(count)]
    for _ in range(10):
        authority.issue(a_request())
    return measure(lambda n: authority.issue(requests[n]), count, lambda: both(world))


def answers(authority: Authority, world: World) -> Cost:
    """One of the OCSP answers that are made again because they are past half of their life: signed and published."""
    world.clock.ahead = authority.config.ca.ocsp_life // 2 + 60
    begun, spent = time.perf_counter(), both(world)
    done = authority.refresh_ocsp().done
    return Cost((time.perf_counter() - begun) / done * 1e6, (both(world) - spent) / done * 1e6)


def raw(authority: Authority, folder: Path, count: int) -> Cost:
    """One signature by a token of the same kind and nothing else, on as many sessions as a batch uses."""
    module, sessions = authority.config.hsm.module, 4
    environment = provision_softhsm(folder, "raw", "raw-pin-1", module)
    token = Token.open(module, "raw", "raw-pin-1", environment=environment, sessions=sessions)
    key = token.generate("raw", b"raw", "ec-p256")
    with ThreadPoolExecutor(sessions) as pool:
        cost = measure_all(pool, lambda n: token.sign(key.key_id, "ec-p256", n.to_bytes(300, "big")), count)
    token.close()
    return cost


def measure_all(pool: ThreadPoolExecutor, work: Callable[[int], object], count: int) -> Cost:
    """The mean cost of `work(n)` on all threads of a pool at once."""
    begun, spent = time.perf_counter(), time.process_time()
    list(pool.map(work, range(count)))
    return Cost((time.perf_counter() - begun) / count * 1e6, (time.process_time() - spent) / count * 1e6)


def parts(authority: Authority, count: int, work: Path) -> dict[str, Cost]:
    """Each part of the signer's work, on TBS of this CA that its own ledger tells of."""
    folder = authority.config.path(authority.config.signer.state_dir) / "ledger"
    entries = [one for one in disk.read(folder) if one.kind == CERTIFICATE.value][-count:]
    issuer = authority.active_issuer()
    key = authority.signer.key(issuer.key_id)
    facts = KeyFacts(key.id, KeyPurpose.ISSUING, key.algorithm, key.spki, KeyState.ACTIVE, issuer.certificate, 1 << 30)
    rates = Rates(configured(Config().signer.rates), system_clock, lambda: 0.0)
    now = entries[-1].time
    seen = [permit(CERTIFICATE, one.tbs, facts, now) for one in entries]
    head = Checkpoint("bench/audit", 1, bytes(32)).text()
    signature = authority.signer.sign("journal-g1", SignKind.CHECKPOINT, head)
    public_key = load_spki(authority.signer.key("journal-g1").spki)
    algorithm = ALGORITHMS[authority.signer.key("journal-g1").algorithm]
    (work / "ledger").mkdir()
    ledger = Ledger(work / "ledger")
    book = Book(ledger, Tally(ledger, system_clock), system_clock)

    def enter(n: int) -> None:
        with book.entered(Deed(key.id, CERTIFICATE.value, 0, entries[n].tbs, seen[n]), 1):
            pass

    def judge(n: int) -> None:
        permit(CERTIFICATE, entries[n].tbs, facts, now)
        rates.spend(n, key.id, CERTIFICATE)

    return {
        "rules and rates": measure(judge, len(entries)),
        "verification": measure(lambda _: algorithm.verifies(public_key, signature, head), len(entries)),
        "ledger": measure(enter, len(entries)),
    }


def restarts(folder: Path, count: int) -> dict[str, float]:
    """Seconds until a ledger of so many certificates is open: with its index, and without."""
    folder.mkdir()
    ledger = Ledger(folder, sync=lambda _: None)
    for start in range(0, count, 500):
        ledger.record(*(entry(n) for n in range(start, start + 500)))
    ledger.close()
    found = {"as it was left": _opening(folder)}
    for one in folder.glob("index.sqlite*"):
        one.unlink()
    return {**found, "without its index": _opening(folder)}


def killed_to_ready(world: World) -> float:
    """Seconds from starting a signer that was killed until it says that it can sign."""
    world.kill_signer()
    begun = time.perf_counter()
    world.start_signer()
    return time.perf_counter() - begun


def entry(n: int) -> Entry:
    """The n-th of many certificates, of the size that certificates have."""
    tbs = n.to_bytes(800, "big")
    return Entry(0, 0, "issuing-g1", CERTIFICATE.value, 0, hashlib.sha256(tbs).digest(), tbs, f"01{n:036x}")


def _opening(folder: Path) -> float:
    begun = time.perf_counter()
    ledger = Ledger(folder)
    ledger.check()
    took = time.perf_counter() - begun
    ledger.close()
    return took


def main() -> None:
    """Prints two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="issuances")
    parser.add_argument("--ledger", type=int, default=100_000, help="certificates in the ledger that is opened")
    parser.add_argument("--work", type=Path, help="a folder on the disk to be measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as name, small_ca(Path(name) / "ca") as world:
        logs.configure("bench", level="ERROR")
        authority = world.open()
        whole = issuances(authority, world, options.count)
        found = parts(authority, options.count, Path(name))
        batch, alone = answers(authority, world), raw(authority, Path(name) / "raw", 1000)
        authority.store.close()
        ready = killed_to_ready(world)
        total = Cost(sum(one.wall for one in found.values()), sum(one.cpu for one in found.values()))
        print("| part | µs | of an issuance | CPU µs | of its CPU |\n|---|---|---|---|---|")
        for part, cost in {**found, "together": total, "an issuance": whole}.items():
            shares = f"{cost.wall / whole.wall:.1%} | {cost.cpu:.0f} | {cost.cpu / whole.cpu:.1%}"
            print(f"| {part} | {cost.wall:.0f} | {shares} |")
        print("\n| OCSP, four sessions | µs | CPU µs |\n|---|---|---|")
        for what, cost in (("an answer of a batch, published", batch), ("a signature by the token alone", alone)):
            print(f"| {what} | {cost.wall:.0f} | {cost.cpu:.0f} |")
        print(f"\n| a ledger of {options.ledger} certificates opens | seconds |\n|---|---|")
        for how, seconds in restarts(Path(name) / "long", options.ledger).items():
            print(f"| {how} | {seconds:.2f} |")
        print(f"| a killed signer, from its start to its first signature (ledger of this run) | {ready:.2f} |")


if __name__ == "__main__":
    main()
