"""certbot (Debian) obtains, renews and revokes; and the line that the demo prints works as pasted."""

import re
from pathlib import Path

import pytest

from tests.interop.names import Names
from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "certbot.localhost"


def test_certbot_obtains_renews_and_revokes(demo: Demo, home: Path, relying: RelyingParty, port: int) -> None:
    program = need("certbot")
    env = environment(home, REQUESTS_CA_BUNDLE=str(demo.root))
    folders = ("--config-dir", home / "cb", "--work-dir", home / "cb", "--logs-dir", home / "cb")
    live = home / "cb" / "live" / NAME

    def certbot(*words: str | Path) -> str:
        return run(program, *words, "-n", "--server", demo.directory, *folders, env=env)

    standalone = ("--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", str(port))
    certbot("certonly", *standalone, "--agree-tos", "--register-unsafely-without-email", "-d", NAME)
    first = Chain.read(live / "fullchain.pem")
    relying.accepts(first, NAME, key=live / "privkey.pem")

    certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
    second = Chain.read(live / "fullchain.pem")
    assert second.serial != first.serial
    relying.accepts(second, NAME, key=live / "privkey.pem")

    certbot("revoke", "--cert-path", live / "cert.pem", "--reason", "superseded", "--no-delete-after-revoke")
    relying.refuses(second, reason="superseded")
    relying.accepts(first, NAME)
    assert demo.record(second.serial)["status"] == "revoked"


HOOK = """\
#!/bin/sh
exec {say} {what} "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"
"""


def test_certbot_obtains_a_wildcard_by_dns_01(demo: Demo, home: Path, relying: RelyingParty, names: Names) -> None:
    say, hooks = names.script(home), {}
    for what in ("present", "cleanup"):
        hooks[what] = home / what
        hooks[what].write_text(HOOK.format(say=say, what=what))
        hooks[what].chmod(0o755)
    folders = ("--config-dir", home / "cb", "--work-dir", home / "cb", "--logs-dir", home / "cb")
    manual = ("--manual", "--preferred-challenges", "dns", "--manual-auth-hook", hooks["present"])
    wanted = ("-d", "certbot.test", "-d", "*.certbot.test", "--agree-tos", "--register-unsafely-without-email")
    run(
        *(need("certbot"), "certonly", "-n", "--server", demo.directory, *folders, *wanted, *manual),
        *("--manual-cleanup-hook", hooks["cleanup"]),
        env=environment(home, REQUESTS_CA_BUNDLE=str(demo.root)),
    )
    relying.accepts(Chain.read(home / "cb/live/certbot.test/fullchain.pem"), "certbot.test", "*.certbot.test")
    assert names.server.texts["_acme-challenge.certbot.test"] == []


def test_certbot_revokes_with_the_certificates_key(demo: Demo, home: Path, relying: RelyingParty, port: int) -> None:
    """RFC 8555 7.6: whoever holds the key may revoke, with no account at all (A-30)."""
    program = need("certbot")
    env = environment(home, REQUESTS_CA_BUNDLE=str(demo.root))

    def certbot(*words: str | Path, folder: str) -> str:
        folders = ("--config-dir", home / folder, "--work-dir", home / folder, "--logs-dir", home / folder)
        return run(program, *words, "-n", "--server", demo.directory, *folders, env=env)

    name = "bykey.certbot.localhost"
    standalone = ("--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", str(port))
    register = ("--agree-tos", "--register-unsafely-without-email")
    certbot("certonly", *standalone, *register, "-d", name, folder="owner")
    live = home / "owner" / "live" / name
    key = ("--cert-path", live / "cert.pem", "--key-path", live / "privkey.pem")
    certbot("revoke", *key, "--reason", "keycompromise", "--no-delete-after-revoke", folder="stranger")
    relying.refuses(Chain.read(live / "fullchain.pem"), reason="keyCompromise")


def test_the_printed_line_works_as_pasted(demo: Demo, home: Path, relying: RelyingParty, port: int) -> None:
    need("certbot")
    printed = [line.strip() for line in demo.banner.splitlines() if "certbot certonly" in line]
    assert len(printed) == 1, demo.banner
    line = printed[0].removeprefix("$ ")
    run(need("bash"), "-c", line, env=environment(home))
    folder = re.search(r"--config-dir (\S+)", line)
    assert folder
    live = (home / folder[1]) / "live" / "demo.localhost"
    relying.accepts(Chain.read(live / "fullchain.pem"), "demo.localhost", key=live / "privkey.pem")
