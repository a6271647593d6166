"""Authorizations and challenges as clients see them (RFC 8555 §7.5); `acme_server.validation` does the proving."""

import secrets

from acme_server import identifiers, order_log, payloads, problems, resources
from acme_server.desk import Answer, Asked, Desk, demand_owner
from acme_server.directory import demand_profile
from acme_server.eab.credential import Credential
from acme_server.eab.tables import Credentials
from acme_server.limits import pauses, rates
from acme_server.records import Authorization, AuthorizationStatus, Challenge, ChallengeStatus, Order, new_id
from acme_server.validation import kinds, work
from ca.errors import BadName, NotFound
from ca.names import is_wildcard
from ca.records import Event, Name

REUSE_MARGIN = 600
"""Seconds that a valid authorization must still last to serve a new order."""

WAIVED_LIFE = 3600
"""Seconds that an authorization without a proof lasts."""

POLL = 1
"""Seconds after which it is worth looking again."""


def request(desk: Desk, asked: Asked, profile: str = "") -> Answer:
    """newAuthz (§7.4.1): control of one name is proved before any order needs it; what is there already is shown.

    A new one counts as an order of the account. Raises what newOrder raises for the name, `OverLimit`, and
    `RejectedIdentifier` for a wildcard.
    """
    chosen = desk.authority.profile(demand_profile(desk, profile))
    issuer = desk.authority.active_issuer()
    desk.demand_terms(asked.by)
    bound = Credentials(desk.store).get(asked.by.eab) if asked.by.eab else None
    wanted = payloads.read(asked.payload, payloads.NewAuthorization)
    below = wanted.identifier.subdomains and desk.config.acme.subdomains

    def permit(name: Name) -> None:
        if is_wildcard(name):
            raise BadName(f"{name.value} cannot be authorized ahead.", next_step="Place an order for it.")
        desk.authority.policy.permit_name(name, chosen, issuer)
        kinds.demand_provable(desk.config, name, below)
        if bound:
            bound.permit_name(name)

    (name,) = identifiers.parse([wanted.identifier], 1, permit)
    pauses.demand_none(desk, asked.by, [name])
    now = desk.now()
    with desk.store.transaction():
        try:
            row, status = desk.proofs.open(asked.by.id, name, now + REUSE_MARGIN, below), 200
        except NotFound:
            most = desk.config.acme.limits.orders_per_account
            rates.take(desk.store, [rates.orders_of(asked.by.id, most)], now)
            row, status = new_authorization(desk, asked.by.id, name, now + desk.config.acme.order_life, below), 201
    shown = resources.authorization(row, kinds.in_order(desk.proofs.challenges(row.id)), desk.urls)
    return Answer(shown, status, location=desk.urls.authorization(row.id))


def new_authorization(desk: Desk, account_id: str, name: Name, expires: int, subdomains: bool = False) -> Authorization:
    """Writes a pending authorization with its challenges inside the open transaction; it lasts until then.

    With `subdomains` it is for all below the name too, and DNS alone can prove it.
    """
    row = Authorization(
        id=new_id(),
        account=account_id,
        kind=name.kind,
        value=name.value,
        status=AuthorizationStatus.PENDING,
        expires=expires,
        created_at=desk.now(),
        subdomains=subdomains,
    )
    desk.proofs.add(row, [_challenge(row, kind) for kind in kinds.offered(desk.config, name, subdomains)])
    return row


def waive(desk: Desk, order: Order, name: Name, credential: Credential) -> Authorization:
    """Writes a valid authorization that nobody proved inside the open transaction, in the credential's name.

    It serves this order alone, for an hour at most, and no revocation.
    """
    row = Authorization(
        id=new_id(),
        account=order.account,
        kind=name.kind,
        value=name.value,
        status=AuthorizationStatus.VALID,
        expires=min(order.created_at + WAIVED_LIFE, order.expires, credential.expires_at),
        created_at=order.created_at,
        waived_by=credential.id,
    )
    desk.proofs.add(row, ())
    desk.journal(
        Event(
            "authorization.waived",
            order_log.actor(order.account),
            f"authorization:{row.id}",
            detail={"order": order.id, "eab": credential.id},
            personal={"name": str(name)},
        )
    )
    return row


def _challenge(row: Authorization, kind: str) -> Challenge:
    """A challenge with a token of 256 random bits (A-31)."""
    return Challenge(
        id=new_id(),
        account=row.account,
        authorization_id=row.id,
        type=kind,
        token=secrets.token_urlsafe(32),
        status=ChallengeStatus.PENDING,
    )


def show_or_deactivate(desk: Desk, asked: Asked, authorization_id: str) -> Answer:
    """An authorization by its owner: as it is (POST-as-GET), or given up for ever (§7.5.2; A-29)."""
    row = desk.proofs.get(authorization_id)
    demand_owner(asked, row.account)
    if asked.payload:
        update = payloads.read(asked.payload, payloads.AuthorizationUpdate)
        if update.status == AuthorizationStatus.DEACTIVATED:
            _deactivate(desk, asked, row)
            row = desk.proofs.get(authorization_id)
    row = row.at(desk.now())
    challenges = kinds.in_order(desk.proofs.challenges(row.id))
    busy = row.status is AuthorizationStatus.PENDING and any(map(_is_busy, challenges))
    return Answer(resources.authorization(row, challenges, desk.urls), retry_after=POLL if busy else 0)


def _is_busy(challenge: Challenge) -> bool:
    return challenge.status is ChallengeStatus.PROCESSING


def _deactivate(desk: Desk, asked: Asked, row: Authorization) -> None:
    """What needs it and is not under way cannot be had any more."""
    with desk.store.transaction():
        waiting = desk.orders.needing(row.id)
        if not desk.proofs.deactivate(row.id):
            return
        error = problems.about(row.name, "unauthorized", f"The authorization for {row.value} was deactivated.")
        for order in waiting:
            order_log.fail(desk, order, error, asked.by.actor, asked.request_id)
        desk.journal(
            Event(
                "authorization.deactivated",
                asked.by.actor,
                f"authorization:{row.id}",
                request_id=asked.request_id,
                personal={"name": str(row.name)},
            )
        )


def show_or_respond(desk: Desk, asked: Asked, challenge_id: str) -> Answer:
    """A challenge by its owner: as it is (POST-as-GET), or "I am ready" (§7.5.1); the second time changes nothing."""
    row = desk.proofs.challenge(challenge_id)
    demand_owner(asked, row.account)
    if asked.payload:
        payloads.read(asked.payload, payloads.Ready)
        row = work.start(desk, row)
    return Answer(
        resources.challenge(row, desk.urls),
        links={"up": desk.urls.authorization(row.authorization_id)},
        retry_after=POLL if _is_busy(row) else 0,
    )
