"""Any CSR either issues a certificate that everyone accepts, or raises a `CAError` (HOUSE.md §5.13)."""

import ipaddress
import re
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca import csr
from ca.errors import CAError
from ca.records import Actor, IssueRequest

KEYS = [
    ec.generate_private_key(ec.SECP256R1()),
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP521R1()),
    ed25519.Ed25519PrivateKey.generate(),
]
HOSTS = st.sampled_from(
    ["a.test", "B.test", "*.a.test", "localhost", "a.example", "a..test", "a_b.test", "x" * 64 + ".test", ""]
)
TEXTS = st.one_of(HOSTS, st.text(st.characters(max_codepoint=127), max_size=20))
NAMES = st.one_of(
    TEXTS.map(x509.DNSName),
    st.one_of(st.ip_addresses(), st.just(ipaddress.ip_address("10.0.0.9"))).map(x509.IPAddress),
    st.sampled_from(["spiffe://example.test/a", "spiffe://example.test", "https://a.test"]).map(
        x509.UniformResourceIdentifier
    ),
    st.just(x509.RFC822Name("a@b.test")),
)
EXTENSIONS = st.lists(
    st.sampled_from(
        [
            (x509.BasicConstraints(False, None), True),
            (x509.BasicConstraints(True, 0), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
            (x509.OCSPNoCheck(), False),
            (x509.TLSFeature([x509.TLSFeatureType.status_request]), False),
        ]
    ),
    max_size=2,
    unique_by=lambda pair: pair[0].oid,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(KEYS),
    names=st.lists(NAMES, max_size=4),
    cn=st.one_of(st.just(""), HOSTS),
    extensions=EXTENSIONS,
    profile=st.sampled_from(["server", "client", "mtls", "short-lived"]),
    validity=st.sampled_from([0, 1, 60, 86400, 10**8]),
)
def test_any_csr_issues_what_is_accepted_or_raises_a_ca_error(
    key: Any,
    names: list[Any],
    cn: str,
    extensions: list[Any],
    profile: str,
    validity: int,
    hierarchy: Any,
    pkilint: Any,
) -> None:
    data = _request(key, names, cn, extensions)
    try:
        parsed = csr.parse(data)
        request = IssueRequest(
            parsed.spki,
            parsed.names,
            profile,
            Actor("account", "1"),
            common_name=parsed.common_name,
            validity=validity,
        )
        der = hierarchy.issue(request)
    except CAError:
        return
    leaf = x509.load_der_x509_certificate(der)
    leaf.verify_directly_issued_by(hierarchy.issuing_certificate)
    # pkilint takes neither single labels nor wildcards for domain names; RFC 6125 knows both.
    said = [
        one for one in pkilint("certificate", der) if not re.search(r'invalid_domain_name_syntax.*"(\*\.|[^."]*")', one)
    ]
    assert said == []
    written = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(one.value) for one in written} == {name.value for name in parsed.names}
    assert {one.oid for one in leaf.extensions}.isdisjoint({x509.OCSPNoCheck.oid, x509.TLSFeature.oid})


def _request(key: Any, names: list[Any], cn: str, extensions: list[Any]) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn, _validate=False)] if cn else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)
