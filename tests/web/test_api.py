"""The CSR API over a real CA: who may ask, what comes back, and what bad input gets."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from ca.authority import Authority
from ca.authority.tokens import TokenScope, create_token, revoke_token
from tests.ca.authority.world import World
from tests.web.desk import (
    CERTIFICATES,
    OPERATOR,
    Asker,
    a_name,
    csr,
    csr_with_common_name,
    der,
    make_token,
    pem,
    problem,
)

# --- issuing ------------------------------------------------------------------------------------


def test_a_pem_csr_in_json_gives_a_certificate_with_its_chain(
    asker: Asker, authority: Authority, tmp_path: Path
) -> None:
    name = a_name()
    answer = asker.post(CERTIFICATES, {"csr": pem(csr(name)), "profile": "server", "owner": "shop"})
    assert answer.status_code == 201, answer.data
    body = answer.get_json()
    assert answer.headers["Location"] == body["url"] == f"https://localhost:8443{CERTIFICATES}/{body['serial']}"
    assert (body["names"], body["status"], body["owner"], body["revoked_at"]) == ([name], "valid", "shop", None)
    leaf = x509.load_pem_x509_certificate(body["certificate"].encode())
    assert f"{leaf.serial_number:038x}" == body["serial"]
    assert body["chain"].startswith(body["certificate"])
    assert len(x509.load_pem_x509_certificates(body["chain"].encode())) == 2
    (tmp_path / "chain.pem").write_text(body["chain"])
    (tmp_path / "roots.pem").write_bytes(authority.publisher.get("roots.pem").body)
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", "roots.pem", "-untrusted", "chain.pem"]
    done = subprocess.run([*verify, "chain.pem"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content_type", ["application/pkcs10", "application/octet-stream"])
def test_a_raw_csr_gives_a_certificate(asker: Asker, content_type: str) -> None:
    request = csr(a_name())
    for body in (der(request), pem(request).encode()):
        answer = asker.post_raw(f"{CERTIFICATES}?profile=server&validity=86400", body, content_type)
        assert answer.status_code == 201, answer.data
        leaf = x509.load_pem_x509_certificate(answer.get_json()["certificate"].encode())
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert life.total_seconds() <= 86400 + 300


def test_base64_der_in_json_is_read_too(asker: Asker) -> None:
    encoded = base64.encodebytes(der(csr(a_name()))).decode()
    assert asker.post(CERTIFICATES, {"csr": encoded}).status_code == 201


def test_the_chain_alone_for_those_who_accept_pem(asker: Asker) -> None:
    answer = asker.issue(Accept="application/pem-certificate-chain")
    assert answer.content_type == "application/pem-certificate-chain"
    assert len(x509.load_pem_x509_certificates(answer.data)) == 2


def test_the_names_are_those_of_the_csr_the_common_name_included(asker: Asker) -> None:
    name = a_name()
    answer = asker.post(CERTIFICATES, {"csr": pem(csr_with_common_name(name))})
    assert answer.status_code == 201, answer.data
    assert answer.get_json()["names"] == [name]


def test_the_issue_is_in_the_journal_under_the_token_and_the_request(asker: Asker, authority: Authority) -> None:
    answer = asker.issue(X_Request_Id="asked-by-a-test")
    serial = answer.get_json()["serial"]
    events = [e for e in authority.export_journal() if str(e).find(serial) >= 0]
    text = str(events)
    assert "certificate.issued" in text
    assert "asked-by-a-test" in text
    assert "token" in text
    assert asker.secret not in text


# --- bad CSRs -----------------------------------------------------------------------------------


def bad_csrs() -> dict[str, tuple[bytes, str]]:
    good = der(csr("a.api.test"))
    ca = x509.BasicConstraints(ca=True, path_length=None)
    foreign = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    foreign = foreign.add_extension(x509.SubjectAlternativeName([x509.RFC822Name("a@api.test")]), False)
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    mail = foreign.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return {
        "junk": (b"junk", "bad-csr"),
        "nothing": (b"", "bad-csr"),
        "bad signature": (good[:-4] + bytes(b ^ 0xFF for b in good[-4:]), "bad-csr"),
        "CA:TRUE": (der(csr("a.api.test", extension=ca)), "bad-csr"),
        "e-mail": (der(mail), "bad-csr"),
        "RSA-1024": (der(csr("a.api.test", key=rsa.generate_private_key(65537, 1024))), "bad-public-key"),
        "a certificate": (b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n", "bad-csr"),
    }


@pytest.mark.parametrize("name", list(bad_csrs()))
def test_a_bad_csr_is_400_with_its_reason(asker: Asker, name: str) -> None:
    body, code = bad_csrs()[name]
    problem(asker.post_raw(CERTIFICATES, body, "application/pkcs10"), 400, code)


def test_a_body_of_10_mb_is_413(asker: Asker) -> None:
    problem(asker.post_raw(CERTIFICATES, b"a" * 10_000_000, "application/pkcs10"), 413)


def test_a_csr_over_64_kib_is_refused(asker: Asker) -> None:
    problem(asker.post_raw(CERTIFICATES, b"a" * 70_000, "application/pkcs10"), 400, "bad-csr")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "csr"),
        ({"csr": "x", "color": "red"}, "color"),
        ({"csr": 1}, "csr"),
        ({"csr": "x", "validity": -1}, "validity"),
        ({"csr": "x", "validity": "90d"}, "validity"),
        ({"csr": "x", "validity": True}, "validity"),
        ({"csr": "x", "owner": "a\x00b"}, "owner"),
        ([], "body"),
    ],
)
def test_invalid_members_are_422_and_named(asker: Asker, body: Any, named: str) -> None:
    answer = asker.client.post(CERTIFICATES, json=body, headers=asker.headers)
    assert named in problem(answer, 422)["errors"]


def test_what_is_no_json_is_refused(asker: Asker) -> None:
    for body in (b"{", b"", b"\xff\xfe", b'{"csr": "\\ud800"}'):
        problem(asker.post_raw(CERTIFICATES, body, "application/json"), 422)
    problem(asker.post_raw(CERTIFICATES, b"<csr/>", "application/xml"), 400)


# --- who may ask --------------------------------------------------------------------------------


def test_without_a_valid_token_nothing_is_done(app: Flask, asker: Asker, authority: Authority) -> None:
    expired = make_token(authority, life=60)
    record, ended = create_token(authority, TokenScope("ended", ("server",), ("**.api.test",)), OPERATOR)
    revoke_token(authority, record.id, OPERATOR)
    authority.clock.ahead = 61  # type: ignore[attr-defined]
    for secret in ("", "nonsense", "cw_" + "a" * 43, "cw_" + "ä" * 10, "a" * 5000, expired, ended):
        stranger = Asker(app.test_client(), secret)
        for answer in (stranger.issue(), stranger.get(CERTIFICATES), stranger.get("/api/v1/publications")):
            problem(answer, 401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for value in ("Basic Y3c6eA==", "Bearer", asker.secret, f"Token {asker.secret}"):
        answer = app.test_client().get(CERTIFICATES, headers={"Authorization": value})
        problem(answer, 401)
    problem(app.test_client().get(CERTIFICATES), 401)


@pytest.mark.parametrize("name", ["api.test", "a.other.test", "a.api.test.evil.test", "*.api.test"])
def test_names_outside_the_scope_are_403(asker: Asker, name: str) -> None:
    """`**.api.test` covers any depth and never the apex; a wildcard needs its own permission."""
    problem(asker.issue(name), 403, "policy-denied")


def test_one_name_outside_the_scope_among_many_is_enough(asker: Asker) -> None:
    """INC-07: each name is checked, with N different answers."""
    names = [a_name() for _ in range(5)]
    assert asker.issue(*names).status_code == 201
    for place in range(5):
        wrong = [*names[:place], "a.other.test", *names[place + 1 :]]
        assert "a.other.test" in problem(asker.issue(*wrong), 403)["detail"]


def test_profiles_outside_the_scope_are_403(asker: Asker) -> None:
    for profile in ("client", "no-such", ""):
        problem(asker.post(CERTIFICATES, {"csr": pem(csr(a_name())), "profile": profile}), 403, "policy-denied")


def test_a_scope_wider_than_the_issuers_constraints_does_not_help(app: Flask, authority: Authority) -> None:
    wide = Asker(app.test_client(), make_token(authority, "**.example.com"))
    problem(wide.issue("a.example.com"), 403, "policy-denied")


def test_the_products_own_names_are_reserved(app: Flask, authority: Authority) -> None:
    wide = Asker(app.test_client(), make_token(authority, "localhost"))
    problem(wide.issue("localhost"), 403, "policy-denied")


# --- looking up and revoking --------------------------------------------------------------------


def test_a_token_sees_and_revokes_only_what_it_issued(app: Flask, asker: Asker, authority: Authority) -> None:
    other = Asker(app.test_client(), make_token(authority))
    serial = asker.issue().get_json()["serial"]
    path = f"{CERTIFICATES}/{serial}"
    assert asker.get(path).get_json()["serial"] == serial
    assert other.get(CERTIFICATES).get_json()["items"] == []
    for answer in (other.get(path), other.post(f"{path}/revoke")):
        problem(answer, 404, "not-found")
    assert asker.get(path).get_json()["status"] == "valid"


@pytest.mark.parametrize("serial", ["0", "zz", "-1", "0x01", "1_0", "%20", "ff" * 30, "a" * 2000, "01" * 19])
def test_serials_that_are_none_are_404(asker: Asker, serial: str) -> None:
    problem(asker.get(f"{CERTIFICATES}/{serial}"), 404)
    problem(asker.post(f"{CERTIFICATES}/{serial}/revoke"), 404)


def test_revoking_is_done_once_and_published(asker: Asker, authority: Authority) -> None:
    serial = asker.issue().get_json()["serial"]
    path = f"{CERTIFICATES}/{serial}"
    answer = asker.post(f"{path}/revoke", {"reason": "keyCompromise", "comment": "lost"})
    assert answer.status_code == 200, answer.data
    body = answer.get_json()
    assert (body["serial"], body["reason"]) == (serial, "keyCompromise")
    assert 0 < body["published_in"] < 5, "B-02"
    problem(asker.post(f"{path}/revoke"), 409, "already-revoked")
    shown = asker.get(path).get_json()
    assert (shown["status"], shown["reason"], shown["revoked_at"]) == ("revoked", "keyCompromise", body["revoked_at"])


def test_reasons_that_are_none_are_422(asker: Asker) -> None:
    path = f"{CERTIFICATES}/{asker.issue().get_json()['serial']}/revoke"
    for reason in ("", "cACompromise", "removeFromCRL", 1, None):
        assert "reason" in problem(asker.post(path, {"reason": reason}), 422)["errors"]
    assert asker.post(path).get_json()["reason"] == "unspecified"


def test_a_search_pages_through_everything_once(asker: Asker) -> None:
    wanted = {asker.issue().get_json()["serial"] for _ in range(5)}
    seen: list[str] = []
    after = ""
    while True:
        page = asker.get(f"{CERTIFICATES}?limit=2&after={after}").get_json()
        seen += [one["serial"] for one in page["items"]]
        after = page["next"]
        if not after:
            break
    assert sorted(seen) == sorted(wanted)


def test_a_search_by_name_and_status(asker: Asker) -> None:
    name = a_name()
    serial = asker.issue(name).get_json()["serial"]
    asker.issue()
    for query in (f"name={name}", f"text={name[:8]}", f"text={serial}", f"name={name}&status=valid"):
        items = asker.get(f"{CERTIFICATES}?{query}").get_json()["items"]
        assert [one["serial"] for one in items] == [serial], query
    assert asker.get(f"{CERTIFICATES}?name={name}&status=revoked").get_json()["items"] == []
    for query in ("limit=0", "limit=1001", "status=odd", "colour=red", "after=%00", "text=%00"):
        assert asker.get(f"{CERTIFICATES}?{query}").status_code in (400, 422), query


# --- publications -------------------------------------------------------------------------------


def test_publications_can_be_followed(asker: Asker) -> None:
    first = asker.get("/api/v1/publications?limit=1000").get_json()
    paths = [one["path"] for one in first["items"]]
    assert "roots.pem" in paths
    assert first["after"] == first["items"][-1]["seq"]
    asker.issue()
    news = asker.get(f"/api/v1/publications?after={first['after']}&wait=5").get_json()
    assert news["items"]
    assert all(one["path"].startswith("ocsp/") for one in news["items"])
    assert base64.b64decode(news["items"][0]["body"])[:1] == b"\x30"
    nothing = asker.get(f"/api/v1/publications?after={news['after']}").get_json()
    assert (nothing["items"], nothing["after"]) == ([], news["after"])
    problem(asker.get("/api/v1/publications?after=-1"), 422)


def test_a_publication_feeds_another_folder(asker: Asker, authority: Authority, tmp_path: Path) -> None:
    """What a status-only node gets is what the publisher's own folder holds."""
    from ca.folder import Folder
    from ca.records import Publication

    folder = Folder(tmp_path / "elsewhere")
    for one in asker.get("/api/v1/publications?limit=1000").get_json()["items"]:
        body = base64.b64decode(one.pop("body"))
        assert folder.apply(Publication(body=body, **one))
    for path in ("roots.pem", "ca/issuing-g1.cer", "crl/issuing-g1/0000.crl"):
        assert folder.get(path) == authority.publisher.folder.get(path)


# --- HSM away -----------------------------------------------------------------------------------


def test_without_a_signer_issuing_is_503_and_revoking_stands(asker: Asker, world: World) -> None:
    serial = asker.issue().get_json()["serial"]
    world.kill_signer()
    try:
        answer = asker.issue()
        problem(answer, 503, "hsm-unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        revoked = asker.post(f"{CERTIFICATES}/{serial}/revoke").get_json()
        assert revoked["published_in"] is None
    finally:
        world.start_signer()
    assert asker.get(f"{CERTIFICATES}/{serial}").get_json()["status"] == "revoked"


def test_pem_in_json_with_windows_line_ends_is_read(asker: Asker) -> None:
    text = csr(a_name()).public_bytes(Encoding.PEM).decode().replace("\n", "\r\n")
    assert asker.post(CERTIFICATES, {"csr": text}).status_code == 201


@pytest.mark.parametrize("wish", [{}, {"reason": "superseded"}, {"name": "", "dry_run": True}])
def test_who_names_nothing_revokes_nothing(asker: Asker, authority: Authority, wish: dict[str, object]) -> None:
    serial = asker.issue().get_json()["serial"]
    problem(asker.post("/api/v1/revocations", wish), 400, "bad-request")
    authority.revoke_masses()
    assert asker.get(f"{CERTIFICATES}/{serial}").get_json()["status"] == "valid"


def test_a_hold_is_released_and_many_are_revoked(asker: Asker, authority: Authority) -> None:
    serial = asker.issue().get_json()["serial"]
    held = asker.post(f"{CERTIFICATES}/{serial}/revoke", {"reason": "certificateHold"}).get_json()
    assert held["reason"] == "certificateHold"
    assert set(held) == {"serial", "revoked_at", "reason", "published_in", "ocsp_seen_in", "crl_seen_in", "good_until"}
    released = asker.post(f"{CERTIFICATES}/{serial}/release")
    assert released.get_json()["status"] == "valid"
    problem(asker.post(f"{CERTIFICATES}/{serial}/release"), 409, "conflict")
    name = f"{a_name()}"
    wish = {"name": name, "reason": "superseded"}
    assert asker.issue(name).status_code == 201
    assert asker.post("/api/v1/revocations", {**wish, "dry_run": True}).get_json()["total"] == 1
    begun = asker.post("/api/v1/revocations", wish)
    assert begun.status_code == 202
    assert authority.revoke_masses().done == 1
    assert asker.get(f"/api/v1/revocations/{begun.get_json()['id']}").get_json()["state"] == "done"
    stranger = Asker(asker.client, make_token(authority))
    problem(stranger.get(f"/api/v1/revocations/{begun.get_json()['id']}"), 404)
    assert stranger.post("/api/v1/revocations", wish).get_json()["total"] == 0, "it finds what it issued alone"


def test_tags_of_an_issuance_are_told_and_found(asker: Asker) -> None:
    wish = {"csr": pem(csr(a_name())), "tags": ["env=prod", "critical"]}
    made = asker.post(CERTIFICATES, wish, Idempotency_Key="tagged").get_json()
    assert made["tags"] == ["critical", "env=prod"]
    assert asker.post(CERTIFICATES, wish, Idempotency_Key="tagged").get_json() == made
    found = asker.get(f"{CERTIFICATES}?tag=env=prod").get_json()["items"]
    assert [one["serial"] for one in found] == [made["serial"]]
    problem(asker.post(CERTIFICATES, {**wish, "tags": ["<script>"]}), 400, "bad-request")
    problem(asker.post(CERTIFICATES, {**wish, "tags": ["a"] * 21}), 422)
