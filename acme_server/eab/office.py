"""What operators do with credentials: make them, and end them with all that hangs on them."""

import secrets

from acme_server import closing
from acme_server.desk import Desk
from acme_server.eab.credential import Credential, Scope, demand_sound
from acme_server.eab.tables import Credentials
from acme_server.eab.wrapping import WrappingKey
from acme_server.records import AccountStatus, new_id
from acme_server.strict import encode
from ca.errors import NotFound
from ca.records import Actor, Event


def create(desk: Desk, scope: Scope, actor: Actor) -> tuple[Credential, str]:
    """Makes a credential; answers it and its HMAC key in base64url, which is never shown again.

    Raises `BadRequest` for a scope that cannot be meant, `NotFound` for a profile that ACME does not offer,
    `ConfigError` when there is no place for the wrapping key.
    """
    demand(desk, scope)
    now = desk.now()
    credential = Credential(
        id=new_id(),
        name=scope.name,
        patterns=scope.patterns,
        profiles=scope.profiles,
        networks=scope.networks,
        quota=scope.quota,
        most_accounts=scope.most_accounts or int(scope.waives_challenges),
        allow_wildcard=scope.allow_wildcard,
        waives_challenges=scope.waives_challenges,
        created_by=str(actor),
        created_at=now,
        expires_at=now + scope.life,
    )
    key = _new_key()
    wrapped = WrappingKey(desk.config.path(desk.config.acme.eab_key_file)).wrap(credential.id, key)
    with desk.store.transaction():
        Credentials(desk.store).add(credential, wrapped)
        desk.journal(_event("eab.created", credential, actor))
    return credential, encode(key)


def _new_key() -> bytes:
    """256 random bits for command lines: in base64url without a hyphen in front, where it would be an option."""
    key = secrets.token_bytes(32)
    return _new_key() if encode(key).startswith("-") else key


def demand(desk: Desk, scope: Scope) -> None:
    """Raises what `create` refuses a scope for."""
    for profile in scope.profiles:
        if profile not in desk.config.acme.profiles:
            raise NotFound(f"ACME offers no profile {profile!r}.", next_step="See acme.profiles.")
    demand_sound(scope, [desk.authority.profile(name) for name in scope.profiles])


def revoke(desk: Desk, credential_id: str, actor: Actor) -> int:
    """Ends a credential, its accounts, their authorizations and open orders; answers how many accounts.

    What they got stays valid: 'certwright cert revoke' is another decision. Raises `NotFound`; twice is no error.
    """
    credentials = Credentials(desk.store)
    with desk.store.transaction():
        credential = credentials.get(credential_id)
        if not credentials.revoke(credential_id, desk.now()):
            return 0
        bound = credentials.accounts(credential_id)
        for account in bound:
            closing.close(desk, desk.accounts.get(account), AccountStatus.REVOKED, actor)
        desk.journal(_event("eab.revoked", credential, actor))
    return len(bound)


def _event(action: str, credential: Credential, actor: Actor) -> Event:
    return Event(
        action,
        actor,
        f"eab:{credential.id}",
        detail={
            "profiles": list(credential.profiles),
            "patterns": list(credential.patterns),
            "networks": list(credential.networks),
            "waives_challenges": credential.waives_challenges,
            "expires_at": credential.expires_at,
        },
    )
