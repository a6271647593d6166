"""The JSON shapes of RFC 8555 §7.1. Pure: rows and URLs in, members out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from acme_server.records import Account, Authorization, AuthorizationStatus, Challenge, Order, OrderStatus
from acme_server.urls import Urls
from acme_server.validation import kinds
from ca.clock import rfc3339
from ca.config import Config, Star
from ca.names import is_wildcard, without_star
from ca.records import Name

Members = dict[str, Any]


def directory(config: Config, urls: Urls, profiles: Mapping[str, str], profile: str = "") -> Members:
    """§7.1.1. Every URL in it has somebody behind it; `profiles` are those on offer, with their descriptions."""
    return {
        "newNonce": urls.resource("new-nonce"),
        "newAccount": urls.resource("new-account"),
        "newOrder": urls.new_order(profile),
        "newAuthz": urls.new_authorization(profile),
        "revokeCert": urls.resource("revoke-cert"),
        "keyChange": urls.resource("key-change"),
        "renewalInfo": urls.resource("renewal-info"),
        "meta": _meta(config, urls, profiles),
    }


def _meta(config: Config, urls: Urls, profiles: Mapping[str, str]) -> Members:
    meta: Members = {
        "externalAccountRequired": config.acme.external_account_required,
        "profiles": dict(profiles),
    }
    if config.acme.terms_of_service:
        meta["termsOfService"] = config.acme.terms_of_service
    if config.acme.website:
        meta["website"] = config.acme.website
    if config.acme.caa == "on":
        meta["caaIdentities"] = list(urls.issuers)
    if config.acme.star.enabled:
        meta["auto-renewal"] = _auto_renewal(config.acme.star)
    if config.acme.subdomains:
        meta["subdomainAuthAllowed"] = True
    return meta


def _auto_renewal(star: Star) -> Members:
    """RFC 8739 §3.2."""
    offered: Members = {"min-lifetime": star.min_lifetime, "max-duration": star.max_duration}
    return offered | ({"allow-certificate-get": True} if star.allow_certificate_get else {})


def account(row: Account, urls: Urls) -> Members:
    """§7.1.2."""
    members: Members = {"status": row.status.value, "contact": list(row.contact), "orders": urls.orders(row.id)}
    if row.terms:
        members["termsOfServiceAgreed"] = True
    if row.binding:
        members["externalAccountBinding"] = msgspec.json.decode(row.binding)
    return members


def orders(rows: Iterable[Order], urls: Urls) -> Members:
    """§7.1.2.1."""
    return {"orders": [urls.order(row.id) for row in rows]}


def order(row: Order, urls: Urls) -> Members:
    """§7.1.3."""
    members: Members = {
        "status": row.status.value,
        "expires": rfc3339(row.expires),
        "profile": row.profile,
        "identifiers": [identifier(name) for name in row.identifiers],
        "authorizations": [urls.authorization(one) for one in row.authorizations],
        "finalize": urls.finalize(row.id),
    }
    if row.replaces:
        members["replaces"] = row.replaces
    if row.not_before:
        members["notBefore"] = rfc3339(row.not_before)
    if row.not_after:
        members["notAfter"] = rfc3339(row.not_after)
    if row.error:
        members["error"] = msgspec.json.decode(row.error)
    if row.auto_renewal:
        members["auto-renewal"] = row.auto_renewal.members()
    if row.status is OrderStatus.VALID:
        members |= _certificate(row, urls)
    return members


def _certificate(row: Order, urls: Urls) -> Members:
    """One that changes has another name, and a URL that does not (RFC 8739 §3.1.1)."""
    return (
        {"star-certificate": urls.star(row.id)}
        if row.auto_renewal
        else {"certificate": urls.certificate(row.certificate)}
    )


def authorization(row: Authorization, challenges: Sequence[Challenge], urls: Urls) -> Members:
    """§7.1.4."""
    members: Members = {
        "identifier": identifier(without_star(row.name)),
        "status": row.status.value,
        "challenges": [challenge(one, urls) for one in _told(row, challenges)],
    }
    if is_wildcard(row.name):
        members["wildcard"] = True
    if row.subdomains:
        members["subdomainAuthAllowed"] = True
    if row.status in (AuthorizationStatus.PENDING, AuthorizationStatus.VALID):
        members["expires"] = rfc3339(row.expires)
    return members


def _told(row: Authorization, challenges: Sequence[Challenge]) -> Sequence[Challenge]:
    """Of a valid or invalid authorization the challenge that was met or failed, of others all (§7.1.4)."""
    if row.status not in (AuthorizationStatus.VALID, AuthorizationStatus.INVALID):
        return challenges
    return [one for one in challenges if one.status.value == row.status.value] or challenges


def challenge(row: Challenge, urls: Urls) -> Members:
    """§7.1.5, §8."""
    members: Members = {
        "type": row.type,
        "url": urls.challenge(row.id),
        "status": row.status.value,
    }
    if kinds.has_token(row.type):
        members["token"] = row.token
    else:
        members |= {"issuer-domain-names": list(urls.issuers), "accounturi": urls.account(row.account)}
    if row.validated_at:
        members["validated"] = rfc3339(row.validated_at)
    if row.error:
        members["error"] = msgspec.json.decode(row.error)
    return members


def identifier(name: Name) -> Members:
    """§9.7.7, RFC 8738."""
    return {"type": name.kind.value, "value": name.value}
