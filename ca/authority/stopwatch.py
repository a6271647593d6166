"""The stopwatch: from the word that revokes to the moment when relying parties can see it, as they see it.

OCSP answer and CRL are fetched back over HTTP from every place that serves them (`ca.authority.outlets`), and verified.
Nobody in between is asked. What was published before is good to whoever has kept it until `good_until`, and that is
said beside the time.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from cryptography import x509
from cryptography.x509 import ocsp

from ca import crl, relying
from ca.authority.desk import Desk
from ca.authority.outlets import Outlet, outlets
from ca.authority.report import Revoked
from ca.errors import CAError, Unavailable
from ca.records import Stopwatch, serial_shard

PAUSE = 0.05
DAY = 86400
Elapsed = Callable[[], int]
"""Milliseconds since the revocation was asked for."""


def watch(desk: Desk, revoked: Revoked, seconds: float) -> Stopwatch:
    """Looks until OCSP and CRL show the revocation everywhere, `seconds` long at most; keeps and answers the times.

    Never raises for a node that cannot be reached: then the time stays open (-1), and the scheduler goes on looking.
    Raises `NotFound` for a serial without a stopwatch.
    """
    seen = desk.store.stopwatch(revoked.revocation.issuer, revoked.revocation.serial)
    fetch = partial(relying.fetch, seconds=seconds)
    end = time.monotonic() + seconds
    while True:
        try:
            seen = _look(desk, seen, lambda: int((time.monotonic() - revoked.started) * 1000), fetch)
        except Unavailable:
            break
        if not seen.runs or time.monotonic() >= end:
            break
        time.sleep(PAUSE)
    desk.store.stop_stopwatch(seen)
    return seen


def watch_all(desk: Desk, fetch: relying.Fetch = relying.fetch) -> tuple[Stopwatch, ...]:
    """One look at each revocation of the last day that was not seen yet; answers those that were seen now.

    A list is fetched once, however many wait for it. Their times are as fine as the clock and this job's interval.
    """
    fetch = _once(fetch)
    now, found = desk.clock(), []
    for running in desk.store.running_stopwatches(now - DAY):
        try:
            seen = _look(desk, running, lambda since=running.asked_at: (desk.clock() - since) * 1000, fetch)  # type: ignore[misc]
        except Unavailable:
            break
        desk.store.stop_stopwatch(seen)
        if not seen.runs:
            found.append(seen)
    return tuple(found)


def _once(fetch: relying.Fetch) -> relying.Fetch:
    """Remembers lists, not answers."""
    lists: dict[str, bytes] = {}

    def fetched(url: str, body: bytes) -> bytes:
        if body:
            return fetch(url, body)
        if url not in lists:
            lists[url] = fetch(url, body)
        return lists[url]

    return fetched


def _look(desk: Desk, running: Stopwatch, elapsed: Elapsed, fetch: relying.Fetch) -> Stopwatch:
    """The stopwatch after one look. Raises `Unavailable` for a node that does not answer."""
    issuer = x509.load_der_x509_certificate(desk.store.issuer(running.issuer).certificate)
    now = desk.clock()
    answers = (_answers(one, issuer, running, now, fetch) for one in outlets(desk) if "ocsp" in one.parts)
    if running.ocsp_ms < 0 and _all(answers):
        running = replace(running, ocsp_ms=elapsed())
    lists = (_lists(one, issuer, running, now, fetch) for one in outlets(desk) if "crl" in one.parts)
    if running.crl_ms < 0 and _all(lists):
        running = replace(running, crl_ms=elapsed())
    return running


def _all(shown: Iterable[bool]) -> bool:
    """Whether the slowest node shows it; what it shows may be anything, and what does not verify shows nothing."""
    try:
        return all(shown)
    except Unavailable:
        raise
    except CAError:
        return False


def _answers(outlet: Outlet, issuer: x509.Certificate, running: Stopwatch, now: int, fetch: relying.Fetch) -> bool:
    response = relying.read_answer(outlet.answer(relying.request(issuer, running.serial), fetch))
    relying.verify_answer(response, issuer, now)
    return response.certificate_status is ocsp.OCSPCertStatus.REVOKED


def _lists(outlet: Outlet, issuer: x509.Certificate, running: Stopwatch, now: int, fetch: relying.Fetch) -> bool:
    path = crl.shard_path(running.issuer, serial_shard(running.serial))
    made = relying.read_crl(fetch(f"{outlet.url}/{path}", b""), issuer, now)
    return made.get_revoked_certificate_by_serial_number(running.serial) is not None
