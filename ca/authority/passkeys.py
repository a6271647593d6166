"""Passkeys (WebAuthn Level 3): enrolled by a person who is signed in, asserted to sign in, to confirm, to approve.

User verification is demanded each time: a passkey is possession and PIN or biometry in one. The relying party is the
host of `server.public_url`.
"""

import json
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ca.authority.desk import Desk
from ca.errors import BadRequest, NotFound, Unauthenticated
from ca.people import Passkey, Person

CHALLENGE_LIFE = 300
OPEN_CHALLENGES = 10_000
"""Of one purpose. More crowd the oldest out: whoever asks for many, unseen, must not keep others from signing in."""

MOST = 20
"""Passkeys of one person."""


def relying_party(desk: Desk) -> tuple[str, str]:
    """Its id (a host name) and its origin."""
    parts = urlsplit(desk.config.server.public_url)
    return parts.hostname or "localhost", f"{parts.scheme}://{parts.netloc}"


def creation_options(desk: Desk, person: Person) -> str:
    """JSON for `navigator.credentials.create`: a discoverable credential, not one that the person has already."""
    host, _ = relying_party(desk)
    known = [PublicKeyCredentialDescriptor(base64url_to_bytes(one.id)) for one in desk.store.passkeys(person.id)]
    options = webauthn.generate_registration_options(
        rp_id=host,
        rp_name="Certwright",
        user_name=person.id,
        user_id=person.id.encode(),
        challenge=_challenge(desk, f"enrol:{person.id}"),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=known,
    )
    return webauthn.options_to_json(options)


def enrol(desk: Desk, person: Person, response: str, name: str) -> Passkey:
    """Verifies a new credential and stores it, in the open transaction. Raises `BadRequest` and `Conflict`."""
    if len(desk.store.passkeys(person.id)) >= MOST:
        raise BadRequest(f"Nobody has more than {MOST} passkeys.", next_step="Give up one first.")
    host, origin = relying_party(desk)
    try:
        made = webauthn.verify_registration_response(
            credential=response,
            expected_challenge=_expected(desk, response, f"enrol:{person.id}"),
            expected_rp_id=host,
            expected_origin=origin,
            require_user_verification=True,
        )
    except WebAuthnException as error:
        raise BadRequest(f"The passkey was not made as it must be: {error}.", next_step="Try again.") from None
    passkey = Passkey(
        bytes_to_base64url(made.credential_id),
        person.id,
        name.strip()[:60] or "passkey",
        made.credential_public_key,
        made.sign_count,
        desk.clock(),
    )
    desk.store.add_passkey(passkey)
    return passkey


def request_options(desk: Desk, purpose: str, passkeys: Iterable[Passkey] = (), challenge: bytes = b"") -> str:
    """JSON for `navigator.credentials.get`, by one of these passkeys or by any that its holder chooses."""
    host, _ = relying_party(desk)
    options = webauthn.generate_authentication_options(
        rp_id=host,
        challenge=challenge or _challenge(desk, purpose),
        allow_credentials=[PublicKeyCredentialDescriptor(base64url_to_bytes(one.id)) for one in passkeys],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return webauthn.options_to_json(options)


def assertion(desk: Desk, response: str, purpose: str) -> Passkey:
    """The passkey that signed the challenge of that purpose, which is used up. Raises `Unauthenticated`."""
    return verify(desk, response, _expected(desk, response, purpose))


def verify(desk: Desk, response: str, challenge: bytes, *, again: bool = False) -> Passkey:
    """The passkey that signed this very challenge, with its holder verified. Raises `Unauthenticated`.

    `again`: an assertion that was verified before and kept; the authenticator's count has moved on since.
    """
    host, origin = relying_party(desk)
    refused = Unauthenticated("The passkey was not accepted.", next_step="Try again, or sign in another way.")
    try:
        passkey = desk.store.passkey(str(_json(response).get("id", "")))
        done = webauthn.verify_authentication_response(
            credential=response,
            expected_challenge=challenge,
            expected_rp_id=host,
            expected_origin=origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=0 if again else passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, NotFound):
        raise refused from None
    if not again:
        desk.store.passkey_used(passkey.id, done.new_sign_count, desk.clock())
    return passkey


def _challenge(desk: Desk, purpose: str) -> bytes:
    made = secrets.token_bytes(32)
    now = desk.clock()
    desk.store.add_challenge(bytes_to_base64url(made), purpose, now, now + CHALLENGE_LIFE, OPEN_CHALLENGES)
    return made


def _expected(desk: Desk, response: str, purpose: str) -> bytes:
    """The challenge that the response claims to answer, if it is open for that purpose. Raises `Unauthenticated`."""
    try:
        client = base64url_to_bytes(_json(response)["response"]["clientDataJSON"])
        challenge = str(json.loads(client)["challenge"])
        raw = base64url_to_bytes(challenge)
    except (ValueError, KeyError, TypeError):
        raise BadRequest("That is no answer of an authenticator.", next_step="Open the page again.") from None
    if not desk.store.use_challenge(challenge, purpose, desk.clock()):
        raise Unauthenticated("The challenge is used up or too old.", next_step="Try again.")
    return raw


def _json(response: str) -> dict[str, dict[str, str]]:
    if len(response) > 64 * 1024:
        raise BadRequest("That is no answer of an authenticator.", next_step="Open the page again.")
    try:
        found = json.loads(response)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadRequest("That is no answer of an authenticator.", next_step="Open the page again.")
    return found
