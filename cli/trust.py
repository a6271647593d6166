"""`certwright trust`: this CA's root in the trust store of a machine."""

from pathlib import Path

import click

from ca.errors import BadRequest, KeyMismatch, NotFound, PolicyDenied
from cli.output import answer
from cli.session import Session, command

SHA256_OCTETS = 32

STEPS = (
    "Debian, Ubuntu: sudo cp {root} /usr/local/share/ca-certificates/certwright.crt && sudo update-ca-certificates",
    "Fedora, RHEL:   sudo cp {root} /etc/pki/ca-trust/source/anchors/certwright.pem && sudo update-ca-trust",
    "macOS:          sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {root}",
    "Firefox:        Settings, Certificates, Authorities, Import {root}",
    "one program:    SSL_CERT_FILE={root}, REQUESTS_CA_BUNDLE={root}, NODE_EXTRA_CA_CERTS={root}, curl --cacert {root}",
)
OTHERWISE = "Name its transcript by --transcript, or the root's SHA-256 from the witnesses' paper by --sha256."


@command(changes=True)
@click.option(
    "--transcript",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The ceremony's transcript (JSON); default: where 'ca init' writes it.",
)
@click.option("--sha256", "on_paper", default="", metavar="HEX", help="The root's SHA-256, from the witnesses' paper.")
def install(session: Session, transcript: Path | None, on_paper: str) -> None:
    """Says how to make machines trust this CA. A demo's root is refused: nobody may trust it.

    Which root that is, the ceremony's transcript says, and not the publication folder, which the service can write:
    a published root that is another one is an error. Nothing is changed here: trust is given by whoever answers for
    a machine, after comparing the fingerprint.
    """
    if session.config.mode == "demo":
        raise PolicyDenied(
            "This is a demo: its root may stand in no trust store.",
            next_step="Give single programs DIR/root.pem, as the demo's screen shows.",
        )
    wanted, source = _on_paper(on_paper) if on_paper else _of_the_ceremony(session, transcript)
    _demand_published(session, wanted, source)
    url = f"{session.config.server.status_url}/roots.pem"
    fingerprint = wanted.hex(":").upper()
    steps = [step.format(root="roots.pem") for step in STEPS]
    lines = [
        f"1. Fetch the root: curl -o roots.pem {url}",
        f"2. Its SHA-256 must be {fingerprint} ({source}): openssl x509 -in roots.pem -noout -fingerprint -sha256",
        "3. Then:",
    ]
    shape = {"url": url, "sha256": fingerprint, "source": source, "steps": steps}
    answer(session, shape, "\n".join([*lines, *(f"   {step}" for step in steps)]))


def _on_paper(text: str) -> tuple[bytes, str]:
    try:
        digest = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != SHA256_OCTETS:
        raise BadRequest("--sha256 is no SHA-256.", next_step="Write 64 hexadecimal digits, with colons or without.")
    return digest, "as given"


def _of_the_ceremony(session: Session, named: Path | None) -> tuple[bytes, str]:
    """The root's digest in the transcript, which in production must be root's own file."""
    from ca.ceremony import transcript
    from ca.places import Place, inspect
    from ca.users import resolve

    config = session.config
    path = (named or config.path(f"ceremony-{config.ca.issuer}-g1.json")).resolve()
    if not path.is_file():
        raise NotFound(f"There is no transcript of a ceremony at {path}.", next_step=OTHERWISE)
    inspect(Place("transcript", path, "root", "everyone", 0o644, at_most=True), resolve(config.users))
    steps = transcript.read(path.read_bytes()).steps
    found = [step.facts["sha256"] for step in steps if step.action.startswith("root certificate")]
    if not found:
        raise NotFound(f"{path} names no root.", next_step=OTHERWISE)
    return bytes.fromhex(found[0]), f"transcript {path}"


def _demand_published(session: Session, wanted: bytes, source: str) -> None:
    """What machines would fetch is that root. Raises `KeyMismatch`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    from cli.probe import roots

    published = x509.load_pem_x509_certificates(roots(session.config).encode())
    if wanted not in [one.fingerprint(SHA256()) for one in published]:
        raise KeyMismatch(
            f"The published root is not the one of the ceremony ({source}).",
            next_step="Let nobody trust it: see docs/operations.md, 'The published root is another one'.",
        )
