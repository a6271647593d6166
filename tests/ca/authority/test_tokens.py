"""API tokens: scope, life, and that a secret opens nothing but itself."""

from dataclasses import replace

import pytest

from ca.authority import Authority
from ca.authority.tokens import MAX_LIFE, TokenScope, authenticate, create_token, permit, revoke_token
from ca.errors import BadName, BadRequest, NotFound, PolicyDenied, Unauthenticated
from ca.names import parse_any
from tests.ca.authority.world import OPERATOR, World, a_request


def _scope(**more: object) -> TokenScope:
    values: dict[str, object] = {"name": "ci", "profiles": ("server",), "patterns": ("*.svc.test", "10.1.0.0/16")}
    return TokenScope(**{**values, **more})  # type: ignore[arg-type]


def test_a_token_speaks_for_its_scope_alone(authority: Authority) -> None:
    _, secret = create_token(authority, _scope(), OPERATOR)
    principal = authenticate(authority, secret)
    principal.permit([parse_any("a.svc.test"), parse_any("10.1.2.3")], "server")
    for name, profile in (
        ("a.svc.test", "client"),
        ("svc.test", "server"),
        ("a.b.svc.test", "server"),
        ("*.svc.test", "server"),
        ("10.2.0.1", "server"),
    ):
        with pytest.raises(PolicyDenied):
            principal.permit([parse_any("b.svc.test"), parse_any(name)], profile)


def test_B07_a_request_outside_the_scope_is_journalled(authority: Authority) -> None:
    token, secret = create_token(authority, _scope(), OPERATOR)
    principal = authenticate(authority, secret)
    permit(authority, principal, a_request("a.svc.test"))
    with pytest.raises(PolicyDenied):
        permit(authority, principal, replace(a_request("svc.test"), actor=principal.actor))
    body = authority.store.recent(1)[0].body
    assert b"issuance.refused" in body
    assert token.id.encode() in body
    assert b"svc.test" not in body


def test_the_secret_is_stored_as_a_digest_only(authority: Authority) -> None:
    token, secret = create_token(authority, _scope(), OPERATOR)
    assert len(secret) >= 43
    assert token.id in {one.id for one in authority.store.tokens()}
    database = authority.config.path("state")
    for file in (*database.glob("*.sqlite*"), *database.glob("**/*.log")):
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("secret", ["", "cw_", "cw_" + "x" * 43, "cw_" + "x" * 10_000, "Bearer", "cw_\x00"])
def test_what_was_never_a_secret_is_refused(authority: Authority, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticate(authority, secret)


def test_revoked_and_expired_tokens_are_refused_alike(authority: Authority, world: World) -> None:
    token, secret = create_token(authority, _scope(), OPERATOR)
    _, other = create_token(authority, _scope(life=3600), OPERATOR)
    revoke_token(authority, token.id, OPERATOR)
    revoke_token(authority, token.id, OPERATOR)
    world.clock.ahead = 3601
    for one in (secret, other):
        with pytest.raises(Unauthenticated):
            authenticate(authority, one)
    with pytest.raises(NotFound):
        revoke_token(authority, "nobody", OPERATOR)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"life": MAX_LIFE + 1}, BadRequest),
        ({"life": 0}, BadRequest),
        ({"profiles": ()}, BadRequest),
        ({"patterns": ()}, BadRequest),
        ({"profiles": ("nonesuch",)}, NotFound),
        ({"patterns": ("***",)}, BadName),
        ({"patterns": ("a b",)}, BadName),
    ],
)
def test_scopes_that_cannot_be_are_refused(
    authority: Authority, bad: dict[str, object], error: type[Exception]
) -> None:
    before = len(authority.store.tokens())
    with pytest.raises(error):
        create_token(authority, _scope(**bad), OPERATOR)
    assert len(authority.store.tokens()) == before


def test_a_token_owns_what_it_issued(authority: Authority) -> None:
    token, secret = create_token(authority, _scope(), OPERATOR)
    principal = authenticate(authority, secret)
    assert principal.owns(authority.issue(a_request("c.svc.test", token=token.id)))
    assert not principal.owns(authority.issue(a_request("d.svc.test")))
