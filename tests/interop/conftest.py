"""Real clients against the product as a user starts it. Everything stays on loopback and below a temporary folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import world
from tests.interop.names import Names
from tests.interop.names import names as world_of_names
from tests.interop.relying import RelyingParty
from tests.web_server import Site, web_server

TARGETS = {
    "plain": {"kind": "folder", "path": "plain"},
    "haproxy": {"kind": "haproxy", "socket": "haproxy.sock"},
}


@pytest.fixture(scope="session")
def names() -> Iterator[Names]:
    """The DNS server of the zone `test`, and the door of its hooks."""
    with world_of_names() as served:
        yield served


@pytest.fixture(scope="session")
def receiver() -> Iterator[Site]:
    """The web server to which the demo's channel `hook` posts."""
    with web_server() as site:
        yield site


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, names: Names, receiver: Site) -> Iterator[world.Demo]:
    """One running demo for all client tests of this session."""
    hook = {"kind": "webhook", "url": receiver.url, "secret_file": "hook.secret"}
    more = {
        **names.environment,
        "CERTWRIGHT_TARGETS": json.dumps(TARGETS),
        "CERTWRIGHT_CHANNELS": json.dumps({"hook": hook}),
        "CERTWRIGHT_SCHEDULER__TARGETS": "1s",
    }
    with world.demo(tmp_path_factory.mktemp("product") / "demo", **more) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home for one client."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def relying(demo: world.Demo, tmp_path: Path) -> RelyingParty:
    """A relying party that trusts the demo's root and nothing else."""
    (tmp_path / "relying").mkdir()
    return RelyingParty(demo.root, tmp_path / "relying")


@pytest.fixture
def port() -> Iterator[int]:
    """The http-01 port, held for this test alone: for clients that listen themselves."""
    with world.challenge_port() as number:
        yield number


@pytest.fixture
def alpn_port() -> Iterator[int]:
    """The tls-alpn-01 port, held for this test alone."""
    with world.challenge_port(world.ALPN_PORT) as number:
        yield number


@pytest.fixture
def wellknown(port: int, tmp_path: Path) -> Iterator[Path]:
    """The folder whose files are served as http-01 answers: for clients that only write files."""
    with world.webroot(tmp_path / "www") as folder:
        yield folder
