"""lego (Debian) obtains, renews and revokes; by http-01, tls-alpn-01 and dns-01, with wildcards and addresses."""

import json
from pathlib import Path

import pytest

from tests.interop.names import Names
from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAMES = ("lego.localhost", "www.lego.localhost")


def test_lego_obtains_renews_and_revokes(demo: Demo, home: Path, relying: RelyingParty, port: int) -> None:
    program = need("lego")
    env = environment(home, LEGO_CA_CERTIFICATES=str(demo.root), LEGO_PATH=str(home / "lego"))
    who = ("--server", demo.directory, "--accept-tos", "--email", "ops@lego.localhost")
    names = [word for name in NAMES for word in ("--domains", name)]
    files = home / "lego" / "certificates"

    def lego(*words: str) -> str:
        return run(program, *who, *names, "--http", "--http.port", f"127.0.0.1:{port}", *words, env=env)

    def held() -> Chain:
        return Chain.read(files / f"{NAMES[0]}.crt")

    lego("run")
    first = held()
    relying.accepts(first, *NAMES, key=files / f"{NAMES[0]}.key")

    lego("renew", "--days", "9999", "--no-random-sleep")
    second = held()
    assert second.serial != first.serial
    relying.accepts(second, *NAMES, key=files / f"{NAMES[0]}.key")

    lego("revoke", "--keep", "--reason", "4")
    relying.refuses(second, reason="superseded")
    relying.accepts(first, *NAMES)


def test_lego_registers_with_an_external_account(demo: Demo, home: Path, relying: RelyingParty, port: int) -> None:
    """A-22: identifier and key as 'certwright acme eab create' prints them."""
    program = need("lego")
    name = "eab.lego.localhost"
    made = json.loads(demo.certwright("acme", "eab", "create", "lego", "--allow", name, "--json"))
    env = environment(home, LEGO_CA_CERTIFICATES=str(demo.root), LEGO_PATH=str(home / "lego"))
    who = ("--server", demo.directory, "--accept-tos", "--email", "ops@lego.localhost")
    binding = ("--eab", "--kid", made["id"], "--hmac", made["hmac_key"])
    where = ("--http", "--http.port", f"127.0.0.1:{port}", "--domains", name)
    run(program, *who, *binding, *where, "run", env=env)
    files = home / "lego" / "certificates"
    relying.accepts(Chain.read(files / f"{name}.crt"), name, key=files / f"{name}.key")
    rows = json.loads(demo.certwright("acme", "eab", "list", "--json"))
    assert [row["accounts"] for row in rows if row["id"] == made["id"]] == [1]


def test_lego_obtains_by_tls_alpn_01(demo: Demo, home: Path, relying: RelyingParty, alpn_port: int) -> None:
    name = "alpn.lego.localhost"
    obtained = _obtained(demo, home, [name], "--tls", "--tls.port", f"127.0.0.1:{alpn_port}")
    relying.accepts(obtained, name)


def test_lego_obtains_a_wildcard_by_dns_01(demo: Demo, home: Path, relying: RelyingParty, names: Names) -> None:
    """A domain and its wildcard in one order: two records at one name. The first is behind a CNAME."""
    domain = "lego.test"
    names.server.aliases[f"_acme-challenge.{domain}"] = "delegated.challenges.test"
    dns = ("--dns", "httpreq", "--dns.resolvers", names.server.address, "--dns.disable-cp")
    obtained = _obtained(demo, home, [domain, f"*.{domain}"], *dns, HTTPREQ_ENDPOINT=names.door)
    relying.accepts(obtained, domain, f"*.{domain}")
    assert "delegated.challenges.test" in names.server.texts


def _obtained(demo: Demo, home: Path, domains: list[str], *words: str, **more: str) -> Chain:
    """What `lego run` gets with a fresh account."""
    env = environment(home, LEGO_CA_CERTIFICATES=str(demo.root), LEGO_PATH=str(home / "lego"), **more)
    who = ("--server", demo.directory, "--accept-tos", "--email", "ops@lego.localhost")
    run(need("lego"), *who, *(word for name in domains for word in ("--domains", name)), *words, "run", env=env)
    return Chain.read(home / "lego" / "certificates" / f"{domains[0]}.crt")
