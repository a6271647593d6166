"""The whole service as a user starts it, over an HSM that has bad days (shim.c), and over a signer that was stopped.

While a day lasts: the status plane serves, an order waits or is told to come back, nothing wrong leaves, and `/ready`
names the trouble. When it is over the service issues again within seconds, and nobody has restarted anything.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from acme import client
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.ca.keys.conftest import module  # noqa: F401 - SoftHSM, or a skip
from tests.ca.keys.shim import Fault, Shim
from tests.interop import library, world
from tests.interop.world import Demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "bad-days.localhost"
TIMEOUT = 4
"""Seconds: `signer.timeout`."""


@dataclass
class Service:
    """A running demo over the shim; an ACME account whose name is proved, an API token, a certificate of before."""

    demo: Demo
    shim: Shim
    acme: client.ClientV2
    token: str
    chain: list[x509.Certificate]

    # --- its doors --------------------------------------------------------------------------------

    def get(self, path: str) -> requests.Response:
        return self._ask("GET", path)

    def ready(self) -> bool:
        return self.get("/ready").status_code == 200

    def trouble(self) -> str:
        """What `/ready` says of the signer; empty when it is well."""
        checks = {one["name"]: one for one in self.get("/ready").json()["checks"]}
        return "" if checks["signer"]["ok"] else str(checks["signer"]["detail"])

    def issue(self) -> requests.Response:
        """One certificate over the API."""
        body = {"csr": _csr("api.test").decode()}
        return self._ask("POST", "/api/v1/certificates", json=body, headers={"Authorization": f"Bearer {self.token}"})

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            url = self.demo.origin + path
            return session.request(method, url, verify=str(self.demo.root), timeout=30, **more)

    def status_plane_serves(self) -> None:
        """CRL and OCSP answer as on any other day."""
        leaf, issuer = self.chain[:2]
        request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build()
        began = time.monotonic()
        answer = requests.post(
            f"{self.demo.status}/ocsp",
            request.public_bytes(Encoding.DER),
            headers={"Content-Type": "application/ocsp-request"},
            timeout=5,
        )
        assert ocsp.load_der_ocsp_response(answer.content).certificate_status is ocsp.OCSPCertStatus.GOOD
        assert requests.get(f"{self.demo.status}/crl/issuing-g1/full.crl", timeout=5).status_code in (200, 404)
        assert time.monotonic() - began < 3

    def metric(self, line: str) -> float:
        """The value of one line of `/metrics`."""
        found = [one.rpartition(" ")[2] for one in self.get("/metrics").text.splitlines() if one.startswith(f"{line} ")]
        return float(found[0])

    # --- ACME ------------------------------------------------------------------------------------

    def finalize(self) -> tuple[int, dict[str, Any], str]:
        """A new order for the proved name, finalized: HTTP status, the order (or problem), its URL."""
        order = self.acme.new_order(_csr(NAME))
        assert order.body.status.name == "ready"
        url, body = str(order.body.finalize), {"csr": _b64(_csr(NAME, Encoding.DER))}
        answer = self._post(url, body)
        return answer.status_code, answer.json(), str(order.uri)

    def order(self, url: str) -> dict[str, Any]:
        return dict(self._post(url, None).json())

    def _post(self, url: str, body: dict[str, str] | None) -> requests.Response:
        from tests.acme_server import signing

        net = self.acme.net
        nonce = self.get("/acme/new-nonce").headers["Replay-Nonce"]
        head = {"alg": "ES256", "nonce": nonce, "url": url, "kid": net.account.uri}
        sent = signing.sign(net.key.key._wrapped, head, b"" if body is None else body)
        path = url.removeprefix(self.demo.origin)
        return self._ask("POST", path, data=sent, headers={"Content-Type": "application/jose+json"})

    def issues(self) -> bool:
        """Whether an order becomes valid at once, with a certificate that is right."""
        status, order, _ = self.finalize()
        if status != 200 or order["status"] != "valid":
            return False
        self.check(order)
        return True

    def check(self, order: dict[str, Any]) -> None:
        leaf, issuer = x509.load_pem_x509_certificates(self._post(order["certificate"], None).content)[:2]
        leaf.verify_directly_issued_by(issuer)

    # --- its processes ----------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return (self.demo.folder / "certwright.log").read_text()

    def signer(self) -> int:
        """The process id of the newest signer."""
        lines = [json.loads(line) for line in self.log.splitlines() if '"process.started"' in line]
        return next(int(line["pid"]) for line in reversed(lines) if line["child"] == "signer")


def eventually(what: Any, seconds: float) -> float:
    """Waits until `what()` is true; answers how long that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.1)
    return time.monotonic() - began


def _csr(name: str, form: Encoding = Encoding.PEM) -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(form)


def _b64(data: bytes) -> str:
    from tests.acme_server import signing

    return signing.b64(data)


def _environment(shim: Shim) -> dict[str, str]:
    """The demo over the shim; what may have been signed is swept soon, and a hang is known as one soon."""
    times = {"CERTWRIGHT_CA__INTENT_TIMEOUT": "10s", "CERTWRIGHT_SIGNER__TIMEOUT": f"{TIMEOUT}s"}
    times["CERTWRIGHT_SCHEDULER__SWEEP"] = "2s"
    return {"CERTWRIGHT_HSM__MODULE": str(shim.path), **times, **shim.environment}


@pytest.fixture(scope="module")
def service(module: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:  # noqa: F811
    folder = tmp_path_factory.mktemp("bad-days")
    shim = Shim(folder, module)
    with (
        world.demo(folder / "demo", **_environment(shim)) as demo,
        world.challenge_port(),
        world.webroot(folder / "www") as wellknown,
    ):
        acme = library.new_account(demo)
        chain = x509.load_pem_x509_certificates(library.obtain(acme, _csr(NAME), wellknown))
        made = demo.certwright("token", "create", "tests", "--profile", "server", "--allow", "**.test", "--yes")
        token = re.search(r"\b(cw_\S+|[A-Za-z0-9_-]{40,})", made)
        assert token, made
        yield Service(demo, shim, acme, token.group(), chain)
        shim.have(Fault.WELL)


@pytest.fixture(autouse=True)
def well(service: Service) -> None:
    """Each test begins with a service that is well."""
    eventually(lambda: service.ready() and service.issues(), 30)


@pytest.mark.parametrize(
    "fault",
    [Fault.GONE, Fault.WRONG, Fault.ABORTING],
    ids=lambda one: one.name.lower(),
)
def test_a_bad_day_of_the_hsm(service: Service, fault: Fault) -> None:
    """Orders of the first moment may be lost, with a word to order again; from then on they wait, and none is wrong."""
    before = service.signer()
    with service.shim.having(fault):
        status, order, _ = service.finalize()
        assert (status, order["status"]) in ((200, "processing"), (200, "invalid"), (503, 503)), order
        eventually(lambda: service.trouble() and not service.ready(), 10)
        service.status_plane_serves()
        # Again and again: nobody loses anything any more.
        waiting = []
        for _ in range(3):
            status, order, url = service.finalize()
            assert (status, order["status"]) in ((200, "processing"), (503, 503)), order
            waiting += [url] if status == 200 else []
        eventually(lambda: service.metric("certwright_signer_ready") == 0, 10)
        refused = service.issue()
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) <= 30
    assert eventually(service.issues, 15) < 5 + 3 * (os.getloadavg()[0] > 4)
    eventually(service.ready, 10)
    eventually(lambda: service.metric("certwright_signer_ready") == 1, 10)
    assert 0 < service.metric('certwright_hsm_seconds{kind="certificate",quantile="0.95"}') < TIMEOUT
    # Those who waited get their certificate without asking again.
    eventually(lambda: all(service.order(url)["status"] == "valid" for url in waiting), 30)
    for url in waiting:
        service.check(service.order(url))
    assert (service.signer() != before) is (fault is Fault.ABORTING)


def test_a_pin_that_was_changed_waits_for_an_operator(service: Service) -> None:
    """One try, `/ready` names it, and `certwright key unlock` after it was mended."""
    before = service.shim.logins
    with service.shim.having(Fault.SESSIONS_INVALID):
        service.finalize()
        eventually(service.trouble, 10)
        service.shim.have(Fault.PIN_INCORRECT)
        eventually(lambda: "refused" in service.trouble(), 15)
        tries = service.shim.logins
        assert service.issue().status_code == 503
        time.sleep(4)
        assert service.shim.logins == tries
    assert service.issue().status_code == 503
    assert service.shim.logins == tries
    assert tries - before >= 1
    service.demo.certwright("key", "unlock", "--yes")
    assert eventually(service.issues, 15) < 5


def test_a_call_that_hangs_ends_the_signer_and_nothing_else(service: Service) -> None:
    before = service.signer()
    with service.shim.having(Fault.HANGING), ThreadPoolExecutor(8) as pool:
        hanging = [pool.submit(service.issue) for _ in range(8)]
        time.sleep(1)
        _others_stay_quick(service)
        eventually(service.trouble, 5)
        eventually(lambda: service.signer() != before, 30)
        assert {one.result().status_code for one in hanging} == {503}
        # The successor lets nobody in before its canary came out right.
        eventually(lambda: "opened" in service.trouble() or "running for" in service.trouble(), 15)
        began = time.monotonic()
        assert service.issue().status_code == 503
        assert time.monotonic() - began < 6
        service.status_plane_serves()
    assert eventually(service.issues, 20) < 5
    assert "token.stuck" in service.log


def test_a_signer_that_was_stopped_holds_few_threads(service: Service) -> None:
    """SIGSTOP under load: those beyond the cap are told at once, other requests stay quick, and it recovers."""
    pid, until = service.signer(), time.monotonic() + 9
    answers: list[tuple[int, float]] = []

    def load(_: int) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = service.issue()
            answers.append((answer.status_code, time.monotonic() - began))
            time.sleep(0.3)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(load, one) for one in range(8)]
        time.sleep(1)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(1.5)
            while time.monotonic() < until:
                _others_stay_quick(service)
                time.sleep(0.5)
            assert service.trouble()
        finally:
            os.kill(pid, signal.SIGCONT)
        for one in running:
            one.result()
    assert {status for status, _ in answers} <= {201, 503}
    # Two of the four threads of each of two workers wait, twice at most, before nobody is sent into it any more.
    slow = [seconds for status, seconds in answers if seconds > TIMEOUT]
    assert 0 < len(slow) <= 8, sorted(seconds for _, seconds in answers)
    assert eventually(service.issues, 15) < 5
    assert service.signer() == pid


def _others_stay_quick(service: Service) -> None:
    for path in ("/acme/directory", "/acme/new-nonce", "/health"):
        began = time.monotonic()
        assert service.get(path).ok
        assert time.monotonic() - began < 2, path
    began = time.monotonic()
    service.ready()
    assert time.monotonic() - began < 4
    service.status_plane_serves()


def test_after_all_these_days_the_ledger_and_the_records_agree(service: Service) -> None:
    """Nothing was signed twice, and what was signed and not stored is listed and revoked."""
    service.demo.certwright("audit", "ledger", "verify")
    eventually(lambda: _reconciled(service), 60)


def _reconciled(service: Service) -> bool:
    """The sweep ends open intents after `ca.intent_timeout`; then the only differences are listed orphans."""
    try:
        service.demo.certwright("audit", "reconcile")
    except AssertionError:
        return False
    return True
