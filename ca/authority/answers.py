"""OCSP answers: signed ahead by the delegated responder and published for the status plane (RFC 6960, 5019).

A stored answer's version is `generation << 40 | thisUpdate`: each revocation raises the serial's generation,
so an answer that was made before it can never replace one that was made after it (INC-02).
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from cryptography import x509

from ca.authority.desk import Desk
from ca.authority.report import Report
from ca.errors import CAError, HSMError, NotFound, StalePublication, StoreUnavailable
from ca.ocsp import ALGORITHMS, KEPT, answer_path, cert_id
from ca.ocsp.response import Status, answer
from ca.records import SYSTEM, Certificate, Event, Issuer, Publication, Responder, SignKind, serial_hex
from ca.store import OcspMark

BACKDATE = 60
"""Seconds that thisUpdate lies before the clock, for clients whose clock is behind (X-16: at most 300).

An answer that tells of a revocation is never dated before it.
"""

BATCH = 64
LIMIT = 10_000
"""Answers of one run and issuer: with a run each minute, enough for several million certificates a day."""

SPREAD = 4096
"""Places in the last eighth of half a life over which answers are made again."""

FIRST_GENERATION = 1
"""The generation that `Store.begin` gives to a serial."""

PRESIGNED = "sha1"
"""What all stapling servers ask by (STANDARDS §4)."""

Wanted = Callable[[x509.Certificate, Status], tuple[str, ...]]
"""Which hash algorithms an answer is signed for."""

_SIGNERS = 4


def publish_answers(desk: Desk, issuer: str, serials: Iterable[int], fence: int = 0) -> int:
    """Signs and publishes the answers of these serials in one transaction; answers how many bodies went out.

    Raises the HSM family when nothing can be signed; then nothing was published and every mark stays. A serial
    whose answer became newer meanwhile is skipped: the newer one stands.
    """
    marks = [desk.store.ocsp_mark(issuer, serial) for serial in serials]
    return _publish(desk, desk.store.issuer(issuer), marks, fence)


def first_answers(desk: Desk, issuer: Issuer, serial: int) -> list[Publication]:
    """The first answers of a serial whose certificate is signed and about to be stored; `file_first` publishes them.

    Without HSM none: the mark stays, the scheduler publishes it, and until then OCSP says unauthorized.
    """
    mark = OcspMark(issuer.id, serial, FIRST_GENERATION)
    try:
        responder = desk.responder(issuer.id)
        [answers] = _sign_all(desk, issuer, responder, [(mark, *_times(desk, responder))], _wanted_first(desk))
    except (HSMError, StoreUnavailable):
        return []
    return answers


def file_first(desk: Desk, certificate: Certificate, answers: Sequence[Publication]) -> None:
    """Inside the transaction that stores the certificate: whoever hears of it finds its status."""
    if answers and _put(desk, answers, 0):
        until = answers[0].fresh_until
        refresh_at = _refresh_at(certificate.serial, answers[0].this_update, until)
        desk.store.ocsp_published(certificate.issuer, certificate.serial, FIRST_GENERATION, until, refresh_at)


def refresh_answers(desk: Desk, limit: int = LIMIT, fence: int = 0) -> Report:
    """Publishes the answers that are due: new, revoked, or past half of their life; `limit` for each issuer.

    One bad record is journalled and skipped. A lost HSM ends the issuer's share of the run, and is raised when
    the other issuers have had theirs: their keys may be well. A lost database stops the run.
    """
    done = failed = 0
    trouble: HSMError | None = None
    for issuer in desk.store.issuers():
        marks = desk.store.ocsp_due(desk.clock(), limit, issuer.id)
        if desk.has_ended(issuer.id):
            _let_go(desk, marks)
            continue
        try:
            for start in range(0, len(marks), BATCH):
                batch = marks[start : start + BATCH]
                bad = _publish_or_skip(desk, issuer, batch, fence)
                done, failed = done + len(batch) - bad, failed + bad
        except HSMError as error:
            trouble = error
    if trouble is not None:
        raise trouble
    return Report("refresh_ocsp", done, failed)


def drop_answers(desk: Desk) -> Report:
    """Deletes the answers that ended long ago, from the records and from this node's folder.

    They are those of certificates that have ended: every other one was signed again in time, or is due.
    """
    before, done = desk.clock() - KEPT, 0
    while dropped := desk.store.drop_answers(before):
        done += dropped
    return Report("drop_answers", done + desk.publisher.folder.drop_ended("ocsp", before))


def _let_go(desk: Desk, marks: Iterable[OcspMark]) -> None:
    """After the issuer's end its certificates have ended too, and nothing can be signed: their marks go."""
    with desk.store.transaction():
        for mark in marks:
            desk.store.ocsp_published(mark.issuer, mark.serial, mark.generation, 0, desk.clock())


def _publish_or_skip(desk: Desk, issuer: Issuer, batch: Sequence[OcspMark], fence: int) -> int:
    """Publishes a batch; if it fails for a record's sake, one by one, so that the bad one stands alone."""
    try:
        _publish(desk, issuer, batch, fence)
        return 0
    except (HSMError, StoreUnavailable):
        raise
    except (CAError, ValueError):
        return sum(_skip_if_bad(desk, issuer, mark, fence) for mark in batch)


def _skip_if_bad(desk: Desk, issuer: Issuer, mark: OcspMark, fence: int) -> int:
    try:
        _publish(desk, issuer, [mark], fence)
        return 0
    except (HSMError, StoreUnavailable):
        raise
    except (CAError, ValueError) as error:
        with desk.store.transaction():
            desk.journal.append_once(
                Event(
                    "ocsp.skipped",
                    SYSTEM,
                    f"certificate:{mark.issuer}:{serial_hex(mark.serial)}",
                    result="failed",
                    reason=str(error),
                )
            )
        return 1


def _publish(desk: Desk, issuer: Issuer, marks: Sequence[OcspMark], fence: int) -> int:
    responder = desk.responder(issuer.id)
    this_update, next_update = _times(desk, responder)
    work = [(mark, this_update, next_update) for mark in marks]
    answers = _sign_all(desk, issuer, responder, work, partial(_wanted, desk))
    published = 0
    with desk.store.transaction():
        for mark, bodies in zip(marks, answers, strict=True):
            if _put(desk, bodies, fence):
                published += len(bodies)
                refresh_at = _refresh_at(mark.serial, this_update, next_update)
                desk.store.ocsp_published(mark.issuer, mark.serial, mark.generation, next_update, refresh_at)
    return published


def _times(desk: Desk, responder: Responder) -> tuple[int, int]:
    this_update = desk.clock() - BACKDATE
    return this_update, min(this_update + desk.config.ca.ocsp_life, responder.not_after)


def _refresh_at(serial: int, this_update: int, next_update: int) -> int:
    """At half of its life at the latest; what was signed in one hour is not due in one hour again: the serial says by
    how much sooner."""
    life = next_update - this_update
    return this_update + life // 2 - (serial % SPREAD) * life // (SPREAD * 8)


def _wanted_first(desk: Desk) -> Wanted:
    """SHA-256 is signed when somebody asks (ADR 16), unless no signer is within reach of the status plane then."""
    names = tuple(ALGORITHMS) if desk.config.ocsp.presign == "all" else (PRESIGNED,)
    return lambda *_: names


def _wanted(desk: Desk, certificate: x509.Certificate, status: Status) -> tuple[str, ...]:
    """A revocation signs all at once, and what is published is followed: no good answer stays beside a revoked one."""
    if status.revoked_at or desk.config.ocsp.presign == "all":
        return tuple(ALGORITHMS)
    paths = {name: answer_path(cert_id(certificate, status.serial, name)) for name in ALGORITHMS}
    return tuple(name for name, path in paths.items() if name == PRESIGNED or desk.store.is_published(path))


def _put(desk: Desk, bodies: Iterable[Publication], fence: int) -> bool:
    """Whether they went out. Refused, they clear no mark: whoever published a newer answer has cleared it, and
    where the fence was too old, the runner that holds the lease has yet to publish."""
    try:
        for body in bodies:
            desk.publisher.put(replace(body, fence=fence))
    except StalePublication:
        return False
    return True


def _sign_all(
    desk: Desk, issuer: Issuer, responder: Responder, work: Sequence[tuple[OcspMark, int, int]], wanted: Wanted
) -> list[list[Publication]]:
    """The signed answers of each mark, one for each hash algorithm that is wanted."""
    key = desk.signing_key(responder.key_id, SignKind.OCSP)
    certificate = x509.load_der_x509_certificate(issuer.certificate)
    delegate = x509.load_der_x509_certificate(responder.certificate)

    def sign(item: tuple[OcspMark, int, int]) -> list[Publication]:
        mark, this_update, next_update = item
        status = _status(desk, mark)
        this_update = max(this_update, status.revoked_at, _published_at(desk, certificate, mark, this_update))
        next_update = max(next_update, min(this_update + desk.config.ca.ocsp_life, responder.not_after))
        return [
            Publication(
                answer_path(cert_id(certificate, mark.serial, algorithm)),
                answer(certificate, delegate, key, status, algorithm, this_update, next_update),
                mark.generation << 40 | this_update,
                "application/ocsp-response",
                this_update,
                next_update,
            )
            for algorithm in wanted(certificate, status)
        ]

    if len(work) == 1:
        return [sign(work[0])]
    with ThreadPoolExecutor(_SIGNERS) as pool:
        return list(pool.map(sign, work))


def _published_at(desk: Desk, issuer: x509.Certificate, mark: OcspMark, this_update: int) -> int:
    """thisUpdate of the published answer, where an accepted clock is behind it: times never run backwards (INC-02)."""
    if this_update >= desk.wall.latest():
        return 0
    try:
        return desk.publisher.get(answer_path(cert_id(issuer, mark.serial, next(iter(ALGORITHMS))))).this_update
    except NotFound:
        return 0


def _status(desk: Desk, mark: OcspMark) -> Status:
    try:
        fact = desk.store.revocation(mark.issuer, mark.serial)
    except NotFound:
        return Status(mark.serial)
    return Status(mark.serial, fact.revoked_at, fact.reason)
