"""A wall clock that jumps under the running service: real processes, whose CLOCK_REALTIME alone libfaketime moves."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from ca.folder import Folder
from ca.ocsp import ALGORITHMS, answer_path, cert_id
from ca.records import Publication, serial_shard
from tests.cli.conftest import Done, Installation, eventually, make_installation

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),  # five processes and ten commands, each started anew: minutes on a busy machine
    pytest.mark.skipif(not LIBRARY.exists(), reason="faketime is not installed: apt-get install faketime"),
]
KINDS = ("scheduler", "status", "fetcher", "web")


@dataclass
class Stepped(Installation):
    """An installation whose processes and commands all see a wall clock that the test moves."""

    @property
    def environment(self) -> dict[str, str]:
        file = self.place.path.resolve() / "faketime"
        preload = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
        soon = {f"CERTWRIGHT_SCHEDULER__{job}": "2s" for job in ("CRL", "OCSP", "SWEEP")}
        return {**super().environment, **soon, **preload, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def step(self, seconds: int) -> None:
        draft = self.place.path / "faketime.new"
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self.place.path / "faketime")

    def _called(self, arguments: list[str]) -> Done:
        return self._spawned(arguments)

    def ready(self) -> tuple[int, dict]:
        """What `/ready` answers."""
        try:
            with urllib.request.urlopen(
                f"https://localhost:{self.https_port}/ready", context=ssl._create_unverified_context(), timeout=10
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    def trouble(self) -> str:
        """What `/ready` says of the clock, once it says anything."""
        status, body = self.ready()
        checks = {one["name"]: one for one in body.get("checks", ())}
        return "" if status != 503 or checks["clock"]["ok"] else str(checks["clock"]["detail"])

    def status(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
            return int(answer.status)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stepped]:
    plain = make_installation(tmp_path_factory.mktemp("clock"))
    made = Stepped(plain.place, plain.https_port, plain.http_port)
    made.step(0)
    made.start("signer")
    made.run("ca", "init", "--root-dir", made.place.root_token, "--yes")
    for kind in KINDS:
        made.start(kind)
    eventually(lambda: made.ready()[0] == 200, 60)
    yield made
    for kind in list(made.running):
        made.stop(kind)


def issue(service: Stepped, name: str, ok: int | None = 0) -> Done:
    key, chain = (service.place.path / f"{name}.{kind}" for kind in ("key", "pem"))
    return service.run("cert", "issue", "--new-key", key, "--name", name, "--out", chain, "--json", ok=ok)


def published(service: Stepped, serial: str) -> tuple[Publication, Publication]:
    """The answer about a serial, and its CRL, as the status plane has them."""
    folder = Folder(service.place.path / "state" / "public")
    issuer = x509.load_pem_x509_certificate(folder.get("ca/issuing-g1.pem").body)
    shard = folder.get(f"crl/issuing-g1/{serial_shard(int(serial, 16)):04x}.crl")
    return folder.get(answer_path(cert_id(issuer, int(serial, 16), next(iter(ALGORITHMS))))), shard


def _newer(found: tuple[Publication, ...], before: tuple[Publication, ...]) -> list[Publication | None]:
    return [one if one.version > old.version else None for one, old in zip(found, before, strict=True)]


def test_it_stops_says_why_and_goes_on_when_an_operator_accepts(service):
    serial = json.loads(issue(service, "before.test").stdout)["serial"]
    answer, shard = published(service, serial)
    service.step(-900)
    assert "s behind" in eventually(service.trouble)

    refused = issue(service, "refused.test", ok=1)
    assert "doctor clock" in refused.stderr
    assert service.status("/crl/issuing-g1/0000.crl") == 200, "what is published is served on"
    service.run("cert", "revoke", serial, "--yes", ok=None)
    assert service.json("cert", "show", serial)["status"] == "revoked", "the fact is recorded"

    said = service.json("doctor", "clock", ok=1)
    assert not said["sound"]
    assert abs(said["skew"] + 900) < 60
    assert said["signer"], "the signer has a guard of its own"

    assert service.json("doctor", "clock", "--accept", "--yes")["accepted"]
    eventually(lambda: service.ready()[0] == 200, 60)
    issue(service, "after.test")
    told, listed = eventually(lambda: all(new_ones := _newer(published(service, serial), (answer, shard))) and new_ones)
    assert told.this_update >= answer.this_update, "times never run backwards"
    assert listed.this_update >= shard.this_update
    assert listed.version > shard.version
    actions = [json.loads(line)["action"] for line in service.run("audit", "export").stdout.splitlines()]
    assert {"clock.wrong", "clock.accepted"} <= set(actions)
    assert service.json("audit", "reconcile")["agrees"]


def test_a_clock_that_is_set_right_needs_nobody(service):
    before = int((service.place.path / "faketime").read_text())
    service.step(before + 86400)
    assert "s ahead of" in eventually(service.trouble)
    service.step(before)
    eventually(lambda: service.ready()[0] == 200, 60)
    assert service.json("doctor", "clock")["sound"]
