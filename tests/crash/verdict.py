"""What has to be true when all is at rest again: nothing that was told is lost, unaudited, doubled or un-revoked."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import requests
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca.keys import ledger
from ca.keys.ledger import CERTIFICATES
from ca.records import serial_hex
from ca.store import Store, open_store
from tests.crash.clients import Told
from tests.crash.service import Service, wait_for

STATUS = ocsp.OCSPCertStatus


@contextmanager
def records(service: Service) -> Iterator[Store]:
    """The records, as the service sees them."""
    url = service.environment.get("CERTWRIGHT_DATABASE__URL", "")
    opened = Store.open(url) if url else open_store(service.config)
    try:
        yield opened
    finally:
        opened.close()


def wait_for_rest(service: Service) -> None:
    """Returns when nothing is under way any more. Fails when that does not come by itself."""
    service.keep()
    service.wait_until_ready()
    with records(service) as store:
        wait_for(lambda: not _under_way(store), 90, lambda: f"still under way: {_under_way(store)}")


def _under_way(store: Store) -> dict[str, int]:
    found = {
        "intents": len(store.open_intents(1 << 40)),
        "journal": store.backlog().count,
        "answers": _unpublished(store),
        "orders": store.rows("SELECT count(*) FROM acme_order WHERE status = 'processing'")[0][0],
    }
    return {what: count for what, count in found.items() if count}


def _unpublished(store: Store) -> int:
    return int(store.rows("SELECT count(*) FROM ocsp WHERE generation > published_generation AND held = 0")[0][0])


def judge(service: Service, told: Told) -> dict[str, int]:
    """Raises AssertionError for whatever is not as clients were told; answers how much was looked at."""
    assert told.trouble == [], told.trouble
    _judge_audit(service)
    with records(service) as store:
        judge_records(store, told)
        _judge_journal(service, told)
        orphans = {one.serial for one in store.orphans(1 << 30)}
        _judge_ledger(service, orphans)
        revoked = told.revoked | orphans
        _judge_crls(service, store, told, revoked)
        _judge_ocsp(service, store, told, orphans)
    return {
        "certificates": len(told.certificates),
        "revoked": len(told.revoked),
        "orphans": len(orphans),
        "given up": len(told.given_up),
        "asked again": told.again,
    }


def judge_records(store: Store, told: Told) -> None:
    """Each certificate stands there once, as it was handed out, and each issuance is whole or not at all."""
    stored = store.rows("SELECT serial, der FROM certificate")
    assert len({serial for serial, _ in stored}) == len(stored)
    ders = {int(serial, 16): bytes(der) for serial, der in stored}
    assert {serial: ders.get(serial) for serial in told.certificates} == told.certificates
    twice = store.rows("SELECT spki_sha256 FROM certificate GROUP BY spki_sha256 HAVING count(*) > 1")
    assert twice == [], "a request became two certificates"
    halves = store.rows(
        "SELECT i.serial, i.state FROM intent i LEFT JOIN certificate c ON c.serial = i.serial "
        "WHERE (i.state = 'issued') <> (c.serial IS NOT NULL)"
    )
    assert halves == []
    for serial in told.revoked:
        assert store.revocation(store.by_serial(serial).issuer, serial)


def _judge_audit(service: Service) -> None:
    """The journal is whole, and it and the ledger tell the same but for listed orphans."""
    for words in (("audit", "verify"), ("audit", "ledger", "verify"), ("audit", "reconcile")):
        done = service.command(*words)
        assert done.returncode == 0, done.stdout + done.stderr


def _judge_journal(service: Service, told: Told) -> None:
    lines = map(json.loads, service.command("audit", "export").stdout.splitlines())
    events = Counter((one["action"], one["object"].rpartition(":")[2]) for one in lines)
    for action, serials in (("certificate.issued", set(told.certificates)), ("certificate.revoked", told.revoked)):
        missing = {serial for serial in serials if events[action, serial_hex(serial)] != 1}
        assert not missing, f"{action} does not stand in the journal once for {missing}"


def _judge_ledger(service: Service, orphans: set[int]) -> None:
    """No serial was ever signed twice, and the differences to the records are exactly the listed orphans."""
    folder = service.config.path(service.config.signer.state_dir) / "ledger"
    signed = Counter((one.key, one.mark) for one in ledger.read(folder) if one.kind in CERTIFICATES)
    assert max(signed.values()) == 1
    found = json.loads(service.command("audit", "reconcile", "--json").stdout)
    assert found["differences"] == []
    signed_orphans = {int(one["mark"], 16) for one in found["orphans"]}
    assert signed_orphans == {serial for serial in orphans if serial_hex(serial) in {mark for _, mark in signed}}


def _judge_crls(service: Service, store: Store, told: Told, revoked: set[int]) -> None:
    """What was revoked stands on the CRLs that relying parties get, and nothing else that was handed out does."""
    (issuer,) = (one for one in store.issuers() if one.kind == "issuing")
    listed: set[int] = set()
    for shard in range(issuer.shards):
        answer = requests.get(f"{service.status}/crl/{issuer.id}/{shard:04x}.crl", timeout=10)
        listed |= {one.serial_number for one in x509.load_der_x509_crl(answer.content)}
    assert revoked <= listed, f"not on the CRLs: {revoked - listed}"
    assert not listed & (told.certificates.keys() - told.revoked)


def _judge_ocsp(service: Service, store: Store, told: Told, orphans: set[int]) -> None:
    """Every serial has the status that its client knows, from the status plane itself."""
    (issuing,) = (one for one in store.issuers() if one.kind == "issuing")
    issuer = x509.load_der_x509_certificate(issuing.certificate)
    with requests.Session() as http:
        http.trust_env = False
        for serial in told.certificates.keys() | orphans:
            wanted = STATUS.REVOKED if serial in told.revoked | orphans else STATUS.GOOD
            assert _status(http, service.status, issuer, serial) is wanted, serial_hex(serial)


def _status(http: requests.Session, origin: str, issuer: x509.Certificate, serial: int) -> STATUS | str:
    name = hashlib.sha1(issuer.subject.public_bytes(), usedforsecurity=False).digest()
    key = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest  # RFC 5280's method 1: SHA-1 of the key
    request = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, serial, SHA1()).build()
    path = quote(base64.b64encode(request.public_bytes(Encoding.DER)).decode(), safe="")
    answer = ocsp.load_der_ocsp_response(http.get(f"{origin}/ocsp/{path}", timeout=10).content)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return answer.response_status.name
    return answer.certificate_status
