"""Clients that ask for certificates by API and by ACME, renew and revoke, and never take a lost answer for an end.

Each keeps what it was told, and only that: `Told` is what has to be true afterwards, whatever died meanwhile.
"""

import json
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import josepy
import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.crash.service import Service

PATIENCE = 300.0
"""Seconds in which every request must have come to an end, the service being killed at times or at rest again."""

T = TypeVar("T")


@dataclass
class Told:
    """What clients know: certificates by serial, serials that are revoked, and requests that came to nothing."""

    certificates: dict[int, bytes] = field(default_factory=dict)
    revoked: set[int] = field(default_factory=set)
    given_up: list[str] = field(default_factory=list)
    again: int = 0
    trouble: list[str] = field(default_factory=list)


class NotYet(Exception):
    """No answer that ends it: ask again."""


class Worker:
    """One client: `act` is one request that it sees through to its end."""

    def __init__(self, service: Service, told: Told, stopping: threading.Event) -> None:
        self.service, self.told, self.stopping = service, told, stopping
        self.own: list[x509.Certificate] = []

    def run(self) -> None:
        """Asks until it shall stop. What surprises it is kept, and ends it."""
        try:
            while not self.stopping.is_set():
                self.act()
        except Exception as error:
            self.told.trouble.append(f"{type(self).__name__}: {error!r}")

    def act(self) -> None:
        """Mostly something new; then renewals and revocations of what it holds."""
        dice = random.random()
        if self.own and dice < 0.2:
            return self.revoke(self.own.pop(random.randrange(len(self.own))))
        held = random.choice(self.own) if self.own and dice < 0.35 else None
        name = _name_of(held) if held else f"{secrets.token_hex(8)}.localhost"
        chain = self.obtain(name)
        if not chain:
            self.told.given_up.append(name)
            return None
        leaf = x509.load_pem_x509_certificates(chain)[0]
        self.told.certificates[leaf.serial_number] = leaf.public_bytes(Encoding.DER)
        self.own.append(leaf)
        return None

    def obtain(self, name: str) -> bytes:
        """PEM of the chain; nothing when the CA said that it will never come."""
        raise NotImplementedError

    def revoke(self, leaf: x509.Certificate) -> None:
        """Returns when it was told that the certificate is revoked."""
        raise NotImplementedError

    def persist(self, ask: Callable[[], T]) -> T:
        """What `ask` answers once it does: connections that break and refusals for now are asked again."""
        end, pause = time.monotonic() + PATIENCE, 0.05
        while True:
            try:
                return ask()
            except (NotYet, requests.RequestException, errors.Error, messages.Error) as error:
                if time.monotonic() > end:
                    raise TimeoutError(f"no end after {PATIENCE:.0f} s: {error!r}") from error
                self.told.again += 1
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 1.5, 1.0)


class ApiWorker(Worker):
    """A client of the CSR API; the same Idempotency-Key until it knows how its request ended."""

    def __init__(self, service: Service, told: Told, stopping: threading.Event, secret: str) -> None:
        super().__init__(service, told, stopping)
        self.http = service.session()
        self.http.headers["Authorization"] = f"Bearer {secret}"
        self.url = f"{service.origin}/api/v1/certificates"

    def obtain(self, name: str) -> bytes:
        body = {"csr": csr(name).decode(), "profile": "server"}
        key = secrets.token_hex(16)
        answer = self.persist(lambda: self._post(self.url, body, key))
        return answer.json()["chain"].encode() if answer.status_code == 201 else b""

    def revoke(self, leaf: x509.Certificate) -> None:
        url = f"{self.url}/{leaf.serial_number:x}/revoke"
        answer = self.persist(lambda: self._post(url, {"reason": "superseded"}))
        self.told.revoked.add(leaf.serial_number)
        assert answer.status_code in (200, 409), answer.text

    def _post(self, url: str, body: dict[str, str], key: str = "") -> requests.Response:
        """An answer that ends it. 503 and 409 "in flight" do not, unless they say that this key never will."""
        answer = self.http.post(url, json=body, headers={"Idempotency-Key": key} if key else {}, timeout=30)
        problem = answer.json() if answer.status_code >= 400 else {}
        if answer.status_code == 503 and "new key" in problem.get("next_step", ""):
            return answer
        if answer.status_code == 503 or problem.get("code") == "idempotency-in-flight":
            raise NotYet(answer.text)
        assert answer.status_code in (200, 201) or problem.get("code") == "already-revoked", answer.text
        return answer


class AcmeWorker(Worker):
    """A client of the ACME server with an account of its own; `shown` is the folder of its http-01 answers."""

    def __init__(self, service: Service, told: Told, stopping: threading.Event, shown: Path) -> None:
        super().__init__(service, told, stopping)
        self.shown = shown
        net = client.ClientNetwork(
            josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1())),
            verify_ssl=str(service.place.root),
            user_agent="certwright-crash",
            alg=josepy.ES256,
        )
        net.session.trust_env = False
        directory = client.ClientV2.get_directory(f"{service.origin}/acme/directory", net)
        self.acme = client.ClientV2(directory, net)
        self.acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))

    def obtain(self, name: str) -> bytes:
        request = csr(name)
        order = self.persist(lambda: self.acme.new_order(request))
        return self.persist(lambda: self._advance(order.uri, request))

    def revoke(self, leaf: x509.Certificate) -> None:
        self.persist(lambda: self._revoke(leaf))
        self.told.revoked.add(leaf.serial_number)

    def _advance(self, url: str, request: bytes) -> bytes:
        """Does what the order waits for; answers its chain, or nothing when it has become invalid."""
        order = self._get(url).json()
        if order["status"] == "valid":
            return self._get(order["certificate"]).content
        if order["status"] == "invalid":
            return b""
        if order["status"] == "pending":
            for authorization in order["authorizations"]:
                self._prove(authorization)
        if order["status"] == "ready":
            wanted = messages.CertificateRequest(csr=x509.load_pem_x509_csr(request))
            self.acme._post(order["finalize"], wanted)
        raise NotYet(f"the order is {order['status']}")

    def _prove(self, url: str) -> None:
        for one in self._get(url).json()["challenges"]:
            if one["type"] == "http-01" and one["status"] == "pending":
                challenge = challenges.HTTP01.from_json(one)
                (self.shown / one["token"]).write_text(challenge.validation(self.acme.net.key))
                self.acme._post(one["url"], challenge.response(self.acme.net.key))

    def _revoke(self, leaf: x509.Certificate) -> None:
        try:
            self.acme.revoke(leaf, 4)
        except messages.Error as error:
            if error.code != "alreadyRevoked":
                raise

    def _get(self, url: str) -> requests.Response:
        answer: requests.Response = self.acme._post_as_get(url)
        return answer


def crew(service: Service, told: Told, stopping: threading.Event, count: int, shown: Path) -> list[Worker]:
    """So many workers, one half over each door."""
    made = service.command("token", "create", "crash", "--profile", "server", "--allow", "**.localhost", "--json")
    secret = json.loads(made.stdout)["secret"]
    api: list[Worker] = [ApiWorker(service, told, stopping, secret) for _ in range(count // 2)]
    return [*api, *(AcmeWorker(service, told, stopping, shown) for _ in range(count - len(api)))]


def csr(name: str) -> bytes:
    """PEM, over a fresh key: what becomes of a request is found by its key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)


def _name_of(leaf: x509.Certificate) -> str:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(names.get_values_for_type(x509.DNSName)[0])
