"""A passkey in software for tests: makes credentials and assertions as an authenticator does (WebAuthn Level 3 §6)."""

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.test import TestResponse

from tests.web.ui_people import Browser

ORIGIN, HOST = "https://localhost:8443", "localhost"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Authenticator:
    """One P-256 credential; `flags` and `origin` may be bent to see that they are looked at."""

    flags: int = PRESENT | VERIFIED
    origin: str = ORIGIN
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def create(self, options: dict) -> str:
        """The answer to `navigator.credentials.create`."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cbor2.dumps(cose)
        data = self._data(self.flags | ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options["challenge"])
        return self._answer({"clientDataJSON": b64(client), "attestationObject": b64(attestation)})

    def get(self, options: dict) -> str:
        """The answer to `navigator.credentials.get`."""
        self.count += 1
        data, client = self._data(self.flags), self._client("webauthn.get", options["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        parts = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._answer({name: b64(value) for name, value in parts.items()})

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(HOST.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, response: dict[str, str]) -> str:
        shown = b64(self.id)
        return json.dumps({"id": shown, "rawId": shown, "type": "public-key", "response": response})


def enrol(browser: Browser, passkey: Authenticator) -> TestResponse:
    """Adds the passkey to whoever is signed in there."""
    options = browser.post("/ui/enrol/passkey/options").get_json()
    return browser.post("/ui/enrol/passkey", {"response": passkey.create(options), "name": "<b>blue</b>"})


def approve(browser: Browser, passkey: Authenticator, path: str) -> TestResponse:
    """Approves the proposal of that page; what is refused before the passkey signs is answered as it is."""
    options = browser.post(f"{path}/options")
    if options.status_code != 200:
        return options
    return browser.post(f"{path}/approve", {"response": passkey.get(options.get_json())})
