"""What the demo prints when it is ready: where everything is, and a line to paste."""

import shlex
import shutil
import sys

import click
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ca.authority.people import Link
from ca.config import Config
from cli.files import write_whole
from cli.output import answer
from cli.place import Place
from cli.session import Session


def show(session: Session, place: Place, config: Config, link: Link) -> None:
    """The screen, or with --json the same facts. The sign-in link goes to a terminal, else into a file of the user's.

    What is no terminal may be a log that many read.
    """
    on_terminal = sys.stdout.isatty() and not (session.quiet or session.json)
    if not on_terminal:
        write_whole(place.first_login, f"{link.url}\n")
    facts = {
        "ui": f"{config.server.public_url}/ui/",
        "sign_in": link.url if on_terminal else str(place.first_login),
        "acme": f"{config.server.public_url}/acme/directory",
        "api": f"{config.server.public_url}/api/v1",
        "status": config.server.status_url,
        "root": str(place.root),
        "root_sha256": sha256_of(place.root.read_bytes()),
        "config": str(place.configuration),
        "certbot": certbot_line(place, config),
        "log": str(place.log),
    }
    answer(session, facts, lambda: _text(place, facts))


def sha256_of(pem: bytes) -> str:
    """SHA-256 of the first certificate in a PEM text, as people compare it: `AB:CD:…`."""
    return x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex(":").upper()


def certbot_line(place: Place, config: Config) -> str:
    """Gets a certificate when it is pasted; needs neither root nor a low port."""
    bundle, folder = shlex.quote(str(place.root)), shlex.quote(str(place.path / "cb"))
    return (
        f"REQUESTS_CA_BUNDLE={bundle} certbot certonly --standalone -n --agree-tos "
        "--register-unsafely-without-email --http-01-address 127.0.0.1 "
        f"--http-01-port {config.acme.validation.http_port} "
        f"--config-dir {folder} --work-dir {folder} --logs-dir {folder} "
        f"--server {config.server.public_url}/acme/directory -d demo.localhost"
    )


def _bold(word: str) -> str:
    return click.style(word, bold=True)


def _text(place: Place, facts: dict[str, str]) -> str:
    lines = [
        "",
        click.style(" DEMO – DO NOT TRUST ", fg="black", bg="yellow") + " keys in a software token; 30 days; loopback",
        "",
        f"  {_bold('UI')}       {facts['ui']}",
        f"  {_bold('Sign in')}  {facts['sign_in']}",
        "           (once, within 15 minutes; another: ./certwright user link)",
        f"  {_bold('ACME')}     {facts['acme']}",
        f"  {_bold('API')}      {facts['api']}",
        f"  {_bold('Status')}   {facts['status']}  (OCSP, CRLs, CA certificates)",
        f"  {_bold('Root')}     {facts['root']}",
        f"  {_bold('SHA-256')}  {facts['root_sha256']}",
        f"  {_bold('PINs')}     {place.pin}",
        f"           {place.root_pin}  (the root's: in earnest this one is kept offline)",
        f"  {_bold('Log')}      {facts['log']}",
        "",
        "  A certificate:" if shutil.which("certbot") else "  A certificate (certbot first: apt-get install certbot):",
        f"    {facts['certbot']}",
        "  What there is:",
        f"    export CERTWRIGHT_CONFIG={shlex.quote(facts['config'])}",
        "    ./certwright cert list",
        f"  Stop: Ctrl-C, or ./certwright demo --stop --dir {shlex.quote(str(place.path))}",
        "",
    ]
    return "\n".join(lines)
