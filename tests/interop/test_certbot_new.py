"""certbot of PyPI uses what Debian's does not know: profiles and renewal information; and binds an external account."""

import json
import sys
from pathlib import Path

import pytest

from tests.interop.relying import Chain
from tests.interop.world import Demo, environment, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROGRAM = Path(sys.executable).with_name("certbot")


def test_A22_A35_A36_certbot_binds_chooses_a_profile_and_renews_when_told(demo: Demo, home: Path, port: int) -> None:
    name = "new.certbot.localhost"
    made = json.loads(demo.certwright("acme", "eab", "create", "certbot", "--allow", name, "--json"))
    env = environment(home, REQUESTS_CA_BUNDLE=str(demo.root))
    folders = ("--config-dir", home / "cb", "--work-dir", home / "cb", "--logs-dir", home / "cb")

    def certbot(*words: str | Path) -> str:
        return run(PROGRAM, *words, "-n", "--server", demo.directory, *folders, env=env)

    def held() -> Chain:
        return Chain.read(home / "cb" / "live" / name / "fullchain.pem")

    binding = ("--eab-kid", made["id"], "--eab-hmac-key", made["hmac_key"])
    certbot("register", "--agree-tos", "--register-unsafely-without-email", *binding)
    account = json.loads(demo.certwright("acme", "account", "list", "--json"))[0]
    assert account["eab"] == made["id"]

    standalone = ("--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", str(port))
    certbot("certonly", *standalone, "--preferred-profile", "short-lived", "-d", name)
    first = held()
    assert demo.record(first.serial)["profile"] == "short-lived"

    assert "No renewals were attempted" in certbot("renew", "--no-random-sleep-on-renew")
    demo.certwright("cert", "revoke", f"{first.serial:x}", "--reason", "superseded", "--yes")
    # certbot remembers when to look again: Retry-After has to pass before it asks.
    configuration = home / "cb" / "renewal" / f"{name}.conf"
    kept = configuration.read_text().partition("[acme_renewal_info]")
    assert kept[1]
    configuration.write_text(kept[0])
    certbot("renew", "--no-random-sleep-on-renew")
    second = held()
    assert second.serial != first.serial
    assert demo.record(second.serial)["profile"] == "short-lived"
