"""The certificates of orders that renew themselves, made ahead of time by the scheduler (RFC 8739 §3.3, §3.5).

Each is issued as every other is, in the authority's two transactions: the claim stands in the first, and the order
points to the new certificate with the second. An order that was cancelled in between gets none: the second fails, and
the sweep revokes the serial.
"""

from dataclasses import replace

from acme_server import issuance, problems
from acme_server.courses.tables import Course
from acme_server.courses.terms import Terms
from acme_server.desk import Desk
from acme_server.records import AccountStatus, AuthorizationStatus, Order, OrderStatus
from acme_server.star import orders
from ca.authority import Report
from ca.errors import (
    Abandoned,
    BadName,
    BadPublicKey,
    Conflict,
    HSMError,
    LintFailed,
    NotFound,
    PolicyDenied,
    PossiblySigned,
    SigningRefused,
)
from ca.records import SYSTEM, Certificate, Intent, serial_hex

_MOST = 256
"""Orders of one run; the next run goes on."""

_GIVEN_UP = (AuthorizationStatus.DEACTIVATED, AuthorizationStatus.REVOKED)
"""An authorization that merely expired was good when the order was placed, and the order goes on."""


def renew(desk: Desk) -> Report:
    """Makes every certificate whose time has come, while `acme.star` is on.

    Safe on several nodes; a lost HSM or database ends the run.
    """
    if not desk.config.acme.star.enabled:
        return Report("renew_stars")
    done = failed = 0
    for course in desk.courses.due(desk.now(), _MOST):
        if _renew(desk, course):
            done += 1
        else:
            failed += 1
    return Report("renew_stars", done=done, failed=failed)


def _renew(desk: Desk, course: Course) -> bool:
    """One order's next certificate, or its end; False when it failed and is tried again."""
    order = desk.orders.get(course.order_id)
    terms = order.auto_renewal
    if terms is None or order.status is not OrderStatus.VALID:
        return True
    if course.intent and not _broken_off(desk, course):
        return True
    why = _fallen(desk, order)
    if why:
        return orders.end(desk, order, SYSTEM, problems.document("unauthorized", why, 403))
    return _issue(desk, order, terms, replace(course, intent=""))


def _broken_off(desk: Desk, course: Course) -> bool:
    """Whether an issuance that was under way is over without a certificate: then the next may begin."""
    try:
        state = desk.store.intent(course.intent).state
    except NotFound:  # its transaction never came
        state = "withdrawn"
    return state != "open" and desk.courses.again(course.order_id, course.intent, desk.now())


def _fallen(desk: Desk, order: Order) -> str:
    """What the order stood on and stands on no more; empty when all is well."""
    if desk.accounts.get(order.account).status is not AccountStatus.VALID:
        return "The account has ended."
    if any(desk.proofs.get(one).status in _GIVEN_UP for one in order.authorizations):
        return "An authorization was given up."
    if desk.store.by_serial(int(order.certificate, 16)).revoked_at:
        return "Its certificate was revoked."
    if order.profile not in desk.authority.profiles:
        return f"There is no profile {order.profile} any more."
    return ""


def _issue(desk: Desk, order: Order, terms: Terms, course: Course) -> bool:
    number = terms.number_at(course.first, desk.now())
    if number <= course.number:  # all that there will be is there
        return desk.courses.again(course.order_id, "", terms.publication(course.first, course.number + 1))
    attempt = _Attempt(desk, order, terms, course, number)
    try:
        attempt.run()
    except (PolicyDenied, BadPublicKey, BadName, LintFailed) as denied:
        return orders.end(desk, order, SYSTEM, problems.document("unauthorized", str(denied), 403))
    except (PossiblySigned, Abandoned, SigningRefused, Conflict):
        return False  # looked at again when its intent is settled
    except HSMError as away:
        desk.courses.again(course.order_id, attempt.intent, desk.now() + min(away.retry_after, issuance.AGAIN_SOON))
        raise
    return True


class _Attempt:
    """One certificate of a course: what it adds to the authority's two transactions."""

    def __init__(self, desk: Desk, order: Order, terms: Terms, course: Course, number: int) -> None:
        self.desk = desk
        self.order = order
        self.terms = terms
        self.course = course
        self.number = number
        self.intent = ""

    def run(self) -> Certificate:
        request = issuance.request_for(self.order, self.order.public_key, "")
        request = issuance.numbered(self.desk, request, self.terms, self.course.first, self.number)
        request = replace(request, replaces=self.order.certificate)
        return self.desk.authority.issue(request, self._claim, self._bind)

    def _claim(self, intent: Intent) -> None:
        due_at = self.desk.now() + self.desk.config.ca.intent_timeout
        if not self.desk.courses.claim(self.course, intent.id, due_at):
            raise Conflict("Somebody else renews this order, or it was cancelled.")
        self.intent = intent.id

    def _bind(self, certificate: Certificate) -> None:
        course = replace(self.course, number=self.number)
        due_at = self.terms.publication(course.first, self.number + 1)
        if not self.desk.courses.bind(course, self.intent, serial_hex(certificate.serial), due_at):
            raise Conflict("The order was cancelled before its certificate came.")
