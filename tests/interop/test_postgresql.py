"""The whole service on PostgreSQL, under the role with the least rights, and the database killed under load."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca.store import Store
from cli.place import Place
from tests.conftest import Cluster, cluster
from tests.interop import library, world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A PostgreSQL of this module's own, to be killed."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def database(server: Cluster) -> str:
    return server.lend_to_writer()


@pytest.fixture(scope="module")
def demo(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[world.Demo]:
    quick = {"CERTWRIGHT_CA__INTENT_TIMEOUT": "10s", "CERTWRIGHT_SCHEDULER__SWEEP": "1s"}
    with world.demo(tmp_path_factory.mktemp("product") / "demo", CERTWRIGHT_DATABASE__URL=database, **quick) as running:
        yield running


EVERY_MINUTE = {"sequence_journal", "publish_crls", "refresh_ocsp", "sweep_intents", "sweep_challenges"}


def csr(name: str) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)


def eventually(what: Callable[[], object], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


@dataclass
class Client:
    """Asks for certificates until told to stop, and keeps every answer."""

    demo: world.Demo
    secret: str
    answers: list[requests.Response] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def issue(self) -> requests.Response:
        body = {"csr": csr(f"{secrets.token_hex(6)}.localhost").decode(), "profile": "server"}
        headers = {"Authorization": f"Bearer {self.secret}", "Idempotency-Key": secrets.token_hex(8)}
        url = f"{self.demo.origin}/api/v1/certificates"
        with requests.Session() as session:
            session.trust_env = False
            return session.post(url, json=body, headers=headers, verify=str(self.demo.root), timeout=60)

    def run(self) -> None:
        while not self.stopping.is_set():
            self.answers.append(self.issue())

    def issued(self, after: int = 0) -> list[str]:
        return [answer.json()["serial"] for answer in self.answers[after:] if answer.status_code == 201]


@pytest.fixture
def client(demo: world.Demo) -> Client:
    made = demo.certwright("token", "create", "load", "--profile", "server", "--allow", "**.localhost", "--json")
    return Client(demo, json.loads(made)["secret"])


def ready(demo: world.Demo) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{demo.origin}/ready", verify=str(demo.root), timeout=60)


def ended(demo: world.Demo) -> list[str]:
    """The processes that ended by themselves, as the supervisor's log tells; that they started stands there too."""
    lines = Place(demo.folder).log.read_text().splitlines()
    assert any("process.started" in line for line in lines)
    return [line for line in lines if "process.ended" in line]


def test_acme_commands_and_scheduler_work_on_it(demo: world.Demo, database: str, wellknown: Path) -> None:
    account = library.new_account(demo)
    pem = library.obtain(account, csr("pg.localhost"), wellknown)
    serial = x509.load_pem_x509_certificate(pem).serial_number
    assert demo.record(serial)["status"] == "valid"
    demo.certwright("cert", "revoke", f"{serial:x}", "--reason", "superseded", "--yes")
    assert demo.record(serial)["status"] == "revoked"
    store = Store.open(database)
    eventually(lambda: store.backlog().count == 0 and {run.name for run in store.runs() if run.ok} >= EVERY_MINUTE)
    store.close()
    demo.certwright("audit", "verify")
    doctor = json.loads(demo.certwright("doctor", "--json", ok=(0, 1)))
    assert {one["name"]: one["level"] for one in doctor["checks"]}["durability"] == "ok"


def test_a_database_that_is_killed_under_load_costs_nothing_that_was_told(
    demo: world.Demo, client: Client, server: Cluster, database: str
) -> None:
    ended_before = ended(demo)
    threads = [threading.Thread(target=client.run) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(client.issued()) > 20)
        server.kill()
        before = len(client.answers)
        eventually(lambda: len(client.answers) > before + 20)
        down = ready(demo)
        assert down.status_code == 503
        assert "database" in {check["name"] for check in down.json()["checks"] if not check["ok"]}
        assert demo_status(demo) == 200
        server.start()
        eventually(lambda: ready(demo).status_code == 200)
        back = len(client.answers)
        eventually(lambda: len(client.issued(back)) > 20)
    finally:
        client.stopping.set()
        for thread in threads:
            thread.join(70)
    assert ended(demo) == ended_before  # nothing was restarted
    _judge(demo, client, database)


def demo_status(demo: world.Demo) -> int:
    """The status plane, which has no database: a CRL."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{demo.status}/crl/issuing-g1/0000.crl", timeout=10).status_code


def _judge(demo: world.Demo, client: Client, database: str) -> None:
    refused = [answer for answer in client.answers if answer.status_code != 201]
    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    store = Store.open(database)
    eventually(lambda: store.open_intents(1 << 40) == () and store.backlog().count == 0)
    stored = {one["serial"] for one in json.loads(demo.certwright("cert", "list", "--json"))}
    assert set(client.issued()) <= stored
    halves = store.rows(
        "SELECT i.serial FROM intent i LEFT JOIN certificate c ON c.serial = i.serial "
        "WHERE (i.state = 'issued') <> (c.serial IS NOT NULL)"
    )
    assert halves == []
    for orphan in store.orphans():
        assert store.revocation(orphan.issuer, orphan.serial)
    store.close()
    demo.certwright("audit", "verify")
