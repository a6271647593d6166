"""Renewal information and replacement (RFC 9773; A-35), profiles of orders (draft-ietf-acme-profiles; A-36)."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from cryptography import x509

import acme_server
from acme_server import renewal_info, upkeep
from acme_server.desk import Desk
from acme_server.errors import Malformed
from ca.authority import Authority
from ca.clock import system_clock
from ca.records import Query, Reason, RevokeRequest
from tests.acme_server.client import ORIGIN, Client, a_name, refused
from tests.acme_server.conftest import Town
from tests.acme_server.signing import b64
from tests.acme_server.test_accounts import another
from tests.ca.authority.world import OPERATOR

VECTOR = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"  # RFC 9773 §4.1


def ident(leaf: x509.Certificate) -> str:
    key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    octets = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1)
    return f"{b64(key or b'')}.{b64(octets)}"


def ask(client: Client, certificate_id: str) -> Any:
    return client.http.get(client.url("renewalInfo").removeprefix(ORIGIN) + "/" + certificate_id)


def window(answer: Any) -> tuple[datetime, datetime]:
    assert answer.status_code == 200, answer.json
    found = answer.json["suggestedWindow"]
    return datetime.fromisoformat(found["start"]), datetime.fromisoformat(found["end"])


# --- identifiers --------------------------------------------------------------------------------


def test_A35_the_identifier_of_the_rfc() -> None:
    key_id = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
    assert renewal_info.parse(VECTOR) == (key_id, 0x87654321)
    assert renewal_info.certificate_id(key_id, 0x87654321) == VECTOR


BAD = [
    "", ".", "a", "aYhba4dGQEHhs3uEe6CuLN4ByNQ", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.", ".AIdlQyE", VECTOR + "=",
    VECTOR + ".AA", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AACHZUMh",
    "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AA", "a b.AIdlQyE", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQy+", "x" * 300 + ".AIdlQyE",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_A35_other_identifiers_are_malformed(client: Client, text: str) -> None:
    with pytest.raises(Malformed):
        renewal_info.parse(text)
    answer = ask(client, text)
    assert answer.status_code in (400, 404)  # 404 where the path is none
    assert answer.json["type"].endswith(":malformed")


def test_A35_a_certificate_of_another_ca_is_not_known(registered: Client) -> None:
    assert ask(registered, VECTOR).status_code == 404
    _, _, serial = ident(registered.obtain()).partition(".")
    assert ask(registered, f"aYhba4dGQEHhs3uEe6CuLN4ByNQ.{serial}").status_code == 404


# --- windows ------------------------------------------------------------------------------------


def test_A35_a_window_in_the_last_part_of_the_life(registered: Client, authority: Authority) -> None:
    leaf = registered.obtain()
    answer = ask(registered, ident(leaf))
    start, end = window(answer)
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert leaf.not_valid_before_utc + life / 2 < start < end < leaf.not_valid_after_utc - life / 4
    assert answer.headers["Retry-After"] == str(authority.config.acme.renewal_poll)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.content_type == "application/json"
    assert "explanationURL" not in answer.json
    assert window(ask(registered, ident(leaf))) == (start, end)


def test_A35_it_is_there_in_every_directory_and_by_post_as_get(registered: Client) -> None:
    for path in ("/acme/directory", "/acme/short-lived/directory"):
        assert registered.http.get(path).json["renewalInfo"] == f"{ORIGIN}/acme/renewal-info"
    url = f"{ORIGIN}/acme/renewal-info/{ident(registered.obtain())}"
    assert window(registered.post(url))
    assert registered.http.head(url.removeprefix(ORIGIN)).status_code == 200


def test_A35_a_revoked_certificate_is_renewed_at_once(registered: Client) -> None:
    leaf = registered.obtain()
    assert registered.revoke(leaf, reason=4).status_code == 200
    start, end = window(ask(registered, ident(leaf)))
    assert start < end <= datetime.fromtimestamp(system_clock(), UTC)


def test_A35_in_an_incident_windows_follow_the_measured_rate(registered: Client, authority: Authority) -> None:
    leaves = [registered.obtain() for _ in range(4)]
    serials = tuple(leaf.serial_number for leaf in leaves)
    called = acme_server.call_for_renewal(authority, serials, OPERATOR)
    assert (called.count, called.begin) == (4, pytest.approx(authority.clock(), abs=3))
    assert called.per_second >= 1
    called = acme_server.call_for_renewal(authority, serials, OPERATOR, per_second=0.01)
    answers = [ask(registered, ident(leaf)) for leaf in leaves]
    starts = [int(window(one)[0].timestamp()) - called.begin for one in answers]
    assert starts == [0, 100, 200, 300]
    assert called.end == called.begin + 300 + 600
    for answer in answers:
        page = registered.http.get(answer.json["explanationURL"].removeprefix(ORIGIN))
        assert page.status_code == 200
        assert page.content_type.startswith("text/plain")
        assert not [digit for digit in page.text.replace("9773", "") if digit.isdigit()]  # no counts, no times
    assert registered.revoke(leaves[0], reason=4).status_code == 200
    assert window(ask(registered, ident(leaves[0])))[1].timestamp() <= authority.clock()


def test_A35_in_a_mass_revocation_clients_are_called_before_and_come_one_after_the_other(
    registered: Client, authority: Authority
) -> None:
    leaves = [registered.obtain() for _ in range(3)]
    account = authority.certificate(leaves[0].serial_number).account
    mass = authority.begin_mass(Query(account=account), RevokeRequest(Reason.KEY_COMPROMISE, OPERATOR))
    slowly = partial(acme_server.call_ahead, authority, per_second=0.01)
    assert authority.go_on_with_mass(mass.id, prepare=slowly).revoked == 3
    answers = [ask(registered, ident(leaf)) for leaf in leaves]
    begins = sorted(int(window(one)[0].timestamp()) for one in answers)
    assert begins[0] <= authority.clock(), "the first one at once"
    assert [begins[1] - mass.created_at, begins[2] - mass.created_at] == pytest.approx([100, 200], abs=3)
    assert all("explanationURL" in one.json for one in answers)
    [event] = [one for one in authority.store.recent(20) if one.action == "renewal.called"]
    assert event.actor == str(OPERATOR)


def test_an_expired_certificate_still_has_its_window(registered: Client, town: Town) -> None:
    leaf = registered.obtain()
    before = window(ask(registered, ident(leaf)))
    town.clock.ahead = 100 * 86400
    assert window(ask(registered, ident(leaf))) == before


# --- replaces -----------------------------------------------------------------------------------


def test_A35_an_order_replaces_a_certificate_once(registered: Client, authority: Authority) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    order = registered.order(name, replaces=ident(leaf))
    assert order.status_code == 201, order.json
    assert order.json["replaces"] == ident(leaf)
    assert registered.post(order.headers["Location"]).json["replaces"] == ident(leaf)
    refused(registered.order(name, replaces=ident(leaf)), "alreadyReplaced", 409)
    done = registered.finalize(order)
    assert done.json["status"] == "valid"
    renewed = authority.certificate(registered.chain(done)[0].serial_number)
    assert int(renewed.replaces, 16) == leaf.serial_number
    refused(registered.order(name, replaces=ident(leaf)), "alreadyReplaced", 409)
    again = registered.order(name, replaces=ident(registered.chain(done)[0]))
    assert again.status_code == 201


def test_A35_a_failed_order_replaces_nothing(registered: Client, authority: Authority, town: Town) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    failed = registered.order(name, replaces=ident(leaf))
    registered.post(failed.json["authorizations"][0], {"status": "deactivated"})
    late = registered.order(name, replaces=ident(leaf))
    assert late.status_code == 201
    town.clock.ahead = authority.config.acme.order_life + 1
    assert registered.order(name, replaces=ident(leaf)).status_code == 201
    upkeep.expire(Desk(authority))


def test_A35_only_what_is_the_account_s_own_is_replaced(registered: Client) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    other = another(registered)
    other.register()
    refused(other.order(name, replaces=ident(leaf)), "unauthorized", 403)
    refused(registered.order(a_name(), replaces=ident(leaf)), "malformed", 400)
    refused(registered.order(name, replaces=VECTOR), "malformed", 404)
    refused(registered.order(name, replaces="junk"), "malformed", 400)
    refused(registered.order(name, replaces=5), "malformed", 400)
    assert registered.order(name, a_name(), replaces=ident(leaf)).status_code == 201


def test_A35_a_refused_order_marks_nothing(registered: Client) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    refused(registered.order(name, "www.example.org", replaces=ident(leaf)), "rejectedIdentifier", 400)
    assert registered.order(name, replaces=ident(leaf)).status_code == 201


def test_revoked_certificates_may_be_replaced(registered: Client, authority: Authority) -> None:
    name = a_name()
    leaf = registered.obtain(name)
    authority.revoke(authority.certificate(leaf.serial_number), Reason.SUPERSEDED, OPERATOR)
    assert registered.order(name, replaces=ident(leaf)).status_code == 201


# --- profiles -----------------------------------------------------------------------------------


def test_A36_the_directory_describes_the_profiles(client: Client) -> None:
    for path in ("/acme/directory", "/acme/short-lived/directory"):
        profiles = client.http.get(path).json["meta"]["profiles"]
        assert list(profiles) == ["server", "short-lived"]
        assert all(profiles.values())


def test_A36_an_order_chooses_its_profile(registered: Client, authority: Authority) -> None:
    order = registered.ready(profile="short-lived")
    assert order.json["profile"] == "short-lived"
    leaf = registered.chain(registered.finalize(order))[0]
    assert authority.certificate(leaf.serial_number).profile == "short-lived"
    assert leaf.not_valid_after_utc.timestamp() - leaf.not_valid_before_utc.timestamp() < 7 * 86400


def test_A36_without_a_profile_the_default_is_shown(registered: Client) -> None:
    assert registered.order(a_name()).json["profile"] == "server"
    payload = {"identifiers": [{"type": "dns", "value": a_name()}]}
    assert registered.post(f"{ORIGIN}/acme/short-lived/new-order", payload).json["profile"] == "short-lived"
    answer = registered.post(f"{ORIGIN}/acme/short-lived/new-order", {**payload, "profile": "server"})
    assert answer.json["profile"] == "server"


@pytest.mark.parametrize("profile", ["client", "own", "nothing", "SERVER", " server", "x" * 1000])
def test_A36_other_profiles_are_invalid(registered: Client, profile: str) -> None:
    refused(registered.order(a_name(), profile=profile), "invalidProfile", 400)


@pytest.mark.parametrize("profile", [1, ["server"], {}, True])
def test_profiles_of_other_types_are_malformed(registered: Client, profile: Any) -> None:
    refused(registered.order(a_name(), profile=profile), "malformed", 400)
