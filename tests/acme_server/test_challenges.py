"""Which challenges an authorization offers, and each of them met through the door (RFC 8555 §7.1.4, §8)."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from acme_server import jwk
from acme_server.validation import dns_account01, dns_persist01, kinds
from acme_server.validation.causes import Cause
from acme_server.validation.dns01 import digest
from acme_server.validation.proof import Proof, judge
from acme_server.validation.wire import Answer
from ca.authority import Authority
from ca.clock import rfc3339
from ca.config import Config
from ca.errors import BadName
from ca.names import parse_dns, parse_ip
from ca.records import Name
from tests.acme_server import net, signing
from tests.acme_server.acme_identifier import Draft
from tests.acme_server.client import ERROR, Client, a_name
from tests.acme_server.conftest import Town


def offered(client: Client, authorization: Any, kind: str) -> dict[str, Any]:
    return next(dict(one) for one in authorization.json["challenges"] if one["type"] == kind)


def proof(client: Client, name: Name, challenge: dict[str, Any]) -> Proof:
    return Proof(name, challenge["token"], jwk.parse(signing.jwk(client.key)).thumbprint, client.kid)


def prove_by_dns(client: Client, town: Town, order: Any) -> None:
    """Publishes a TXT record for every authorization, beside those that are there, and waits."""
    for authorization in client.authorizations(order):
        name = parse_dns(authorization.json["identifier"]["value"])
        challenge = offered(client, authorization, "dns-01")
        record = f"_acme-challenge.{name.value}"
        town.zone.texts.setdefault(record, []).append(digest(proof(client, name, challenge)))
        assert client.post(challenge["url"], {}).status_code == 200
    client.wait(order)


# --- what is offered ----------------------------------------------------------------------------


ALL = Config()
HTTP = Config(acme={"challenges": ["http-01"]})  # type: ignore[arg-type]


def test_a_host_name_may_be_proved_by_all() -> None:
    assert kinds.offered(ALL, parse_dns("www.corp.test")) == ("http-01", "dns-01", "tls-alpn-01")
    assert kinds.offered(HTTP, parse_dns("www.corp.test")) == ("http-01",)


def test_A33_a_wildcard_is_proved_by_dns_alone() -> None:
    assert kinds.offered(ALL, parse_dns("*.corp.test")) == ("dns-01",)
    with pytest.raises(BadName, match=r"DNS challenges alone.*acme\.challenges"):
        kinds.demand_provable(HTTP, parse_dns("*.corp.test"))


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::7"])
def test_A34_an_address_is_never_proved_by_dns(address: str) -> None:
    assert kinds.offered(ALL, parse_ip(address)) == ("http-01", "tls-alpn-01")
    with pytest.raises(BadName):
        kinds.demand_provable(Config(acme={"challenges": ["dns-01"]}), parse_ip(address))  # type: ignore[arg-type]


def test_every_kind_of_the_configuration_is_in_the_table() -> None:
    assert set(ALL.acme.challenges) <= set(kinds.KINDS)


# --- through the door ---------------------------------------------------------------------------


def test_A31_a_name_is_proved_by_dns01(registered: Client, town: Town) -> None:
    order = registered.order(f"{a_name().split('.')[0]}.zone.localhost")
    prove_by_dns(registered, town, order)
    (authorization,) = registered.authorizations(order)
    (met,) = authorization.json["challenges"]
    assert (authorization.json["status"], met["type"], met["status"]) == ("valid", "dns-01", "valid")


def test_A33_a_name_is_proved_by_tls_alpn_01(registered: Client, town: Town, tmp_path: Path) -> None:
    name = a_name()
    order = registered.order(name)
    (authorization,) = registered.authorizations(order)
    challenge = offered(registered, authorization, "tls-alpn-01")
    draft = Draft(proof(registered, parse_dns(name), challenge).key_authorization, [name])
    assert town.responder
    town.responder.certificates[name] = draft.write(tmp_path / "challenge.pem")
    registered.post(challenge["url"], {})
    registered.wait(order)
    (met,) = registered.authorizations(order)[0].json["challenges"]
    assert (met["type"], met["status"]) == ("tls-alpn-01", "valid")


def test_A34_an_address_is_proved_and_certified(registered: Client, town: Town) -> None:
    address = "127.7.7.7"
    with net.site(town.reply, address, port=town.http_port) as site:
        order = registered.post(registered.url("newOrder"), {"identifiers": [{"type": "ip", "value": address}]})
        registered.prove(order)
        assert f"Host: {address}:{site.port}\r\n" in site.requests[0]
    done = registered.finalize(registered.post(order.headers["Location"]), csr_for_address(address))
    names = registered.chain(done)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == [address]


def csr_for_address(address: str) -> bytes:
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(names, False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def test_A17_a_domain_and_its_wildcard_in_one_order(registered: Client, town: Town) -> None:
    """Two authorizations for one identifier, each with its own proof at the same record."""
    domain = f"{a_name().split('.')[0]}.zone.localhost"
    order = registered.order(domain, f"*.{domain}")
    assert [one["value"] for one in order.json["identifiers"]] == [domain, f"*.{domain}"]
    plain, wild = registered.authorizations(order)
    assert plain.json["identifier"] == wild.json["identifier"] == {"type": "dns", "value": domain}
    assert ("wildcard" in plain.json, wild.json["wildcard"]) == (False, True)
    assert [one["type"] for one in wild.json["challenges"]] == ["dns-01", "dns-account-01"]
    prove_by_dns(registered, town, order)
    done = registered.finalize(registered.post(order.headers["Location"]))
    leaf = registered.chain(done)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(names.get_values_for_type(x509.DNSName)) == sorted([domain, f"*.{domain}"])


def test_INC07_the_proof_of_a_domain_is_none_of_its_wildcard(registered: Client, town: Town) -> None:
    domain = f"{a_name().split('.')[0]}.zone.localhost"
    first = registered.order(domain)
    prove_by_dns(registered, town, first)
    again = registered.order(domain, f"*.{domain}")
    assert [one.json["status"] for one in registered.authorizations(again)] == ["valid", "pending"]
    below = registered.order(f"www.{domain}")
    assert [one.json["status"] for one in registered.authorizations(below)] == ["pending"]


def test_A31_a_wrong_record_is_told(
    registered: Client, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(authority.config.acme.validation.__dict__, "attempts", 1)
    name = f"{a_name().split('.')[0]}.zone.localhost"
    order = registered.order(name)
    (authorization,) = registered.authorizations(order)
    challenge = offered(registered, authorization, "dns-01")
    town.zone.texts[f"_acme-challenge.{name}"] = ["nonsense"]
    registered.post(challenge["url"], {})
    registered.wait(order)
    (failed,) = registered.authorizations(order)[0].json["challenges"]
    assert (failed["type"], failed["status"]) == ("dns-01", "invalid")
    assert failed["error"]["type"] == ERROR + "incorrectResponse"


# --- drafts -------------------------------------------------------------------------------------

PERSIST = Proof(
    parse_dns("www.corp.test"), "", "", "https://ca.test/acme/acct/1", ("ca.test", "pki.test"), 1_800_000_000
)
WILD = replace(PERSIST, name=parse_dns("*.www.corp.test"))
URI = "accounturi=https://ca.test/acme/acct/1"


def test_drafts_are_offered_when_they_are_named() -> None:
    drafts = ("dns-account-01", "dns-persist-01")
    assert not set(drafts) & set(ALL.acme.challenges)
    assert kinds.offered(Config(acme={"challenges": list(drafts)}), parse_dns("*.corp.test")) == drafts  # type: ignore[arg-type]
    assert kinds.offered(Config(acme={"challenges": list(drafts)}), parse_ip("10.1.1.1")) == ()  # type: ignore[arg-type]


def test_the_label_of_an_account_is_that_of_the_draft() -> None:
    assert dns_account01.label("https://example.com/acme/acct/ExampleAccount") == "_ujmmovf2vn55tgye"


@pytest.mark.parametrize(
    ("text", "plain", "wild"),
    [
        (f"ca.test; {URI}", True, False),
        (f"PKI.Test;{URI};policy=wildcard", True, True),
        (f"ca.test; {URI}; policy=WILDCARD; x=y", True, True),
        (f"ca.test; {URI}; policy=other", True, False),
        (f"ca.test; {URI}; persistUntil=1800000001", True, False),
        (f"ca.test; {URI}; persistUntil=1800000000", False, False),
        (f"ca.test; {URI}; persistUntil=never", False, False),
        (f"ca.test; {URI}; persistUntil=0", False, False),
        (f"ca.test; {URI}; {URI}", False, False),
        (f"other.test; {URI}; policy=wildcard", False, False),
        (f"{URI}; policy=wildcard", False, False),
        (f"ca.test; {URI}2; policy=wildcard", False, False),
        ("ca.test; policy=wildcard", False, False),
        ("ca.test", False, False),
        ("", False, False),
        ("\xff", False, False),
    ],
)
def test_a_standing_record_names_ca_and_account(text: str, plain: bool, wild: bool) -> None:
    answer = Answer(Cause.FETCHED, texts=(b"v=spf1", text.encode("latin-1")))
    for one, good in ((PERSIST, plain), (WILD, wild)):
        verdict = judge(dns_persist01.KIND, answer, one)
        assert (verdict.cause is Cause.MET) is good
        assert verdict.error == ("" if good else "incorrectResponse")


def test_what_a_standing_record_proves_lasts_no_longer_than_it() -> None:
    ends = [f"ca.test; {URI}; persistUntil={1_800_000_000 + left}".encode() for left in (5, 900)]
    assert judge(dns_persist01.KIND, Answer(Cause.FETCHED, texts=tuple(ends)), PERSIST).until == 1_800_000_900
    ends.append(f"ca.test; {URI}".encode())
    assert judge(dns_persist01.KIND, Answer(Cause.FETCHED, texts=tuple(ends)), PERSIST).until == 0


def test_drafts_through_the_door(
    registered: Client, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(authority.config.acme.__dict__, "challenges", ["dns-account-01", "dns-persist-01"])
    end = authority.clock() + 3600
    for kind in ("dns-account-01", "dns-persist-01"):
        name = f"{a_name().split('.')[0]}.zone.localhost"
        order = registered.order(f"*.{name}")
        (authorization,) = registered.authorizations(order)
        challenge = offered(registered, authorization, kind)
        if kind == "dns-account-01":
            record = f"{dns_account01.label(registered.kid)}._acme-challenge.{name}"
            town.zone.texts[record] = [digest(proof(registered, parse_dns(name), challenge))]
        else:
            assert "token" not in challenge
            assert (challenge["issuer-domain-names"], challenge["accounturi"]) == (["localhost"], registered.kid)
            value = f"localhost; accounturi={registered.kid}; policy=wildcard; persistUntil={end}"
            town.zone.texts[f"_validation-persist.{name}"] = [value]
        assert registered.post(challenge["url"], {}).status_code == 200
        registered.wait(order)
        valid = registered.authorizations(order)[0].json
        assert (valid["status"], valid["challenges"][0]["type"]) == ("valid", kind)
    assert valid["expires"] == rfc3339(end)
