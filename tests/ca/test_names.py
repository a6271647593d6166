"""Names and patterns: X-13, and the one pattern grammar of the contract."""

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ca.config import Config
from ca.errors import BadName, ConfigError
from ca.names import (
    Pattern,
    is_wildcard,
    parse_any,
    parse_dns,
    parse_ip,
    parse_name,
    parse_uri,
    permitted,
    reserved,
    subtrees,
)
from ca.records import Name, NameKind

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda s: s[2:4] != "--")
HOST = st.lists(LABEL, min_size=1, max_size=5).map(".".join).filter(lambda h: not h.split(".")[-1].isdigit())
SEGMENT = st.from_regex(r"[A-Za-z0-9._-]{1,8}", fullmatch=True).filter(lambda s: s not in (".", ".."))
PATHS = st.lists(SEGMENT, min_size=1, max_size=4)
ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


# --- DNS (X-13) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("WWW.Example.TEST", "www.example.test"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("XN--bcher-kva.example", "xn--bcher-kva.example"),
        ("*.example.test", "*.example.test"),
        ("localhost", "localhost"),
        ("a" * 63 + ".test", "a" * 63 + ".test"),
        ("1.2.3.test", "1.2.3.test"),
    ],
)
def test_x13_dns_names_become_lower_case_a_labels(text: str, value: str) -> None:
    assert parse_dns(text) == Name(NameKind.DNS, value)


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a.", ".a", "a..b", "a b", "a\x00.test", "a\n", "-a.test", "a-.test", "under_score.test",
        "a" * 64 + ".test", ".".join(["a" * 60] * 5), "*", "*.", "a.*.test", "*a.test", "**.test", "*.*.test",
        "xn--zzzzzzzz-.test", "xn--a.test", "ab--cd.test", "127.0.0.1", "1.2.3.4", "a.123", "http://a.test",
        "a.test:80",         "a/b.test", "ä" * 300, "\u202e.test", "a。b_c.test", "@a.test", "%00.test",
    ],
)  # fmt: skip
def test_x13_what_is_no_dns_name_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_dns(text)


def test_x13_the_longest_name_counts_its_wildcard() -> None:
    longest = ".".join(["a" * 62] * 4)  # 251 octets
    assert parse_dns(longest).value == longest
    assert parse_dns("*." + longest).value == "*." + longest
    with pytest.raises(BadName):
        parse_dns("*.a." + longest)


@given(HOST, st.booleans())
def test_parsing_a_rendered_dns_name_is_the_identity(host: str, wildcard: bool) -> None:
    name = parse_dns(("*." if wildcard else "") + host)
    assert parse_dns(name.value) == name
    assert parse_any(name.value) == name
    assert is_wildcard(name) is wildcard


@given(st.text(max_size=80))
def test_any_text_is_a_name_in_normal_form_or_a_bad_name(text: str) -> None:
    for kind in NameKind:
        try:
            name = parse_name(kind, text)
        except BadName:
            continue
        assert parse_name(kind, name.value) == name
        assert name.value.isascii()


# --- addresses and URIs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("10.1.2.3", "10.1.2.3"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::1", "::1"), ("fe80::1", "fe80::1")],
)
def test_addresses_are_written_as_rfc_5952_says(text: str, value: str) -> None:
    assert parse_ip(text) == Name(NameKind.IP, value)


@pytest.mark.parametrize(
    "text", ["::ffff:10.0.0.1", "::ffff:a00:1", "fe80::1%eth0", "010.0.0.1", "1.2.3", "0.0.0.0", "::", "224.0.0.1",
             "10.0.0.0/8", "0x7f000001", "1.2.3.4 ", "", "localhost"]
)  # fmt: skip
def test_what_is_no_host_address_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_ip(text)


@given(ADDRESS)
def test_parsing_a_rendered_address_is_the_identity(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    try:
        name = parse_ip(str(address))
    except BadName:
        assume(False)
    assert parse_ip(name.value) == name == parse_any(name.value)
    assert ipaddress.ip_address(name.value) == address


@given(HOST, PATHS)
def test_parsing_a_rendered_spiffe_id_is_the_identity(domain: str, path: list[str]) -> None:
    text = f"spiffe://{domain}/{'/'.join(path)}"
    assert parse_uri(text).value == text
    assert parse_any(text) == parse_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.test/", "spiffe://", "spiffe://td", "spiffe://td/", "spiffe://td/a/", "spiffe://td//a", "spiffe://TD/a",
        "SPIFFE://td/a", "spiffe://td:80/a", "spiffe://u@td/a", "spiffe://td/a?b", "spiffe://td/a#b", "spiffe://td/..",
        "spiffe://td/./a", "spiffe://td/%61", "spiffe://td/ä", "spiffe://td/" + "a" * 2048, "spiffe://td/*", "spiffe://td/a\n",
    ],
)  # fmt: skip
def test_what_is_no_spiffe_id_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_uri(text)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadName):
        parse_name("email", "a@b.test")


# --- patterns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("h.test", ["h.test"], ["a.h.test", "xh.test", "test", "*.h.test"]),
        ("*.h.test", ["a.h.test", "*.h.test"], ["h.test", "b.a.h.test", "*.a.h.test", "xh.test", "a.xh.test"]),
        ("**.h.test", ["a.h.test", "b.a.h.test", "*.h.test", "*.a.h.test"], ["h.test", "xh.test", "test"]),
        ("10.0.0.0/8", ["10.0.0.1", "10.255.0.1"], ["11.0.0.1", "::1", "a.test"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("2001:db8::/32", ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
        ("spiffe://td/a", ["spiffe://td/a"], ["spiffe://td/a/b", "spiffe://td/ab", "spiffe://tdx/a"]),
        ("spiffe://td/a/*", ["spiffe://td/a/b"], ["spiffe://td/a", "spiffe://td/a/b/c", "spiffe://td/ab/c"]),
        ("spiffe://td/a/**", ["spiffe://td/a/b", "spiffe://td/a/b/c"], ["spiffe://td/a", "spiffe://td/ab/c"]),
        ("spiffe://td/**", ["spiffe://td/a", "spiffe://td/a/b"], ["spiffe://x.td/a", "td"]),
    ],
)
def test_the_grammar_of_the_contract(pattern: str, inside: list[str], outside: list[str]) -> None:
    parsed = Pattern.parse(pattern)
    assert [text for text in inside if not parsed.matches(parse_any(text), allow_wildcard=True)] == []
    assert [text for text in outside if parsed.matches(parse_any(text), allow_wildcard=True)] == []


@pytest.mark.parametrize("pattern", ["h.test", "*.h.test", "**.h.test", "**.test"])
def test_a_wildcard_name_needs_to_be_allowed(pattern: str) -> None:
    assert not Pattern.parse(pattern).matches(parse_any("*.h.test"))


@pytest.mark.parametrize(
    "text", ["", "*", "**", "***.a", "*.", "a.*", "a_b.test", "10.0.0.1/8", "10.0.0.0/255.0.0.0", "10.0.0.0/33", "https://a/b",
             "spiffe://td", "spiffe://td/**/a", "spiffe://*/a", "spiffe://td/a*", "spiffe://td/", "*.*.test"]
)  # fmt: skip
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        Pattern.parse(text)


DNS_PATTERN = st.tuples(st.sampled_from(["", "*.", "**."]), HOST).map("".join)
NETWORK = st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda t: str(ipaddress.ip_network(t, strict=False)))
URI_PATTERN = st.tuples(
    st.sampled_from(["td", "td.test"]),
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
    st.sampled_from(["a", "*", "**"]),
).map(lambda t: f"spiffe://{t[0]}/{'/'.join([*t[1], t[2]])}")
PATTERN = st.one_of(DNS_PATTERN, NETWORK, URI_PATTERN)


@given(PATTERN)
def test_parsing_a_rendered_pattern_is_the_identity(text: str) -> None:
    pattern = Pattern.parse(text)
    assert Pattern.parse(str(pattern)) == pattern
    assert pattern.covers(pattern)


SHORT = st.lists(st.sampled_from(["a", "b", "test"]), min_size=1, max_size=4).map(".".join)
NEAR = st.one_of(
    st.tuples(st.sampled_from(["", "*.", "**."]), SHORT).map("".join), URI_PATTERN,
    st.sampled_from(["10.0.0.0/8", "10.0.0.0/9", "10.0.0.1", "::/0", "0.0.0.0/0"]),
)  # fmt: skip
NEAR_NAME = st.one_of(
    st.tuples(st.sampled_from(["", "*."]), SHORT).map("".join), st.sampled_from(["10.0.0.1", "10.200.0.1", "::1"]),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4).map(lambda s: "spiffe://td/" + "/".join(s)),
)  # fmt: skip


@given(NEAR, NEAR, NEAR_NAME, st.booleans())
def test_a_pattern_that_covers_another_matches_all_that_it_matches(one: str, two: str, name: str, wild: bool) -> None:
    bigger, smaller, parsed = Pattern.parse(one), Pattern.parse(two), parse_any(name)
    if bigger.covers(smaller) and smaller.matches(parsed, allow_wildcard=wild):
        assert bigger.matches(parsed, allow_wildcard=wild)


@pytest.mark.parametrize(
    ("one", "two", "covers"),
    [
        ("**.test", "*.test", True),
        ("**.test", "a.test", True),
        ("**.test", "**.a.test", True),
        ("**.test", "test", False),
        ("*.test", "a.test", True),
        ("*.test", "**.test", False),
        ("*.test", "*.a.test", False),
        ("a.test", "a.test", True),
        ("10.0.0.0/8", "10.1.0.0/16", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("0.0.0.0/0", "::/0", False),
        ("spiffe://td/a/**", "spiffe://td/a/b", True),
        ("spiffe://td/a/**", "spiffe://td/a/*/**", True),
        ("spiffe://td/a/*", "spiffe://td/a/**", False),
        ("spiffe://td/**", "spiffe://te/a", False),
        ("**.test", "10.0.0.1", False),
    ],
)
def test_a_token_mints_only_subsets_of_itself(one: str, two: str, covers: bool) -> None:
    assert Pattern.parse(one).covers(Pattern.parse(two)) is covers


# --- reserved names and constraints -------------------------------------------------------------


def config(**server: object) -> Config:
    return Config(mode="demo", server=server, ca={"reserved_names": ["**.admin.test"]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("ca.test", True),
        ("*.test", True),
        ("x.ca.test", False),
        ("*.ca.test", False),
        ("status.test", True),
        ("10.0.0.9", True),
        ("10.0.0.8", False),
        ("a.admin.test", True),
        ("*.admin.test", True),
        ("admin.test", False),
        ("other.test", False),
    ],
)
def test_the_products_own_names_are_reserved_even_from_wildcards(name: str, touched: bool) -> None:
    patterns = reserved(
        config(public_url="https://ca.test:8443", status_url="http://status.test", names=["10.0.0.9", "ca.test"])
    )
    assert any(pattern.touches(parse_any(name)) for pattern in patterns) is touched


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "public_url", "https://a_b.test"),
        ("server", "names", ["a b"]),
        ("ca", "reserved_names", ["*"]),
        ("ca", "permitted_names", ["*.test"]),
        ("ca", "permitted_names", ["10.0.0.1/8"]),
    ],
)
def test_names_in_the_configuration_are_checked_at_the_start(section: str, key: str, value: object) -> None:
    bad = Config(mode="demo", **{section: {key: value}})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=key):
        (*reserved(bad), *permitted(bad))


def test_a_name_constraint_permits_a_name_and_all_below_it() -> None:
    patterns = subtrees(["test", "10.0.0.0/8", "spiffe://td"])
    for text in ("test", "a.test", "b.a.test", "10.9.9.9", "spiffe://td/a/b"):
        assert any(pattern.matches(parse_any(text)) for pattern in patterns), text
    for text in ("xtest", "a.example", "11.0.0.1", "spiffe://te/a"):
        assert not any(pattern.matches(parse_any(text)) for pattern in patterns), text
    with pytest.raises(BadName):
        subtrees(["*.test"])
