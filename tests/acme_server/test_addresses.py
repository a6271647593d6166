"""The address policy: what validation may connect to (CONTRACT.md; A-32; LESSONS: Vault CVE-2026-5052)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_server.errors import AddressDenied
from acme_server.validation.addresses import METADATA, AddressPolicy, Door, is_special, policy, unwrapped
from ca.config import Config

LOOPBACK = ["127.0.0.0/8", "::1/128"]


def with_settings(**validation: object) -> AddressPolicy:
    return policy(Config(acme={"validation": validation}))  # type: ignore[arg-type]


def allowed(rules: AddressPolicy, address: str, port: int = 80) -> bool:
    try:
        rules.permit(ipaddress.ip_address(address), port)
    except AddressDenied:
        return False
    return True


PRIVATE = ["10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1", "fd12:3456::1", "fc00::1"]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "11.0.0.1", "2606:4700::1111", "2a00:1450::1"]
SPECIAL = [
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.1.1", "100.64.0.1", "100.127.255.255", "192.0.0.1",
    "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "::", "::1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "64:ff9b:1::1", "2001:2::1", "2001:20::1",
    "3fff::1", "5f00::1", "4000::1", "8000::1", "::2", "1::1", "200::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE + PUBLIC)
def test_private_and_public_ranges_are_open(address: str) -> None:
    assert allowed(with_settings(), address)


@pytest.mark.parametrize("address", SPECIAL)
def test_A32_special_ranges_are_closed(address: str) -> None:
    assert not allowed(with_settings(), address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_allow_networks_opens_a_special_range(address: str) -> None:
    assert allowed(with_settings(allow_networks=LOOPBACK), address)


def test_the_demo_may_reach_loopback_and_production_may_not() -> None:
    assert allowed(policy(Config(mode="demo")), "127.0.0.1")
    assert allowed(policy(Config(mode="demo")), "::1")
    assert not allowed(policy(Config(mode="production")), "127.0.0.1")


def test_opening_one_range_opens_no_other() -> None:
    rules = with_settings(allow_networks=["127.0.0.0/8"])
    assert not allowed(rules, "169.254.1.1")
    assert not allowed(rules, "::1")


METADATA_SERVICES = [
    "169.254.169.254", "169.254.169.253", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16",
    "169.254.42.42", "169.254.0.23", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42",
]  # fmt: skip


@pytest.mark.parametrize("address", METADATA_SERVICES)
def test_A32_metadata_services_are_closed_whatever_is_allowed(address: str) -> None:
    everything = with_settings(allow_networks=["0.0.0.0/0", "::/0"])
    assert allowed(everything, "127.0.0.1")
    assert not allowed(everything, address)


def test_every_metadata_network_is_named_by_a_test() -> None:
    tested = {ipaddress.ip_address(one) for one in [*METADATA_SERVICES, "fd00:ec2::253", "fe80::a9fe:a9fe"]}
    assert {network.network_address for network in METADATA} == tested


# Each is an IPv4 address in disguise.
WRAPPED = {
    "mapped": "::ffff:{v4}",
    "compatible": "::{v4}",
    "NAT64": "64:ff9b::{v4}",
    "local NAT64": "64:ff9b:1:7::{v4}",
    "SIIT": "::ffff:0:{v4}",
    "ISATAP": "2a00:1450::5efe:{v4}",
    "ISATAP of a global address": "fd00::200:5efe:{v4}",
    "6to4": "2002:{hex}::1",
    "Teredo client": "2001:0:808:808:8000:63bf:{not_hex}",
    "Teredo server": "2001:0:{hex}:8000:63bf:f7f7:f7f7",
}


def disguised(how: str, v4: str) -> str:
    number = int(ipaddress.IPv4Address(v4))
    groups = [f"{part >> 16:x}:{part & 0xFFFF:x}" for part in (number, number ^ 0xFFFFFFFF)]
    return WRAPPED[how].format(v4=v4, hex=groups[0], not_hex=groups[1])


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("inner", ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0"])
def test_A32_no_disguise_helps(how: str, inner: str) -> None:
    rules = with_settings(allow_networks=["2001::/32", "::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96"])
    assert not allowed(rules, disguised(how, inner))


@pytest.mark.parametrize("how", WRAPPED)
def test_A32_the_deny_list_wins_over_every_disguise(how: str) -> None:
    rules = with_settings(allow_networks=["0.0.0.0/0", "::/0"], deny_networks=["10.9.0.0/16"])
    assert not allowed(rules, disguised(how, "10.9.8.7"))
    assert not allowed(rules, disguised(how, "169.254.169.254"))
    assert allowed(rules, disguised(how, "10.8.8.7"))


@pytest.mark.parametrize("how", ["mapped", "NAT64", "6to4"])
def test_disguised_ordinary_addresses_are_open(how: str) -> None:
    """An IPv6-only network reaches IPv4 by NAT64."""
    assert allowed(with_settings(), disguised(how, "8.8.4.4"))
    assert allowed(with_settings(), disguised(how, "10.1.1.1"))


def test_unwrapping_a_mapped_address_leaves_only_the_inner_one() -> None:
    assert list(unwrapped(ipaddress.ip_address("::ffff:1.2.3.4"))) == [ipaddress.ip_address("1.2.3.4")]
    assert list(unwrapped(ipaddress.ip_address("::1"))) == [ipaddress.ip_address("::1")]


def test_deny_networks_win_over_private_and_allowed() -> None:
    rules = with_settings(deny_networks=["10.0.0.0/8", "127.0.0.53/32"], allow_networks=LOOPBACK)
    assert not allowed(rules, "10.1.1.1")
    assert not allowed(rules, "127.0.0.53")
    assert allowed(rules, "127.0.0.1")


# --- own doors ----------------------------------------------------------------------------------


def test_A32_own_listeners_are_closed_by_address_and_port() -> None:
    config = Config(
        mode="demo",
        server={"https_listen": "127.0.0.1:443", "http_listen": "127.0.0.2:80", "metrics_listen": "127.0.0.1:9100"},  # type: ignore[arg-type]
        database={"url": "postgresql://ca@127.0.0.3/ca"},  # type: ignore[arg-type]
    )
    rules = policy(config)
    for address, port in (("127.0.0.1", 443), ("127.0.0.2", 80), ("127.0.0.1", 9100), ("127.0.0.3", 5432)):
        assert not allowed(rules, address, port)
        assert not allowed(rules, f"::ffff:{address}", port)
    assert allowed(rules, "127.0.0.1", 80)
    assert allowed(rules, "127.0.0.3", 443)


def test_A32_a_listener_on_all_addresses_closes_its_port_on_this_machine_alone() -> None:
    rules = policy(Config(mode="demo", server={"https_listen": "0.0.0.0:443"}))  # type: ignore[arg-type]
    assert not allowed(rules, "127.0.0.1", 443)
    assert not allowed(rules, "::1", 443)
    assert allowed(rules, "127.0.0.1", 80)
    assert allowed(rules, "10.255.255.1", 443)


def test_own_names_are_no_target_of_redirects() -> None:
    rules = policy(Config(server={"public_url": "https://pki.corp.test", "status_url": "http://ocsp.corp.test"}))  # type: ignore[arg-type]
    for host in ("pki.corp.test", "ocsp.corp.test"):
        with pytest.raises(AddressDenied):
            rules.permit_host(host)
    rules.permit_host("www.corp.test")


def test_a_door_knows_its_port() -> None:
    door = Door(ipaddress.ip_address("10.0.0.1"), 8443)
    assert door.is_at(ipaddress.ip_address("10.0.0.1"), 8443)
    assert not door.is_at(ipaddress.ip_address("10.0.0.1"), 443)


def test_what_python_calls_unreachable_is_special_too() -> None:
    """A second opinion over both whole spaces: nothing is open that the standard library calls local."""
    for version, bits in ((4, 32), (6, 128)):
        kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
        for prefix in range(1 << 12):
            address = kind((prefix << (bits - 12)) + 1)
            if address.is_private and not address.is_loopback:
                unique_local = any(address in ipaddress.ip_network(net) for net in
                                   ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
                                   if ipaddress.ip_network(net).version == version)  # fmt: skip
                assert is_special(address) or unique_local, address


@given(st.sampled_from(sorted(WRAPPED)), st.ip_addresses(v=4))
def test_A32_an_address_in_disguise_is_never_freer_than_itself(how: str, inner: ipaddress.IPv4Address) -> None:
    """Whatever is opened for IPv6: what is closed to an IPv4 address is closed to each of its disguises."""
    rules = with_settings(allow_networks=["::/0"], deny_networks=["10.0.0.0/8"])
    assert allowed(rules, str(inner)) or not allowed(rules, disguised(how, str(inner)))
