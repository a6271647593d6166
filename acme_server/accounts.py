"""Accounts: registration, contacts, deactivation, change of key (RFC 8555 §7.3)."""

import msgspec

from acme_server import closing, contacts, jwk, jws, payloads, resources
from acme_server.desk import Answer, Asked, Desk, demand_owner, demand_valid
from acme_server.eab import binding
from acme_server.eab.tables import Credentials
from acme_server.errors import (
    AccountDoesNotExist,
    ExternalAccountRequired,
    KeyInUse,
    Malformed,
    Unauthorized,
    UserActionRequired,
)
from acme_server.jwk import AccountKey
from acme_server.limits import rates
from acme_server.records import Account, AccountStatus, new_id
from ca.authority import compromised
from ca.errors import Conflict
from ca.records import Event

PAGE = 100


def register(desk: Desk, asked: Asked) -> Answer:
    """newAccount (§7.3): the account of this key, made now if there is none. Of two at once both get the same one.

    Raises `AccountDoesNotExist` (onlyReturnExisting), `Unauthorized` (deactivated), and what a new account is
    refused for.
    """
    wanted = payloads.read(asked.payload, payloads.NewAccount)
    assert asked.key is not None
    try:
        return _existing(desk, desk.accounts.by_key(asked.key.thumbprint), wanted)
    except AccountDoesNotExist:
        if wanted.only_return_existing:
            raise
    compromised.demand_sound(desk.authority, asked.key.spki)
    account = _new(desk, asked, wanted)
    with desk.store.transaction():
        if desk.accounts.add(account):
            most = desk.config.acme.limits.accounts_per_address
            rates.take(desk.store, [rates.accounts_from(asked.address, most)], account.created_at)
            if account.eab:
                Credentials(desk.store).bind(account.eab, desk.now())
            desk.journal(_event("account.created", account, asked, contact=True))
            return _answer(desk, account, 201)
    return _existing(desk, desk.accounts.by_key(asked.key.thumbprint), wanted)


def _existing(desk: Desk, account: Account, wanted: payloads.NewAccount) -> Answer:
    """An existing account changes in nothing (§7.3.1), save that it may agree to new terms (§7.3.3)."""
    demand_valid(account)
    terms = desk.config.acme.terms_of_service
    if wanted.terms_of_service_agreed and account.terms != terms and desk.accounts.agree(account.id, terms):
        account = desk.accounts.get(account.id)
    return _answer(desk, account)


def _new(desk: Desk, asked: Asked, wanted: payloads.NewAccount) -> Account:
    key, given = asked.key, wanted.external_account_binding
    assert key is not None
    if given is None and desk.config.acme.external_account_required:
        raise ExternalAccountRequired(
            "New accounts need an external account binding.",
            next_step="Ask an operator for a key identifier and an HMAC key: 'certwright acme eab create'.",
        )
    terms = desk.config.acme.terms_of_service
    if terms and not wanted.terms_of_service_agreed:
        raise UserActionRequired("The terms of service are not agreed to.", terms=terms, next_step=f"Read {terms}")
    return Account(
        id=new_id(),
        thumbprint=key.thumbprint,
        jwk=key.jwk,
        status=AccountStatus.VALID,
        contact=contacts.parse(wanted.contact),
        terms=terms,
        created_at=desk.now(),
        eab="" if given is None else binding.verify(desk, asked, given).id,
        binding="" if given is None else msgspec.json.encode(given).decode(),
    )


def show_or_update(desk: Desk, asked: Asked, account_id: str) -> Answer:
    """An account by its owner: as it is (POST-as-GET), with other contacts (§7.3.2), with new terms agreed to
    (§7.3.3), or ended for ever (§7.3.6).
    """
    demand_owner(asked, account_id)
    if not asked.payload:
        return _answer(desk, asked.by)
    update = payloads.read(asked.payload, payloads.AccountUpdate)
    if update.status == AccountStatus.DEACTIVATED:
        closing.close(desk, asked.by, AccountStatus.DEACTIVATED, asked.by.actor, asked.request_id)
        return _answer(desk, desk.accounts.get(account_id))
    if update.contact is not None:
        _set_contact(desk, asked, contacts.parse(update.contact))
    if update.terms_of_service_agreed:
        desk.accounts.agree(account_id, desk.config.acme.terms_of_service)
    return _answer(desk, desk.accounts.get(account_id))


def _set_contact(desk: Desk, asked: Asked, contact: tuple[str, ...]) -> None:
    with desk.store.transaction():
        if desk.accounts.set_contact(asked.by.id, msgspec.json.encode(contact).decode()):
            account = desk.accounts.get(asked.by.id)
            desk.journal(_event("account.updated", account, asked, reason="contact", contact=True))


def list_orders(desk: Desk, asked: Asked, account_id: str, after: str = "") -> Answer:
    """An account's orders that are not invalid, the newest first (§7.1.2.1)."""
    demand_owner(asked, account_id)
    payloads.demand_empty(asked.payload)
    last = desk.orders.get(after) if after else None
    if last is not None:
        demand_owner(asked, last.account)
    rows = desk.orders.of(account_id, last, PAGE)
    links = {"next": desk.urls.orders(account_id, rows[-1].id)} if len(rows) == PAGE else {}
    return Answer(resources.orders(rows, desk.urls), links=links)


def change_key(desk: Desk, asked: Asked) -> Answer:
    """keyChange (§7.3.5): the old key asks for it, the new key agrees, and neither can be left out (A-23)."""
    inner = jws.parse_inner(asked.payload)
    new = inner.demand_key()
    inner.verify(new)
    compromised.demand_sound(desk.authority, new.spki)
    wanted = payloads.read(inner.payload, payloads.KeyChange)
    if inner.url != asked.url:
        raise Malformed("The inner and the outer JWS have different urls.")
    if wanted.account != desk.urls.account(asked.by.id):
        raise Unauthorized("The inner JWS is about another account.")
    _demand_old_key(wanted, asked.by)
    _replace_key(desk, asked, new)
    return _answer(desk, desk.accounts.get(asked.by.id))


def _demand_old_key(wanted: payloads.KeyChange, account: Account) -> None:
    if jwk.parse(wanted.old_key).thumbprint != account.thumbprint:
        raise Malformed("The oldKey is not the account's key.")


def _replace_key(desk: Desk, asked: Asked, new: AccountKey) -> None:
    try:
        holder = desk.accounts.by_key(new.thumbprint)
    except AccountDoesNotExist:
        pass
    else:
        raise KeyInUse("The new key has an account already.", account=desk.urls.account(holder.id))
    try:
        with desk.store.transaction():
            if not desk.accounts.change_key(asked.by, new.thumbprint, new.jwk):
                raise Unauthorized("The account's key has just been changed.", next_step="Ask with its new key.")
            desk.journal(_event("account.updated", asked.by, asked, reason="key"))
    except Conflict:  # somebody registered that key a moment ago
        holder = desk.accounts.by_key(new.thumbprint)
        raise KeyInUse("The new key has an account already.", account=desk.urls.account(holder.id)) from None


def _answer(desk: Desk, account: Account, status: int = 200) -> Answer:
    return Answer(resources.account(account, desk.urls), status, location=desk.urls.account(account.id))


def _event(action: str, account: Account, asked: Asked, *, reason: str = "", contact: bool = False) -> Event:
    return Event(
        action,
        account.actor,
        f"account:{account.id}",
        reason=reason,
        request_id=asked.request_id,
        detail={"thumbprint": account.thumbprint, **({"eab": account.eab} if account.eab else {})},
        personal={"contact": " ".join(account.contact)} if contact and account.contact else {},
    )
