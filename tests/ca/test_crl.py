"""CRLs: L-01 to L-10, and the gate that compares with what is published (INC-01, INC-02)."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ca import crl
from ca.clock import at
from ca.crl import lists
from ca.errors import IssuanceMismatch, LintFailed, StalePublication
from ca.records import SYSTEM, Reason, Revocation

WEEK = 7 * 86400
URL = "http://pki.test:8080/crl/issuing-g1/0000.crl"


def fact(serial: int, at_: int, reason: Reason = Reason.UNSPECIFIED, **more: Any) -> Revocation:
    return Revocation("issuing-g1", serial, at_, reason, SYSTEM, more.pop("not_after", at_ + WEEK), **more)


@pytest.fixture
def build(hierarchy: Any) -> Callable[..., bytes]:
    def make(revoked: Sequence[Revocation] = (), number: int = 7, start: int | None = None, url: str = URL) -> bytes:
        begin = hierarchy.now - 60 if start is None else start
        return crl.build(hierarchy.issuing, hierarchy.issuing_key, revoked, number, begin, begin + WEEK, url)

    return make


def load(der: bytes) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(der)


def value(der: bytes, kind: type) -> Any:
    return load(der).extensions.get_extension_for_class(kind).value


def test_l01_l02_l03_times_number_and_issuer(hierarchy: Any, build: Any) -> None:
    made = load(build())
    assert made.last_update_utc == at(hierarchy.now - 60)
    assert made.next_update_utc == at(hierarchy.now - 60 + WEEK)
    assert value(build(), x509.CRLNumber).crl_number == 7
    own = hierarchy.issuing_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert value(build(), x509.AuthorityKeyIdentifier).key_identifier == own
    assert made.issuer.public_bytes() == hierarchy.issuing_certificate.subject.public_bytes()


def test_l04_the_scope_is_the_very_url_of_the_certificates(hierarchy: Any, build: Any) -> None:
    leaf = x509.load_der_x509_certificate(hierarchy.issue(hierarchy.request("a.test"), shard=0))
    [point] = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    scope = load(build()).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert scope.critical
    assert scope.value.full_name == point.full_name == [x509.UniformResourceIdentifier(URL)]
    assert crl.shard_url("http://pki.test:8080/", "issuing-g1", 0) == URL
    assert crl.shard_path("issuing-g1", 0xABC) == "crl/issuing-g1/0abc.crl"
    assert crl.issuer_of(crl.full_path("issuing-g1")) == "issuing-g1"


def test_the_full_crl_has_no_scope(build: Any) -> None:
    with pytest.raises(x509.ExtensionNotFound):
        value(build(url=""), x509.IssuingDistributionPoint)


def test_l05_without_entries_there_is_no_list(build: Any, openssl: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.crl").write_bytes(build())
    shown = openssl("crl", "-inform", "DER", "-in", "empty.crl", "-noout", "-text").stdout
    assert "No Revoked Certificates" in shown
    parsed = openssl("asn1parse", "-inform", "DER", "-in", "empty.crl").stdout
    assert "l=   0 cons" not in parsed, "an empty SEQUENCE would be one"


@pytest.mark.parametrize("reason", list(Reason))
def test_l06_each_reason_is_written_and_unspecified_is_not(reason: Reason, hierarchy: Any, build: Any) -> None:
    [entry] = load(build([fact(5, hierarchy.now - 3600, reason)]))
    assert entry.revocation_date_utc == at(hierarchy.now - 3600)
    if reason is Reason.UNSPECIFIED:
        assert list(entry.extensions) == []
    else:
        found = entry.extensions.get_extension_for_class(x509.CRLReason)
        assert found.value.reason.value == reason.value
        assert not found.critical


def test_the_invalidity_date_is_written(hierarchy: Any, build: Any) -> None:
    [entry] = load(build([fact(5, hierarchy.now, Reason.KEY_COMPROMISE, invalidity_date=hierarchy.now - 86400)]))
    assert entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == at(
        hierarchy.now - 86400
    )


def test_b04_pkilint_finds_nothing_in_crls(hierarchy: Any, build: Any, pkilint: Any) -> None:
    revoked = [fact(i + 1, hierarchy.now - 3600, reason) for i, reason in enumerate(Reason)]
    assert pkilint("crl", build(revoked)) == []
    assert pkilint("crl", build()) == []
    assert pkilint("crl", build(revoked, url="")) == []


def test_openssl_checks_leaves_against_it(hierarchy: Any, build: Any, openssl: Any, tmp_path: Path) -> None:
    leaf = hierarchy.issue(hierarchy.request("a.test"))
    serial = x509.load_der_x509_certificate(leaf).serial_number
    root_crl = crl.build(hierarchy.root, hierarchy.root_key, [], 1, hierarchy.now - 60, hierarchy.now + WEEK)

    def verdict(revoked: Sequence[Revocation]) -> str:
        crls = [load(one).public_bytes(Encoding.PEM) for one in (root_crl, build(revoked))]
        (tmp_path / "crls.pem").write_bytes(b"".join(crls))
        for name, der in (
            ("leaf", leaf),
            ("issuing", hierarchy.issuing.certificate),
            ("root", hierarchy.root.certificate),
        ):
            (tmp_path / f"{name}.pem").write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
        said = openssl(
            "verify", "-x509_strict", "-crl_check_all", "-CRLfile", "crls.pem", "-CAfile", "root.pem",
            "-untrusted", "issuing.pem", "leaf.pem",
        )  # fmt: skip
        return str(said.stdout + said.stderr)

    assert verdict([]) == "leaf.pem: OK\n"
    assert "certificate revoked" in verdict([fact(serial, hierarchy.now - 60, Reason.SUPERSEDED)])


def test_a_crl_signed_by_another_key_is_withheld(hierarchy: Any, private_key: Any) -> None:
    with pytest.raises(IssuanceMismatch):
        crl.build(hierarchy.issuing, private_key("ec-p256"), [], 1, hierarchy.now, hierarchy.now + WEEK, URL)


def library_build(hierarchy: Any, revoked: Sequence[Revocation], form: crl.Form) -> x509.CertificateRevocationList:
    """The same list by the library's own builder, entry by entry."""
    own = hierarchy.issuing_certificate
    builder = x509.CertificateRevocationListBuilder(
        own.subject, at(form.this_update), at(form.next_update), list(lists._extensions(own, form)), []
    )
    entries = []
    for one in revoked:
        entry = x509.RevokedCertificateBuilder(one.serial, at(one.revoked_at))
        if one.reason is not Reason.UNSPECIFIED:
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(one.reason.value)), False)
        if one.invalidity_date:
            entry = entry.add_extension(x509.InvalidityDate(at(one.invalidity_date).replace(tzinfo=None)), False)
        entries.append(entry.build())
    builder._revoked_certificates = entries
    return builder.sign(hierarchy.issuing_key, hashes.SHA256())


FACTS = st.builds(
    Revocation,
    issuer=st.just("issuing-g1"),
    serial=st.integers(1, 2**159 - 1),
    revoked_at=st.integers(1, 4_000_000_000),
    reason=st.sampled_from(Reason),
    actor=st.just(SYSTEM),
    not_after=st.just(2**40),
    invalidity_date=st.just(0) | st.integers(1, 4_000_000_000),
)


@given(st.lists(FACTS, max_size=12), st.integers(1, 2**62), st.booleans(), st.booleans())
def test_what_is_signed_is_what_the_library_would_sign(
    hierarchy: Any, revoked: list[Revocation], number: int, delta: bool, scoped: bool
) -> None:
    """Byte for byte: entries, their extensions, times on both sides of 2050, every size of a length."""
    form = crl.Form(number, hierarchy.now, hierarchy.now + WEEK, URL if scoped else "", 7 if delta else 0)
    made = crl.assemble(hierarchy.issuing, hierarchy.issuing_key, map(crl.entry, revoked), form)
    assert load(made).tbs_certlist_bytes == library_build(hierarchy, revoked, form).tbs_certlist_bytes
    assert [crl.serial_of(one) for one in crl.split(crl.revoked_of(made))] == [one.serial for one in revoked]


def test_many_entries_cost_a_copy_each(hierarchy: Any) -> None:
    """The aim is three times as fast as the library; 20,000 entries are enough to see that."""
    revoked = [fact(2**150 + n, hierarchy.now - n, Reason.KEY_COMPROMISE) for n in range(20_000)]
    form = crl.Form(9, hierarchy.now, hierarchy.now + WEEK, URL)
    kept = [crl.entry(one) for one in revoked]
    began = time.process_time()
    library = library_build(hierarchy, revoked, form)
    middle = time.process_time()
    made = crl.assemble(hierarchy.issuing, hierarchy.issuing_key, kept, form)
    ended = time.process_time()
    assert load(made).tbs_certlist_bytes == library.tbs_certlist_bytes
    assert 3 * (ended - middle) < middle - began


# --- the gate -----------------------------------------------------------------------------------


def never(serial: int, before: int) -> bool:
    return False


def test_inc02_number_and_this_update_only_rise(hierarchy: Any, build: Any) -> None:
    now = hierarchy.now
    published = build(number=7, start=now - 60)
    crl.gate(published, build(number=8, start=now - 60), never)
    crl.gate(published, build(number=9, start=now), never)
    for number, start in ((7, now), (6, now), (8, now - 61)):
        with pytest.raises(StalePublication):
            crl.gate(published, build(number=number, start=start), never)


def test_inc01_an_entry_leaves_only_after_one_crl_beyond_its_expiry(hierarchy: Any, build: Any) -> None:
    now = hierarchy.now
    published = build([fact(5, now - 900), fact(6, now - 900)], number=7, start=now - 60)
    without_five = build([fact(6, now - 900)], number=8, start=now)
    asked: list[tuple[int, int]] = []

    def ask(serial: int, before: int) -> bool:
        asked.append((serial, before))
        return True

    crl.gate(published, without_five, ask)
    assert asked == [(5, now - 60)], "the previous CRL's thisUpdate decides, and only of those that leave"
    with pytest.raises(LintFailed, match="INC-01"):
        crl.gate(published, without_five, never)
    changed = build([fact(5, now - 900, Reason.KEY_COMPROMISE), fact(6, now - 900)], number=8, start=now)
    crl.gate(published, changed, never)


def test_the_gate_refuses_another_scope_or_issuer(hierarchy: Any, build: Any) -> None:
    now = hierarchy.now
    foreign = crl.build(hierarchy.root, hierarchy.root_key, [], 8, now, now + WEEK, URL)
    for following in (
        build(number=8, start=now, url=URL.replace("0000", "0001")),
        build(number=8, start=now, url=""),
        foreign,
    ):
        with pytest.raises(LintFailed, match="scope"):
            crl.gate(build(number=7), following, never)


# --- the root's ---------------------------------------------------------------------------------


def test_l09_b03_the_roots_spares_follow_each_other_with_overlap(hierarchy: Any, pkilint: Any) -> None:
    start, life, overlap = hierarchy.now, 30 * 86400, 5 * 86400
    times = crl.windows(crl.Window(1, start, start + life), spares=3, overlap=overlap)
    made = crl.root_crls(hierarchy.root, hierarchy.root_key, [], times)
    assert [value(der, x509.CRLNumber).crl_number for der in made] == [1, 2, 3, 4]
    for earlier, later in pairwise(made):
        assert (load(earlier).next_update_utc - load(later).last_update_utc).total_seconds() == overlap
        crl.gate(earlier, later, never)
    assert pkilint("crl", made[3]) == []
