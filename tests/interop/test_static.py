"""nginx (Debian) serves a folder target as the page on the status plane says; clients get what the service serves."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.interop.relying import Chain, RelyingParty
from tests.interop.snippets import snippet
from tests.interop.webserver import nginx, until
from tests.interop.world import Demo, environment, need, run
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@dataclass(frozen=True)
class Site:
    """A web server over a folder target, with curl in front of it."""

    url: str
    folder: Path
    home: Path

    def get(self, path: str, *words: str | Path) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request."""
        head, body = self.home / "head", self.home / "got"
        body.write_bytes(b"")
        where = ("--silent", "--max-time", "10", "--dump-header", head, "--output", body, "--path-as-is")
        run(need("curl"), *where, *words, self.url + path, env=environment(self.home))
        first, *lines = head.read_text().strip().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, body.read_bytes()


@pytest.fixture(scope="module")
def site(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home, port, folder = tmp_path_factory.mktemp("nginx"), free_port(), demo.folder / "plain"
    changes = {"listen 80": f"listen 127.0.0.1:{port}", "/srv/pki": str(folder), "127.0.0.1:8080": demo.status[7:]}
    with nginx(home, snippet("nginx static", changes)):
        yield Site(f"http://127.0.0.1:{port}", folder, home)


@pytest.fixture(scope="module")
def chain(demo: Demo) -> Chain:
    """A certificate of the demo whose answer has reached the target."""
    made = demo.folder / "static.pem"
    demo.certwright("cert", "issue", "--new-key", f"{made}.key", "--name", "static.localhost", "--out", str(made))
    issued = Chain.read(made)
    until((demo.folder / "plain" / staple(issued)).exists)
    return issued


def staple(chain: Chain) -> str:
    digits = f"{chain.serial:x}"
    return f"staple/{digits.zfill(len(digits) + len(digits) % 2)}.der"


def test_a_get_is_answered_by_a_file_however_it_is_escaped(site: Site, chain: Chain, relying: RelyingParty) -> None:
    text = base64.b64encode(relying.asks(chain)).decode()
    for path in (quote(text, safe=""), text, text.rstrip("=")):
        status, headers, body = site.get(f"/ocsp/{path}")
        assert (status, headers["content-type"]) == (200, "application/ocsp-response")
        assert headers["cache-control"] == "max-age=300, public, no-transform, must-revalidate"
        changed = (site.folder / "ocsp" / text).stat().st_mtime
        assert headers["last-modified"] == formatdate(int(changed), usegmt=True)
        assert relying.reads(chain, body) == "good"
        assert body == (site.folder / staple(chain)).read_bytes()


def test_what_is_no_file_is_answered_live(site: Site, chain: Chain, relying: RelyingParty) -> None:
    with_nonce = relying.asks(chain, "-nonce")
    assert site.get(f"/ocsp/{quote(base64.b64encode(with_nonce).decode(), safe='')}")[0] == 200
    request = relying.folder / "post.der"
    request.write_bytes(relying.asks(chain))
    kind = ("--header", "Content-Type: application/ocsp-request")
    status, headers, body = site.get("/ocsp", "--data-binary", f"@{request}", *kind)
    assert (status, headers["content-type"]) == (200, "application/ocsp-response")
    assert relying.reads(chain, body) == "good"


def test_without_the_service_what_is_unknown_is_unauthorized(site: Site, relying: RelyingParty, chain: Chain) -> None:
    home, port = site.home / "alone", free_port()
    home.mkdir()
    own = snippet("nginx static", {"listen 80": f"listen 127.0.0.1:{port}", "/srv/pki": str(site.folder)})
    [live] = [line for line in own.splitlines() if "location @live" in line]
    with nginx(home, own.replace(live, snippet("nginx without the service", {}))):
        alone = Site(f"http://127.0.0.1:{port}", site.folder, home)
        with_nonce = base64.b64encode(relying.asks(chain, "-nonce")).decode()
        status, headers, body = alone.get(f"/ocsp/{quote(with_nonce, safe='')}")
        assert (status, headers["content-type"], body) == (200, "application/ocsp-response", b"\x30\x03\x0a\x01\x06")
        assert headers["cache-control"] == "no-store"
        known = base64.b64encode(relying.asks(chain)).decode()
        assert relying.reads(chain, alone.get(f"/ocsp/{quote(known, safe='')}")[2]) == "good"


def test_lists_and_certificates_are_those_of_the_status_plane(demo: Demo, site: Site) -> None:
    live = Site(demo.status, site.folder, site.home)
    for path, kind in {
        "/crl/issuing-g1/0000.crl": "application/pkix-crl",
        "/crl/issuing-g1/full.crl": "application/pkix-crl",
        "/crl/root-g1/0000.crl": "application/pkix-crl",
        "/ca/issuing-g1.cer": "application/pkix-cert",
        "/ca/issuing-g1.pem": "application/x-pem-file",
        "/chain/issuing-g1.pem": "application/x-pem-file",
        "/roots.pem": "application/x-pem-file",
    }.items():
        until(lambda path=path: site.get(path)[2] == live.get(path)[2])
        status, headers, _ = site.get(path)
        assert (status, headers["content-type"], live.get(path)[1]["content-type"]) == (200, kind, kind)
        again = site.get(path, "--header", f"If-None-Match: {headers['etag']}")
        assert again[0] == 304


def test_nothing_else_is_served(site: Site) -> None:
    for path in (
        "/",
        "/.certwright",
        "/crl/",
        "/crl/../.certwright",
        "/spares/root-g1/0001.crl",
        "/ocsp/../.certwright",
    ):
        assert site.get(path)[0] in (400, 403, 404), path
    assert site.get("/staple/00.der")[0] == 404


def test_a_revocation_reaches_the_files(demo: Demo, site: Site, chain: Chain, relying: RelyingParty) -> None:
    path = f"/ocsp/{quote(base64.b64encode(relying.asks(chain)).decode(), safe='')}"
    before = site.get(path)[1]
    demo.certwright("cert", "revoke", f"{chain.serial:x}", "--reason", "superseded", "--yes")
    until(lambda: relying.reads(chain, site.get(path)[2]) == "revoked")
    after = site.get(path, "--header", f"If-None-Match: {before['etag']}")[1]
    assert after["etag"] != before["etag"]
    assert "plain" in demo.certwright("status", "targets", ok=(0, 1))  # there may be no HAProxy
    assert "no target" in demo.certwright("status", "resend", "nobody", ok=(3,))
