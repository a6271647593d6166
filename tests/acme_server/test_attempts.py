"""The order debugger: what is kept of each try, who sees what, and for how long."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

import acme_server
from acme_server import overview, upkeep
from acme_server.desk import Desk
from acme_server.validation import attempts, dns01, http01
from acme_server.validation.attempts import lines_of, public, whole
from acme_server.validation.causes import MEANINGS, Cause, tell
from acme_server.validation.fetch import Fetch
from acme_server.validation.proof import Kind, Proof, Verdict, judge
from acme_server.validation.records import Attempt
from ca.authority import Authority
from ca.authority.seat import Seat
from ca.config import Config
from ca.errors import NotFound
from ca.names import parse_dns
from ca.people import Person, SignIn
from tests.acme_server import net
from tests.acme_server.client import ERROR, ORIGIN, Client, a_name
from tests.acme_server.conftest import Town, make_app
from tests.acme_server.test_orders import ident
from tests.acme_server.test_validation import a_challenge


@pytest.fixture(scope="module")
def failed(town: Town) -> Iterator[Any]:
    """One order whose http-01 was not there, three times, for all tests of this module."""
    town.clock.ahead = 0
    authority = town.open()
    client = Client(make_app(authority).test_client(), town.shown)
    client.register()
    order, challenge = a_challenge(client)
    client.post(challenge["url"], {})
    client.wait(order)
    yield client.post(order.headers["Location"])
    authority.store.close()


def fetch(client: Client, url: str, **head: str) -> TestResponse:
    """As anybody would, without account or signature."""
    return client.http.get(url.removeprefix(ORIGIN), headers=head)


# --- what is kept -------------------------------------------------------------------------------


def test_each_try_is_kept_with_its_steps(failed: Any, authority: Authority) -> None:
    found = acme_server.tries(authority, ident(failed.json["finalize"].removesuffix("/finalize")))
    assert [one.number for one in found] == [1, 2, 3]
    for one in found:
        assert (one.type, one.cause, one.facts["status"], one.facts["equal"]) == ("http-01", Cause.STATUS, "404", "no")
        assert [step.deed for step in one.trail] == ["connect", "request"]
        assert "127.0.0.1" in str(one.trail)
        assert one.ms >= one.trail[-1].ms


def test_a_try_that_met_is_kept_too_and_has_no_url(registered: Client, authority: Authority) -> None:
    order = registered.ready(a_name())
    (one,) = acme_server.tries(authority, ident(order.json["finalize"].removesuffix("/finalize")))
    assert (one.cause, one.link, one.facts["equal"]) == (Cause.MET, "", "yes")
    assert one.facts["octets"] == str(len(one.facts["body"]))


def test_an_order_that_is_not_there(authority: Authority) -> None:
    with pytest.raises(NotFound):
        acme_server.tries(authority, "nothing")


# --- the URL ------------------------------------------------------------------------------------


def test_A31_a_problem_names_the_url_of_its_try(registered: Client, failed: Any) -> None:
    error = failed.json["error"]
    assert error["type"] == ERROR + "incorrectResponse"
    assert re.fullmatch(re.escape(ORIGIN) + r"/acme/attempt/[A-Za-z0-9_-]{43}", error["instance"])
    assert error["detail"].endswith(f"More, for a day: {error['instance']}")
    answer = fetch(registered, error["instance"])
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    shown = answer.json
    assert (shown["try"], shown["challenge"], shown["cause"], shown["error"]) == (
        3,
        "http-01",
        "status",
        "incorrectResponse",
    )
    assert shown["detail"] in error["detail"]
    assert [step["deed"] for step in shown["steps"]] == ["connect", "request"]
    assert "127.0.0.1" not in answer.text


def test_a_browser_gets_text(registered: Client, failed: Any) -> None:
    answer = fetch(registered, failed.json["error"]["instance"], Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.content_type == "text/plain; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[0].startswith("http-01 for ")
    assert "try 3: incorrectResponse" in lines[0]
    assert "answered 404" in answer.text
    assert "127.0.0.1" not in answer.text


def test_the_url_lives_a_day(registered: Client, failed: Any, town: Town) -> None:
    url = failed.json["error"]["instance"]
    town.clock.ahead = attempts.LINK_LIFE - 30
    assert fetch(registered, url).status_code == 200
    town.clock.ahead += 60
    assert fetch(registered, url).status_code == 404


@pytest.mark.parametrize("secret", ["", "x", "A" * 43, "%00", "..", "é"])
def test_a_url_that_was_guessed_shows_nothing(registered: Client, secret: str) -> None:
    registered.ready(a_name())  # a try that met has no URL
    assert fetch(registered, f"/acme/attempt/{secret}").status_code == 404


def test_the_database_opens_no_page(failed: Any, authority: Authority) -> None:
    secret = failed.json["error"]["instance"].rpartition("/")[2]
    rows = authority.store.rows("SELECT * FROM acme_attempt")
    assert rows
    assert secret not in str(rows)


# --- no window into the network -----------------------------------------------------------------

INNER = "inner-words"
PROOF = Proof(parse_dns("www.corp.test"), "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "9jg46WB3rR" * 4 + "abc")


@pytest.mark.parametrize(("role", "inside"), [("viewer", False), ("operator", True), ("auditor", True)])
def test_A32_a_viewer_sees_of_a_try_what_everybody_may(failed: Any, town: Town, role: str, inside: bool) -> None:
    authority = town.open()
    seat = Seat(authority, Person("p", (role,)), SignIn("s", "p", "link", 0, 0, 0, 0))
    [proof] = overview.order(authority, seat, failed.json["finalize"].split("/")[-2]).proofs
    told = "\n".join(line for _, lines in proof.tries for line in lines)
    authority.store.close()
    assert "http-01" in told
    assert ("127.0.0.1" in told) is inside


@pytest.fixture
def zone() -> Iterator[net.Zone]:
    with net.zone() as one:
        one.names["www.corp.test"] = ["127.0.0.1"]
        yield one


def tried(zone: net.Zone, port: int, kind: Kind) -> Attempt:
    config = Config(mode="demo", acme={"validation": {"resolvers": [zone.address], "http_port": port}})  # type: ignore[arg-type]
    verdict = judge(kind, Fetch.over(config).get(kind.question(PROOF, 3)), PROOF)
    return kept(verdict, kind.type)


def kept(verdict: Verdict, kind: str = "http-01") -> Attempt:
    return Attempt(
        "id", "", "authz", kind, "www.corp.test", 1, 1_800_000_000, verdict.ms, verdict.cause, dict(verdict.facts),
        verdict.inside, verdict.trail, 1_900_000_000,
    )  # fmt: skip


def outside(attempt: Attempt) -> str:
    """All that anybody but an operator sees."""
    return json.dumps(public(attempt)) + "\n".join(lines_of(attempt)) + tell(attempt.cause, attempt.facts)


REPLIES = {
    "a page": net.page(f"<p>{INNER}</p>".encode()),
    "a key": net.page(f"{PROOF.token} {INNER}".encode()),
    "a status line": net.raw(f"HTTP/1.1 500 {INNER}\r\nServer: {INNER}\r\n\r\n".encode()),
    "no HTTP": net.raw(f"{INNER}\r\n\r\n".encode()),
    "a redirect that is not followed": net.redirect(f"http://{INNER}.test:22/{INNER}"),
    "a redirect to an address": net.redirect(f"http://10.9.8.7/{INNER}"),
    "a redirect that is followed": net.redirect(f"http://{INNER}.corp.test/{INNER}"),
    "a redirect on the host": net.redirect(f"/{INNER}"),
    "a redirect to nonsense": net.redirect(f"\x01{INNER}"),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_A32_what_a_foreign_server_says_is_for_operators(zone: net.Zone, reply: net.Reply) -> None:
    with net.site(reply) as site:
        attempt = tried(zone, site.port, http01.KIND)
    assert MEANINGS[attempt.cause].error
    assert INNER not in outside(attempt)
    assert "127.0.0.1" not in outside(attempt)
    assert "10.9.8.7" not in outside(attempt)
    assert "127.0.0.1" in json.dumps(whole(attempt))


def test_A32_a_body_is_shown_where_it_has_the_form_of_a_key_authorization(zone: net.Zone) -> None:
    other = f"{PROOF.token}.{'B' * 43}"
    with net.site(net.page(other.encode())) as site:
        attempt = tried(zone, site.port, http01.KIND)
    assert public(attempt)["facts"]["body"] == other
    assert "another account" in outside(attempt)


@pytest.mark.parametrize("records", [[INNER], [f"{INNER} {PROOF.key_authorization}"], [net.SERVFAIL]])
def test_A32_what_the_dns_says_is_for_operators(zone: net.Zone, records: list[str]) -> None:
    alias = f"{INNER}.corp.test"
    zone.aliases["_acme-challenge.www.corp.test"] = alias
    zone.texts[alias] = records
    if records == [net.SERVFAIL]:
        zone.names["_acme-challenge.www.corp.test"] = records
    attempt = tried(zone, 80, dns01.KIND)
    assert MEANINGS[attempt.cause].error
    assert INNER not in outside(attempt)
    assert "127.0.0.1" not in outside(attempt)
    assert "127.0.0.1" in json.dumps(whole(attempt))


def test_A32_a_denied_address_is_not_told(zone: net.Zone) -> None:
    zone.names["www.corp.test"] = ["169.254.169.254", "fd00:ec2::254"]
    attempt = tried(zone, 80, http01.KIND)
    assert attempt.cause is Cause.ADDRESS_DENIED
    assert "169.254" not in outside(attempt)
    assert "fd00" not in outside(attempt)
    assert "metadata" not in outside(attempt)
    assert "metadata" in attempt.inside


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_words_and_a_next_step(cause: Cause) -> None:
    meaning = MEANINGS[cause]
    told = tell(cause, {"subject": "www.corp.test", "why": "it {is} so"})
    assert "{" not in told.replace("it {is} so", "")
    assert bool(meaning.next_step) is bool(meaning.error)
    assert meaning.error in ("", "dns", "connection", "tls", "incorrectResponse", "unauthorized", "malformed", "caa")


@pytest.mark.slow
def test_the_command_line_shows_everything(failed: Any, town: Town) -> None:
    order_id = ident(failed.json["finalize"].removesuffix("/finalize"))
    text = town.run("acme", "order", "show", order_id)
    assert text.returncode == 0, text.stderr
    assert "try 3: incorrectResponse" in text.stdout
    assert "127.0.0.1" in text.stdout
    shown = json.loads(town.run("acme", "order", "show", order_id, "--json").stdout)
    assert shown["status"] == "invalid"
    assert [one["cause"] for one in shown["tries"]] == ["status"] * 3
    assert shown["tries"][0]["steps"][0]["detail"] == "127.0.0.1"


def test_tries_are_kept_for_a_while(failed: Any, authority: Authority, town: Town) -> None:
    """Last, since it forgets the one failed order of this module."""
    order_id = ident(failed.json["finalize"].removesuffix("/finalize"))
    town.clock.ahead = authority.config.acme.attempt_life - 3600
    upkeep.expire(Desk(authority))
    assert len(acme_server.tries(authority, order_id)) == 3
    town.clock.ahead += 3700
    upkeep.expire(Desk(authority))
    assert acme_server.tries(authority, order_id) == ()
