"""GnuTLS reads what is published: `ocsptool` over HTTP, with its nonce, and `certtool` for CRLs."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca import crl
from ca.records import Reason
from tests.ca.authority.conftest import make, template  # noqa: F401 - worlds without token and processes
from tests.ca.authority.fast import ISSUER, FastWorld
from tests.ca.authority.world import OPERATOR
from tests.ca.conftest import hierarchy  # noqa: F401
from tests.web.test_live import World
from tests.web.test_outside import serving_plane

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ocsptool") is None, reason="GnuTLS's tools are not installed (gnutls-bin)"),
]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_ocsptool_and_certtool_believe_what_is_published(make: Callable[..., FastWorld], tmp_path: Path) -> None:  # noqa: F811
    fast = make()
    certificate = fast.issue()
    issuing = fast.hierarchy.issuing_certificate
    leaf, issuer = tmp_path / "leaf.pem", tmp_path / "issuer.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM))
    issuer.write_bytes(issuing.public_bytes(Encoding.PEM))
    with serving_plane(World(fast).plane) as url:
        ask = ("ocsptool", f"--ask={url}/ocsp", "--nonce", "--load-cert", str(leaf), "--load-issuer", str(issuer))
        said = run(*ask, "--load-trust", str(issuer))
        assert "Certificate Status: good" in said, said
        assert "Success" in said, said
        fast.authority.revoke(certificate, Reason.KEY_COMPROMISE, OPERATOR)
        assert "Certificate Status: revoked" in run(*ask, "--load-trust", str(issuer))
    fast.authority.publish_crls()
    published = x509.load_der_x509_crl(fast.authority.publisher.get(crl.full_path(ISSUER)).body)
    (tmp_path / "full.pem").write_bytes(published.public_bytes(Encoding.PEM))
    ca = f"--load-ca-certificate={issuer}"
    told = run("certtool", "--verify-crl", ca, f"--infile={tmp_path / 'full.pem'}")
    assert "Verification output: Verified" in told, told
