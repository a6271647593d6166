"""CAA: whose records count, and what they permit (RFC 8659, RFC 8657; A-31)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_server.validation import caa, issue_value
from acme_server.validation.causes import Cause
from acme_server.validation.fetch import Fetch
from acme_server.validation.issue_value import IssueValue
from acme_server.validation.proof import Proof, Verdict
from acme_server.validation.wire import Answer, Property
from ca.authority import Authority
from ca.config import Config
from ca.names import parse_dns
from tests.acme_server import net
from tests.acme_server.client import ERROR, Client, a_name
from tests.acme_server.conftest import Town
from tests.acme_server.test_challenges import prove_by_dns

HOST = "www.corp.test"
ACCOUNT = "https://ca.test/acme/acct/1"
PROOF = Proof(parse_dns(HOST), "token", "thumb", ACCOUNT, ("ca.test", "pki.test"))
WILD = replace(PROOF, name=parse_dns("*.www.corp.test"))


@pytest.fixture
def zone() -> Iterator[net.Zone]:
    with net.zone() as one:
        one.names[HOST] = one.names["corp.test"] = one.names["test"] = ["127.0.0.1"]
        yield one


def ask(zone: net.Zone, proof: Proof = PROOF, seconds: float = 3.0) -> Verdict:
    fetch = Fetch.over(Config(acme={"validation": {"resolvers": [zone.address]}}))  # type: ignore[arg-type]
    return caa.judge(fetch.get(caa.question(proof, seconds)), proof, "dns-01")


# --- whose records count ------------------------------------------------------------------------


def test_A31_no_records_permit(zone: net.Zone) -> None:
    assert ask(zone).cause is Cause.MET
    assert zone.asked == [f"{HOST} CAA", "corp.test CAA", "test CAA"]


@pytest.mark.parametrize("where", [HOST, "corp.test", "test"])
def test_A31_the_nearest_records_count(zone: net.Zone, where: str) -> None:
    zone.records["test", "CAA"] = ['0 issue "ca.test"']
    zone.records[where, "CAA"] = ['0 issue "other.test"']
    verdict = ask(zone)
    assert (verdict.cause, verdict.error, verdict.facts["subject"]) == (Cause.CAA_FORBIDS, "caa", where)


def test_A31_names_that_do_not_exist_are_climbed_over(zone: net.Zone) -> None:
    zone.names.pop(HOST)
    zone.records["corp.test", "CAA"] = ['0 issue "ca.test"']
    assert ask(zone).cause is Cause.MET


def test_A31_records_behind_an_alias_count(zone: net.Zone) -> None:
    zone.aliases[HOST] = "cdn.test"
    zone.records["cdn.test", "CAA"] = ['0 issue ";"']
    assert ask(zone).error == "caa"


@pytest.mark.parametrize("where", [HOST, "corp.test"])
@pytest.mark.parametrize("failure", [net.SERVFAIL, net.SILENT])
def test_A31_records_that_cannot_be_read_forbid(zone: net.Zone, where: str, failure: str) -> None:
    zone.names[where] = [failure]
    verdict = ask(zone, seconds=0.7)
    assert (verdict.cause, verdict.error) == (Cause.CAA_UNREADABLE, "caa")


def test_names_of_loopback_have_no_records() -> None:
    fetch = Fetch.over(Config(mode="demo"))
    assert fetch.get(caa.question(replace(PROOF, name=parse_dns("a.localhost")), 1)).authorities == ()


# --- what they permit ---------------------------------------------------------------------------


def judged(*records: str, proof: Proof = PROOF, method: str = "dns-01") -> bool:
    """Each record is `FLAGS TAG VALUE`."""
    parts = [record.split(" ", 2) for record in records]
    properties = tuple(Property(int(flags), tag.encode(), value.encode()) for flags, tag, value in parts)
    verdict = caa.judge(Answer(Cause.FETCHED, authorities=properties), proof, method)
    assert verdict.error in ("", "caa")
    return not verdict.error


PERMIT = [
    ["0 issue ca.test"],
    ["0 issue CA.Test"],
    ["0 ISSUE pki.test"],
    ["0 issue other.test", "0 issue ca.test"],
    ["128 issue ca.test"],
    ["0 issue \t ca.test \t ; "],
    ["0 iodef mailto:a@corp.test"],
    ["0 unknown x"],
    ["0 issuewild ;"],
    [f"0 issue ca.test; accounturi={ACCOUNT}"],
    ["0 issue ca.test; validationmethods=http-01,dns-01"],
    [f"0 issue ca.test;accounturi = {ACCOUNT} ; validationmethods=dns-01;unknown=1"],
]
FORBID = [
    ["0 issue ;"],
    ["0 issue "],
    ["0 issue other.test"],
    ["0 issue xca.test"],
    ["0 issue www.ca.test"],
    ["0 issue ca.test."],
    ["0 issue ca.test ca.test"],
    ["0 issue ca.test; x"],
    ["0 issue ca.test; =x"],
    ["0 issue -ca.test"],
    ["0 issue %%%%%"],
    ["0 issue ca.test", "128 unknown x"],
    [f"0 issue ca.test; accounturi={ACCOUNT}2"],
    ["0 issue ca.test; accounturi="],
    [f"0 issue ca.test; accounturi={ACCOUNT}; accounturi={ACCOUNT}"],
    ["0 issue ca.test; validationmethods=http-01"],
    ["0 issue ca.test; validationmethods=DNS-01"],
    ["0 issue ca.test; validationmethods="],
    [f"0 issue other.test; accounturi={ACCOUNT}", "0 issue ca.test; validationmethods=ca-x"],
]


@pytest.mark.parametrize("records", PERMIT, ids=str)
def test_A31_records_that_permit(records: list[str]) -> None:
    assert judged(*records)


@pytest.mark.parametrize("records", FORBID, ids=str)
def test_A31_records_that_forbid(records: list[str]) -> None:
    assert not judged(*records)


@pytest.mark.parametrize(
    ("records", "plain", "wild"),
    [
        (["0 issue ca.test"], True, True),
        (["0 issuewild ca.test"], True, True),
        (["0 issue ca.test", "0 issuewild ;"], True, False),
        (["0 issue ;", "0 issuewild ca.test"], False, True),
        (["0 issue ca.test", "0 issuewild other.test"], True, False),
    ],
)
def test_A31_wildcards_have_a_property_of_their_own(records: list[str], plain: bool, wild: bool) -> None:
    assert (judged(*records), judged(*records, proof=WILD)) == (plain, wild)


@given(st.binary(max_size=300))
def test_A31_any_octets_are_a_value_or_are_refused(octets: bytes) -> None:
    try:
        found = issue_value.parse(octets)
    except ValueError:
        return
    assert isinstance(found, IssueValue)
    assert not set(found.issuer) & set(" ;=")


@given(st.lists(st.tuples(st.text("az09", min_size=1, max_size=9), st.text("!:<~aZ09=/.", max_size=20)), max_size=9))
def test_A31_a_value_comes_back_as_it_was_written(parameters: list[tuple[str, str]]) -> None:
    text = "; ".join(["ca.test", *(f"{tag}={value}" for tag, value in parameters)])
    assert issue_value.parse(text.encode()) == IssueValue("ca.test", tuple(parameters))


# --- through the door ---------------------------------------------------------------------------


@pytest.fixture
def caa_on(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(authority.config.acme.__dict__, "caa", "on")
    monkeypatch.setitem(authority.config.acme.__dict__, "authorization_life", 30 * 86400)
    monkeypatch.setitem(authority.config.acme.validation.__dict__, "attempts", 1)


def test_A31_the_directory_names_the_identities(client: Client, caa_on: None) -> None:
    assert client.http.get("/acme/directory").json["meta"]["caaIdentities"] == ["localhost"]


def an_order(client: Client, town: Town, *records: str) -> Any:
    name = f"{a_name().split('.')[0]}.zone.localhost"
    town.zone.records[name, "CAA"] = list(records)
    order = client.order(name)
    prove_by_dns(client, town, order)
    return order


def test_A31_a_proof_that_caa_forbids_is_none(caa_on: None, registered: Client, town: Town) -> None:
    order = an_order(registered, town, '0 issue "other.test"')
    (failed,) = registered.authorizations(order)[0].json["challenges"]
    assert (failed["status"], failed["error"]["type"]) == ("invalid", ERROR + "caa")


def test_A31_a_proof_that_caa_permits_lasts_eight_hours(
    caa_on: None, registered: Client, town: Town, authority: Authority
) -> None:
    url = registered.kid
    order = an_order(registered, town, f'0 issue "localhost; accounturi={url}; validationmethods=dns-01"')
    assert registered.authorizations(order)[0].json["status"] == "valid"
    found = authority.store.rows(
        "SELECT expires FROM acme_authorization WHERE status = 'valid' ORDER BY created_at DESC"
    )
    assert authority.clock() < found[0][0] <= authority.clock() + caa.LIFE
