"""Certificates that renew themselves (RFC 8739), by a CA of their own whose clock only goes forwards."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from cryptography import x509
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

import acme_server
from acme_server.courses.terms import Bounds, Terms, granted
from acme_server.desk import Desk
from acme_server.errors import Malformed
from ca.authority import Authority
from ca.clock import rfc3339
from ca.config import Config
from ca.errors import HSMUnavailable, NotFound, PossiblySigned
from ca.records import SYSTEM, Reason
from tests.acme_server.client import ORIGIN, Client, a_name, refused
from tests.acme_server.conftest import Town, a_town
from tests.acme_server.test_finalize import failing

DAY = 86400
LIFE = DAY
AHEAD = Terms(0, 0, LIFE).ahead
MINUTE = 60


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with a_town(tmp_path_factory) as made:
        yield made


@pytest.fixture
def authority(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Without turning the clock back: the signer would not have it."""
    opened = town.open()
    star = {"enabled": True, "allow_certificate_get": True}
    monkeypatch.setitem(opened.config.acme.__dict__, "star", opened.config.acme.star.model_copy(update=star))
    yield opened
    opened.store.change("UPDATE acme_star SET due_at = 0")  # the next test sees nothing of this one
    opened.store.close()


@pytest.fixture
def desk(authority: Authority) -> Desk:
    return Desk(authority)


def asked(now: int, days: float = 5, **more: Any) -> dict[str, Any]:
    """An auto-renewal object; lengths in seconds, times as epoch seconds."""
    given = {"end-date": now + int(days * DAY), "lifetime": LIFE, **more}
    return {name: rfc3339(value) if name.endswith("-date") else value for name, value in given.items()}


def obtain(client: Client, desk: Desk, **more: Any) -> TestResponse:
    """A valid order that renews itself."""
    done = client.finalize(client.ready(**{"auto-renewal": asked(desk.now(), **more)}))
    assert done.json["status"] == "valid", done.json
    return done


def leaf(client: Client, order: TestResponse) -> x509.Certificate:
    return x509.load_pem_x509_certificates(client.post(order.json["star-certificate"]).data)[0]


def period(one: x509.Certificate) -> tuple[int, int]:
    return int(one.not_valid_before_utc.timestamp()), int(one.not_valid_after_utc.timestamp())


def renew(town: Town, authority: Authority, seconds: int) -> int:
    """What the job does after so many seconds more."""
    town.clock.ahead += seconds
    return acme_server.renew_stars(authority).done


def at(client: Client, order: TestResponse) -> TestResponse:
    return client.post(order.headers["Location"])


def serials(desk: Desk, order: TestResponse) -> list[str]:
    """The certificates of an order, in the order in which they were made."""
    found = desk.store.rows('SELECT serial FROM certificate WHERE "order" = ? ORDER BY id', ident(order))
    return [row[0] for row in found]


def ident(order: TestResponse) -> str:
    return order.headers["Location"].rpartition("/")[2]


# --- what is offered, and what is asked for -----------------------------------------------------


def test_A37_the_directory_says_what_is_offered(authority: Authority, client: Client) -> None:
    offered = client.http.get("/acme/directory").json["meta"]["auto-renewal"]
    assert offered == {"min-lifetime": DAY, "max-duration": 365 * DAY, "allow-certificate-get": True}


def test_A37_where_it_is_off_it_is_not_offered_and_not_ignored(
    authority: Authority, registered: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = authority.config.acme.star.model_copy(update={"enabled": False})
    monkeypatch.setitem(authority.config.acme.__dict__, "star", off)
    assert "auto-renewal" not in registered.http.get("/acme/directory").json["meta"]
    refused(registered.order(a_name(), **{"auto-renewal": asked(desk.now())}), "malformed", 400)


def test_A37_the_order_shows_what_is_granted(registered: Client, desk: Desk) -> None:
    now = desk.now()
    wish = asked(now, **{"start-date": now - MINUTE, "lifetime-adjust": 2 * DAY, "allow-certificate-get": True})
    order = registered.order(a_name(), **{"auto-renewal": wish})
    backdate = desk.authority.profile("server").backdate
    assert order.json["auto-renewal"] == {**wish, "lifetime-adjust": AHEAD + backdate}
    assert "star-certificate" not in order.json


@pytest.mark.parametrize(
    "wish",
    [
        {"lifetime": DAY - 1},
        {"lifetime": 0},
        {"lifetime": -DAY},
        {"lifetime": "86400"},
        {"lifetime": 86400.5},
        {"lifetime": True},
        {"lifetime": 60 * DAY},  # with its padding longer than the profile's life
        {"lifetime": 10**30},
        {"lifetime-adjust": -1},
        {"lifetime-adjust": "0"},
        {"end-date": "yesterday"},
        {"end-date": None},
        {"end-date": "2020-01-01T00:00:00Z"},
        {"end-date": "2090-01-01T00:00:00Z"},
        {"end-date": "2030-01-01"},
        {"start-date": "2089-01-01T00:00:00Z"},
        {"start-date": 17},
        {"allow-certificate-get": "yes"},
        {"allow-certificate-get": 1},
    ],
    ids=str,
)
def test_A37_what_cannot_be_granted_is_malformed(registered: Client, desk: Desk, wish: dict[str, Any]) -> None:
    answer = registered.order(a_name(), **{"auto-renewal": asked(desk.now()) | wish})
    refused(answer, "malformed", 400)
    assert "auto-renewal" in answer.json["detail"] or re.search("date|payload", answer.json["detail"])


@pytest.mark.parametrize("wish", [[], "yes", 1, {}, {"lifetime": DAY}, {"end-date": "2030-01-01T00:00:00Z"}], ids=str)
def test_A37_what_is_no_such_object_is_malformed(registered: Client, wish: Any) -> None:
    refused(registered.order(a_name(), **{"auto-renewal": wish}), "malformed", 400)


@pytest.mark.parametrize("member", ["notBefore", "notAfter"])
def test_A37_it_goes_with_no_fixed_life(registered: Client, desk: Desk, member: str) -> None:
    more = {"auto-renewal": asked(desk.now()), member: rfc3339(desk.now() + DAY)}
    refused(registered.order(a_name(), **more), "malformed", 400)


def test_A37_it_cannot_be_on_together_with_caa() -> None:
    with pytest.raises(ValueError, match=r"acme\.star\.enabled cannot be on together with acme\.caa"):
        Config(acme={"star": {"enabled": True}, "caa": "on"})  # type: ignore[arg-type]


# --- one certificate after the other ------------------------------------------------------------


def test_A38_the_next_certificate_is_there_before_half_of_the_life_of_the_last(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk, days=3)
    assert "certificate" not in order.json
    first = leaf(registered, order)
    begin, _ = period(first)
    assert period(first) == (begin, begin + LIFE)
    assert renew(town, authority, LIFE - AHEAD - MINUTE) == 0
    assert leaf(registered, order) == first
    assert renew(town, authority, MINUTE) == 1
    second = leaf(registered, order)
    assert desk.now() <= begin + LIFE // 2
    not_before, not_after = period(second)
    assert not_after == begin + 2 * LIFE
    assert desk.now() - 2 <= not_before <= desk.now()
    assert second.public_key() == first.public_key()
    assert second.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ) == first.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    record = authority.certificate(second.serial_number)
    assert (record.order, record.replaces) == (ident(order), f"{first.serial_number:x}".zfill(len(record.replaces)))
    assert at(registered, order).json["status"] == "valid"


def test_A38_none_lasts_beyond_the_end_and_none_comes_after_it(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk, days=2.5)
    end = int(datetime.fromisoformat(order.json["auto-renewal"]["end-date"]).timestamp())
    for _ in range(6):
        renew(town, authority, LIFE // 2)
        if desk.now() < end:
            assert period(leaf(registered, order))[1] <= end
    assert len(serials(desk, order)) == 3
    refused(registered.post(order.json["star-certificate"]), "autoRenewalExpired", 403)
    assert at(registered, order).json["status"] == "valid"
    assert desk.courses.get(ident(order)).due_at == 0


def test_A38_who_was_away_for_long_makes_the_one_that_counts(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk, days=9)
    begin, _ = period(leaf(registered, order))
    assert renew(town, authority, 4 * LIFE + MINUTE) == 1
    assert period(leaf(registered, order))[1] == begin + 5 * LIFE
    assert len(serials(desk, order)) == 2
    assert renew(town, authority, 0) == 0


def test_A38_of_many_schedulers_one_makes_it(registered: Client, desk: Desk, town: Town, authority: Authority) -> None:
    order = obtain(registered, desk)
    town.clock.ahead += LIFE
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: acme_server.renew_stars(authority), range(6)))
    assert len(serials(desk, order)) == 2


def test_A38_an_hsm_that_is_away_is_waited_for(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = obtain(registered, desk)
    first = leaf(registered, order)
    with monkeypatch.context() as patched:
        failing(patched, HSMUnavailable("gone"))
        with pytest.raises(HSMUnavailable):
            renew(town, authority, LIFE // 2)
    assert leaf(registered, order) == first
    assert renew(town, authority, HSMUnavailable.retry_after) == 1
    assert leaf(registered, order) != first


def test_A38_what_may_have_been_signed_is_given_up_and_another_made(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = obtain(registered, desk)
    with monkeypatch.context() as patched:
        failing(patched, PossiblySigned("who knows"))
        town.clock.ahead += LIFE // 2
        assert acme_server.renew_stars(authority).failed == 1
    assert renew(town, authority, authority.config.ca.intent_timeout + 1) == 1  # its intent is still open: nothing yet
    assert len(serials(desk, order)) == 1
    authority.sweep_intents()
    assert renew(town, authority, 0) == 1
    assert len(serials(desk, order)) == 2
    assert not authority.certificate(int(serials(desk, order)[-1], 16)).revoked_at


def test_A38_a_compromised_key_is_not_certified_again(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk)
    one = authority.certificate(leaf(registered, order).serial_number)
    authority.revoke(one, Reason.KEY_COMPROMISE, SYSTEM)
    refused(registered.post(order.json["star-certificate"]), "autoRenewalCanceled", 403)
    renew(town, authority, LIFE // 2)
    found = at(registered, order)
    assert found.json["status"] == "canceled"
    assert "revoked" in found.json["error"]["detail"]
    assert len(serials(desk, order)) == 1


def test_A38_an_authorization_that_was_given_up_ends_it_and_one_that_expired_does_not(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    kept, given_up = obtain(registered, desk), obtain(registered, desk)
    registered.post(given_up.json["authorizations"][0], {"status": "deactivated"})
    town.clock.ahead += desk.config.acme.authorization_life + LIFE // 2
    acme_server.expire(authority)
    acme_server.renew_stars(authority)
    assert registered.post(kept.json["authorizations"][0]).json["status"] == "expired"
    assert at(registered, kept).json["status"] == "valid"
    assert len(serials(desk, kept)) == 2
    assert at(registered, given_up).json["status"] == "canceled"


def test_A38_policy_that_became_stricter_ends_it(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = obtain(registered, desk)
    strict = replace(authority.profile("server"), key_types=frozenset({"rsa-4096"}))
    monkeypatch.setitem(authority.profiles, "server", strict)  # type: ignore[index]
    renew(town, authority, LIFE // 2)
    found = at(registered, order).json
    assert found["status"] == "canceled"
    assert found["error"]["type"].endswith("unauthorized")


def test_A38_a_profile_that_was_taken_away_ends_its_orders_and_holds_up_no_other(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = obtain(registered, desk)
    town.clock.ahead += MINUTE
    other = registered.finalize(
        registered.ready(profile="short-lived", **{"auto-renewal": asked(desk.now())})  # due after the first
    )
    monkeypatch.delitem(authority.profiles, "server")  # type: ignore[attr-defined]
    assert renew(town, authority, LIFE // 2) == 2
    ended = at(registered, first).json
    assert (ended["status"], len(serials(desk, first))) == ("canceled", 1)
    assert "server" in ended["error"]["detail"]
    assert (at(registered, other).json["status"], len(serials(desk, other))) == ("valid", 2)


def test_A38_where_it_is_switched_off_nothing_is_renewed_until_it_is_on_again(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = obtain(registered, desk)
    with monkeypatch.context() as patched:
        off = authority.config.acme.star.model_copy(update={"enabled": False})
        patched.setitem(authority.config.acme.__dict__, "star", off)
        assert renew(town, authority, LIFE // 2) == 0
        assert at(registered, order).json["status"] == "valid"
    assert renew(town, authority, 0) == 1


def test_A38_an_issuer_that_is_not_active_ends_no_order(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = obtain(registered, desk)
    with monkeypatch.context() as patched:
        patched.setattr(type(authority.store), "issuers", lambda _: [])
        with pytest.raises(NotFound):
            renew(town, authority, LIFE // 2)
    assert at(registered, order).json["status"] == "valid"
    assert renew(town, authority, 0) == 1


# --- cancelled ----------------------------------------------------------------------------------


def test_A39_a_cancelled_order_gets_no_further_certificate_and_shows_none(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk)
    answer = registered.post(order.headers["Location"], {"status": "canceled"})
    assert (answer.status_code, answer.json["status"]) == (200, "canceled")
    assert datetime.fromisoformat(answer.json["expires"]) <= datetime.fromtimestamp(desk.now(), UTC)
    assert "star-certificate" not in answer.json
    refused(registered.post(order.json["star-certificate"]), "autoRenewalCanceled", 403)
    assert renew(town, authority, LIFE) == 0
    assert len(serials(desk, order)) == 1
    told = desk.store.rows("SELECT action FROM event WHERE target = ? ORDER BY id", f"order:{ident(order)}")
    assert told[-1] == ("order.canceled",)
    again = registered.post(order.headers["Location"], {"status": "canceled"})
    refused(again, "autoRenewalCancellationInvalid", 400)


def test_A39_only_a_valid_order_that_renews_itself_is_cancelled(registered: Client, desk: Desk) -> None:
    waiting = registered.order(a_name(), **{"auto-renewal": asked(desk.now())})
    refused(registered.post(waiting.headers["Location"], {"status": "canceled"}), "autoRenewalCancellationInvalid", 400)
    usual = registered.finalize(registered.ready())
    refused(registered.post(usual.headers["Location"], {"status": "canceled"}), "malformed", 400)
    for change in ({"status": "valid"}, {"status": 7}, {}, {"expires": "2030-01-01T00:00:00Z"}):
        refused(registered.post(usual.headers["Location"], change), "malformed", 400)


def test_A39_nobody_cancels_or_reads_anothers(registered: Client, desk: Desk, app: Flask, town: Town) -> None:
    order = obtain(registered, desk)
    other = Client(app.test_client(), town.shown)
    other.register()
    refused(other.post(order.headers["Location"], {"status": "canceled"}), "unauthorized", 403)
    refused(other.post(order.json["star-certificate"]), "unauthorized", 403)
    assert at(registered, order).json["status"] == "valid"


def test_A39_its_certificates_are_not_revoked_by_clients(registered: Client, desk: Desk) -> None:
    order = obtain(registered, desk)
    refused(registered.revoke(leaf(registered, order)), "autoRenewalRevocationNotSupported", 403)


def test_A39_an_account_that_ends_ends_its_orders(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk)
    registered.post(registered.kid, {"status": "deactivated"})
    assert desk.orders.get(ident(order)).status == "canceled"
    assert renew(town, authority, LIFE) == 0


def test_A39_one_that_is_cancelled_under_the_signature_gets_nothing(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ca.issuer import IssuingCA

    order, sign = obtain(registered, desk), IssuingCA.sign

    def slow(self: IssuingCA, *words: Any) -> bytes:
        registered.post(order.headers["Location"], {"status": "canceled"})
        return sign(self, *words)

    with monkeypatch.context() as patched:
        patched.setattr(IssuingCA, "sign", slow)
        town.clock.ahead += LIFE // 2
        assert acme_server.renew_stars(authority).failed == 1
    assert len(serials(desk, order)) == 1
    town.clock.ahead += authority.config.ca.intent_timeout + 1
    authority.sweep_intents()
    states = desk.store.rows('SELECT state FROM intent WHERE "order" = ? ORDER BY created_at', ident(order))
    assert states == [("issued",), ("abandoned",)]
    assert at(registered, order).json["status"] == "canceled"


def test_A39_what_is_cancelled_is_forgotten_in_time(
    registered: Client, desk: Desk, town: Town, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(authority.config.acme.__dict__, "retention", DAY)
    order = obtain(registered, desk)
    registered.post(order.headers["Location"], {"status": "canceled"})
    acme_server.purge(authority)
    assert desk.courses.renews(ident(order))
    town.clock.ahead += desk.config.acme.retention + MINUTE
    acme_server.purge(authority)
    assert not desk.courses.renews(ident(order))
    assert len(serials(desk, order)) == 1  # certificates stay


# --- fetched without an account -----------------------------------------------------------------


def test_A40_whoever_is_let_gets_it_without_an_account(
    registered: Client, desk: Desk, town: Town, authority: Authority
) -> None:
    order = obtain(registered, desk, **{"allow-certificate-get": True})
    path = order.json["star-certificate"].removeprefix(ORIGIN)
    answer = registered.http.get(path)
    assert answer.content_type == "application/pem-certificate-chain"
    one, *above = x509.load_pem_x509_certificates(answer.data)
    assert above
    for name, told in (("Cert-Not-Before", 0), ("Cert-Not-After", 1)):
        value = answer.headers[name]
        assert re.fullmatch(r'"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"', value)
        assert parsedate_to_datetime(value.strip('"')).timestamp() == period(one)[told]
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "Replay-Nonce" not in answer.headers
    assert (
        registered.http.get(path, headers={"Accept": "application/pkix-cert"}).content_type == "application/pkix-cert"
    )
    assert registered.http.head(path).data == b""
    renew(town, authority, LIFE // 2)
    assert x509.load_pem_x509_certificate(registered.http.get(path).data) != one
    registered.post(order.headers["Location"], {"status": "canceled"})
    gone = registered.http.get(path)
    assert (gone.status_code, gone.json["type"].rpartition(":")[2]) == (403, "autoRenewalCanceled")


def test_A40_nobody_else_gets_anothers_without_an_account(
    registered: Client, desk: Desk, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = obtain(registered, desk)
    answer = registered.http.get(order.json["star-certificate"].removeprefix(ORIGIN))
    assert (answer.status_code, answer.json["type"].rpartition(":")[2]) == (403, "unauthorized")
    assert registered.http.get("/acme/star/no-such-order").status_code == 404
    usual = registered.finalize(registered.ready())
    assert registered.http.get(f"/acme/star/{ident(usual)}").status_code == 404
    closed = authority.config.acme.star.model_copy(update={"allow_certificate_get": False})
    monkeypatch.setitem(authority.config.acme.__dict__, "star", closed)
    wish = asked(desk.now(), **{"allow-certificate-get": True})
    assert "allow-certificate-get" not in registered.order(a_name(), **{"auto-renewal": wish}).json["auto-renewal"]


# --- the arithmetic -----------------------------------------------------------------------------

BOUNDS = Bounds(600, 365 * DAY, True, 90 * DAY, 3600)


@given(
    lifetime=st.integers(600, 50 * DAY),
    adjust=st.integers(0, 60 * DAY),
    duration=st.integers(1, 365 * DAY),
    looks=st.lists(st.integers(0, 400 * DAY), max_size=20),
)
def test_A38_at_each_moment_there_is_one_certificate_to_have_and_it_is_valid(
    lifetime: int, adjust: int, duration: int, looks: list[int]
) -> None:
    first = 1_800_000_000
    terms = granted(Terms(0, first + duration, lifetime, adjust), BOUNDS, first)
    for now in sorted(first + look for look in looks):
        number = terms.number_at(first, now)
        made = terms.period(first, number, min(now, terms.end), BOUNDS.backdate)
        assert made.not_before <= now
        assert made.not_after <= terms.end
        assert made.not_after - made.not_before <= BOUNDS.max_validity
        if now < terms.end:
            assert made.not_after > now
            later = terms.publication(first, number + 1)
            assert not later or now < later <= first + (number + 1) * lifetime - lifetime // 2


def test_A38_a_table_of_the_rfc() -> None:
    """§3.5's example: four certificates, the first from the start on, with the padding that the client asks for."""
    start = int(datetime(2016, 1, 10, tzinfo=UTC).timestamp())
    bounds = replace(BOUNDS, backdate=DAY)
    terms = granted(Terms(start, start + 10 * DAY, 4 * DAY, 3 * DAY), bounds, start)
    made = [terms.period(start, n, terms.publication(start, n) if n else start, DAY) for n in range(3)]
    days = [((one.not_before - start) / DAY, (one.not_after - start) / DAY) for one in made]
    assert days == [(0, 4), (1, 8), (5, 10)]
    assert terms.publication(start, 3) == 0


def test_A37_a_longer_lifetime_than_the_profiles_is_refused_with_the_longest_that_fits() -> None:
    with pytest.raises(Malformed) as error:
        granted(Terms(0, 300 * DAY, 89 * DAY), BOUNDS, 0)
    most = int(re.search(r"lifetime of (\d+) s", error.value.next_step)[1])  # type: ignore[index]
    assert granted(Terms(0, 300 * DAY, most), BOUNDS, 0).lifetime == most > 57 * DAY
