"""The ACME client library that certbot is made of (acme and josepy), for whatever no command line offers."""

from pathlib import Path

import josepy
from acme import challenges, client, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.interop.world import Demo


def new_account(demo: Demo) -> client.ClientV2:
    """A client with a fresh P-256 account."""
    acme = _client(demo, josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1())))
    acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
    return acme


def account_of(demo: Demo, key_file: Path) -> client.ClientV2:
    """A client for the account that another program made with this key."""
    acme = _client(demo, josepy.JWKEC(key=load_pem_private_key(key_file.read_bytes(), None)))
    try:
        acme.new_account(messages.NewRegistration(only_return_existing=True))
    except errors.ConflictError as existing:  # the library's word for "200, and there it is"
        acme.net.account = messages.RegistrationResource(uri=existing.location, body=messages.Registration())
    return acme


def obtain(acme: client.ClientV2, csr: bytes, wellknown: Path) -> bytes:
    """Orders, answers each http-01 by a file, finalizes; the chain as PEM."""
    order = acme.new_order(csr)
    for authorization in order.authorizations:
        if authorization.body.status == messages.STATUS_VALID:
            continue  # proven a moment ago, and good for this order too
        challenge = next(one for one in authorization.body.challenges if isinstance(one.chall, challenges.HTTP01))
        response, answer = challenge.response_and_validation(acme.net.key)
        (wellknown / challenge.chall.encode("token")).write_text(answer)
        acme.answer_challenge(challenge, response)
    return acme.poll_and_finalize(order).fullchain_pem.encode()


def _client(demo: Demo, key: josepy.JWK) -> client.ClientV2:
    net = client.ClientNetwork(key, verify_ssl=str(demo.root), user_agent="certwright-tests", alg=josepy.ES256)
    net.session.trust_env = False
    return client.ClientV2(client.ClientV2.get_directory(demo.directory, net), net)
