"""`certwright trust`: this CA's root in the trust store of this machine."""

from ca.errors import PolicyDenied
from cli.output import answer
from cli.session import Session, command

STEPS = (
    "Debian, Ubuntu: sudo cp {root} /usr/local/share/ca-certificates/certwright.crt && sudo update-ca-certificates",
    "Fedora, RHEL:   sudo cp {root} /etc/pki/ca-trust/source/anchors/certwright.pem && sudo update-ca-trust",
    "macOS:          sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {root}",
    "Firefox:        Settings, Certificates, Authorities, Import {root}",
    "one program:    SSL_CERT_FILE={root}, REQUESTS_CA_BUNDLE={root}, NODE_EXTRA_CA_CERTS={root}, curl --cacert {root}",
)


@command(changes=True)
def install(session: Session) -> None:
    """Says how to make machines trust this CA. A demo's root is refused: nobody may trust it.

    Nothing is changed here: trust is given by whoever answers for a machine, after comparing the fingerprint.
    """
    if session.config.mode == "demo":
        raise PolicyDenied(
            "This is a demo: its root may stand in no trust store.",
            next_step="Give single programs DIR/root.pem, as the demo's screen shows.",
        )
    from cli.probe import roots
    from cli.screen import sha256_of

    pem = roots(session.config)
    fingerprint = sha256_of(pem.encode())
    url = f"{session.config.server.status_url}/roots.pem"
    steps = [step.format(root="roots.pem") for step in STEPS]
    lines = [f"1. Fetch the root: curl -o roots.pem {url}", f"2. Compare its SHA-256: {fingerprint}", "3. Then:"]
    answer(
        session, {"url": url, "sha256": fingerprint, "steps": steps}, "\n".join([*lines, *(f"   {s}" for s in steps)])
    )
