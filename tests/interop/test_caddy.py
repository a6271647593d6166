"""Caddy (Debian) obtains, staples and renews; told by OCSP that its certificate is revoked, it replaces it."""

import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import library
from tests.interop.relying import PEM, Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "caddy.localhost"
CADDYFILE = """\
{{
	admin off
	default_bind 127.0.0.1
	http_port {http_port}
	https_port {https_port}
	storage file_system {storage}
	acme_ca {directory}
	acme_ca_root {root}
}}
{name} {{
	tls {{
		issuer acme {{
			{disabled}
		}}
	}}
	respond "hello"
}}
"""
RENEW_AT_ONCE = 1.0  # the part of a certificate's life in which Caddy renews it: the whole of it


def test_caddy_obtains_renews_and_replaces_a_revoked_certificate(
    demo: Demo, home: Path, relying: RelyingParty, port: int
) -> None:
    caddy = Caddy(need("caddy"), home, free_port())
    caddy.configure(demo, port)
    with caddy.serving():
        first = caddy.held()
        relying.accepts(first, NAME, key=caddy.file(".key"))
        assert caddy.served(demo.root) == first.leaf.public_bytes(PEM).decode()
        assert caddy.staples(relying, demo.root)

    with caddy.serving(renewal_window_ratio=RENEW_AT_ONCE):
        second = caddy.held(other_than=first)
    relying.accepts(second, NAME, key=caddy.file(".key"))

    library.account_of(demo, caddy.account_key()).revoke(second.leaf, 4)
    relying.refuses(second, reason="superseded")
    relying.accepts(first, NAME)

    shutil.rmtree(home / "storage" / "ocsp")  # else Caddy believes the staple that it keeps until half of its life
    with caddy.serving():
        third = caddy.held(other_than=second)
    relying.accepts(third, NAME, key=caddy.file(".key"))


def test_caddy_obtains_by_tls_alpn_01(demo: Demo, home: Path, relying: RelyingParty, alpn_port: int) -> None:
    """Caddy answers acme-tls/1 at the port where it serves HTTPS."""
    caddy = Caddy(need("caddy"), home, alpn_port)
    caddy.configure(demo, free_port(), "disable_http_challenge")
    with caddy.serving():
        relying.accepts(caddy.held(), NAME, key=caddy.file(".key"))


@dataclass(frozen=True)
class Caddy:
    """One Caddy with its own storage below `home`."""

    program: str
    home: Path
    https_port: int

    def configure(self, demo: Demo, http_port: int, disabled: str = "disable_tlsalpn_challenge") -> None:
        """Writes the Caddyfile that a person would write, and the JSON that Caddy makes of it."""
        text = CADDYFILE.format(
            http_port=http_port,
            https_port=self.https_port,
            storage=self.home / "storage",
            directory=demo.directory,
            root=demo.root,
            name=NAME,
            disabled=disabled,
        )
        (self.home / "Caddyfile").write_text(text)
        said = run(self.program, "adapt", "--config", self.home / "Caddyfile", env=environment(self.home))
        (self.home / "caddy.json").write_text(next(line for line in said.splitlines() if line.startswith('{"admin"')))

    @contextmanager
    def serving(self, **policy: float) -> Iterator[None]:
        """Runs Caddy, with further settings of its automation policy."""
        config = json.loads((self.home / "caddy.json").read_text())
        config["apps"]["tls"]["automation"]["policies"][0].update(policy)
        (self.home / "now.json").write_text(json.dumps(config))
        command = [self.program, "run", "--config", str(self.home / "now.json")]
        with (self.home / "caddy.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment(self.home), stdout=log, stderr=log, cwd=self.home)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)

    def held(self, other_than: Chain | None = None) -> Chain:
        """The certificate in the storage, awaited up to 40 s."""
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            files = list((self.home / "storage" / "certificates").glob(f"*/{NAME}/{NAME}.json"))
            if files:  # the metadata is written last
                chain = Chain.read(self.file(".crt"))
                if other_than is None or chain.serial != other_than.serial:
                    return chain
            time.sleep(0.2)
        raise AssertionError("Caddy got no (new) certificate:\n" + (self.home / "caddy.log").read_text()[-4000:])

    def file(self, suffix: str) -> Path:
        return next((self.home / "storage" / "certificates").glob(f"*/{NAME}/{NAME}{suffix}"))

    def account_key(self) -> Path:
        return next((self.home / "storage" / "acme").glob("*/users/*/*.key"))

    def served(self, root: Path) -> str:
        """The certificate of a real handshake, which a browser's rules accept."""
        context = ssl.create_default_context(cafile=str(root))
        with (
            socket.create_connection(("127.0.0.1", self.https_port), 10) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True) or b"")

    def staples(self, relying: RelyingParty, root: Path) -> bool:
        """Whether a handshake that asks for it carries an OCSP answer that says good."""
        target = ("-connect", f"127.0.0.1:{self.https_port}", "-servername", NAME, "-CAfile", root, "-status")
        said = run(relying.openssl, "s_client", *target, env=relying.env)
        return "OCSP Response Status: successful" in said and "Cert Status: good" in said
