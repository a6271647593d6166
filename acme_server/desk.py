"""What every ACME use case works with, and the two values between the door and the use cases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acme_server.courses.tables import Courses
from acme_server.crew import Crew
from acme_server.errors import AccountDoesNotExist, Unauthorized, UserActionRequired
from acme_server.jwk import AccountKey
from acme_server.records import Account, AccountStatus
from acme_server.tables import Accounts, Orders, Proofs, Renewals
from acme_server.urls import Urls
from ca.authority import Authority
from ca.config import Config
from ca.records import Event
from ca.store import Store


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose signature, nonce and URL are good. `account` is there unless it came by a bare key.

    `address` is the asker's own, behind trusted proxies too.
    """

    url: str
    method: str = "POST"
    payload: bytes = b""
    key: AccountKey | None = None
    account: Account | None = None
    request_id: str = ""
    accept: str = ""
    address: str = ""

    @property
    def by(self) -> Account:
        """The account that asks; the door has made sure of it."""
        assert self.account is not None
        return self.account


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON members, or octets of `media_type`. `links` are URLs by their relation.

    `alternates` are the other chains of a certificate (RFC 8555 §7.4.2).
    """

    body: Mapping[str, Any] | bytes = b""
    status: int = 200
    media_type: str = "application/json"
    location: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    retry_after: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    alternates: tuple[str, ...] = ()


class Desk:
    """The authority, the ACME rows and their URLs; complete after construction and safe between threads.

    `crew` tries challenges off the requests' threads; it has no thread before the first one.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.crew = Crew("validation", threads=16, places=256)
        self.urls = Urls.of(authority.config)
        self.accounts = Accounts(authority.store)
        self.orders = Orders(authority.store)
        self.proofs = Proofs(authority.store)
        self.renewals = Renewals(authority.store)
        self.courses = Courses(authority.store)

    @property
    def config(self) -> Config:
        """The one configuration."""
        return self.authority.config

    @property
    def store(self) -> Store:
        """The records office."""
        return self.authority.store

    def now(self) -> int:
        """The time, in epoch seconds."""
        return self.authority.clock()

    def journal(self, event: Event) -> None:
        """Writes an event inside the open transaction."""
        self.authority.journal.append(event)

    def account_at(self, url: str) -> Account:
        """The account of a kid, in whatever state. Raises `AccountDoesNotExist` (A-08)."""
        account_id = self.urls.account_of(url)
        if not account_id:
            raise AccountDoesNotExist("The kid is no account's URL.", next_step="Register an account at newAccount.")
        return self.accounts.get(account_id)

    def demand_terms(self, account: Account) -> None:
        """Raises `UserActionRequired` if the terms have changed since the account agreed to them (A-21)."""
        terms = self.config.acme.terms_of_service
        if terms and account.terms != terms:
            raise UserActionRequired(
                "The terms of service have changed.",
                terms=terms,
                next_step="Agree to them: repeat newAccount with termsOfServiceAgreed.",
            )


def demand_valid(account: Account) -> Account:
    """The account, unless it was deactivated or revoked: that is for ever. Raises `Unauthorized`."""
    if account.status is not AccountStatus.VALID:
        raise Unauthorized(f"The account is {account.status}.", next_step="Register another with another key.")
    return account


def demand_owner(asked: Asked, owner: str) -> None:
    """Raises `Unauthorized` unless the account that asks is the owner: nobody reads what is another's (A-32)."""
    if asked.by.id != owner:
        raise Unauthorized("This belongs to another account.")
