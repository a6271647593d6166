"""A seat: the desk as one signed-in person may use it.

Each deed and each look demands its right first, here and nowhere else; dangerous ones also a fresh proof that the
person is still there. The pages have nothing but a seat, so what is not permitted here cannot be reached by them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from ca.authority import passkeys, passwords, signin, verification
from ca.authority.authority import Authority
from ca.authority.chain import chain_pem
from ca.authority.dossier import Dossier, dossier
from ca.authority.lights import Light, lights
from ca.authority.report import Revoked
from ca.authority.searching import PAGE, EventPage, find_events
from ca.authority.survey import Survey, survey
from ca.authority.verification import Verification
from ca.errors import BadRequest, CAError, Denied
from ca.journal.events import EVENTS
from ca.people import Passkey, Person, Right, SignIn, demand, demand_fresh
from ca.profiles import certificate_period
from ca.records import Actor, Certificate, Issuer, Page, Query, Reason
from ca.store import EventQuery

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate["Seat", P], R]


def needs(right: Right, *, fresh: bool = False) -> Callable[[Method[P, R]], Method[P, R]]:
    """Demands the right before the method, and with `fresh` a proof of the last minutes (`ui.fresh`)."""

    def decorate(method: Method[P, R]) -> Method[P, R]:
        def guarded(self: "Seat", /, *args: P.args, **kwargs: P.kwargs) -> R:
            self.demand(right, fresh=fresh)
            return method(self, *args, **kwargs)

        update_wrapper(guarded, method)
        vars(guarded)["right"] = right
        return guarded

    return decorate


@dataclass(frozen=True, slots=True)
class Ending:
    """A CA and its notAfter."""

    id: str
    kind: str
    not_after: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one of several revocations; `trouble` empty when it stands."""

    serial: int
    published_in: float | None
    trouble: str = ""


class Seat:
    """One person at the desk. What concerns the person alone (credentials, sign-ins) needs no right but being him."""

    def __init__(self, authority: Authority, person: Person, sign_in: SignIn) -> None:
        self._desk = authority
        self.person = person
        self.sign_in = sign_in

    @property
    def actor(self) -> Actor:
        """The person as the journal names him."""
        return self.sign_in.actor

    def may(self, right: Right) -> bool:
        """Whether a page should offer it: the desk asks again."""
        return right in self.person.rights

    def demand(self, right: Right, *, fresh: bool = False) -> None:
        """Raises `Denied` without the right, `StepUpNeeded` without a fresh proof."""
        demand(self.person, right)
        if fresh:
            self._demand_fresh()

    def _demand_fresh(self) -> None:
        demand_fresh(self.sign_in, self._desk.clock(), self._desk.config.ui.fresh)

    # --- the person himself -------------------------------------------------------------------

    def must_enrol(self) -> bool:
        """Whether there is no way yet to sign in again: then nothing else is open."""
        return signin.must_enrol(self._desk, self.person)

    def passkeys(self) -> tuple[Passkey, ...]:
        """His passkeys."""
        return self._desk.store.passkeys(self.person.id)

    def sign_ins(self) -> tuple[SignIn, ...]:
        """Where he is signed in."""
        return self._desk.store.sign_ins(self.person.id, self._desk.clock())

    def passkey_options(self) -> str:
        """JSON to make a passkey with; not the first one only after a fresh proof."""
        self._demand_fresh()
        return passkeys.creation_options(self._desk, self.person)

    def enrol_passkey(self, response: str, name: str) -> None:
        """Adds a passkey: see `ca.authority.signin`."""
        self._demand_fresh()
        signin.enrol_passkey(self._desk, self.person, self.sign_in, response, name)

    def totp_uri(self, secret: str) -> str:
        """The otpauth: URI of a TOTP secret."""
        return passwords.provisioning_uri(secret, self.person.id, "Certwright")

    def enrol_password(self, password: str, secret: str, code: str) -> None:
        """Sets password and one-time passwords: see `ca.authority.signin`."""
        self._demand_fresh()
        signin.enrol_password(self._desk, self.person, self.sign_in, password, secret, code)

    def remove_passkey(self, passkey_id: str) -> None:
        """Gives a passkey up."""
        self._demand_fresh()
        signin.remove_passkey(self._desk, self.person, self.sign_in, passkey_id)

    def end_sign_in(self, sign_in_id: str) -> None:
        """Ends one of his sign-ins."""
        signin.end(self._desk, self.person.id, sign_in_id, self.actor)

    def confirm_options(self) -> str:
        """JSON to prove by a passkey that he is still there."""
        return passkeys.request_options(self._desk, f"confirm:{self.sign_in.id}", self.passkeys())

    def confirm_by_passkey(self, response: str) -> None:
        """Makes the sign-in fresh."""
        signin.confirm_by_passkey(self._desk, self.person, self.sign_in, response)

    def confirm_by_password(self, password: str, code: str) -> None:
        """Makes the sign-in fresh."""
        signin.confirm_by_password(self._desk, self.person, self.sign_in, password, code)

    # --- watching -----------------------------------------------------------------------------

    @needs(Right.SEE)
    def lights(self) -> tuple[Light, ...]:
        """Whether the CA itself is well."""
        return lights(self._desk)

    @needs(Right.SEE)
    def survey(self) -> Survey:
        """How many certificates there are, end, were issued: see `ca.authority.survey`."""
        return survey(self._desk)

    @needs(Right.SEE)
    def authorities(self) -> tuple[Ending, ...]:
        """The active CA certificates, the one that ends first in front."""
        active = (one for one in self._desk.store.issuers() if one.state == "active")
        found = (Ending(one.id, one.kind, certificate_period(one.certificate).not_after) for one in active)
        return tuple(sorted(found, key=lambda one: one.not_after))

    def now(self) -> int:
        """The time, as the desk has it."""
        return self._desk.clock()

    # --- certificates -------------------------------------------------------------------------

    @needs(Right.SEE)
    def find(self, query: Query, after: str, limit: int) -> Page:
        """One page of certificates. Raises `BadRequest`."""
        return self._desk.find(replace(query, after=after, limit=limit))

    @needs(Right.SEE)
    def find_all(self, query: Query, most: int) -> tuple[list[Certificate], bool]:
        """As many as `most`, and whether these are all."""
        found: list[Certificate] = []
        after = ""
        while len(found) < most:
            page = self._desk.find(replace(query, after=after, limit=min(1000, most - len(found))))
            found += page.items
            after = page.next
            if not after:
                return found, True
        return found, False

    @needs(Right.SEE)
    def certificate(self, serial: int) -> Certificate:
        """The certificate of a serial. Raises `NotFound`."""
        return self._desk.certificate(serial)

    @needs(Right.SEE)
    def dossier(self, serial: int) -> Dossier:
        """All that is known of it: see `ca.authority.dossier`."""
        return dossier(self._desk, serial)

    @needs(Right.SEE)
    def chain(self, certificate: Certificate) -> bytes:
        """PEM: leaf first, intermediates, no root."""
        return chain_pem(self._desk, certificate)

    @needs(Right.SEE)
    def issuer_of(self, certificate: Certificate) -> Issuer:
        """The CA that issued it."""
        return self._desk.store.issuer(certificate.issuer)

    def may_revoke(self, certificate: Certificate) -> bool:
        """Any certificate by `revoke`, those of the own teams by `revoke-own`."""
        return self.may(Right.REVOKE) or (self.may(Right.REVOKE_OWN) and self.person.owns(certificate.owner))

    @needs(Right.REVOKE_OWN, fresh=True)
    def revoke(self, serial: int, reason: Reason, comment: str) -> Revoked:
        """Revokes one and publishes it: see `ca.authority.revoke`. Raises `Denied` for another team's."""
        one = self._desk.certificate(serial)
        if not self.may_revoke(one):
            raise Denied(
                f"It belongs to {one.owner or 'no team'}, not to a team of {self.person.id}.",
                next_step="Ask somebody of that team, or a security officer.",
            )
        return self._desk.revoke(one, reason, self.actor, comment)

    @needs(Right.REVOKE_MANY, fresh=True)
    def revoke_some(self, serials: list[int], reason: Reason, comment: str, most: int) -> tuple[Ended, ...]:
        """Revokes a few, each for itself: one that cannot be revoked stops no other. Raises `BadRequest`."""
        if not 0 < len(serials) <= most:
            raise BadRequest(f"One person revokes 1 to {most} at once.", next_step="Choose fewer.")
        return tuple(self._revoke_one(serial, reason, comment) for serial in dict.fromkeys(serials))

    def _revoke_one(self, serial: int, reason: Reason, comment: str) -> Ended:
        try:
            return Ended(serial, self.revoke(serial, reason, comment).published_in)
        except CAError as error:
            return Ended(serial, None, error.detail)

    # --- the journal --------------------------------------------------------------------------

    @needs(Right.SEE_JOURNAL)
    def find_events(self, query: EventQuery) -> EventPage:
        """One page of the journal: see `ca.authority.searching`."""
        return find_events(self._desk, query)

    @needs(Right.SEE_JOURNAL)
    def find_all_events(self, query: EventQuery, most: int) -> tuple[dict[str, object], ...]:
        """As many entries as `most`, the newest first."""
        found: list[dict[str, object]] = []
        while len(found) < most:
            page = find_events(self._desk, query, min(20 * PAGE, most - len(found)))
            found += map(dict, page.items)
            if not page.next:
                break
            query = replace(query, before=page.next)
        return tuple(found)

    @needs(Right.SEE_JOURNAL)
    def actions(self) -> tuple[str, ...]:
        """The names of every kind of entry."""
        return tuple(EVENTS)

    @needs(Right.SEE_JOURNAL)
    def start_verification(self) -> None:
        """Has the journal verified: see `ca.authority.verification`."""
        verification.start(self._desk, self.actor)

    @needs(Right.SEE_JOURNAL)
    def verification(self) -> Verification:
        """How the last one ended."""
        return verification.last(self._desk)

    # --- people -------------------------------------------------------------------------------

    @needs(Right.SEE_PEOPLE)
    def people(self) -> tuple[Person, ...]:
        """Everybody who may sign in."""
        return self._desk.store.people()


def take_seat(authority: Authority, secret: str) -> Seat:
    """The seat of whoever holds that cookie. Raises `Unauthenticated`."""
    return Seat(authority, *signin.look_up(authority, secret))
