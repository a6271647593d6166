"""A seat: the desk as one signed-in person may use it.

Each deed and each look demands its right first, here and nowhere else; dangerous ones also a fresh proof that the
person is still there. The pages have nothing but a seat, so what is not permitted here cannot be reached by them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from ca.authority import deeds, errands, masses, passkeys, passwords, people, proposals, signin, tokens, verification
from ca.authority.authority import Authority
from ca.authority.chain import chain_pem
from ca.authority.dossier import Dossier, dossier
from ca.authority.lights import Light, lights
from ca.authority.publication import State, publication
from ca.authority.report import Report, Revoked
from ca.authority.searching import PAGE, EventPage, find_events
from ca.authority.summary import Summary, summary
from ca.authority.survey import Survey, survey
from ca.authority.verification import Verification
from ca.csr import CSR
from ca.errors import BadRequest, CAError, Denied, NotFound
from ca.journal.events import EVENTS
from ca.journal.proof import Proof
from ca.people import Passkey, Person, Right, Roles, SignIn, demand, demand_fresh, parse_roles
from ca.policy import Verdict
from ca.profiles import OWN_PROFILE, Profile, certificate_period
from ca.records import (
    Actor,
    ApiToken,
    Certificate,
    Issuer,
    IssueRequest,
    Key,
    MassRevocation,
    Page,
    Query,
    Reason,
    RevokeRequest,
    Stopwatch,
    serial_hex,
)
from ca.store import EventQuery, JobRun

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
        return right in self.person.rights(self._desk.config.every_role)

    def demand(self, right: Right, *, fresh: bool = False) -> None:
        """Raises `Denied` without the right, `StepUpNeeded` without a fresh proof."""
        demand(self.person, right, self._desk.config.every_role)
        if fresh:
            self._demand_fresh()

    def _demand_fresh(self) -> None:
        demand_fresh(self.sign_in, self._desk.clock(), self._desk.config.ui.fresh)

    # --- the person himself -------------------------------------------------------------------

    def must_enrol(self) -> bool:
        """Whether there is no way yet to sign in again: then nothing else is open."""
        return self.sign_in.method != "certificate" and signin.must_enrol(self._desk, self.person)

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
    def summary(self, kind: str, by: str, days: int) -> Summary:
        """A report: see `ca.authority.summary`."""
        return summary(self._desk, kind, by, days)

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

    @needs(Right.REVOKE_MANY)
    def preview_revocation(self, query: Query) -> tuple[int, tuple[Certificate, ...]]:
        """How many certificates a mass revocation would revoke, and some of them. Raises `BadRequest`."""
        return self._desk.preview_mass(query, RevokeRequest(Reason.UNSPECIFIED, self.actor))

    @needs(Right.REVOKE_MANY)
    def spares(self, query: Query) -> bool:
        """Whether a mass revocation would leave out a certificate of this CA's own pages: see `masses.spared`."""
        return masses.spared(self._desk, query)

    @needs(Right.REVOKE_MANY, fresh=True)
    def propose_revocation(self, query: Query, reason: Reason, comment: str, sure: str) -> str:
        """Proposes to revoke all that a query finds now; `sure` is their number, typed. Raises `BadRequest`.

        What is issued until it is approved is not taken.
        """
        body = self._many(query, reason, comment, sure)
        return proposals.propose(self._desk, "revoke-many", body, self.person.id, self.actor).id

    @needs(Right.REVOKE_MANY, fresh=True)
    def revoke_alone(self, query: Query, reason: Reason, comment: str, sure: str, why: str) -> str:
        """Revokes them at once, without a second person: see `proposals.break_glass`. Raises `BadRequest`."""
        body = self._many(query, reason, comment, sure)
        return proposals.break_glass(self._desk, "revoke-many", body, self.person.id, self.actor, why).id

    def _many(self, query: Query, reason: Reason, comment: str, sure: str) -> deeds.Body:
        query = replace(query, issued_until=self._desk.clock())
        total, _ = self._desk.preview_mass(query, RevokeRequest(reason, self.actor, comment))
        if sure.strip() != str(total):
            raise BadRequest(f"These are {total} certificates.", next_step=f"Type {total} when you mean them all.")
        chosen = {name: value for name, value in asdict(query).items() if value != getattr(Query(), name)}
        return {"query": chosen, "reason": str(reason), "comment": comment, "total": total}

    @needs(Right.SEE)
    def masses(self) -> tuple[MassRevocation, ...]:
        """Mass revocations, the newest first."""
        return self._desk.masses(20)

    @needs(Right.REVOKE_MANY, fresh=True)
    def stop_mass(self, mass_id: str) -> None:
        """Ends a mass revocation before its end. Raises `NotFound` and `Conflict`."""
        self._desk.stop_mass(mass_id, RevokeRequest(Reason.UNSPECIFIED, self.actor))

    @needs(Right.SEE)
    def stopwatches(self) -> tuple[tuple[Stopwatch, str], ...]:
        """How long the newest revocations took until they were seen from outside, each with its certificate's name."""
        return tuple((one, self._name_of(one)) for one in self._desk.store.stopwatches(50))

    def _name_of(self, one: Stopwatch) -> str:
        try:
            names = self._desk.store.certificate(one.issuer, one.serial).names
        except NotFound:
            return "a serial that was given up"
        return names[0].value if names else serial_hex(one.serial)

    def _revoke_one(self, serial: int, reason: Reason, comment: str) -> Ended:
        try:
            return Ended(serial, self.revoke(serial, reason, comment).published_in)
        except CAError as error:
            return Ended(serial, None, error.detail)

    # --- issuing ------------------------------------------------------------------------------

    @needs(Right.SEE)
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles that subscribers may use, by name."""
        found = self._desk.profiles
        return tuple(found[name] for name in sorted(found) if name != OWN_PROFILE)

    @needs(Right.SEE)
    def judge(self, wish: CSR, profile: str, owner: str) -> tuple[Verdict, ...]:
        """What each rule of policy says to a CSR under a profile; nothing is written. Raises `NotFound`."""
        request = self._request(wish, profile, owner)
        desk = self._desk
        return desk.policy.judge(request, desk.profile(profile), desk.active_issuer(), desk.clock())

    @needs(Right.ISSUE, fresh=True)
    def issue(self, wish: CSR, profile: str, owner: str) -> Certificate:
        """Issues for a CSR, owned by one of the own teams or by nobody. Raises what `Authority.issue` raises."""
        if owner and not self.person.owns(owner):
            raise Denied(f"{owner[:80]!r} is no team of {self.person.id}.", next_step="Choose one of your own teams.")
        return self._desk.issue(self._request(wish, profile, owner))

    def _request(self, wish: CSR, profile: str, owner: str) -> IssueRequest:
        return IssueRequest(wish.spki, wish.names, profile, self.actor, wish.common_name, owner=owner)

    # --- the CA itself ------------------------------------------------------------------------

    @needs(Right.SEE)
    def issuers(self) -> tuple[Issuer, ...]:
        """Every generation of every CA."""
        return self._desk.store.issuers()

    @needs(Right.SEE)
    def issuer(self, issuer_id: str) -> Issuer:
        """One generation. Raises `NotFound`."""
        return self._desk.store.issuer(issuer_id)

    @needs(Right.SEE)
    def keys(self) -> tuple[Key, ...]:
        """Every key that ever was, with the attributes that its token told."""
        return self._desk.store.keys()

    @needs(Right.SEE)
    def root_certificate(self) -> bytes:
        """DER of the root above the active issuer. Raises `NotFound`."""
        one = self._desk.active_issuer()
        while one.parent:
            one = self._desk.store.issuer(one.parent)
        return one.certificate

    @needs(Right.SEE)
    def publication(self) -> State:
        """CRLs and OCSP, as published."""
        return publication(self._desk)

    @needs(Right.SEE)
    def runs(self) -> tuple[JobRun, ...]:
        """The last run of each job."""
        return self._desk.store.runs()

    @needs(Right.SEE)
    def errands(self) -> tuple[str, ...]:
        """The jobs that may be run by hand."""
        return tuple(errands.ERRANDS)

    @needs(Right.RUN_JOBS)
    def run_job(self, name: str) -> Report:
        """Runs one out of turn: see `ca.authority.errands`."""
        return errands.run(self._desk, name, self.actor)

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
    def prove_issuance(self, serial: int) -> Proof:
        """The journal's proof that a certificate was issued: see `ca.authority.trail`."""
        return self._desk.prove_issuance(serial)

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

    @needs(Right.SEE_PEOPLE)
    def roles(self) -> Roles:
        """What each role gives."""
        return self._desk.config.every_role

    @needs(Right.MANAGE_PEOPLE, fresh=True)
    def propose_person(self, name: str, roles: tuple[str, ...], teams: tuple[str, ...]) -> str:
        """Proposes to let somebody in, or to change roles; answers the proposal's id. Raises `BadRequest`."""
        known = name in {one.id for one in self._desk.store.people()}
        people.check_name(name)
        given = parse_roles(roles, self._desk.config.every_role)
        body = {"name": name, "roles": list(given), "teams": list(people.check_teams(teams))}
        return proposals.propose(self._desk, "grant" if known else "invite", body, self.person.id, self.actor).id

    @needs(Right.MANAGE_PEOPLE, fresh=True)
    def disable(self, name: str) -> None:
        """Shuts somebody out at once: taking rights away waits for nobody."""
        people.disable(self._desk, name, self.actor)

    @needs(Right.MANAGE_PEOPLE, fresh=True)
    def enable(self, name: str) -> None:
        """Lets somebody in again, with the roles that he had."""
        people.enable(self._desk, name, self.actor)

    # --- machines -----------------------------------------------------------------------------

    @needs(Right.SEE)
    def tokens(self) -> tuple[ApiToken, ...]:
        """The tokens of the API, without their secrets."""
        return self._desk.store.tokens()

    @needs(Right.MANAGE_TOKENS, fresh=True)
    def revoke_token(self, token_id: str) -> None:
        """Ends a token at once. Raises `NotFound`."""
        tokens.revoke_token(self._desk, token_id, self.actor)


def take_seat(authority: Authority, secret: str) -> Seat:
    """The seat of whoever holds that cookie. Raises `Unauthenticated`."""
    return Seat(authority, *signin.look_up(authority, secret))
