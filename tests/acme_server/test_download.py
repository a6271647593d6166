"""Certificates as clients fetch them: chains, their alternates, their forms (RFC 8555 §7.4.2; A-27)."""

import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from acme_server.certificates import FORMATS
from ca.authority import Authority
from ca.clock import system_clock
from ca.records import Issuer
from tests.acme_server.client import ORIGIN, Client, refused
from tests.ca.authority.world import owning


def fetch(client: Client, url: str, **headers: str) -> Any:
    return client.http.post(
        url.removeprefix(ORIGIN),
        data=client.sign(url, b""),
        content_type="application/jose+json",
        headers=headers,
    )


def alternates(answer: Any) -> list[str]:
    links = answer.headers.getlist("Link")
    return [found[1] for link in links if (found := re.fullmatch(r'<([^>]+)>;rel="alternate"', link))]


@pytest.fixture
def url(registered: Client) -> str:
    return str(registered.finalize(registered.ready()).json["certificate"])


# --- forms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "text/html, */*;q=0.1", *FORMATS])
def test_A27_a_form_that_the_client_accepts(registered: Client, url: str, accept: str) -> None:
    answer = fetch(registered, url, **({"Accept": accept} if accept else {}))
    assert answer.status_code == 200
    assert answer.content_type == (accept if accept in FORMATS else "application/pem-certificate-chain")
    assert alternates(answer) == []


def test_A27_each_form_holds_the_same_leaf(registered: Client, url: str) -> None:
    chain = x509.load_pem_x509_certificates(fetch(registered, url).data)
    leaf = fetch(registered, url, Accept="application/pkix-cert").data
    assert x509.load_der_x509_certificate(leaf) == chain[0]
    bundle = fetch(registered, url, Accept="application/pkcs7-mime").data
    assert set(pkcs7.load_der_pkcs7_certificates(bundle)) == set(chain)


@pytest.mark.parametrize("accept", ["text/html", "application/json", "application/pkix-cert;q=0", "image/*, text/*"])
def test_A27_no_form_at_all_is_406(registered: Client, url: str, accept: str) -> None:
    answer = fetch(registered, url, Accept=accept)
    refused(answer, "malformed", 406)
    assert "application/pem-certificate-chain" in answer.json["detail"]


# --- alternates ---------------------------------------------------------------------------------


def cross_signed(issuer: Issuer, number: int, days: int = 10) -> Issuer:
    """The same CA, certified by another root."""
    own = x509.load_der_x509_certificate(issuer.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.datetime.fromtimestamp(system_clock(), datetime.UTC) - datetime.timedelta(days=20)
    other = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Other Root {number}")])
    builder = x509.CertificateBuilder(
        other, own.subject, own.public_key(), 77 + number, start, start + datetime.timedelta(days=20 + days)
    )
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    return Issuer(f"cross-{number}", "cross", "issuing", issuer.key_id, der, f"other-{number}", state="cross-signed")


def other_root(number: int, like: Issuer) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Other Root {number}")])
    own = x509.load_der_x509_certificate(like.certificate)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 7, own.not_valid_before_utc, own.not_valid_after_utc
    )
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    return Issuer(f"other-{number}", "other", "root", f"other-{number}", der, state="foreign")


@pytest.fixture
def crossed(authority: Authority) -> Iterator[list[Issuer]]:
    """Two foreign roots that certify the issuing CA too; the certificate of the second has ended."""
    issuer = authority.active_issuer()
    rows = [cross_signed(issuer, 1), cross_signed(issuer, 2, days=-1), other_root(1, issuer), other_root(2, issuer)]
    for row in rows:
        authority.store.add_issuer(row)
    yield rows
    with owning(authority) as store:
        for row in rows:
            store.change("DELETE FROM shard WHERE issuer = ?", row.id)
            store.change("DELETE FROM issuer WHERE id = ?", row.id)


def test_A27_each_chain_of_a_cross_signed_ca_leads_to_the_others(
    registered: Client, url: str, crossed: list[Issuer]
) -> None:
    first = fetch(registered, url)
    assert alternates(first) == [f"{url}/1"]
    second = fetch(registered, f"{url}/1")
    assert alternates(second) == [url]
    usual, other = (x509.load_pem_x509_certificates(one.data) for one in (first, second))
    assert usual[0] == other[0]
    assert usual[1] != other[1]
    assert other[1].public_bytes(Encoding.DER) == crossed[0].certificate
    assert usual[1].public_key() == other[1].public_key()
    for chain in (usual, other):
        assert chain[0].issuer == chain[1].subject
    refused(fetch(registered, f"{url}/2"), "malformed", 404)  # that one has ended


@pytest.mark.parametrize("number", ["1", "0x", "-1", "01", "9" * 50])
def test_chains_that_are_not_there(registered: Client, url: str, number: str) -> None:
    refused(fetch(registered, f"{url}/{number}"), "malformed", 404)
