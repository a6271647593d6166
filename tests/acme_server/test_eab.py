"""External account binding: who may register, and what a credential lets its accounts do (RFC 8555 §7.3.4; A-22)."""

import base64
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from acme_server.desk import Desk
from acme_server.eab import office
from acme_server.eab.credential import Credential, Scope
from acme_server.eab.tables import Credentials
from acme_server.eab.wrapping import WrappingKey
from ca import journal
from ca.authority import Authority
from ca.errors import BadName, BadRequest, NotFound, Unavailable
from ca.policy import Policy
from tests.acme_server import signing
from tests.acme_server.client import ORIGIN, Client, a_name, refused
from tests.acme_server.conftest import Town, make_app
from tests.acme_server.signing import b64
from tests.acme_server.test_accounts import another, fresh, setting
from tests.ca.authority.world import OPERATOR

ALL = Scope("tests")
TRUSTED = Scope(
    "trusted", ("**.localhost",), ("short-lived",), ("127.0.0.0/8",), life=30 * 86400, waives_challenges=True
)


@pytest.fixture
def desk(authority: Authority) -> Desk:
    return Desk(authority)


@pytest.fixture
def strict(client: Client, authority: Authority) -> Iterator[Client]:
    """A client of a server that wants external accounts."""
    with setting(authority, client, external_account_required=True) as made:
        yield made


def make(desk: Desk, scope: Scope = ALL, **more: Any) -> tuple[Credential, bytes]:
    credential, key = office.create(desk, replace(scope, **more), OPERATOR)
    return credential, base64.urlsafe_b64decode(key + "=")


DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def bound(client: Client, kid: str, key: bytes, /, **lies: Any) -> dict[str, str]:
    """A binding; `lies` override members of its header, `payload` and `signature`."""
    payload = lies.pop("payload", signing.jwk(client.key))
    signature = lies.pop("signature", None)
    head = {"alg": "HS256", "kid": kid, "url": client.url("newAccount"), **lies}
    head = {name: value for name, value in head.items() if value is not ...}
    protected, body = b64(signing.dump(head)), b64(signing.dump(payload))
    digest = DIGESTS.get(head.get("alg", ""), hashlib.sha256)
    mac = hmac.digest(key, f"{protected}.{body}".encode(), digest)
    return {"protected": protected, "payload": body, "signature": b64(mac) if signature is None else signature}


def register(client: Client, credential: Credential, key: bytes, **lies: Any) -> Any:
    return client.register(externalAccountBinding=bound(client, credential.id, key, **lies))


# --- registering --------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", DIGESTS)
def test_A22_a_binding_registers_an_account(strict: Client, desk: Desk, algorithm: str) -> None:
    credential, key = make(desk)
    answer = register(strict, credential, key, alg=algorithm)
    assert answer.status_code == 201, answer.json
    assert set(answer.json["externalAccountBinding"]) == {"protected", "payload", "signature"}
    assert strict.post(strict.kid).json["externalAccountBinding"] == answer.json["externalAccountBinding"]
    account = desk.accounts.get(strict.kid.rpartition("/")[2])
    assert account.eab == credential.id
    assert Credentials(desk.store).get(credential.id).accounts == 1
    (event,) = journal.history(desk.store, f"account:{account.id}")
    assert event["detail"]["eab"] == credential.id


def test_A22_without_a_binding_nobody_registers(strict: Client) -> None:
    refused(strict.register(), "externalAccountRequired", 403)


def test_A22_a_binding_counts_where_none_is_required(client: Client, desk: Desk) -> None:
    credential, key = make(desk)
    assert register(client, credential, key).status_code == 201
    other = another(client)
    refused(register(other, credential, b"x" * 32), "unauthorized", 403)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another key's jwk": ({"payload": signing.jwk(fresh())}, "unauthorized"),
    "an unknown credential": ({"kid": "nobody"}, "unauthorized"),
    "another url": ({"url": f"{ORIGIN}/acme/new-order"}, "unauthorized"),
    "no url": ({"url": ...}, "malformed"),
    "no kid": ({"kid": ...}, "malformed"),
    "a kid that is a number": ({"kid": 5}, "malformed"),
    "no algorithm": ({"alg": ...}, "malformed"),
    "no MAC": ({"alg": "none"}, "malformed"),
    "a signature's algorithm": ({"alg": "ES256"}, "malformed"),
    "a jwk beside": ({"jwk": {}}, "malformed"),
    "crit": ({"crit": ["b64"]}, "malformed"),
    "a wrong MAC": ({"signature": b64(b"\0" * 32)}, "unauthorized"),
    "a short MAC": ({"signature": b64(b"\0" * 16)}, "unauthorized"),
    "an empty MAC": ({"signature": ""}, "unauthorized"),
    "padded base64": ({"signature": b64(b"\0" * 32) + "="}, "malformed"),
    "a payload that is no key": ({"payload": {}}, "malformed"),
    "a payload that is no object": ({"payload": b"[]"}, "malformed"),
    "an empty payload": ({"payload": b""}, "malformed"),
}


@pytest.mark.parametrize(("lies", "kind"), BAD.values(), ids=BAD)
def test_A22_each_check_of_the_binding(strict: Client, desk: Desk, lies: dict[str, Any], kind: str) -> None:
    credential, key = make(desk)
    answer = register(strict, credential, key, **lies)
    refused(answer, kind, 403 if kind == "unauthorized" else 400)
    assert Credentials(desk.store).get(credential.id).accounts == 0  # nothing is burnt
    strict.kid = ""
    assert register(strict, credential, key).status_code == 201


@pytest.mark.parametrize("binding", [{}, {"protected": ""}, {"protected": "e30", "payload": "e30", "signature": 1},
                                     {"protected": "e30", "payload": "e30", "signature": "", "header": {}},
                                     {"payloads": [], "signatures": []}])  # fmt: skip
def test_A22_other_forms_are_malformed(strict: Client, binding: dict[str, Any]) -> None:
    refused(strict.register(externalAccountBinding=binding), "malformed", 400)


def test_A22_unknown_and_wrong_are_told_alike(strict: Client, desk: Desk) -> None:
    credential, key = make(desk)
    unknown = register(strict, credential, key, kid="nobody").json
    strict.kid = ""
    assert register(strict, credential, b"x" * 32).json == unknown


def test_A22_a_failed_registration_burns_nothing(strict: Client, desk: Desk) -> None:
    """LESSONS: OpenBao burns the credential when account creation then fails."""
    credential, key = make(desk, most_accounts=1)
    binding = bound(strict, credential.id, key)
    refused(strict.register(externalAccountBinding=binding, contact=["tel:1"]), "unsupportedContact", 400)
    strict.kid = ""
    assert strict.register(externalAccountBinding=binding).status_code == 201
    assert strict.register(externalAccountBinding=binding).status_code == 200  # the same account again
    other = another(strict)
    answer = register(other, credential, key)
    refused(answer, "unauthorized", 403)
    assert "used" in answer.json["detail"]


def test_A22_of_two_at_once_one_is_bound(strict: Client, desk: Desk) -> None:
    credential, key = make(desk, most_accounts=1)
    clients = [another(strict) for _ in range(5)]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda one=one: answers.append(register(one, credential, key))) for one in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 403, 403, 403, 403]
    assert Credentials(desk.store).get(credential.id).accounts == 1


def test_A22_a_credential_ends(strict: Client, desk: Desk, town: Town) -> None:
    credential, key = make(desk, life=60)
    town.clock.ahead = 61
    answer = register(strict, credential, key)
    refused(answer, "unauthorized", 403)
    assert "expired" in answer.json["detail"]


def test_A22_a_credential_serves_from_its_networks(strict: Client, desk: Desk) -> None:
    credential, key = make(desk, networks=("10.0.0.0/8", "2001:db8::/32"))
    refused(register(strict, credential, key), "unauthorized", 403)
    strict.http.environ_base["REMOTE_ADDR"] = "10.1.2.3"
    strict.kid = ""
    assert register(strict, credential, key).status_code == 201


# --- the scope ----------------------------------------------------------------------------------


def test_A22_names_and_profiles_of_the_scope(client: Client, desk: Desk) -> None:
    credential, key = make(desk, patterns=("*.team.localhost",), profiles=("server",))
    assert register(client, credential, key).status_code == 201
    assert client.order("a.team.localhost").status_code == 201
    answer = client.order("a.team.localhost", "a.other.localhost")
    refused(answer, "rejectedIdentifier", 400)
    assert [one["identifier"]["value"] for one in answer.json["subproblems"]] == ["a.other.localhost"]
    refused(client.order("a.team.localhost", profile="short-lived"), "invalidProfile", 400)
    identifier = {"type": "dns", "value": "a.other.localhost"}
    refused(client.post(client.url("newAuthz"), {"identifier": identifier}), "rejectedIdentifier", 400)


# --- waivers ------------------------------------------------------------------------------------


@pytest.fixture
def trusted(client: Client, desk: Desk) -> Client:
    credential, key = make(desk, TRUSTED)
    assert register(client, credential, key).status_code == 201
    client.credential = credential  # type: ignore[attr-defined]
    return client


def test_A22_a_trusted_account_proves_nothing(trusted: Client, desk: Desk, town: Town) -> None:
    names = [a_name(), a_name()]
    asked = len(town.asked)
    order = trusted.order(*names, profile="short-lived")
    assert order.json["status"] == "ready"
    for authorization in trusted.authorizations(order):
        assert (authorization.json["status"], authorization.json["challenges"]) == ("valid", [])
    done = trusted.finalize(order)
    assert done.json["status"] == "valid"
    assert len(town.asked) == asked
    leaf = trusted.chain(done)[0]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < timedelta(days=7)
    target = f"authorization:{order.json['authorizations'][0].rpartition('/')[2]}"
    (event,) = journal.history(desk.store, target)
    assert event["action"] == "authorization.waived"


def test_A22_a_waiver_binds_one_account(trusted: Client, desk: Desk) -> None:
    assert Credentials(desk.store).get(trusted.credential.id).most_accounts == 1  # type: ignore[attr-defined]


def test_A22_outside_its_bounds_names_have_to_be_proved(trusted: Client, town: Town) -> None:
    refused(trusted.order(a_name(), profile="server"), "invalidProfile", 400)
    refused(trusted.order("a.test", profile="short-lived"), "rejectedIdentifier", 400)
    trusted.http.environ_base["REMOTE_ADDR"] = "10.1.2.3"
    assert trusted.order(a_name(), profile="short-lived").json["status"] == "pending"
    trusted.http.environ_base["REMOTE_ADDR"] = "127.0.0.1"
    town.clock.ahead = TRUSTED.life + 1
    assert trusted.order(a_name(), profile="short-lived").json["status"] == "pending"


def test_A22_a_profile_that_grew_long_waives_nothing(trusted: Client, authority: Authority) -> None:
    profiles = {**authority.profiles, "short-lived": replace(authority.profiles["short-lived"], max_validity=8 * 86400)}
    moved = replace(authority, profiles=profiles, policy=Policy(authority.config, profiles))
    late = replace(trusted, http=make_app(moved).test_client())
    assert late.order(a_name(), profile="short-lived").json["status"] == "pending"


def test_A22_A29_a_waived_authorization_serves_one_order_and_an_hour(trusted: Client, town: Town) -> None:
    name = a_name()
    first = trusted.order(name, profile="short-lived")
    trusted.http.environ_base["REMOTE_ADDR"] = "10.1.2.3"
    second = trusted.order(name, profile="short-lived")
    assert second.json["status"] == "pending"
    town.clock.ahead = 3601
    refused(trusted.finalize(first), "orderNotReady", 403)


def test_A22_A30_a_waived_authorization_revokes_nothing(trusted: Client) -> None:
    name = a_name()
    victim = another(trusted)
    victim.register()
    leaf = victim.obtain(name)
    order = trusted.order(name, profile="short-lived")
    assert order.json["status"] == "ready"
    refused(trusted.revoke(leaf), "unauthorized", 403)
    own = trusted.chain(trusted.finalize(order))[0]
    assert trusted.revoke(own).status_code == 200


UNBOUNDED = [{"patterns": ()}, {"profiles": ()}, {"networks": ()}, {"life": 91 * 86400}, {"profiles": ("server",)},
             {"profiles": ("short-lived", "server")}]  # fmt: skip


@pytest.mark.parametrize("lack", UNBOUNDED, ids=str)
def test_A22_a_waiver_without_bounds_cannot_be_made(desk: Desk, lack: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="needs bounds"):
        office.create(desk, replace(TRUSTED, **lack), OPERATOR)


@pytest.mark.parametrize(
    ("scope", "error"),
    [
        ({"life": 0}, BadRequest),
        ({"life": 367 * 86400}, BadRequest),
        ({"patterns": ("a b",)}, BadName),
        ({"networks": ("10.0.0.1/8",)}, BadRequest),
        ({"networks": ("home",)}, BadRequest),
        ({"profiles": ("client",)}, NotFound),
        ({"profiles": ("own",)}, NotFound),
    ],
)
def test_scopes_that_cannot_be_meant(desk: Desk, scope: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        office.create(desk, replace(ALL, **scope), OPERATOR)


# --- the end ------------------------------------------------------------------------------------


def test_A22_a_revoked_credential_takes_its_accounts_along(client: Client, desk: Desk) -> None:
    credential, key = make(desk)
    register(client, credential, key)
    leaf = client.obtain()
    ready, pending = client.ready(), client.order(a_name())
    assert office.revoke(desk, credential.id, OPERATOR) == 1
    assert office.revoke(desk, credential.id, OPERATOR) == 0
    for answer in (client.post(client.kid), client.order(a_name()), client.finalize(ready), client.register()):
        refused(answer, "unauthorized", 403)
    for order in (ready, pending):
        row = desk.orders.get(order.headers["Location"].rpartition("/")[2])
        assert (row.status, "revoked" in row.error) == ("invalid", True)
        assert {desk.proofs.get(one).status for one in row.authorizations} <= {"revoked", "deactivated"}
    assert desk.authority.certificate(leaf.serial_number).status(desk.now()) == "valid"
    other = another(client)
    refused(register(other, credential, key), "unauthorized", 403)
    actions = [event["action"] for event in journal.history(desk.store, f"eab:{credential.id}")]
    assert actions == ["eab.created", "eab.revoked"]
    with pytest.raises(NotFound):
        office.revoke(desk, "nothing", OPERATOR)


# --- the key in the database --------------------------------------------------------------------


def test_hmac_keys_lie_wrapped(desk: Desk) -> None:
    credential, key = make(desk)
    wrapped = Credentials(desk.store).wrapped_key(credential.id)
    assert key not in wrapped
    assert b64(key).encode() not in wrapped
    path = desk.config.path(desk.config.acme.eab_key_file)
    assert path.stat().st_mode & 0o777 == 0o600
    assert WrappingKey(path).unwrap(credential.id, wrapped) == key
    other, _ = make(desk)
    with pytest.raises(Unavailable):
        WrappingKey(path).unwrap(other.id, wrapped)  # a row moved to another credential opens nothing


def test_neither_id_nor_key_looks_like_an_option(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a client's command line `--eab-hmac-key -cx…` is read as an option -c."""
    drawn = iter([b"\xf8" + bytes(31), bytes(32)])
    monkeypatch.setattr("secrets.token_bytes", lambda size: next(drawn, None) or os.urandom(size))
    texts = iter(["-c", "kid"])
    monkeypatch.setattr("secrets.token_urlsafe", lambda size: next(texts))
    credential, key = office.create(desk, ALL, OPERATOR)
    assert (credential.id, key) == ("kid", b64(bytes(32)))


def test_the_wrapping_key_is_made_once_and_guarded(tmp_path: Any) -> None:
    path = tmp_path / "deep" / "eab.key"
    keys = [WrappingKey(path) for _ in range(4)]
    threads = [threading.Thread(target=one.wrap, args=("a", b"k")) for one in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert WrappingKey(path).unwrap("a", keys[0].wrap("a", b"k")) == b"k"
    assert [one.name for one in path.parent.iterdir()] == ["eab.key"]
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="open to others"):
        keys[0].wrap("a", b"k")
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(Unavailable):
        keys[0].wrap("a", b"k")


@pytest.mark.skipif(os.geteuid() != 0, reason="another's file is made by root alone")
def test_the_wrapping_key_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "eab"
    folder.mkdir(mode=0o700)
    os.chown(folder, 4711, 4712)
    WrappingKey(folder / "key").wrap("a", b"k")
    made = (folder / "key").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (4711, 4712, 0o600)


def test_a_lost_wrapping_key_stops_no_account(client: Client, desk: Desk, authority: Authority, town: Town) -> None:
    credential, key = make(desk)
    register(client, credential, key)
    with setting(authority, client, eab_key_file=town.place.path / "gone.key") as lost:
        assert lost.post(lost.kid).status_code == 200
        other = another(lost)
        answer = register(other, credential, key)
        assert answer.status_code == 503
        assert json.loads(answer.data)["type"].endswith(":serverInternal")
