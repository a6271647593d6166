"""`certwright ca cross-sign`: a real root's token certifies a foreign root, seen from outside and taken back."""

import datetime
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ca import config
from ca.authority import certificate_sign_on, open_authority
from ca.clock import system_clock

pytestmark = pytest.mark.slow


BASIC = x509.Extension(x509.BasicConstraints.oid, True, x509.BasicConstraints(True, None))


def foreign_root(file: Path, *more: x509.Extension) -> Path:
    """The self-signed certificate of somebody else's root, for a year."""
    key, now = ec.generate_private_key(ec.SECP384R1()), datetime.datetime.fromtimestamp(system_clock(), datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Partner Root")])
    ends = now + datetime.timedelta(days=365)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, now - datetime.timedelta(days=1), ends)
    for extension in more or (BASIC,):
        builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier(b"as they compute it"), critical=False)
    file.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    return file


def test_a_foreign_root_is_certified_listed_and_revoked(ca, tmp_path):
    file = foreign_root(tmp_path / "partner.pem")
    command = ("ca", "cross-sign", file, "--id", "partner-g1", "--root-dir", ca.place.root_token)
    assert "needs an id" in ca.run("ca", "cross-sign", file, "--root-dir", ca.place.root_token, ok=2).stderr
    plan = ca.json(*command, "--permit", "partner.test", "--path-length", 1, "--dry-run")
    assert (plan["root"], plan["permitted"], plan["path_length"]) == ("root-g1", "partner.test", 1)
    assert not list(ca.place.path.glob("ceremony-partner*"))

    made = ca.json(*command, "--permit", "partner.test", "--path-length", 1, "--life", "10d", "--yes")
    transcript = json.loads(Path(made["transcript"]).read_text())["transcript"]
    assert "signed by its own key" in json.dumps(transcript)
    shown = ca.json("ca", "show", "partner-g1")
    assert (shown["kind"], shown["state"], shown["parent"]) == ("cross", "cross-signed", "root-g1")
    assert (shown["algorithm"], shown["token"]) == ("ec-p384", "another CA's")
    certificate = x509.load_pem_x509_certificate(shown["pem"].encode())
    root = x509.load_pem_x509_certificate(ca.run("ca", "show", "root-g1", "--pem").stdout.encode())
    certificate.verify_directly_issued_by(root)
    events = [json.loads(line) for line in ca.run("audit", "export").stdout.splitlines()]
    [event] = [one for one in events if one["action"] == "issuer.cross-signed"]
    assert "issuer:partner-g1" in json.dumps(event)
    assert "partner-g1" in ca.run("ca", "list").stdout
    assert "exists already" in ca.run(*command, "--yes", ok=1).stderr

    authority = open_authority(config.load(ca.place.configuration))
    assert authority.verify_records().done, "no key of ours, and no damage"
    anchors = x509.load_pem_x509_certificates(certificate_sign_on.trusted_pem(authority).encode())
    authority.store.close()
    assert root in anchors
    assert certificate not in anchors, "a foreign CA signs nobody in"

    revoke = ("ca", "ceremony", "--root-dir", ca.place.root_token, "--revoke", "partner-g1")
    assert ca.json(*revoke, "--reason", "superseded", "--yes")["revoked"] == "partner-g1"
    assert ca.json("ca", "show", "partner-g1")["state"] == "revoked"


def test_what_is_no_ca_is_named(ca, tmp_path):
    words = ("ca", "cross-sign", "--root-dir", ca.place.root_token, "--id", "x-g1")
    assert "no issuer" in ca.run(*words, "nobody-g1", ok=3).stderr
    assert "needs no cross certificate" in ca.run(*words, "issuing-g1", ok=1).stderr
    assert "is no root" in ca.run(*words, "root-g1", "--root", "issuing-g1", ok=2).stderr


def test_what_a_hostile_file_may_hold(ca, tmp_path):
    words = ("ca", "cross-sign", "--root-dir", ca.place.root_token, "--id", "x-g1")
    junk = x509.Extension(BASIC.oid, True, x509.UnrecognizedExtension(BASIC.oid, b"\0"))
    assert "cannot be read" in ca.run(*words, foreign_root(tmp_path / "junk.pem", junk), ok=2).stderr
    policy = x509.Extension(x509.PolicyConstraints.oid, True, x509.PolicyConstraints(0, None))
    assert "would be lost" in ca.run(*words, foreign_root(tmp_path / "policy.pem", BASIC, policy), ok=4).stderr
    end = x509.Extension(BASIC.oid, True, x509.BasicConstraints(False, None))
    assert "no CA's certificate" in ca.run(*words, foreign_root(tmp_path / "end.pem", end), ok=2).stderr
    (tmp_path / "text.pem").write_text("nothing")
    assert "no certificate" in ca.run(*words, tmp_path / "text.pem", ok=2).stderr
