"""lego (Debian) obtains, renews and revokes."""

from pathlib import Path

import pytest

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
