"""acme-client (npm) obtains, obtains again and revokes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "npm.localhost"
PACKAGE = Path(__file__).parent / "acme-client"
CALM = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000")
SUPERSEDED = "4"


@pytest.fixture
def package(home: Path) -> Path:
    """The client with what it needs, as locked; no script of any package runs."""
    folder = Path(shutil.copytree(PACKAGE, home / "npm"))
    try:
        run(need("npm"), "ci", *CALM, cwd=folder, env=environment(home))
    except (AssertionError, subprocess.TimeoutExpired) as failed:
        pytest.skip(f"npm cannot fetch acme-client: {failed}")
    return folder


def test_acme_client_obtains_twice_and_revokes(
    demo: Demo, home: Path, package: Path, relying: RelyingParty, wellknown: Path
) -> None:
    env = environment(home, NODE_EXTRA_CA_CERTS=str(demo.root))

    def client(what: str, *words: str | Path) -> None:
        run(need("node", "nodejs"), package / "client.js", what, demo.directory, home, *words, env=env)

    client("obtain", NAME, wellknown)
    first = Chain.read(home / "chain.pem")
    relying.accepts(first, NAME, key=home / "key.pem")

    client("obtain", NAME, wellknown)
    second = Chain.read(home / "chain.pem")
    assert second.serial != first.serial
    relying.accepts(second, NAME, key=home / "key.pem")

    client("revoke", SUPERSEDED)
    relying.refuses(second, reason="superseded")
    relying.accepts(first, NAME)
