"""What people see of ACME: accounts, orders, and an order's way through its challenges. Each look demands its right."""

from dataclasses import dataclass

from acme_server.desk import Desk as AcmeDesk
from acme_server.eab import office
from acme_server.eab.credential import Credential
from acme_server.eab.tables import Credentials
from acme_server.records import Account, Authorization, Challenge, Order
from acme_server.tables import Accounts, Orders, Proofs
from acme_server.validation.attempts import lines_of
from acme_server.validation.records import Attempt
from acme_server.validation.tables import Attempts
from ca.authority import Authority
from ca.authority.desk import Desk
from ca.authority.seat import Seat
from ca.people import Right

MOST = 100


@dataclass(frozen=True, slots=True)
class Proof:
    """One name of an order: its authorization, and each try with what it met, a line a step, the oldest first."""

    authorization: Authorization
    challenges: tuple[Challenge, ...]
    tries: tuple[tuple[Attempt, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """An order with the proofs that it needs."""

    order: Order
    account: Account
    proofs: tuple[Proof, ...]


def accounts(desk: Desk, seat: Seat) -> tuple[Account, ...]:
    """The newest accounts. Raises `Denied`."""
    seat.demand(Right.SEE)
    return Accounts(desk.store).recent(MOST)


def orders(desk: Desk, seat: Seat, account: str) -> tuple[Order, ...]:
    """The newest orders, of everybody or of one account, as of now. Raises `Denied`."""
    seat.demand(Right.SEE)
    return tuple(one.at(desk.clock()) for one in Orders(desk.store).recent(MOST, account))


def order(desk: Desk, seat: Seat, order_id: str) -> Progress:
    """One order with all that was tried for it. Raises `Denied` and `NotFound`.

    Addresses, resolvers and what foreign servers said are for those who run or audit this CA.
    """
    seat.demand(Right.SEE)
    inside = seat.may(Right.RUN_JOBS) or seat.may(Right.SEE_JOURNAL)
    with desk.store.reading():
        found = Orders(desk.store).get(order_id).at(desk.clock())
        tries = Attempts(desk.store).of(found)
        proofs = tuple(_proof(desk, one, tries, inside) for one in found.authorizations)
        return Progress(found, Accounts(desk.store).get(found.account), proofs)


def credentials(desk: Desk, seat: Seat) -> tuple[Credential, ...]:
    """The newest external account bindings, without their keys. Raises `Denied`."""
    seat.demand(Right.SEE)
    return Credentials(desk.store).all(MOST)


def revoke_credential(authority: Authority, seat: Seat, credential_id: str) -> int:
    """Ends a binding with its accounts, and answers how many. Raises `Denied`, `StepUpNeeded` and `NotFound`."""
    seat.demand(Right.MANAGE_TOKENS, fresh=True)
    return office.revoke(AcmeDesk(authority), credential_id, seat.actor)


def _proof(desk: Desk, authorization_id: str, tries: tuple[Attempt, ...], inside: bool) -> Proof:
    proofs = Proofs(desk.store)
    own = tuple((one, tuple(lines_of(one, inside))) for one in tries if one.authorization_id == authorization_id)
    return Proof(proofs.get(authorization_id).at(desk.clock()), proofs.challenges(authorization_id), own)
