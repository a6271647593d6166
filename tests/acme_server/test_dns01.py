"""dns-01: what stands in the DNS, over aliases, zones and TCP, and against servers that lie (A-31, RFC 8555 §8.4)."""

import random
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acme_server.validation.dns01 import KIND, digest, question
from acme_server.validation.fetch import Fetch
from acme_server.validation.proof import Proof, judge
from acme_server.validation.resolution import Resolver
from acme_server.validation.trail import Trail
from acme_server.validation.wire import Answer
from ca.config import Config
from ca.errors import ConfigError
from ca.records import Name, NameKind
from tests.acme_server import net

PROOF = Proof(Name(NameKind.DNS, "www.corp.test"), "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "9jg46WB3rR" * 4)
WANTED = urlsafe_b64encode(sha256(PROOF.key_authorization.encode()).digest()).decode().rstrip("=")
RECORD = "_acme-challenge.www.corp.test"


@pytest.fixture
def zone() -> Iterator[net.Zone]:
    with net.zone() as one:
        yield one


def fetching(zone: net.Zone, **validation: object) -> Fetch:
    return Fetch.over(Config(acme={"validation": {"resolvers": [zone.address], **validation}}))  # type: ignore[arg-type]


def ask(zone: net.Zone, proof: Proof = PROOF, seconds: float = 5.0, **validation: object) -> Answer:
    return fetching(zone, **validation).get(question(proof, seconds))


# --- what is good -------------------------------------------------------------------------------


def test_A31_a_txt_record_holds_the_digest(zone: net.Zone) -> None:
    zone.texts[RECORD] = [WANTED]
    answer = ask(zone)
    assert (answer.detail, answer.texts) == (RECORD, (WANTED.encode(),))
    assert judge(KIND, answer, PROOF).error == ""
    assert zone.asked == [f"{RECORD} TXT"]
    assert digest(PROOF) == WANTED


def test_A31_any_of_several_records_may_match(zone: net.Zone) -> None:
    zone.texts[RECORD] = ["v=spf1 -all", "", 'quoted "text"', WANTED, "x" * 600]
    assert judge(KIND, ask(zone), PROOF).error == ""


def test_A31_strings_of_one_record_belong_together(zone: net.Zone) -> None:
    zone.records[RECORD, "TXT"] = [f'"{WANTED[:9]}" "{WANTED[9:]}"']
    assert judge(KIND, ask(zone), PROOF).error == ""


def test_A31_a_wildcard_is_proved_at_its_domain(zone: net.Zone) -> None:
    zone.texts[RECORD] = [WANTED]
    assert judge(KIND, ask(zone, replace(PROOF, name=Name(NameKind.DNS, "*.www.corp.test"))), PROOF).error == ""


def test_A31_a_large_answer_comes_by_tcp(zone: net.Zone) -> None:
    zone.texts[RECORD] = [*(f"{number:0250}" for number in range(100)), WANTED]
    answer = ask(zone)
    assert len(answer.texts) == 101
    assert judge(KIND, answer, PROOF).error == ""
    assert zone.asked == [f"{RECORD} TXT"] * 2


def test_A31_a_cname_is_followed(zone: net.Zone) -> None:
    zone.aliases[RECORD] = "one.challenges.test"
    zone.texts["one.challenges.test"] = [WANTED]
    assert judge(KIND, ask(zone), PROOF).error == ""


def test_A31_a_cname_is_followed_into_another_zone(zone: net.Zone) -> None:
    """The target's own servers are asked for it, whether the alias comes alone or with the word that it is nothing."""
    with net.zone() as other:
        zone.aliases[RECORD] = "one.inner.test"
        other.aliases["one.inner.test"] = "two.inner.test"
        other.texts["two.inner.test"] = [WANTED]
        answer = ask(zone, zone_resolvers={"inner.test": [other.address]})
        assert judge(KIND, answer, PROOF).error == ""
        assert other.asked[0] == "one.inner.test TXT"
        zone.wire = lambda data: _nxdomain(zone._answer(data))
        assert judge(KIND, ask(zone, zone_resolvers={"inner.test": [other.address]}), PROOF).error == ""


def _nxdomain(answer: bytes | None) -> bytes:
    made = dns.message.from_wire(answer or b"")
    made.set_rcode(dns.rcode.NXDOMAIN)
    return made.to_wire()


def test_the_longest_zone_is_asked(zone: net.Zone) -> None:
    with net.zone() as outer, net.zone() as inner:
        resolver = Resolver([zone.address], {"corp.test": [outer.address], "WWW.corp.test": [inner.address]})
        for one, text in ((zone, "default"), (outer, "outer"), (inner, "inner")):
            for name in ("a.corp.test", "a.www.corp.test", "a.xcorp.test"):
                one.texts[name] = [text]
        found = [resolver.texts(f"a.{domain}.test", Trail(5)) for domain in ("corp", "www.corp", "xcorp")]
    assert found == [(b"outer",), (b"inner",), (b"default",)]


def test_a_zone_below_localhost_is_asked_and_the_rest_is_loopback(zone: net.Zone) -> None:
    zone.names["a.zone.localhost"] = ["10.1.1.1"]
    resolver = Resolver([], {"zone.localhost": [zone.address]})
    assert [str(one) for one in resolver.addresses("a.zone.localhost", Trail(5))] == ["10.1.1.1"]
    assert [str(one) for one in resolver.addresses("a.localhost", Trail(5))] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize(
    "zones", [{"corp.test": []}, {"corp.test": ["x"]}, {"": ["127.0.0.1"]}, {"a b": ["127.0.0.1"]}]
)
def test_zones_that_are_none_are_refused(zones: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigError, match="zone_resolvers"):
        Resolver([], zones)


# --- what is not --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "error", "words"),
    [
        ([], "dns", f"has no TXT record. Publish '{WANTED}'"),
        ([WANTED.lower()], "incorrectResponse", "1 TXT records with something else"),
        ([WANTED[:-1]], "incorrectResponse", "something else"),
        ([WANTED + "="], "incorrectResponse", "padding"),
        ([f'"{WANTED}"'], "incorrectResponse", "quotes"),
        ([WANTED + " "], "incorrectResponse", "white space"),
        ([PROOF.key_authorization], "incorrectResponse", "the key authorization itself"),
        (["secret of the inner network", "x"], "incorrectResponse", "2 TXT records with something else"),
    ],
)
def test_A31_records_that_prove_nothing(zone: net.Zone, texts: list[str], error: str, words: str) -> None:
    zone.texts[RECORD] = texts
    verdict = judge(KIND, ask(zone), PROOF)
    assert (verdict.error, verdict.again) == (error, True)
    assert words in verdict.detail
    assert "secret" not in verdict.detail


def test_A31_a_name_that_does_not_exist(zone: net.Zone) -> None:
    verdict = judge(KIND, ask(zone), PROOF)
    assert verdict.error == "dns"
    assert f"There is no name {RECORD}" in verdict.detail


@pytest.mark.parametrize("length", [1, 2, 30])
def test_A32_aliases_in_a_circle_come_to_an_end(zone: net.Zone, length: int) -> None:
    names = [RECORD, *(f"alias{number}.corp.test" for number in range(1, length))]
    zone.aliases = dict(zip(names, [*names[1:], RECORD], strict=True))
    started = time.monotonic()
    assert judge(KIND, ask(zone, seconds=3), PROOF).error == "dns"
    assert time.monotonic() - started < 5


def test_A32_aliases_that_lead_ever_on_come_to_an_end(zone: net.Zone) -> None:
    class Endless(dict[str, str]):
        def __contains__(self, key: object) -> bool:
            return True

        def __getitem__(self, key: str) -> str:
            return f"n{len(zone.asked)}.corp.test"

    def one_alias(data: bytes) -> bytes:
        made = dns.message.from_wire(zone._answer(data) or b"")
        del made.answer[1:]
        return made.to_wire()

    zone.aliases, zone.wire = Endless(), one_alias
    verdict = judge(KIND, ask(zone), PROOF)
    assert "an alias of an alias" in verdict.detail
    assert len(zone.asked) == 8


def test_A32_a_name_that_is_too_long_behind_its_label(zone: net.Zone) -> None:
    long = ".".join(["a" * 60] * 4) + ".test"
    verdict = judge(KIND, ask(zone, replace(PROOF, name=Name(NameKind.DNS, long))), PROOF)
    assert verdict.error == "dns"
    assert zone.asked == []


@pytest.mark.parametrize("texts", [[net.SERVFAIL], [net.SILENT]])
def test_A31_dns_that_does_not_answer(zone: net.Zone, texts: list[str]) -> None:
    zone.names[RECORD] = texts
    started = time.monotonic()
    assert judge(KIND, ask(zone, seconds=1), PROOF).error == "dns"
    assert time.monotonic() - started < 4


def test_A32_octets_that_drip_over_tcp_end_with_the_time(zone: net.Zone) -> None:
    """The DNS server says "too large" and then hands out its answer octet by octet."""
    zone.texts[RECORD] = ["x" * 600]
    answer = zone.wire

    def drip(data: bytes) -> bytes | None:
        if len(zone.asked) >= 1:
            time.sleep(3)
        return answer(data)

    zone.wire = drip
    started = time.monotonic()
    assert ask(zone, seconds=1).error == "dns"
    assert time.monotonic() - started < 3


# --- whatever the other side says (A-32) --------------------------------------------------------


class _Liar:
    """A DNS server whose answers are another's with some octets exchanged, or no DNS at all."""

    def __init__(self, zone: net.Zone) -> None:
        self.seed, self.honest = 0, zone.wire

    def __call__(self, data: bytes) -> bytes | None:
        dice = random.Random(self.seed)
        if dice.random() < 0.2:
            return data[:2] + dice.randbytes(dice.randrange(0, 400))
        answer = bytearray(self.honest(data) or b"")
        for _ in range(dice.randrange(1, 8)):
            answer[dice.randrange(2, len(answer))] = dice.randrange(256)
        return bytes(answer[: dice.randrange(3, len(answer) + 1)])


@pytest.mark.slow
def test_A32_no_answer_of_a_dns_server_breaks_the_fetcher() -> None:
    with net.zone() as zone:
        zone.texts[RECORD] = [WANTED, "other " * 20]
        zone.names["www.corp.test"] = ["127.0.0.1", "::1"]
        zone.wire = liar = _Liar(zone)
        fetch = fetching(zone)

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.integers(0, 2**32))
        def holds(seed: int) -> None:
            liar.seed = seed
            started = time.monotonic()
            answer = fetch.get(question(PROOF, 0.1))
            assert isinstance(answer, Answer)
            assert answer.error in ("dns", "connection", "")
            assert time.monotonic() - started < 3
            judge(KIND, answer, PROOF)

        holds()


def test_nobody_listens_at_the_resolver() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    answer = Fetch.over(Config(acme={"validation": {"resolvers": [f"127.0.0.1:{port}"]}})).get(question(PROOF, 0.5))  # type: ignore[arg-type]
    assert answer.error == "dns"
