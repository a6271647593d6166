"""What the status plane serves over 10,000 to 1,000,000 OCSP answers, beside nginx with the same bytes as files.

    .certwright/venv/bin/python -m bench.answers [--counts 10000 1000000] [--seconds 6] [--nice -15] [--work DIR]

Every answer is signed for its own serial, by a key in memory, and lies in a publication folder as the product writes
it; the process that serves it is the product's (`certwright serve --only status`). The client asks for serials at
random, so that at 1,000,000 nearly none is remembered. Half load is half of the rate that the same server has just
reached with GET; its latencies count from the moment at which a request was due. openssl ocsp signs each of 10,000
answers when asked. nginx has at most 10,000 files: each lies in folders of its own (base64 has slashes), and from
100,000 on nginx waited for the disk here for longer than clients do.
"""

import argparse
import base64
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from bench.run import Result, Run, say, systems
from ca.folder import Folder
from ca.ocsp import answer_path, cert_id
from ca.ocsp.response import Status, answer
from ca.records import serial_hex
from tests.ca.conftest import Hierarchy
from tests.ca.conftest import hierarchy as fixture
from tests.web.plane import Plane, configure

LIFE = 86400
PART = 5000
OPENSSL = 10_000
NGINX = 10_000
HEADS = (
    "server",
    "answers",
    "GET/s",
    "POST/s",
    "CPU ms GET, POST",
    "p99 ms at half load",
    "MiB (largest process)",
    "first answer after s",
)


@dataclass(frozen=True)
class Estate:
    """Answers for `count` serials: in the product's folder, and as the files that nginx serves."""

    folder: Path
    hierarchy: Hierarchy
    count: int

    @property
    def www(self) -> Path:
        return self.folder / "nginx" / "www" / "ocsp"

    @property
    def plane(self) -> Plane:
        return Plane(self.hierarchy, Folder(self.folder / "public"))

    def serial(self, number: int) -> int:
        """Spread as random serials are, and the same in each process; even, so that no path ends with a slash, which
        nginx would take for a folder."""
        return 1 << 152 | (2 * number) * 0x9E3779B97F4A7C15F39CC0605CEDC8341 % (1 << 128)

    def fill(self) -> float:
        """Makes everything, on both cores; answers the seconds that signing and filing for the product took."""
        self.plane.publish_hierarchy()
        self.plane.publish_crl()
        self.www.mkdir(parents=True)
        (self.www.parent / "one.der").write_bytes(self._answer(0))
        with multiprocessing.get_context("fork").Pool(2, _adopt, (self,)) as pool:  # keys in memory cannot be sent
            return sum(pool.imap_unordered(_part, range(0, self.count, PART))) / 2

    def part(self, start: int) -> float:
        began = time.monotonic()
        signed = [(number, self._answer(number)) for number in range(start, min(start + PART, self.count))]
        for number, der in signed:
            self.plane.put(self._path(number), der, "application/ocsp-response", LIFE)
        took = time.monotonic() - began
        for number, der in signed if start < NGINX else ():
            file = self.www / base64.b64encode(self.plane.request(self.serial(number))).decode()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(der)
        return took

    def _path(self, number: int) -> str:
        return answer_path(cert_id(self.hierarchy.issuing_certificate, self.serial(number), "sha1"))

    def _answer(self, number: int) -> bytes:
        own, now = self.hierarchy, self.hierarchy.now
        status = Status(self.serial(number))
        return answer(own.issuing_certificate, own.responder, own.responder_key, status, "sha1", now, now + LIFE)

    def questions(self, count: int) -> str:
        """The file that tells the client what to ask, and what it should hear."""
        file = self.folder / f"serials-{count}"
        file.write_text("".join(f"{serial_hex(self.serial(n))} good\n" for n in range(count)))
        return str(file)

    def issuer(self) -> str:
        file = self.folder / "issuer.pem"
        file.write_bytes(self.hierarchy.issuing_certificate.public_bytes(Encoding.PEM))
        return str(file)


_adopted: list[Estate] = []


def _adopt(estate: Estate) -> None:
    _adopted.append(estate)


def _part(start: int) -> float:
    return _adopted[0].part(start)


@contextmanager
def status(run: Run, estate: Estate) -> Iterator[systems.Target]:
    """The product's status process over that folder; the target's flag `start` tells how long it took to answer."""
    config = configure(estate.folder, https_listen=f"127.0.0.1:{systems.free_port()}")
    with (estate.folder / "certwright.toml").open("a") as file:
        file.write(f'[ca]\npublication_dir = "{estate.folder / "public"}"\n')
    command = run.ground.server(sys.executable, "-P", "-m", "cli.main", "serve", "--only", "status")
    began = time.monotonic()
    with systems.process([*command, "--config", f"{estate.folder}/certwright.toml"], estate.folder / "log") as child:
        systems.await_answer(f"http://{config.server.http_listen}/ready", child)
        flags = {
            "ocsp": f"http://{config.server.http_listen}/ocsp",
            "start": f"{time.monotonic() - began:.1f}",
        }
        yield systems.Target("certwright", (child.pid,), flags)


def measure(run: Run, estate: Estate, target: systems.Target, count: int, post: str) -> list[str]:
    """A row of the table, over `count` answers. `post` is where it takes a POST: nginx has one answer for all there."""
    every, one = estate.questions(count), estate.questions(1)
    asked = {"issuer": estate.issuer(), "url": target.flags["ocsp"], "list": every, "method": "GET"}
    get = run.load("ocsp", target, 8, "GET", **asked)
    half = run.load("ocsp", target, 8, "GET half", **asked, rate=str(get["per_second"] / 2))
    elsewhere = {"url": post, "list": every if post == target.flags["ocsp"] else one, "method": "POST"}
    by_post = run.load("ocsp", target, 8, "POST", **{**asked, **elsewhere})
    return _cells(count, target, get, by_post, f"{half['unit']['p99_ms']:.2f}")


def _cells(count: int, target: systems.Target, get: Result, post: Result, p99: str) -> list[str]:
    cpu = f"{get['server_cpu_ms_per_unit']:.3f}, {post['server_cpu_ms_per_unit']:.3f}"
    rates = (f"{get['per_second']:,.0f}", f"{post['per_second']:,.0f}")
    return [target.name, f"{count:,}", *rates, cpu, p99, systems.memory(target), target.flags.get("start", "")]


def compare(run: Run, estate: Estate) -> Iterator[list[str]]:
    """The rows of one estate: the product, then nginx."""
    with status(run, estate) as target:
        yield measure(run, estate, target, estate.count, target.flags["ocsp"])
    with systems.nginx(run.ground, estate.folder / "nginx") as target:
        yield measure(run, estate, target, min(estate.count, NGINX), target.flags["ocsp_post"])


def openssl(run: Run) -> list[str]:
    """The row of openssl ocsp, which keeps no connection."""
    with systems.openssl_ocsp(run.ground, OPENSSL) as target:
        words = {"url": target.flags["ocsp"], "issuer": target.flags["issuer"], "list": target.flags["list"]}
        get, post = (run.load("ocsp", target, 8, m, **words, method=m, close=True) for m in ("GET", "POST"))
        return _cells(OPENSSL, target, get, post, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--nice", type=int, default=0, help="nice value of both sides, such as -15 (root)")
    parser.add_argument("--work", type=Path, help="an empty folder with 12 GB for 1,000,000 (default: a new one)")
    wanted = parser.parse_args()
    work = (wanted.work or Path(tempfile.mkdtemp(prefix="certwright-bench-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    run = Run(systems.Ground(work, nice=wanted.nice), wanted.seconds, 1)
    hierarchy = fixture.__wrapped__() if hasattr(fixture, "__wrapped__") else fixture._get_wrapped_function()()
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    for count in wanted.counts:
        estate = Estate(work / str(count), hierarchy, count)
        estate.folder.mkdir()
        say(f"{count:,} answers signed and filed in {estate.fill():.0f} s on two cores")
        os.sync()  # nothing is measured while the disk is still busy with them
        for row in compare(run, estate):
            print(f"| {' | '.join(row)} |", flush=True)
        shutil.rmtree(estate.folder)
    print(f"| {' | '.join(openssl(run))} |", flush=True)


if __name__ == "__main__":
    main()
