"""The fetch of a challenge, against servers that misbehave in every way (A-31, A-32)."""

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from acme_server.validation.addresses import AddressPolicy, policy
from acme_server.validation.causes import MEANINGS, Cause
from acme_server.validation.fetch import Fetch
from acme_server.validation.http01 import KIND, question
from acme_server.validation.proof import Proof, judge
from acme_server.validation.reach import MAX_OCTETS
from acme_server.validation.resolution import Resolver
from acme_server.validation.trail import Trail
from acme_server.validation.wire import Answer, Deed
from ca.config import Config
from ca.errors import ConfigError
from ca.records import Name, NameKind
from tests.acme_server import net

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
ASKED = Proof(Name(NameKind.DNS, "www.corp.test"), TOKEN, "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI")
EXPECTED = ASKED.key_authorization
PROOF = net.page(EXPECTED.encode())
HOST = "www.corp.test"


@pytest.fixture
def zone() -> Iterator[net.Zone]:
    with net.zone() as one:
        one.names[HOST] = ["127.0.0.1"]
        yield one


def fetching(port: int, zone: net.Zone, *redirect_ports: int, **validation: object) -> Fetch:
    config = Config(mode="demo", acme={"validation": {"resolvers": [zone.address], "http_port": port, **validation}})  # type: ignore[arg-type]
    made = Fetch.over(config)
    return replace(made, redirect_ports=made.redirect_ports | set(redirect_ports))


def ask(fetch: Fetch, host: str = HOST, seconds: float = 5.0) -> Answer:
    name = Name(NameKind.IP if host[0].isdigit() or ":" in host else NameKind.DNS, host)
    return fetch.get(question(replace(ASKED, name=name), seconds))


# --- what is good -------------------------------------------------------------------------------


def test_A31_the_key_authorization_is_fetched(zone: net.Zone) -> None:
    with net.site(PROOF) as site:
        answer = ask(fetching(site.port, zone))
    assert judge(KIND, answer, ASKED).error == ""
    told = [(step.deed, step.subject, step.outcome, step.detail) for step in answer.trail]
    assert told == [
        ("resolve", f"{HOST} AAAA", "0 records", f"127.0.0.1, port {zone.port}: "),
        ("resolve", f"{HOST} A", "1 records", f"127.0.0.1, port {zone.port}: 127.0.0.1"),
        ("connect", f"{HOST}, port {site.port}", "connected", "127.0.0.1"),
        ("request", answer.detail, "200", f"{len(EXPECTED)} octets read"),
    ]
    head = site.requests[0]
    assert head.startswith(f"GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\n")
    assert f"\r\nHost: {HOST}:{site.port}\r\n" in head
    assert head.count("\r\nHost:") == 1
    assert "Accept-Encoding: identity" in head


@pytest.mark.parametrize("tail", ["\n", "\r\n", " \t\r\n\n"])
def test_A31_trailing_white_space_is_allowed(zone: net.Zone, tail: str) -> None:
    with net.site(net.page(EXPECTED.encode() + tail.encode())) as site:
        assert judge(KIND, ask(fetching(site.port, zone)), ASKED).error == ""


def test_chunked_and_unbounded_answers_are_read(zone: net.Zone) -> None:
    half = len(EXPECTED) // 2
    parts = (EXPECTED[:half], EXPECTED[half:])
    chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (*parts, ""))
    for reply in (
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}",
        f"HTTP/1.0 200 OK\r\n\r\n{EXPECTED}",
    ):
        with net.site(net.raw(reply.encode())) as site:
            assert judge(KIND, ask(fetching(site.port, zone)), ASKED).error == ""


def test_A34_ip_identifiers_have_the_literal_as_host(zone: net.Zone) -> None:
    with net.site(PROOF) as site:
        assert judge(KIND, ask(fetching(site.port, zone), "127.0.0.1"), ASKED).error == ""
        assert f"Host: 127.0.0.1:{site.port}\r\n" in site.requests[0]
    assert zone.asked == []


def test_A34_ipv6_identifiers_are_bracketed(zone: net.Zone) -> None:
    with net.site(PROOF, "::1") as site:
        assert judge(KIND, ask(fetching(site.port, zone), "::1"), ASKED).error == ""
        assert f"Host: [::1]:{site.port}\r\n" in site.requests[0]


def test_the_next_address_is_tried_when_the_first_does_not_answer(zone: net.Zone) -> None:
    zone.names[HOST] = ["127.0.0.1", "::1"]
    with net.site(PROOF) as site:
        answer = ask(fetching(site.port, zone))
    assert judge(KIND, answer, ASKED).error == ""
    tried = [(step.outcome, step.detail) for step in answer.trail if step.deed is Deed.CONNECT]
    assert tried == [("refused", "::1: Connection refused"), ("connected", "127.0.0.1")]


def test_localhost_names_are_loopback_without_asking() -> None:
    found = [str(one) for one in Resolver([]).addresses("demo.localhost", Trail(1))]
    assert found == ["127.0.0.1", "::1"]


def test_localhost_names_are_asked_for_when_resolvers_are_set(zone: net.Zone) -> None:
    zone.names["demo.localhost"] = ["10.1.1.1"]
    found = [str(one) for one in Resolver([zone.address]).addresses("demo.localhost", Trail(1))]
    assert found == ["10.1.1.1"]


# --- redirects ----------------------------------------------------------------------------------


def test_A31_redirects_are_followed_to_known_ports(zone: net.Zone) -> None:
    zone.names["cdn.corp.test"] = ["127.0.0.1"]
    with net.site(PROOF) as last, net.site(net.redirect("/elsewhere")) as first:
        first.reply = net.redirect(f"http://cdn.corp.test:{last.port}/x?y=1#z")
        answer = ask(fetching(first.port, zone, last.port))
    assert judge(KIND, answer, ASKED).error == ""
    assert last.requests[0].startswith("GET /x?y=1 HTTP/1.1\r\n")
    assert f"Host: cdn.corp.test:{last.port}\r\n" in last.requests[0]
    assert "cdn.corp.test A" in zone.asked


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_A31_relative_redirects_are_followed(zone: net.Zone, status: str) -> None:
    def reply(channel: object, head: bytes) -> None:
        (PROOF if b"GET /here" in head else net.redirect("/here", status))(channel, head)  # type: ignore[arg-type]

    with net.site(reply) as site:
        assert judge(KIND, ask(fetching(site.port, zone)), ASKED).error == ""


def test_A31_redirects_to_https_do_not_look_at_the_certificate(zone: net.Zone, tmp_path: Path) -> None:
    context = net.tls_context(tmp_path)
    with net.site(PROOF, context=context) as secure, net.site(PROOF) as plain:
        plain.reply = net.redirect(f"https://{HOST}:{secure.port}/")
        assert judge(KIND, ask(fetching(plain.port, zone, secure.port)), ASKED).error == ""


def test_A32_no_tls_context_is_made_for_a_plain_fetch(zone: net.Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    """LESSONS: 31 % of a peer's issuance was one ssl context a plain fetch."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("an ssl context was made")

    monkeypatch.setattr(ssl, "SSLContext", never)
    with net.site(PROOF) as site:
        assert judge(KIND, ask(fetching(site.port, zone)), ASKED).error == ""


def test_A32_eleven_redirects_are_too_many(zone: net.Zone) -> None:
    with net.site(net.redirect("/again")) as site:
        answer = ask(fetching(site.port, zone))
    assert answer.error == "connection"
    assert answer.detail == "more than 10 redirects"
    assert len(site.requests) == 11


BAD_REDIRECTS = [
    "ftp://www.corp.test/", "file:///etc/passwd", "gopher://www.corp.test:80/", "javascript:alert(1)", "https:///x",
    "http://www.corp.test:22/", "http://www.corp.test:8443/", "http://www.corp.test:99999/", "http://www.corp.test:x/",
    "http://user:secret@www.corp.test/", "http://@www.corp.test/", "http://127.0.0.1/", "http://[::1]/",
    "http://169.254.169.254/latest/meta-data/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/",
    "http://[::ffff:127.0.0.1]/", "http://[fe80::1%25eth0]/", "http://www corp.test/", "http://www.corp.test/\x01",
    "http://www.corp.test/\xe9", "http://" + "a" * 3000 + "/", "http://-bad-.test/", "http://localhost/",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_REDIRECTS)
def test_A32_bad_redirects_are_not_followed(zone: net.Zone, url: str) -> None:
    with net.site(net.raw(f"HTTP/1.1 302 Found\r\nLocation: {url}\r\n\r\n".encode("latin-1"))) as site:
        answer = ask(fetching(site.port, zone))
    assert answer.error in ("connection", "unauthorized")
    assert len(site.requests) == 1
    assert sum(step.outcome == "connected" for step in answer.trail) == 1


def test_A34_a_redirect_to_an_ip_is_followed_only_if_it_is_the_identifier(zone: net.Zone) -> None:
    def reply(channel: object, head: bytes) -> None:
        (PROOF if b"GET /here" in head else net.redirect(f"http://127.0.0.1:{site.port}/here"))(channel, head)  # type: ignore[arg-type]

    with net.site(reply) as site:
        assert judge(KIND, ask(fetching(site.port, zone), "127.0.0.1"), ASKED).error == ""
        assert ask(fetching(site.port, zone)).error == "connection"


def test_A32_each_redirect_s_address_is_checked(zone: net.Zone) -> None:
    """DNS rebinding: the name that the redirect leads to is resolved and judged like the first."""
    zone.names["inside.corp.test"] = ["169.254.169.254"]
    with net.site(net.redirect("http://inside.corp.test/latest/meta-data/")) as site:
        answer = ask(fetching(site.port, zone))
    assert answer.error == "unauthorized"
    assert "metadata" in answer.detail


def test_A32_a_name_that_moves_between_two_steps_is_judged_anew(zone: net.Zone) -> None:
    """DNS rebinding: the host redirects to itself, and lies inside by then."""

    def move(channel: socket.socket, head: bytes) -> None:
        zone.names[HOST] = ["169.254.169.254"]
        net.redirect("/latest/meta-data/")(channel, head)

    with net.site(move) as site:
        answer = ask(fetching(site.port, zone))
    assert answer.error == "unauthorized"
    assert len(site.requests) == 1


def test_A32_one_address_inside_does_not_open_the_next(zone: net.Zone) -> None:
    """A name with one good and one bad address: the bad one is never connected to, whatever becomes of the good one."""
    zone.names[HOST] = ["127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254"]
    answer = ask(fetching(net.closed_port(), zone))
    tried = [step.outcome for step in answer.trail if step.deed is Deed.CONNECT]
    assert sorted(tried) == ["denied", "denied", "refused"]


def test_A32_own_names_are_refused_in_redirects(zone: net.Zone) -> None:
    config = Config(
        mode="demo",
        server={"public_url": "https://pki.corp.test"},  # type: ignore[arg-type]
        acme={"validation": {"resolvers": [zone.address]}},  # type: ignore[arg-type]
    )
    with net.site(net.redirect("https://PKI.corp.test/api/v1/certificates")) as site:
        answer = ask(replace(Fetch.over(config), http_port=site.port))
    assert answer.error == "unauthorized"
    assert "this server itself" in answer.detail


# --- addresses ----------------------------------------------------------------------------------


def test_A32_a_denied_address_is_never_connected_to(zone: net.Zone) -> None:
    with net.site(PROOF) as site:
        made = fetching(site.port, zone)
        closed = replace(made, reach=replace(made.reach, addresses=policy(Config(mode="production"))))
        answer = ask(closed)
        assert answer.error == "unauthorized"
        assert judge(KIND, answer, ASKED).error == "unauthorized"
        assert not judge(KIND, answer, ASKED).again
        assert "allow_networks" in answer.detail
        assert site.requests == []


def test_A32_a_denied_address_is_passed_over_and_the_next_is_tried(zone: net.Zone) -> None:
    zone.names[HOST] = ["fd00:ec2::254", "127.0.0.1"]
    with net.site(PROOF) as site:
        answer = ask(fetching(site.port, zone))
    assert judge(KIND, answer, ASKED).error == ""
    assert [step.outcome for step in answer.trail if step.deed is Deed.CONNECT] == ["denied", "connected"]


def test_A32_the_connection_goes_to_the_address_that_was_checked(zone: net.Zone) -> None:
    """The name changes between the check and the connection: it is asked for once."""
    with net.site(PROOF) as site:
        ask(fetching(site.port, zone))
    assert zone.asked == [f"{HOST} AAAA", f"{HOST} A"]


# --- DNS ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "words"),
    [(None, "NXDOMAIN"), ([], "neither an A nor an AAAA"), ([net.SERVFAIL], "cannot tell"), ([net.SILENT], "in time")],
)
def test_A31_dns_failures_are_told_apart(zone: net.Zone, records: list[str] | None, words: str) -> None:
    zone.names.pop(HOST)
    if records is not None:
        zone.names[HOST] = records
    answer = ask(fetching(net.closed_port(), zone), seconds=1.0)
    assert answer.error == "dns"
    assert words in judge(KIND, answer, ASKED).detail
    assert judge(KIND, answer, ASKED).error == "dns"


@pytest.mark.parametrize("server", ["dns.corp.test:53", "127.0.0.1:x", "", "999.1.1.1:53"])
def test_resolvers_that_are_none_are_refused(server: str) -> None:
    with pytest.raises(ConfigError, match="resolvers"):
        Resolver([server])


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.1:53", "::1", "[::1]:5353"])
def test_resolvers_may_leave_out_the_port(server: str) -> None:
    Resolver([server])


# --- what goes wrong ----------------------------------------------------------------------------


def test_A31_nobody_listening_is_a_connection_error(zone: net.Zone) -> None:
    answer = ask(fetching(net.closed_port(), zone))
    assert answer.error == "connection"
    assert "Connection refused" in answer.detail


def test_A31_no_tls_at_an_https_redirect_is_a_tls_error(zone: net.Zone) -> None:
    with net.site(net.raw(b"HTTP/1.1 400 Bad\r\n\r\n")) as plain, net.site(PROOF) as first:
        first.reply = net.redirect(f"https://{HOST}:{plain.port}/")
        answer = ask(fetching(first.port, zone, plain.port), seconds=0.5)
    assert answer.error == "tls"
    assert judge(KIND, answer, ASKED).error == "tls"


WRONG = {
    "404": (net.page(EXPECTED.encode(), "404 Not Found"), "answered 404, not 200"),
    "500": (net.page(EXPECTED.encode(), "500 Oops"), "answered 500, not 200"),
    "204": (net.raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "answered 204, not 200"),
    "empty": (net.page(b""), "answered nothing"),
    "html": (net.page(b"<!doctype html>" + b"x" * 5000), "a page in HTML"),
    "another account": (net.page(TOKEN.encode() + b"." + b"A" * 43), "of another account"),
    "one octet more": (net.page(EXPECTED.encode() + b"x"), "of another account"),
    "one octet less": (net.page(EXPECTED.encode()[:-1]), "of another account"),
    "leading space": (net.page(b" " + EXPECTED.encode()), "of another account"),
    "other case": (net.page(EXPECTED.swapcase().encode()), "of another challenge"),
    "text after white space": (net.page(EXPECTED.encode() + b"\n\nmore"), "of another account"),
    "a lot of white space": (net.page(EXPECTED.encode() + b" " * 100_000 + b"more"), ""),
}


@pytest.mark.parametrize(("reply", "words"), WRONG.values(), ids=WRONG)
def test_A31_anything_else_is_an_incorrect_response(zone: net.Zone, reply: net.Reply, words: str) -> None:
    with net.site(reply) as site:
        verdict = judge(KIND, ask(fetching(site.port, zone)), ASKED)
    if not words:  # what lies beyond the octets that are read does not count
        assert verdict.error == ""
        return
    assert verdict.error == "incorrectResponse"
    assert words in verdict.detail
    assert verdict.again


def test_A32_the_text_of_a_foreign_page_is_not_repeated(zone: net.Zone) -> None:
    with net.site(net.page(b"the secret of an internal host")) as site:
        answer = ask(fetching(site.port, zone))
    assert "secret" not in judge(KIND, answer, ASKED).detail


BROKEN = {
    "no HTTP": net.raw(b"220 mail.corp.test ESMTP\r\n"),
    "nothing": net.raw(b""),
    "half a status": net.raw(b"HTTP/1.1 20"),
    "bad chunk": net.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "head without end": net.endless(b"X-Filler: " + b"a" * 1000 + b"\r\n"),
    "line without end": net.endless(b"a" * 1000),
    "continue without end": net.endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_A32_broken_answers_are_connection_errors_in_bounded_time(zone: net.Zone, reply: net.Reply) -> None:
    started = time.monotonic()
    with net.site(reply) as site:
        answer = ask(fetching(site.port, zone))
    assert answer.error == "connection"
    assert time.monotonic() - started < 3


def test_A32_a_body_without_end_is_cut_off(zone: net.Zone) -> None:
    def reply(channel: object, head: bytes) -> None:
        net.raw(b"HTTP/1.1 200 OK\r\n\r\n")(channel, head)  # type: ignore[arg-type]
        net.endless(b"x" * 65536)(channel, head)  # type: ignore[arg-type]

    with net.site(reply) as site:
        answer = ask(fetching(site.port, zone))
    assert answer.error == ""
    assert len(answer.body) == len(EXPECTED) + 129
    assert MAX_OCTETS <= 64 * 1024


SLOW = {
    "silent": net.silence,
    "dripping head": net.drip(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500, 0.05),
    "dripping body": net.drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 500, 0.05),
}


@pytest.mark.parametrize("reply", SLOW.values(), ids=SLOW)
def test_A32_one_deadline_covers_everything(zone: net.Zone, reply: net.Reply) -> None:
    started = time.monotonic()
    with net.site(reply) as site:
        answer = ask(fetching(site.port, zone), seconds=0.5)
    assert answer.error == "connection"
    assert 0.4 < time.monotonic() - started < 1.5


def test_A32_the_deadline_covers_redirects_too(zone: net.Zone) -> None:
    def slowly(channel: object, head: bytes) -> None:
        time.sleep(0.15)
        net.redirect("/again")(channel, head)  # type: ignore[arg-type]

    started = time.monotonic()
    with net.site(slowly) as site:
        assert ask(fetching(site.port, zone), seconds=0.5).error == "connection"
    assert time.monotonic() - started < 1.2


def test_every_cause_has_a_verdict() -> None:
    """Deny by default: of all causes only a fetched key authorization is good, whatever the fetcher says."""
    assert set(MEANINGS) == set(Cause)
    for cause in Cause:
        verdict = judge(KIND, Answer(cause, status=200, body=EXPECTED.encode()), ASKED)
        assert bool(verdict.error) is (cause is not Cause.FETCHED)
        assert (verdict.cause is Cause.MET) is (cause is Cause.FETCHED)


def test_an_empty_policy_still_closes_special_ranges() -> None:
    assert AddressPolicy().allow == ()
