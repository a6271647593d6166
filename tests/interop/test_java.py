"""Java's PKIX, with revocation and nothing but what the certificates name, believes our answers and lists."""

from pathlib import Path

import pytest

from tests.interop.relying import Chain
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
VERIFY = Path(__file__).parent / "Verify.java"
WAYS = ("ocsp", "crl")


@pytest.fixture(scope="module")
def chain(demo: Demo) -> Path:
    """A leaf and its issuer, as `cert issue` writes them."""
    made = demo.folder / "java.pem"
    demo.certwright("cert", "issue", "--new-key", f"{made}.key", "--name", "java.localhost", "--out", str(made))
    return made


@pytest.fixture(scope="module")
def revoked(demo: Demo, chain: Path) -> None:
    demo.certwright("cert", "revoke", f"{Chain.read(chain).serial:x}", "--reason", "keyCompromise", "--yes")


def judged(demo: Demo, chain: Path, way: str) -> str:
    """`good`, or why not."""
    quick = ("-Dcom.sun.security.enableCRLDP=true", "-XX:TieredStopAtLevel=1")
    program = need("java", "openjdk-17-jdk-headless")
    return run(program, *quick, VERIFY, demo.root, chain, way, env=environment(demo.folder)).strip()


@pytest.mark.parametrize("way", WAYS)
def test_java_finds_it_good(demo: Demo, chain: Path, way: str) -> None:
    assert judged(demo, chain, way) == "good"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("revoked")
def test_java_finds_it_revoked(demo: Demo, chain: Path, way: str) -> None:
    said = judged(demo, chain, way)
    assert said.startswith("REVOKED: "), said
    assert "KEY_COMPROMISE" in said
