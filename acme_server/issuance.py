"""From a ready order to its certificate (HOUSE.md §4, first walk).

The order is claimed inside the very transaction that writes the intent, so there is never an order under way
without an intent, and of two finalizes one claims it. What ends then, ends in one of four ways:

| what happened | the order |
|---|---|
| the certificate is stored, its first OCSP answer published | valid |
| surely nothing was signed, because the HSM is away or busy | waits in `processing`, and is tried again |
| something may have been signed, or the signer's rules forbid it | invalid: order again |
| this process died, or the database went away | left in `processing`; the sweep finds out which of the above it is |
"""

from dataclasses import replace

from acme_server import order_log, problems, renewal_info
from acme_server.courses.tables import Course
from acme_server.courses.terms import Terms
from acme_server.desk import Desk
from acme_server.records import Order, OrderStatus
from ca.errors import Abandoned, CAError, Conflict, HSMError, PossiblySigned, SigningRefused
from ca.records import SYSTEM, Certificate, Intent, IssueRequest, serial_hex

AGAIN_SOON = 5
"""Seconds after which an order that waits is due again, at most; until the signer can sign nothing is begun for it."""

AGAIN = "The certificate could not be made. Order again: your authorizations stay valid."


class NotClaimed(CAError):
    """The order is no longer there to be issued: another request took it, or what it stands on fell away."""

    code = "acme-order-not-claimed"


def request_for(order: Order, public_key: bytes, request_id: str) -> IssueRequest:
    """What the authority is asked for: everything from the order, and nothing but the key from the CSR."""
    return IssueRequest(
        public_key=public_key,
        names=order.identifiers,
        profile=order.profile,
        actor=order_log.actor(order.account),
        not_before=order.not_before,
        not_after=order.not_after,
        order=order.id,
        account=order.account,
        replaces=serial_hex(renewal_info.parse(order.replaces)[1]) if order.replaces else "",
        request_id=request_id,
    )


def first_for(desk: Desk, order: Order, public_key: bytes, request_id: str) -> IssueRequest:
    """The same; for an order that renews itself, with the life of its first certificate."""
    request = request_for(order, public_key, request_id)
    if order.auto_renewal is None:
        return request
    return numbered(desk, request, order.auto_renewal, max(order.auto_renewal.start, desk.now()), 0)


def numbered(desk: Desk, request: IssueRequest, terms: Terms, first: int, number: int) -> IssueRequest:
    """The request with the life that its certificate, made now, has in its course (RFC 8739 §3.5)."""
    period = terms.period(first, number, desk.now(), desk.authority.profile(request.profile).backdate)
    return replace(request, not_before=period.not_before, not_after=period.not_after)


class _Attempt:
    """One issuance of an order: what it adds to the authority's two transactions."""

    def __init__(self, desk: Desk, order: Order, request: IssueRequest) -> None:
        self.desk = desk
        self.order = replace(order, public_key=request.public_key)
        self.request = request

    def run(self) -> Certificate:
        return self.desk.authority.issue(self.request, self._claim, self._bind)

    @property
    def claimed(self) -> bool:
        """Whether the order was taken; if the transaction that took it failed, `run` raised what made it fail."""
        return bool(self.order.intent)

    def _claim(self, intent: Intent) -> None:
        now = self.desk.now()
        due_at = now + self.desk.config.ca.intent_timeout
        if not self.desk.orders.claim(self.order, intent.id, due_at, now):
            raise NotClaimed("The order cannot be issued any more.")
        self.order = replace(self.order, status=OrderStatus.PROCESSING, intent=intent.id, due_at=due_at)

    def _bind(self, certificate: Certificate) -> None:
        if not self.desk.orders.bind(self.order.id, self.order.intent, serial_hex(certificate.serial)):
            raise Conflict("The order was ended before its certificate came.", next_step="Order again.")
        terms = self.order.auto_renewal
        if terms:
            first = terms.first_of(certificate)
            self.desk.courses.begin(Course(self.order.id, first, 0, terms.publication(first, 1)), terms.end)


def issue(desk: Desk, order: Order, request: IssueRequest) -> Order:
    """Issues a ready order, or one that waits; answers the order as it is then.

    Raises `PolicyDenied`, `LintFailed` (the order is as before), `Unavailable` if the order could not even be
    claimed, or the database went away.
    """
    attempt = _Attempt(desk, order, request)
    try:
        certificate = attempt.run()
    except NotClaimed:
        return desk.orders.get(order.id)
    except (PossiblySigned, Abandoned, SigningRefused) as failure:
        return _ended(desk, attempt, failure)
    except HSMError as failure:
        if not attempt.claimed:
            raise
        return _waiting(desk, attempt, failure)
    desk.orders.make_valid(order.id)
    return replace(attempt.order, status=OrderStatus.VALID, certificate=serial_hex(certificate.serial))


def _ended(desk: Desk, attempt: _Attempt, failure: CAError) -> Order:
    if not attempt.claimed:
        raise failure
    with desk.store.transaction():
        error = problems.document("serverInternal", AGAIN, 500)
        order_log.fail(desk, attempt.order, error, SYSTEM, attempt.request.request_id)
    return desk.orders.get(attempt.order.id)


def _waiting(desk: Desk, attempt: _Attempt, failure: HSMError) -> Order:
    desk.orders.wait(attempt.order.id, attempt.order.intent, desk.now() + min(failure.retry_after, AGAIN_SOON))
    return desk.orders.get(attempt.order.id)
