"""Fixtures of the ACME server: a real CA with token and signer, a real fetcher, and a site that shows proofs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask

import acme_server
from ca.authority import Authority
from cli.place import Place, Ports, default_module
from tests.acme_server import net
from tests.acme_server.client import Client
from tests.ca.authority.world import REPOSITORY, World


@dataclass
class Town(World):
    """A CA, its fetcher, and the web server to which every name below localhost leads.

    `shown` is what the web server shows, by token; names below zone.localhost are what `zone` says; `responder`
    is the TLS server of every name.
    """

    shown: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    fetcher: "subprocess.Popen[bytes] | None" = None
    zone: net.Zone = field(default_factory=net.Zone)
    responder: net.Responder | None = None
    http_port: int = 0

    def reply(self, channel: socket.socket, head: bytes) -> None:
        token = head.split(b" ")[1].rpartition(b"/")[2].decode()
        self.asked.append(token)
        body = self.shown.get(token)
        (net.page(body.encode()) if body else net.page(b"not here", "404 Not Found"))(channel, head)

    def start_fetcher(self) -> None:
        with self.place.log.open("ab") as log:
            command = [
                sys.executable,
                "-m",
                "acme_server.validation.fetcher",
                "--config",
                str(self.place.configuration),
            ]
            self.fetcher = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        path = self.place.path / "state" / "fetcher.sock"
        end = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(path)) == 0:
                    return
            assert time.monotonic() < end, self.place.log.read_text()
            time.sleep(0.05)

    def kill_fetcher(self) -> None:
        if self.fetcher is not None:
            self.fetcher.send_signal(signal.SIGKILL)
            self.fetcher.wait(10)
            self.fetcher = None


def _softhsm() -> None:
    if any(map(os.environ.get, ("CERTWRIGHT_PKCS11_MODULE", "CERTWRIGHT_HSM__MODULE"))):
        return
    module = Path("/usr/lib/softhsm/libsofthsm2.so")
    if not module.exists():
        pytest.skip("SoftHSM is not installed")
    os.environ["CERTWRIGHT_PKCS11_MODULE"] = str(module)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One CA for all ACME tests of a session: they use names and accounts of their own."""
    with a_town(tmp_path_factory) as made:
        yield made


@contextmanager
def a_town(tmp_path_factory: pytest.TempPathFactory, database: str = "") -> Iterator[Town]:
    """A new town, over that database or SQLite."""
    _softhsm()
    place = Place(tmp_path_factory.mktemp("town"))
    made = Town(place)
    place.claim()
    place.prepare(Ports(), default_module())
    with net.site(made.reply) as site:
        zones = f'zone_resolvers = {{"zone.localhost" = ["{made.zone.address}"]}}'
        made.http_port = site.port
        made.responder = net.Responder(tmp_path_factory.mktemp("responder"))
        text = place.configuration.read_text().replace("http_port = 5002", f"http_port = {site.port}\n{zones}")
        text = text.replace("tls_alpn_port = 5001", f"tls_alpn_port = {made.responder.port}")
        place.configuration.write_text(text)
        if database:
            made.use(database)
        init = made.run("ca", "init", "--root-dir", str(place.root_token), "--yes")
        assert init.returncode == 0, init.stderr
        made.start_signer()
        made.start_fetcher()
        yield made
        made.kill_fetcher()
        made.kill_signer()
        made.zone.close()
        made.responder.close()
    shutil.rmtree(place.path / "state" / "nonces", ignore_errors=True)


@pytest.fixture
def authority(town: Town) -> Iterator[Authority]:
    """The front desk, with its clock back at now."""
    town.clock.ahead = 0
    opened = town.open()
    yield opened
    opened.store.close()


def make_app(authority: Authority) -> Flask:
    """The ACME door and nothing around it."""
    app = Flask("acme-tests", static_folder=None)
    app.wsgi_app = acme_server.application(authority)  # type: ignore[method-assign]
    return app


@pytest.fixture
def app(authority: Authority) -> Flask:
    return make_app(authority)


@pytest.fixture
def client(app: Flask, town: Town) -> Client:
    """A client without an account."""
    return Client(app.test_client(), town.shown)


@pytest.fixture
def registered(client: Client) -> Client:
    """A client with a fresh account."""
    assert client.register().status_code == 201
    return client
