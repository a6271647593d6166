"""The freshness probe: fetches what relying parties fetch, verifies it, and says how much of its life is gone (INC-03).

Whatever this CA believes of itself, nobody is helped by a list that nobody can fetch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from ca import crl, relying
from ca.authority.desk import Desk
from ca.authority.outlets import Outlet, outlets
from ca.errors import CAError
from ca.records import Certificate, Issuer, Query, serial_hex

LATE = 0.5
"""The part of its life that a list or answer may use up: at half of it, it should have been made again."""

GRACE = 600
"""Seconds that a new one may take to arrive."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found at a URL. `used` is the part of its life that is gone, 0 without one; `trouble` is empty if well.

    `what` names it without a URL, for metrics: `crl:issuing-g1:0000`, `ocsp:issuing-g1`.
    """

    what: str
    url: str
    used: float = 0.0
    next_update: int = 0
    trouble: str = ""


def probe(desk: Desk, fetch: relying.Fetch = relying.fetch) -> tuple[Probe, ...]:
    """One line for each list of each issuer that serves, and for the answer to its newest certificate, by outlet."""
    found = []
    for outlet in outlets(desk):
        for issuer in desk.store.issuers():
            if issuer.serves and not desk.has_ended(issuer.id):
                found += list(_issuer(desk, issuer, outlet, fetch))
    return tuple(found)


def _issuer(desk: Desk, issuer: Issuer, outlet: Outlet, fetch: relying.Fetch) -> Iterator[Probe]:
    certificate = x509.load_der_x509_certificate(issuer.certificate)
    for shard in _lists(desk, issuer) if "crl" in outlet.parts else ():
        yield _list(desk, issuer, certificate, f"{outlet.url}/{crl.list_path(issuer.id, shard)}", shard, fetch)
    if issuer.kind == "issuing" and "ocsp" in outlet.parts:
        yield from _answer(desk, issuer, certificate, outlet, fetch)


def _lists(desk: Desk, issuer: Issuer) -> list[int]:
    if issuer.kind == "root":
        return [0]
    shards = [state.shard for state in desk.store.shards(issuer.id) if not state.ended_at]
    return [*shards, *([crl.FULL] if desk.config.ca.full_crl_every else [])]


def _list(
    desk: Desk, issuer: Issuer, certificate: x509.Certificate, url: str, shard: int, fetch: relying.Fetch
) -> Probe:
    what = f"crl:{issuer.id}:{crl.label(shard)}"
    try:
        made = relying.read_crl(fetch(url, b""), certificate, desk.clock())
    except CAError as error:
        return Probe(what, url, trouble=error.detail)
    begin, end = made.last_update_utc, made.next_update_utc
    end_at = int(end.timestamp()) if end else 0
    # A root's list is signed at a ceremony, with spares that follow in time: half of its life says nothing.
    return _aged(Probe(what, url), int(begin.timestamp()), end_at, desk.clock(), late=LATE if issuer.parent else 0.99)


def _answer(
    desk: Desk, issuer: Issuer, certificate: x509.Certificate, outlet: Outlet, fetch: relying.Fetch
) -> Iterator[Probe]:
    what, url = f"ocsp:{issuer.id}", f"{outlet.url}/ocsp"
    newest = desk.store.find(Query(issuer=issuer.id, limit=100, status="valid"), desk.clock()).items
    for one in [one for one in newest if _has_answers(desk, one)][:1]:
        try:
            response = relying.read_answer(outlet.answer(relying.request(certificate, one.serial), fetch))
            relying.verify_answer(response, certificate, desk.clock())
        except CAError as error:
            yield Probe(what, url, trouble=f"{serial_hex(one.serial)}: {error.detail}")
        else:
            end = response.next_update_utc
            begin = int(response.this_update_utc.timestamp())
            yield _aged(Probe(what, url), begin, int(end.timestamp()) if end else 0, desk.clock(), late=LATE)


def _has_answers(desk: Desk, certificate: Certificate) -> bool:
    """Not one of a short-lived profile (noRevAvail); a profile that is gone had answers as a rule."""
    profile = desk.profiles.get(certificate.profile)
    return profile is None or not profile.no_revocation


def _aged(found: Probe, begin: int, end: int, now: int, *, late: float) -> Probe:
    used = (now - begin) / max(1, end - begin)
    due = begin + (end - begin) * late + GRACE
    trouble = f"{used:.0%} of its life is gone, and no newer one has come." if now > due else ""
    return Probe(found.what, found.url, used, end, trouble)
